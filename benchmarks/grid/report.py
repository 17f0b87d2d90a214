"""The report of a grid: tables as CSV and Markdown, and two pictures a task."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import pandas as pd

from graphpe.benchmarks.grid.config import Format
from graphpe.benchmarks.grid.options import shown
from graphpe.benchmarks.grid.reports.effects import effect_section, effects_csv, overall_section, tuning_section
from graphpe.benchmarks.grid.reports.gains import HEADING, draw_gains, gains_of, gains_section
from graphpe.benchmarks.grid.reports.latex import NEEDS, latex_table
from graphpe.benchmarks.grid.reports.pictures import draw_cost, draw_heat_map, short
from graphpe.benchmarks.grid.reports.published.beside import Beside
from graphpe.benchmarks.grid.reports.published.literature import Published, fits
from graphpe.benchmarks.grid.reports.rankings import draw_ranking, ranking_section
from graphpe.benchmarks.grid.reports.selection import budget_text
from graphpe.benchmarks.grid.reports.size_pictures import draw_curves, draw_losses
from graphpe.benchmarks.grid.reports.sizes import by_size, size_section, sizes_csv
from graphpe.benchmarks.grid.reports.table import p_text, rate_text, spread, table_cell, table_frame, table_heading
from graphpe.benchmarks.grid.results import Combination, Run, baselines_of
from graphpe.benchmarks.grid.statistics.effects import overall_effects, tuning_effects
from graphpe.benchmarks.grid.statistics.family import Family, SectionTests, family_of, kind_of
from graphpe.files.atomic import remove_leftovers, write_atomically


def write_report(
    combinations: Sequence[Combination],
    folder: Path,
    notes: Sequence[str] = (),
    command: str = "",
    *,
    everything: Sequence[Run] | None = None,
    literature: Sequence[Published] = (),
    beside: Beside | None = None,
    formats: Collection[Format] = (),
) -> list[Path]:
    """Write `runs.csv`, `effects.csv`, `report.md`, and for each task a heat map and a picture of metric against cost.

    All p-values are corrected together (`family_of`). With results of three columns in two blocks, a task and a model
    each, there is a ranking over them and its picture; with two tasks, the effects over tasks, and what helps which
    model and on which task, with a picture.

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
        beside: Those of the same task, architecture and encoding as ours; None not to show them apart.
        formats: What to write beside: `csv` (the tables in one file), `latex` (for `booktabs`), pictures in `svg` and
            `pdf`.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
    files = [folder / "runs.csv", folder / "effects.csv", folder / "report.md"]
    runs = [run for each in combinations for run in each.runs] if everything is None else everything
    write_atomically(files[0], runs_csv(runs))
    parts = [f"# {title_of(combinations)}", ""]
    if command:
        parts += [f"    {command}", ""]
    notes = [*notes, *not_finite(combinations), *made_on(runs)]
    sections = sections_of(combinations, literature)
    of_sections = {each.name: each.combinations for each in sections}
    family = family_of(of_sections)
    write_atomically(files[1], effects_csv(of_sections, family.sections))
    suffixes = ["png", *(each for each in ("svg", "pdf") if each in formats)]
    for section in sections:
        mine, name, tests = section.combinations, section.name, family.sections[section.name]
        heat, cost = ([folder / f"{name}-{kind}.{suffix}" for suffix in suffixes] for kind in ("heat", "cost"))
        draw_heat_map(mine, tests.cells, heat)
        draw_cost(mine, cost)
        files += [*heat, *cost]
        task = mine[0].task
        untuned = any(each.drawn and each.task == task for each in combinations)
        written = task_section(mine, tests, section.literature, untuned=untuned)
        parts += [written, "", f"![{task}: encodings by models]({heat[0].name})", ""]
        parts += [f"![{task}: metric against cost]({cost[0].name})", ""]
        if of_sizes := by_size(mine):
            curves, losses = ([folder / f"{name}-{kind}.{suffix}" for suffix in suffixes] for kind in ("sizes", "loss"))
            draw_curves(of_sizes, curves)
            draw_losses(of_sizes, losses)
            files += [*curves, *losses]
            parts += [size_section(of_sizes, tests.losses), ""]
            parts += [f"![{task}: metric against size]({curves[0].name})", ""]
            parts += [f"![{task}: what larger graphs cost]({losses[0].name})", ""]
    if beside is not None and beside.pairs:
        files.append(folder / "published.csv")
        write_atomically(files[-1], beside.csv())
        parts += [beside.section(), ""]
    for kind in family.rankings:
        suffix = f"-{kind}" if kind else ""
        pictures = [folder / f"ranks{suffix}.{each}" for each in suffixes]
        of_kind = [each for each in sections if kind_of(each.combinations[0]) == kind]
        shares = [folder / f"gains{suffix}.{each}" for each in suffixes]
        lines, drawn = _where(of_kind, kind, family, shares)
        parts += lines
        files += drawn
        lines, drawn = _over_tasks([each.combinations for each in of_kind], kind, family, pictures)
        parts += [*lines, ""]
        files += drawn
    if tuned := tuning_effects(combinations):
        parts += [*tuning_section(tuned), ""]
    if family.count:
        parts += [_holm_text(family.count), ""]
    if baselines := baselines_csv(runs):
        files.append(folder / "baselines.csv")
        write_atomically(files[-1], baselines)
    if any(run.sizes for run in runs):
        files.insert(2, folder / "sizes.csv")
        write_atomically(files[2], sizes_csv(runs))
    parts += [f"- {note}" for note in notes]
    write_atomically(folder / "report.md", "\n".join(parts).rstrip() + "\n")
    if "csv" in formats:
        files.append(folder / "table.csv")
        frames = [
            table_frame(each.combinations, family.sections[each.name].cells, each.literature) for each in sections
        ]
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


