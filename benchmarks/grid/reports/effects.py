"""Effects as tables: what each column changes against none, over tasks, and by tuning."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import pandas as pd

from graphpe.benchmarks.grid.reports.table import (
    gain_text,
    interval_text,
    p_text,
    table_heading,
    table_row,
    unit_text,
)
from graphpe.benchmarks.grid.results import Combination
from graphpe.benchmarks.grid.statistics.effects import (
    Effect,
    OverallEffect,
    TuningEffect,
    cell_effects,
    column_effects,
    column_ranks,
    overall_effects,
)
from graphpe.benchmarks.grid.statistics.family import SectionTests
from graphpe.benchmarks.tasks.metrics import figure


def effect_section(combinations: Sequence[Combination], tests: SectionTests) -> list[str]:
    """One task as Markdown: the effect of each column in each model, then of each column over all models.

    Args:
        combinations: Of the task.
        tests: Their corrected p-values.
    """
    lines: list[str] = []
    if effects := cell_effects(combinations):
        lines += table_heading("encoding", "model", "gain over none", "95 % interval", "g", "p against none")
        lines += [
            table_row(each.row, each.setup, *_texts(each), p_text(tests.cells.get((each.row, each.setup), math.nan)))
            for each in effects
        ]
        lines.append("")
    lines += table_heading(
        "encoding", "mean rank", "better than none", "mean gain", "95 % interval", "g", "p, all models"
    )
    over_models = {each.row: each for each in column_effects(combinations)}
    for rank in sorted(column_ranks(combinations), key=lambda each: each.rank):
        better = f"{rank.better} of {rank.models} models" if rank.models else ""
        effect = over_models.get(rank.row)
        texts = ("", "", "") if effect is None else _texts(effect)
        p_value = tests.columns.get(rank.row, math.nan)
        lines.append(table_row(rank.row, f"{rank.rank:.2f}", better, *texts, p_text(p_value)))
    return lines


def overall_section(effects: Sequence[OverallEffect], ending: str) -> list[str]:
    """The effect of each column over tasks as Markdown.

    Args:
        effects: Of each column.
        ending: Of the heading: what settings they are of.
    """
    lines = [f"## Effects over tasks{ending}", ""]
    lines += table_heading("encoding", "tasks", "better than none", "relative gain", "95 % interval over tasks")
    for each in sorted(effects, key=lambda effect: -effect.gain):
        better = f"{each.better} of {each.cells} cells"
        ends = f"{100 * each.low:+.1f} % to {100 * each.high:+.1f} %"
        lines.append(table_row(each.row, str(each.tasks), better, f"{100 * each.gain:+.1f} %", ends))
    return [
        *lines,
        "",
        "Relative gain: the difference of the mean metrics with the encoding and without, divided by the larger of the "
        "two; mean over the models of a task, then over tasks. Its interval (Student's t) is over tasks: what other "
        "tasks like these would give. More seeds do not narrow it, more tasks do.",
    ]


def tuning_section(effects: Sequence[TuningEffect]) -> list[str]:
    """What tuning gave as Markdown."""
    lines = ["## What tuning gave", ""]
    names = ("task", "encoding", "model", "untuned", "tuned", "gain", "95 % interval", "n", "settings drawn")
    lines += table_heading(*names)
    for each in effects:
        texts = figure(each.untuned), figure(each.tuned), gain_text(each.difference), interval_text(each.low, each.high)
        lines.append(table_row(each.task, each.encoding, each.model, *texts, str(each.seeds), str(each.drawn_from)))
    return [
        *lines,
        "",
        "Test metric of the options as they were given (untuned), and of the setting that validation chose among those "
        "drawn (tuned), the same ones for every column and model. A column that only tuning makes better than none is "
        "better by search: compare tuned with tuned, and untuned with untuned.",
    ]


def effects_csv(sections: Mapping[str, Sequence[Combination]], tests: Mapping[str, SectionTests]) -> str:
    """Every effect as a row: of each column in each model, then over all models of the task, then over tasks.

    Args:
        sections: The combinations of each section, by its name.
        tests: Their corrected p-values, likewise.
    """
    rows = []
    for name, combinations in sections.items():
        for effect in (*cell_effects(combinations), *column_effects(combinations)):
            of = tests[name]
            p_value = of.cells.get((effect.row, effect.setup)) if effect.setup else of.columns.get(effect.row)
            rows.append(
                {
                    "task": effect.task,
                    "settings": _settings(combinations[0]),
                    "encoding": effect.row,
                    "model": effect.setup or "all",
                    "metric": effect.metric,
                    "n": effect.seeds,
                    "gain": effect.difference,
                    "low": effect.low,
                    "high": effect.high,
                    "bootstrap_t_low": effect.bootstrap[0],
                    "bootstrap_t_high": effect.bootstrap[1],
                    "g": effect.standardised,
                    "p_corrected": p_value,
                }
            )
    kinds: dict[str, list[Sequence[Combination]]] = {}
    for combinations in sections.values():
        kinds.setdefault(_settings(combinations[0]), []).append(combinations)
    for kind, tasks in kinds.items():
        for overall in overall_effects(tasks):
            named = {"task": "all", "settings": kind, "encoding": overall.row, "model": "all", "n": overall.tasks}
            ends = {"gain": overall.gain, "low": overall.low, "high": overall.high}
            rows.append({**named, "metric": "relative gain", **ends})
    names = ["task", "settings", "encoding", "model", "metric", "n", "gain", "low", "high"]
    names += ["bootstrap_t_low", "bootstrap_t_high", "g", "p_corrected"]
    return pd.DataFrame(rows, columns=names).to_csv(index=False, lineterminator="\n", na_rep="nan")


def _settings(combination: Combination) -> str:
    if not combination.chosen_from:
        return "given"
    return "tuned" if combination.drawn else "best by validation"


def _texts(effect: Effect) -> tuple[str, str, str]:
    known = [abs(each) for each in (effect.difference, effect.low, effect.high) if math.isfinite(each)]
    gain = gain_text(effect.difference, max(known, default=None))
    return gain, interval_text(effect.low, effect.high), unit_text(effect.standardised)
