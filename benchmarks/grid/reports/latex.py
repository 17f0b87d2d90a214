"""The table of a task for LaTeX, with `booktabs`."""

from __future__ import annotations

import math
from collections.abc import Sequence

from graphpe.benchmarks.grid.options import shown
from graphpe.benchmarks.grid.reports.published.literature import Published
from graphpe.benchmarks.grid.reports.selection import budget_text
from graphpe.benchmarks.grid.reports.table import spread
from graphpe.benchmarks.grid.results import Combination, baselines_of
from graphpe.benchmarks.grid.statistics.paired import holm, paired_t

NEEDS = "% needs \\usepackage{booktabs}\n"

_SPECIAL = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "±": r"$\pm$",
    **{character: f"\\{character}" for character in "$&#_%"},
}


def escaped(text: str) -> str:
    """A text as LaTeX shows it as it is."""
    return "".join(_SPECIAL.get(character, character) for character in " ".join(text.split())).replace("--", "-{}-")


def latex_table(combinations: Sequence[Combination], literature: Sequence[Published] = ()) -> str:
    """Encodings by models. The best of each model is bold where it differs from the second beyond chance.

    That is a paired t-test over the seeds that both have, corrected for the number of models by Holm's method, below
    0.05. The second best is underlined.
    """
    first = combinations[0].runs[0]
    chosen = combinations[0].chosen_from > 0
    names = [] if chosen else list(dict.fromkeys(name for each in combinations for name in each.options))
    models = list(dict.fromkeys(each.model for each in combinations))
    table: dict[tuple[str, ...], dict[str, Combination]] = {}
    for each in combinations:
        label = (each.encoding, *(shown(each.options.get(name, "")) for name in names))
        table.setdefault(label, {})[each.model] = each
    bold, underlined = _marks(combinations)
    what = "model and options" if names else "model"
    direction = "higher" if first.maximize else "lower"
    caption = (
        f"{escaped(f'{first.task}: test {first.metric}')} ({direction} is better), mean and standard deviation over "
    )
    caption += f"{_counted(combinations)}. Bold: best of its {what} and different from the second ($p < 0.05$, paired "
    caption += "$t$-test over seeds, corrected by Holm's method). Underlined: second."
    if chosen:
        caption += f" {escaped(budget_text(combinations))}"
    if literature:
        caption += " $\\dagger$: from the literature, in no test."
    lines = [
        r"\begin{table}",
        r"\centering",
        rf"\caption{{{caption}}}",
        rf"\begin{{tabular}}{{l{'l' * len(names)}{'c' * len(models)}}}",
        r"\toprule",
        " & ".join(["encoding", *map(escaped, [*names, *models])]) + r" \\",
        r"\midrule",
    ]
    for label, row in table.items():
        cells = []
        for model in models:
            found = row.get(model)
            text = "--" if found is None else escaped(spread(found.mean(), found.deviation()))
            text = rf"\textbf{{{text}}}" if found in bold else text
            cells.append(rf"\underline{{{text}}}" if found in underlined else text)
        lines.append(" & ".join([*map(escaped, label), *cells]) + r" \\")
    baselines = baselines_of(run for each in combinations for run in each.runs)
    if literature or baselines:
        lines.append(r"\midrule")
    for name, (_, test) in baselines.items():
        text = escaped(spread(test, math.nan))
        lines.append(rf"{escaped(name)} & \multicolumn{{{len(names) + len(models)}}}{{l}}{{{text}}} \\")
    for row_ in literature:
        runs = f", {row_.runs} runs" if row_.runs else ""
        text = escaped(f"{spread(row_.mean, row_.deviation)}{runs} ({row_.source})")
        name = f"{escaped(f'{row_.model}, {row_.encoding}')}$^\\dagger$"
        lines.append(rf"{name} & \multicolumn{{{len(names) + len(models)}}}{{l}}{{{text}}} \\")
    return "\n".join([*lines, r"\bottomrule", r"\end{tabular}", r"\end{table}", ""])


def _marks(combinations: Sequence[Combination]) -> tuple[list[Combination], list[Combination]]:
    """The best of each model and its options, where it differs from the second; and those second ones."""
    sign = 1 if combinations[0].runs[0].maximize else -1
    bests, seconds, p_values = [], [], []
    for setup in dict.fromkeys(each.setup for each in combinations):
        mine = [each for each in combinations if each.setup == setup and math.isfinite(each.mean())]
        mine.sort(key=lambda each: -sign * each.mean())
        second = next((each for each in mine if each.mean() != mine[0].mean()), None)
        if second is None:
            continue
        seconds.append(second)
        if mine[1] is second:  # else several are the best
            ours, theirs = mine[0].by_seed, second.by_seed
            bests.append(mine[0])
            p_values.append(paired_t([ours[seed] - theirs[seed] for seed in ours if seed in theirs]))
    significant = [best for best, p_value in zip(bests, holm(p_values), strict=True) if p_value < 0.05]
    return significant, seconds


def _counted(combinations: Sequence[Combination]) -> str:
    counts = sorted({len(each.runs) for each in combinations})
    text = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    return f"{text} seed{'' if counts == [1] else 's'}"