def title_of(combinations: Iterable[Combination]) -> str:
    """What a report is called: the names of its tasks, each once.

    Args:
        combinations: Of the report.
    """
    names = dict.fromkeys(each.task.split("(")[0] for each in combinations)
    return f"{', '.join(names)}: encodings by models"


def sections_of(combinations: Sequence[Combination], literature: Sequence[Published] = ()) -> list[Section]:
    """The sections of a report: for each task the settings as given, those chosen by validation, and those tuned.

    Args:
        combinations: Of finished cells.
        literature: Values that others published.
    """
    found: list[Section] = []
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
                fitting = [row for row in literature if fits(row, mine[0].runs[0])]
                found.append(Section(f"{name}{kind}", mine, fitting))
    return found


def not_finite(combinations: Sequence[Combination]) -> list[str]:
    """A line for each run whose metric is not finite, and what the report does without it.

    Means, ranks and tests are of the test metric; that of validation has a mean alone.
    """
    of_test = "its combination has no mean, no rank, and that seed no part in tests"
    of_valid = "its combination has no mean over validation; mean, rank and tests of the test metric have that seed"
    return [
        f"not finite: {run.task}, {each.row}, {each.setup}, seed {run.seed}: valid {run.metric} {run.valid:g}, test "
        f"{run.test:g}; {of_valid if math.isfinite(run.test) else of_test}"
        for each in combinations
        for run in each.runs
        if not (math.isfinite(run.test) and math.isfinite(run.valid))
    ]


def baselines_csv(runs: Sequence[Run]) -> str:
    """What reads no graph, a row for each task and baseline; empty where no run has any."""
    rows = [
        (task, name, *values)
        for task in dict.fromkeys(run.task for run in runs)
        for name, values in baselines_of(run for run in runs if run.task == task).items()
    ]
    table = pd.DataFrame(rows, columns=["task", "baseline", "valid", "test"])
    return table.to_csv(index=False, lineterminator="\n", na_rep="nan") if rows else ""


