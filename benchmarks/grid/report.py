"""The report of a grid: tables as CSV and Markdown, and two pictures a task."""

from __future__ import annotations

import math
import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import pandas as pd

from graphpe.benchmarks.grid.config import Format
from graphpe.benchmarks.grid.options import shown
from graphpe.benchmarks.grid.reports.latex import NEEDS, latex_table
from graphpe.benchmarks.grid.reports.literature import Published, fits
from graphpe.benchmarks.grid.reports.pictures import draw_cost, draw_heat_map
from graphpe.benchmarks.grid.reports.selection import budget_text
from graphpe.benchmarks.grid.reports.size_pictures import draw_curves, draw_losses
from graphpe.benchmarks.grid.reports.sizes import by_size, size_section, sizes_csv
from graphpe.benchmarks.grid.reports.table import spread, table_frame
from graphpe.benchmarks.grid.results import Combination, Run, base_of
from graphpe.benchmarks.grid.statistics import holm, mean_ranks, paired_t, sign_flips
from graphpe.files.atomic import remove_leftovers, write_atomically


@dataclass(frozen=True)
class EncodingResult:
    """What an encoding did on one task, over models and seeds.

    Attributes:
        encoding: The column.
        rank: Mean rank over models, 1 for the best column.
        better: Models that it makes better than no encoding, in the mean over seeds.
        models: Models that have both.
        p_value: That its differences from no encoding are chance, corrected for the number of encodings; nan where
            fewer than two runs have a partner without an encoding.
    """

    encoding: str
    rank: float
    better: int
    models: int
    p_value: float


