"""The report of a grid: tables as CSV and Markdown, and two pictures a task."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass, fields
from pathlib import Path

import pandas as pd

from graphpe.benchmarks.calls.text import NONE
from graphpe.benchmarks.grid.pictures import draw_cost, draw_heat_map
from graphpe.benchmarks.grid.results import Combination, Run
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
    combinations: Sequence[Combination], folder: Path, notes: Sequence[str] = (), command: str = ""
) -> list[Path]:
    """Write `runs.csv`, `report.md`, and for each task a heat map and a picture of metric against cost.

    Args:
        combinations: Of finished cells; at least one.
        folder: Where.
        notes: Lines for the end of the report, such as what was skipped or failed.
        command: The command that made the grid.

    Returns:
        The files.
    """
    folder.mkdir(parents=True, exist_ok=True)
    remove_leftovers(folder)
    files = [folder / "runs.csv", folder / "report.md"]
    write_atomically(files[0], runs_csv([run for each in combinations for run in each.runs]))
    parts = ["# Grid", ""]
    if command:
        parts += [f"    {command}", ""]
    notes = [*notes, *not_finite(combinations)]
    names: list[str] = []
    for task in dict.fromkeys(each.task for each in combinations):
        mine = [each for each in combinations if each.task == task]
        short = re.sub(r"\W+", "-", task.split("(")[0]).strip("-")
        number = sum(each == short for each in names) + 1
        names.append(short)
        name = short if number == 1 else f"{short}-{number}"
        heat, cost = folder / f"{name}-heat.png", folder / f"{name}-cost.png"
        draw_heat_map(mine, significance(mine), heat)
        draw_cost(mine, cost)
        files += [heat, cost]
        parts += [task_section(mine), "", f"![{task}: encodings by models]({heat.name})", ""]
        parts += [f"![{task}: metric against cost]({cost.name})", ""]
    parts += [f"- {note}" for note in notes]
    write_atomically(files[1], "\n".join(parts).rstrip() + "\n")
    return files


def not_finite(combinations: Sequence[Combination]) -> list[str]:
    """A line for each run whose metric is not finite: its combination has no mean, rank or test."""
    return [
        f"not finite: {run.task}, {run.encoding}, {run.model}, seed {run.seed}: valid {run.metric} {run.valid:g}, test "
        f"{run.test:g}; its combination has no mean, no rank, and that seed no part in tests"
        for each in combinations
        for run in each.runs
        if not (math.isfinite(run.test) and math.isfinite(run.valid))
    ]


def runs_csv(runs: Sequence[Run]) -> str:
    """Every run as a row."""
    return pd.DataFrame(list(runs), columns=[field.name for field in fields(Run)]).to_csv(
        index=False, lineterminator="\n", na_rep="nan"
    )


def task_section(combinations: Sequence[Combination]) -> str:
    """One task as Markdown: the table of cells, then the table of encodings."""
    first = combinations[0].runs[0]
    direction = "more is better" if first.maximize else "less is better"
    corrected = significance(combinations)
    lines = [
        f"## {first.task}: test {first.metric} ({direction})",
        "",
        f"| encoding | model | test {first.metric} | valid | n | p against none | parameters | encode, s | epoch, s "
        "| peak, GB |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for each in combinations:
        p_value = corrected.get((each.encoding, each.model), math.nan)
        lines.append(
            f"| {each.encoding} | {each.model} | {spread(each.mean(), each.deviation())} "
            f"| {spread(each.mean('valid'), each.deviation('valid'))} | {len(each.runs)} "
            f"| {_p_text(p_value)} | {each.mean('parameters'):,.0f} "
            f"| {each.mean('encode_seconds'):.1f} | {each.mean('epoch_seconds'):.1f} "
            f"| {each.mean('peak_bytes') / 1e9:.2f} |"
        )
    lines += ["", "| encoding | mean rank | better than none | p, all models |", "|---|---|---|---|"]
    for result in sorted(encoding_results(combinations), key=lambda result: result.rank):
        better = f"{result.better} of {result.models} models" if result.models else ""
        lines.append(f"| {result.encoding} | {result.rank:.2f} | {better} | {_p_text(result.p_value)} |")
    lines += [
        "",
        "Mean and sample standard deviation over n seeds. p against none: paired t-test over seeds; p, all models: "
        "sign flips of the paired differences of all models; both corrected for their number by Holm's method, and "
        "empty where fewer than two runs can be compared.",
    ]
    return "\n".join(lines)


def spread(mean: float, deviation: float) -> str:
    """Mean and standard deviation as people write them."""
    numbers = [mean, deviation] if math.isfinite(deviation) else [mean]
    return " ± ".join(f"{number:.4f}" if abs(number) < 1e6 else f"{number:.4g}" for number in numbers)


def significance(combinations: Sequence[Combination]) -> dict[tuple[str, str], float]:
    """By encoding and model: the corrected p-value of its difference from the same model without an encoding.

    It is nan where fewer than two seeds can be compared.
    """
    paired = {
        (each.encoding, each.model): paired_t(differences)
        for each in combinations
        if (differences := _differences(each, combinations))
    }
    return dict(zip(paired, holm(list(paired.values())), strict=True))


def encoding_results(combinations: Sequence[Combination]) -> list[EncodingResult]:
    """What each encoding did over all models of one task."""
    encodings = list(dict.fromkeys(each.encoding for each in combinations))
    models = list(dict.fromkeys(each.model for each in combinations))
    sign = 1 if combinations[0].runs[0].maximize else -1
    by_key = {(each.encoding, each.model): each for each in combinations}
    scores = [[_score(by_key.get((encoding, model)), sign) for encoding in encodings] for model in models]
    differences = {
        encoding: [
            found for each in combinations if each.encoding == encoding and (found := _differences(each, combinations))
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
    if combination.encoding == NONE:
        return []
    sign = 1 if combination.runs[0].maximize else -1
    for other in combinations:
        if other.encoding == NONE and other.model == combination.model:
            mine, theirs = combination.by_seed, other.by_seed
            differences = [sign * (mine[seed] - theirs[seed]) for seed in mine if seed in theirs]
            return [each for each in differences if math.isfinite(each)]
    return []