def made_on(runs: Sequence[Run]) -> list[str]:
    """A line for each machine and set of versions that runs were made with; none where no run noted them."""
    counts = Counter(run.machine for run in runs)
    if not any(counts):
        return []
    return [
        f"{count} of {len(runs)} runs on {where or 'a machine that they did not note'}"
        for where, count in counts.items()
    ]


def runs_csv(runs: Sequence[Run]) -> str:
    """Every run as a row; the options that vary are columns."""
    apart = ("options", "drawn", "baselines", "sizes", "size_unit", "unit", "machine")
    names = [field.name for field in fields(Run) if field.name not in apart]
    names += [name for name in ("drawn", "machine") if any(getattr(run, name) for run in runs)]
    names += ["unit"] if any(run.unit != "graph" for run in runs) else []
    varied = list(dict.fromkeys(name for run in runs for name in run.options))
    rows = [
        [*(getattr(run, name) for name in names), *(shown(run.options.get(name, "")) for name in varied)]
        for run in runs
    ]
    # An option may be called as a number is: `epochs`.
    columns = [*names, *(f"option_{name}" if name in names else name for name in varied)]
    table = pd.DataFrame(rows, columns=columns).astype({"graphs": "Int64"})  # whole, or not known
    return table.to_csv(index=False, lineterminator="\n", na_rep="nan")


def task_section(
    combinations: Sequence[Combination],
    tests: SectionTests,
    literature: Sequence[Published] = (),
    *,
    untuned: bool = False,
) -> str:
    """One task as Markdown: the table of cells, then those of effects.

    Args:
        combinations: Of the task.
        tests: Their corrected p-values.
        literature: Values that others published.
        untuned: Whether the same task stands in another section with tuned options.
    """
    first = combinations[0].runs[0]
    direction = "more is better" if first.maximize else "less is better"
    chosen = combinations[0].chosen_from > 0
    kind = ("tuned" if combinations[0].drawn else "best by validation") if chosen else "untuned" if untuned else ""
    options = list(dict.fromkeys(name for each in combinations for name in each.options))
    columns = ["encoding", "model", *options, f"test {first.metric}", "valid", "n", "p against none", "parameters"]
    measured = any(math.isfinite(each.mean("graphs_per_second")) for each in combinations)  # older runs did not
    columns += ["encode, s", "epoch, s", *([f"{first.unit}s/s", f"MFLOP/{first.unit}"] if measured else []), "peak, GB"]
    lines = [
        f"## {' '.join(first.task.split())}: test {first.metric} ({direction}){f', {kind}' if kind else ''}",
        "",
        *([budget_text(combinations), ""] if chosen else []),
        *table_heading(*columns),
    ]
    for each in combinations:
        p_value = tests.cells.get((each.row, each.setup), math.nan)
        values = [each.encoding, each.model, *(shown(each.options.get(name, "")) for name in options)]
        cost = [rate_text(each.mean("graphs_per_second")), rate_text(each.mean("flops_per_graph") / 1e6)]
        lines.append(
            f"| {' | '.join(map(table_cell, values))} | {spread(each.mean(), each.deviation())} "
            f"| {spread(each.mean('valid'), each.deviation('valid'))} | {len(each.runs)} "
            f"| {p_text(p_value)} | {each.mean('parameters'):,.0f} "
            f"| {each.mean('encode_seconds'):.1f} | {each.mean('epoch_seconds'):.1f} "
            f"| {''.join(f'{text} | ' for text in cost) if measured else ''}{each.mean('peak_bytes') / 1e9:.2f} |"
        )
    baselines, empty = (
        baselines_of(run for each in combinations for run in each.runs),
        "  |" * (len(columns) - columns.index("n") - 1),
    )
    for name, (valid, test) in baselines.items():
        values = ["none", f"{name} ‡", *("" for _ in options), spread(test, math.nan), spread(valid, math.nan), "1"]
        lines.append(f"| {' | '.join(map(table_cell, values))} |{empty}")
    for number, row in enumerate(literature, 1):
        values = [row.encoding, f"{row.model} †{number}", *("" for _ in options), spread(row.mean, row.deviation), ""]
        lines.append(f"| {' | '.join(map(table_cell, [*values, str(row.runs or '')]))} |{empty}")
    lines += ["", *effect_section(combinations, tests), "", _TASK_TEXT]
    if measured:
        lines += ["", _COST_TEXT.format(unit=first.unit)]
    if baselines:
        lines += ["", "‡ read no graph: counts of Morgan fragments, or nothing; in no test and no rank."]
    if literature:
        lines += ["", "† from the literature, in no test and no rank:", ""]
        lines += [f"{number}. {' '.join(row.source.split())}" for number, row in enumerate(literature, 1)]
    return "\n".join(lines)