def write_report(
    combinations: Sequence[Combination],
    folder: Path,
    notes: Sequence[str] = (),
    command: str = "",
    *,
    everything: Sequence[Run] | None = None,
    literature: Sequence[Published] = (),
    formats: Collection[Format] = (),
) -> list[Path]:
    """Write `runs.csv`, `report.md`, and for each task a heat map and a picture of metric against cost.

    Where cells were split by size, `sizes.csv` has a row for each run and bin, and each task a table of what larger
    graphs cost, the curves of the metric against size, and a picture of the loss per doubling.

    Combinations that validation chose among several have tables, tests and pictures of their own, apart from others.

    Args:
        combinations: Of finished cells; at least one.
        folder: Where.
        notes: Lines for the end of the report, such as what was skipped or failed.
        command: The command that made the grid.
        everything: The runs of `runs.csv`, where they are more than those of the combinations.
        literature: Values that others published.
        formats: What to write beside: `csv` (the tables in one file), `latex` (for `booktabs`), pictures in `svg` and
            `pdf`.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
    files = [folder / "runs.csv", folder / "report.md"]
    runs = [run for each in combinations for run in each.runs] if everything is None else everything
    write_atomically(files[0], runs_csv(runs))
    parts = ["# Grid", ""]
    if command:
        parts += [f"    {command}", ""]
    notes = [*notes, *not_finite(combinations)]
    sections = list(sections_of(combinations, literature))
    suffixes = ["png", *(each for each in ("svg", "pdf") if each in formats)]
    for section in sections:
        mine, name = section.combinations, section.name
        heat, cost = ([folder / f"{name}-{kind}.{suffix}" for suffix in suffixes] for kind in ("heat", "cost"))
        draw_heat_map(mine, significance(mine), heat)
        draw_cost(mine, cost)
        files += [*heat, *cost]
        task = mine[0].task
        parts += [task_section(mine, section.literature), "", f"![{task}: encodings by models]({heat[0].name})", ""]
        parts += [f"![{task}: metric against cost]({cost[0].name})", ""]
        if of_sizes := by_size(mine):
            curves, losses = ([folder / f"{name}-{kind}.{suffix}" for suffix in suffixes] for kind in ("sizes", "loss"))
            draw_curves(of_sizes, curves)
            draw_losses(of_sizes, losses)
            files += [*curves, *losses]
            parts += [size_section(of_sizes), "", f"![{task}: metric against size]({curves[0].name})", ""]
            parts += [f"![{task}: what larger graphs cost]({losses[0].name})", ""]
    if any(run.sizes for run in runs):
        files.insert(1, folder / "sizes.csv")
        write_atomically(files[1], sizes_csv(runs))
    parts += [f"- {note}" for note in notes]
    write_atomically(folder / "report.md", "\n".join(parts).rstrip() + "\n")
    if "csv" in formats:
        files.append(folder / "table.csv")
        frames = [table_frame(each.combinations, significance(each.combinations), each.literature) for each in sections]
        write_atomically(files[-1], pd.concat(frames).to_csv(index=False, lineterminator="\n"))
    if "latex" in formats:
        files.append(folder / "tables.tex")
        tables = [latex_table(each.combinations, each.literature) for each in sections]
        write_atomically(files[-1], "\n".join([NEEDS, *tables]))
    return files


@dataclass(frozen=True)
class Section:
    """Combinations of one task that stand in one table.

    Attributes:
        name: The beginning of its pictures' names.
        combinations: Of listed settings, chosen among those by validation, or chosen among drawn ones.
        literature: Rows from the literature for it.
    """

    name: str
    combinations: list[Combination]
    literature: list[Published]


def sections_of(combinations: Sequence[Combination], literature: Sequence[Published]) -> Iterator[Section]:
    """What stands in one table each, in the order of the report."""
    names: list[str] = []
    for task in dict.fromkeys(each.task for each in combinations):
        short = re.sub(r"\W+", "-", task.split("(")[0]).strip("-")
        number = sum(each == short for each in names) + 1
        names.append(short)
        name = short if number == 1 else f"{short}-{number}"
        for chosen, drawn, kind in ((False, False, ""), (True, False, "-best"), (True, True, "-tuned")):
            of_kind = [each for each in combinations if (each.chosen_from > 0, each.drawn) == (chosen, drawn)]
            mine = [each for each in of_kind if each.task == task]
            if mine:
                yield Section(f"{name}{kind}", mine, [row for row in literature if fits(row, mine[0].runs[0])])


def not_finite(combinations: Sequence[Combination]) -> list[str]:
    """A line for each run whose metric is not finite: its combination has no mean, rank or test."""
    return [
        f"not finite: {run.task}, {each.row}, {each.setup}, seed {run.seed}: valid {run.metric} {run.valid:g}, test "
        f"{run.test:g}; its combination has no mean, no rank, and that seed no part in tests"
        for each in combinations
        for run in each.runs
        if not (math.isfinite(run.test) and math.isfinite(run.valid))
    ]


def runs_csv(runs: Sequence[Run]) -> str:
    """Every run as a row; the options that vary are columns."""
    apart = ("options", "drawn", "baselines", "sizes", "size_unit")
    names = [field.name for field in fields(Run) if field.name not in apart]
    names += ["drawn"] if any(run.drawn for run in runs) else []
    varied = list(dict.fromkeys(name for run in runs for name in run.options))
    rows = [
        [*(getattr(run, name) for name in names), *(shown(run.options.get(name, "")) for name in varied)]
        for run in runs
    ]
    # An option may be called as a number is: `epochs`.
    columns = [*names, *(f"option_{name}" if name in names else name for name in varied)]
    return pd.DataFrame(rows, columns=columns).to_csv(index=False, lineterminator="\n", na_rep="nan")


def task_section(combinations: Sequence[Combination], literature: Sequence[Published] = ()) -> str:
    """One task as Markdown: the table of cells, then the table of encodings."""
    first = combinations[0].runs[0]
    direction = "more is better" if first.maximize else "less is better"
    chosen = combinations[0].chosen_from > 0
    heading = (", tuned" if combinations[0].drawn else ", best by validation") if chosen else ""
    corrected = significance(combinations)
    options = list(dict.fromkeys(name for each in combinations for name in each.options))
    columns = ["encoding", "model", *options, f"test {first.metric}", "valid", "n", "p against none", "parameters"]
    columns += ["encode, s", "epoch, s", "peak, GB"]
    lines = [
        f"## {' '.join(first.task.split())}: test {first.metric} ({direction}){heading}",
        "",
        *([budget_text(combinations), ""] if chosen else []),
        f"| {' | '.join(columns)} |",
        "|---" * len(columns) + "|",
    ]
    for each in combinations:
        p_value = corrected.get((each.row, each.setup), math.nan)
        values = [each.encoding, each.model, *(shown(each.options.get(name, "")) for name in options)]
        lines.append(
            f"| {' | '.join(map(_escaped, values))} | {spread(each.mean(), each.deviation())} "
            f"| {spread(each.mean('valid'), each.deviation('valid'))} | {len(each.runs)} "
            f"| {_p_text(p_value)} | {each.mean('parameters'):,.0f} "
            f"| {each.mean('encode_seconds'):.1f} | {each.mean('epoch_seconds'):.1f} "
            f"| {each.mean('peak_bytes') / 1e9:.2f} |"
        )
    baselines = first.baselines
    for name, (valid, test) in baselines.items():
        values = ["none", f"{name} ‡", *("" for _ in options), spread(test, math.nan), spread(valid, math.nan), "1"]
        lines.append(f"| {' | '.join(map(_escaped, values))} |  |  |  |  |  |")
    for number, row in enumerate(literature, 1):
        values = [row.encoding, f"{row.model} †{number}", *("" for _ in options), spread(row.mean, row.deviation), ""]
        lines.append(f"| {' | '.join(map(_escaped, [*values, str(row.runs or '')]))} |  |  |  |  |  |")
    lines += ["", "| encoding | mean rank | better than none | p, all models |", "|---|---|---|---|"]
    for result in sorted(encoding_results(combinations), key=lambda result: result.rank):
        better = f"{result.better} of {result.models} models" if result.models else ""
        lines.append(f"| {_escaped(result.encoding)} | {result.rank:.2f} | {better} | {_p_text(result.p_value)} |")
    lines += [
        "",
        "Mean and sample standard deviation over n seeds. p against none: paired t-test over seeds; p, all models: "
        "sign flips of the paired differences of all models; both corrected for their number by Holm's method, and "
        "empty where fewer than two runs can be compared.",
    ]
    if baselines:
        lines += ["", "‡ read no graph: counts of Morgan fragments, and nothing; in no test and no rank."]
    if literature:
        lines += ["", "† from the literature, in no test and no rank:", ""]
        lines += [f"{number}. {' '.join(row.source.split())}" for number, row in enumerate(literature, 1)]
    return "\n".join(lines)


def _escaped(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def significance(combinations: Sequence[Combination]) -> dict[tuple[str, str], float]:
    """By row and setup: the corrected p-value of its difference from the same model without an encoding.

    It is nan where fewer than two seeds can be compared.
    """
    paired = {
        (each.row, each.setup): paired_t(differences)
        for each in combinations
        if (differences := _differences(each, combinations))
    }
    return dict(zip(paired, holm(list(paired.values())), strict=True))


def encoding_results(combinations: Sequence[Combination]) -> list[EncodingResult]:
    """What each encoding did over all models of one task."""
    encodings = list(dict.fromkeys(each.row for each in combinations))
    models = list(dict.fromkeys(each.setup for each in combinations))
    sign = 1 if combinations[0].runs[0].maximize else -1
    by_key = {(each.row, each.setup): each for each in combinations}
    scores = [[_score(by_key.get((encoding, model)), sign) for encoding in encodings] for model in models]
    differences = {
        encoding: [
            found for each in combinations if each.row == encoding and (found := _differences(each, combinations))
        ]
        for encoding in encodings
    }
    compared = [encoding for encoding, blocks in differences.items() if blocks]
    corrected = dict(zip(compared, holm([sign_flips(differences[encoding]) for encoding in compared]), strict=True))
    return [
        EncodingResult(
            encoding,
            rank,
            sum(sum(block) > 0 for block in differences[encoding]),
            len(differences[encoding]),
            corrected.get(encoding, math.nan),
        )
        for encoding, rank in zip(encodings, mean_ranks(scores), strict=True)
    ]


def _score(combination: Combination | None, sign: int) -> float:
    """The mean with the better ones larger; NaN where there is none."""
    mean = math.nan if combination is None else sign * combination.mean()
    return mean if math.isfinite(mean) else math.nan


def _p_text(p_value: float) -> str:
    if math.isnan(p_value):
        return ""
    return "< 0.001" if p_value < 0.001 else f"{p_value:.3f}"


def _differences(combination: Combination, combinations: Sequence[Combination]) -> list[float]:
    """How much better it is than the same model without an encoding, for each seed that both have."""
    base = base_of(combinations)
    if combination.row == base:
        return []
    sign = 1 if combination.runs[0].maximize else -1
    for other in combinations:
        # Options that only the column of the encoding has are part of it.
        if other.row == base and other.setup == combination.setup:
            mine, theirs = combination.by_seed, other.by_seed
            differences = [sign * (mine[seed] - theirs[seed]) for seed in mine if seed in theirs]
            return [each for each in differences if math.isfinite(each)]
    return []
