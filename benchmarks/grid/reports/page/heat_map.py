"""The heat map of a task: a table of buttons, whose colours are gains over no encoding."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

import numpy as np

from graphpe.benchmarks.grid.reports.page.document import broken
from graphpe.benchmarks.grid.reports.page.entries import Entry
from graphpe.benchmarks.grid.reports.pictures import colour_limit, gains
from graphpe.benchmarks.grid.results import base_of
from graphpe.benchmarks.grid.statistics.family import LEVEL
from graphpe.benchmarks.tasks.metrics import figure


def heat_map(entries: Sequence[Entry], metric: str, maximize: bool, notes: Sequence[str]) -> str:
    """Encodings by models as an HTML table.

    Each cell has its mean and deviation, and in its `title` what else is known of it; `data-cell` is its place among
    the entries, `data-command` its command.

    Args:
        entries: The places of one task.
        metric: The metric's name.
        maximize: Whether more of it is better.
        notes: Lines of the report, among which reasons why combinations are skipped.
    """
    rows = list(dict.fromkeys(each.combination.row for each in entries))
    setups = list(dict.fromkeys(each.combination.setup for each in entries))
    places = {(each.combination.row, each.combination.setup): number for number, each in enumerate(entries)}
    value = np.full((len(rows), len(setups)), math.nan)
    for each in entries:
        if each.combination.runs and math.isfinite(mean := each.combination.mean()):
            place = rows.index(each.combination.row), setups.index(each.combination.setup)
            value[place] = mean if maximize else -mean
    base = base_of([each.combination for each in entries if each.combination.runs])
    gain, over = gains(value, rows, base)
    limit = colour_limit(gain)
    heads = "".join(f'<th scope="col">{named(setup)}</th>' for setup in setups)
    lines = []
    for row, name in enumerate(rows):
        cells = []
        for column, setup in enumerate(setups):
            number = places.get((name, setup))
            if number is None:
                cells.append(_empty(name, setup, notes))
                continue
            best = math.isfinite(value[row, column]) and value[row, column] == np.nanmax(value[:, column])
            cells.append(
                _cell(entries[number], number, gain[row, column] / limit, bool(best) and len(rows) > 1, metric)
            )
        lines.append(f'<tr><th scope="row">{named(name)}</th>{"".join(cells)}</tr>')
    ends = f"{figure(limit)}{' or more' if (np.abs(gain[np.isfinite(gain)]) > limit).any() else ''}"
    starred = any(each.p_value < LEVEL for each in entries)
    keys = [
        f'<span class="scale" aria-hidden="true"></span> {escape(metric)} worse (left) or better than '
        f"{escape(over)}, up to {ends}",
        *(["frame: best of its model"] if len(rows) > 1 else []),
        *([f"*: p &lt; {LEVEL} against none, after Holm's correction"] if starred else []),
        "–: not possible, or not begun" if len(places) < value.size else "",
    ]
    return (
        '<div class="scroll" tabindex="0" role="region" aria-label="heat map">'
        f'<table class="heat"><thead><tr><td></td>{heads}</tr></thead>\n'
        f"<tbody>{chr(10).join(lines)}</tbody></table></div>\n"
        f'<p class="key">{"; ".join(key for key in keys if key)}.</p>'
    )


def named(text: str) -> str:
    """A call with its arguments smaller than its name."""
    name, bracket, rest = text.partition("(")
    rest = (bracket + rest).removeprefix("() ").removeprefix("()")
    return f"{escape(name)}<small>{broken(rest)}</small>" if rest else escape(name)


def _cell(entry: Entry, number: int, strength: float, best: bool, metric: str) -> str:
    mean, _, deviation = entry.value.partition(" ± ")
    star = "*" if entry.p_value < LEVEL else ""
    known = bool(entry.combination.runs) and math.isfinite(entry.combination.mean())
    shown = f"{escape(mean)}{star}" if known else "not finite" if mean else entry.state
    shown += f"<small>± {escape(deviation)}</small>" if deviation else ""
    title = escape("\n".join(entry.described(metric)))
    kinds = ["best"] * best + (["gain" if strength > 0 else "loss"] if math.isfinite(strength) and strength else [])
    kinds += [] if known else ["open"]
    colour = f' style="--strength:{min(abs(strength), 1) * 100:.0f}%"' if math.isfinite(strength) else ""
    kind = f' class="{" ".join(kinds)}"' if kinds else ""
    return (
        f'<td{kind}{colour}><button type="button" data-cell="{number}" data-command="{escape(entry.command)}" '
        f'title="{title}">{shown}</button></td>'
    )


def _empty(row: str, setup: str, notes: Sequence[str]) -> str:
    """A combination that was skipped, or has not begun."""
    reason = next((note for note in notes if f", {row}, {setup}: " in note), "")
    return f'<td class="none" title="{escape(reason)}">–</td>' if reason else '<td class="none">–</td>'