_TASK_TEXT = (
    "Mean and sample standard deviation over n seeds. Gain over none: mean over seeds of the paired difference from "
    "the same model without an encoding, positive where it is better; its 95 % interval is Student's t over these "
    "seeds (the mean gain: of each seed's mean over models), and not corrected for the number of rows. g: the gain in "
    "units of the standard deviation over seeds (Hedges' g of the average variance; the mean gain: median of models). "
    "p against none: paired t-test over seeds; p, all models: sign flips of the paired differences of all models; "
    "empty where fewer than two runs can be compared."
)
_COST_TEXT = (
    "{unit}s/s: {unit}s of training by processor second of the training loop (one core), the median epoch. "
    "MFLOP/{unit}: arithmetic of the forward and the backward pass of the model's formulas in PyTorch, a "
    "multiplication and an addition as two, without encoding and optimizer; empty where a part of a model cannot be "
    "counted."
)


def _holm_text(count: int) -> str:
    return (
        f"All p of this report (columns in each model, columns over all models, losses by size, rankings; {count} in "
        "all) are corrected together by Holm's method: with probability 0.95 none of those below 0.05 is chance."
    )


_KINDS = {"": "", "best": ", best by validation", "tuned": ", tuned"}


def _where(
    sections: Sequence[Section], kind: str, family: Family, pictures: Sequence[Path]
) -> tuple[list[str], list[Path]]:
    """What columns of settings of one kind give each model and on each task, and the pictures that were drawn."""
    tables = gains_of(
        {each.name: each.combinations for each in sections},
        {each.name: family.sections[each.name].cells for each in sections},
    )
    if tables is None:
        return [], []
    draw_gains(tables, f"{HEADING}{_KINDS[kind]}", pictures)
    lines = gains_section(tables, _KINDS[kind])
    return [*lines, "", f"![relative gains{_KINDS[kind]}]({pictures[0].name})", ""], list(pictures)


def _over_tasks(
    tasks: Sequence[Sequence[Combination]], kind: str, family: Family, pictures: Sequence[Path]
) -> tuple[list[str], list[Path]]:
    """What columns of settings of one kind do over tasks and models, and the pictures that were drawn."""
    ranked = family.rankings[kind]
    words = _KINDS[kind]
    lines = []
    if effects := overall_effects(tasks):
        lines += [*overall_section(effects, words), ""]
    if isinstance(ranked, str):
        why = f"{words.removeprefix(', ')}: {ranked}" if words else ranked
        return [*lines, f"{why[0].upper()}{why[1:]}."], []
    names = list(dict.fromkeys(combinations[0].task for combinations in tasks))
    heading = f"{len(names)} tasks" if len(names) > 1 else names[0]
    draw_ranking(ranked, f"{short(heading)}{words}: columns by mean rank", pictures)
    lines += [f"## Ranks over tasks and models{words}", ""]
    lines += [*ranking_section(ranked, family.ranking_p_values[kind], family.task_rankings[kind]), ""]
    return [*lines, f"![mean ranks{words}]({pictures[0].name})"], list(pictures)
