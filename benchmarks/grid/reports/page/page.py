"""A grid's report as one HTML file, which asks no server for anything."""

from __future__ import annotations

import base64
import gzip
import json
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path
from string import Template
from typing import Any, NamedTuple

from graphpe.benchmarks.grid.cell import Cell
from graphpe.benchmarks.grid.report import Section, sections_of, title_of
from graphpe.benchmarks.grid.reports.gains import HEADING
from graphpe.benchmarks.grid.reports.page.about import about
from graphpe.benchmarks.grid.reports.page.answer import answer
from graphpe.benchmarks.grid.reports.page.document import (
    Block,
    Picture,
    Table,
    Text,
    picture_html,
    read_blocks,
    table_html,
    text_html,
)
from graphpe.benchmarks.grid.reports.page.entries import Entry, curves, entries_of
from graphpe.benchmarks.grid.reports.page.heat_map import heat_map
from graphpe.benchmarks.grid.reports.published.literature import Published
from graphpe.benchmarks.grid.reports.sizes import BySize, by_size
from graphpe.benchmarks.grid.results import Combination
from graphpe.benchmarks.grid.statistics.family import family_of
from graphpe.files.atomic import write_atomically
from graphpe.files.reading import read_text

_HERE = Path(__file__).parent
_SCRIPTS = ("tables.js", "charts.js", "page.js")
_DRAWN_HERE = ("heat", "cost", "sizes")
"""Pictures that the page has in a form of its own."""


def write_page(
    folder: Path,
    combinations: Sequence[Combination],
    cells: Sequence[Cell],
    *,
    literature: Sequence[Published] = (),
) -> Path:
    """Write `report.html` beside `report.md`, `runs.csv` and `sizes.csv`, from those and the cells' folders.

    It has all that `report.md` has, and for each task what the numbers say in a sentence, a heat map whose cells know
    their command, learning curves of every cell, the metric against any other number, and curves against size.

    Args:
        folder: The report's.
        combinations: Those of the report.
        cells: All of the grid, also those that are not finished.
        literature: That of the report.

    Returns:
        The file.
    """
    sections = sections_of(combinations, literature)
    family = family_of({each.name: each.combinations for each in sections})
    begin, parts, notes = _divided(read_blocks(read_text(folder / "report.md")))
    drawn, data = [], []
    for number, (section, part) in enumerate(zip(sections, parts, strict=False), 1):
        tested = family.sections[section.name].cells
        entries = entries_of(section.combinations, cells, tested)
        html = _task(number, section, tested, entries, part, folder, notes)
        drawn.append(_Drawn(f"task-{number}", part.title, html))
        data.append(_data(section, entries))
    over = [
        _Drawn(f"over-{number}", part.title, _over_tasks(number, part, folder))
        for number, part in enumerate(parts[len(sections) :], 1)
    ]
    answers = [each for each in over if each.title.startswith(HEADING)]  # first: what readers came for
    drawn = [*answers, *drawn, *(each for each in over if each not in answers)]
    page = Template((_HERE / "page.html").read_text(encoding="utf-8")).substitute(
        title=escape(title_of(combinations)),
        style=(_HERE / "page.css").read_text(encoding="utf-8"),
        contents=_contents(drawn),
        sections="\n".join(each.html for each in drawn),
        about=about(cells, combinations),
        commands="\n".join(text_html(block) for block in begin if isinstance(block, Text) and block.kind == "code"),
        downloads="\n".join(_downloads(folder)),
        notes=_notes(notes),
        data=_json({"sections": data}),
        script="\n".join((_HERE / name).read_text(encoding="utf-8") for name in _SCRIPTS),
    )
    path = folder / "report.html"
    write_atomically(path, page)
    return path


@dataclass
class _Part:
    """A part of the report: a task, or, behind those, what is over all tasks."""

    heading: str
    blocks: list[Block] = field(default_factory=list)

    @property
    def title(self) -> str:
        """The heading, of a task without its arguments and metric."""
        task, colon, _ = self.heading.partition(": test ")
        return task.split("(")[0] + self.heading.rpartition(")")[2] if colon else self.heading


class _Drawn(NamedTuple):
    """A section of the page."""

    name: str
    title: str
    html: str


def _divided(blocks: Sequence[Block]) -> tuple[list[Block], list[_Part], list[str]]:
    """What stands before the tasks, the parts, and the notes at the end."""
    begin: list[Block] = []
    parts: list[_Part] = []
    for block in blocks:
        if isinstance(block, Text) and block.kind == "heading":
            parts.append(_Part(block.lines[0]))
        else:
            (parts[-1].blocks if parts else begin).append(block)
    last = parts[-1].blocks[-1] if parts and parts[-1].blocks else None
    if isinstance(last, Text) and last.kind == "bullets":
        parts[-1].blocks.pop()
        return begin, parts, list(last.lines)
    return begin, parts, []


def _over_tasks(number: int, part: _Part, folder: Path) -> str:
    lines = [f'<section id="over-{number}">', f"<h2>{escape(part.title)}</h2>"]
    for place, block in enumerate(part.blocks, 1):
        if isinstance(block, Table):
            lines.append(table_html(block, _caption(block), f"over-{number}-table-{place}"))
        else:
            lines.append(picture_html(block, folder) if isinstance(block, Picture) else text_html(block))
    return "\n".join([*lines, "</section>"])


def _task(
    number: int,
    section: Section,
    tested: Mapping[tuple[str, str], float],
    entries: Sequence[Entry],
    part: _Part,
    folder: Path,
    notes: Sequence[str],
) -> str:
    first = section.combinations[0].runs[0]
    name = f"task-{number}"
    direction = "more is better" if first.maximize else "less is better"
    lines = [
        f'<section class="task" id="{name}" data-section="{number - 1}">',
        f"<h2>{escape(part.title)}</h2>",
        f'<p class="what"><code>{escape(first.task)}</code> test {escape(first.metric)}, {direction}</p>',
        f'<p class="answer">{answer(section.combinations, tested)}</p>',
        heat_map(entries, first.metric, first.maximize, notes),
        '<div class="chosen screen" hidden></div>',
        '<figure class="curves chart" hidden></figure>',
    ]
    tables = 0
    for block in part.blocks:
        if isinstance(block, Table):
            tables += 1
            lines.append(table_html(block, _caption(block), f"{name}-table-{tables}"))
            if tables == 1:
                lines.append('<figure class="against chart" hidden></figure>')
        elif isinstance(block, Picture):
            if Path(block.file).stem.rpartition("-")[2] not in _DRAWN_HERE:
                lines.append(picture_html(block, folder))
        elif block.kind == "subheading" and "tested on larger" in block.lines[0]:
            lines += ["<h3>Larger graphs</h3>", '<figure class="sizes chart" hidden></figure>']
        else:
            lines.append(text_html(block))
    return "\n".join([*lines, "</section>"])


def _caption(table: Table) -> str:
    known = {
        "their name": "Ours beside published figures",
        "gain over none": "Gain over none in each model",
        "not told apart from": "Mean ranks",
        "relative gain by model": "Relative gain over none by model",
        "relative gain by task": "Relative gain over none by task",
        "relative gain": "Gain over none over tasks",
        "settings drawn": "Tuned and untuned",
        "mean rank": "Encodings over all models",
        "loss per doubling": "Metric by size of graphs",
        "valid": "Every encoding with every model",
    }
    return next((caption for column, caption in known.items() if column in table.columns), "Table")


def _contents(drawn: Sequence[_Drawn]) -> str:
    if len(drawn) < 2:
        return ""
    items = (f'<li><a href="#{each.name}">{escape(each.title)}</a></li>' for each in drawn)
    return f'<nav aria-label="tasks"><ul>{"".join(items)}</ul></nav>'


def _notes(notes: Sequence[str]) -> str:
    if not notes:
        return ""
    items = "".join(f"<li>{escape(note)}</li>" for note in notes)
    return f"<h3>Notes</h3><ul>{items}</ul>"


def _downloads(folder: Path) -> Iterator[str]:
    """Links to the raw numbers: those beside the page, and those within it."""
    for name in ("runs.csv", "effects.csv", "sizes.csv", "published.csv"):
        if (folder / name).is_file():
            content = gzip.compress((folder / name).read_bytes(), mtime=0)
            within = f"data:application/gzip;base64,{base64.b64encode(content).decode('ascii')}"
            yield (
                f'<li><a download="{name}.gz" href="{within}">{name}, from within this page</a>, '
                f'or <a href="{name}">the file beside it</a></li>'
            )


def _data(section: Section, entries: Sequence[Entry]) -> dict[str, Any]:
    """The numbers that the page draws."""
    first = section.combinations[0].runs[0]
    of_sizes = by_size(section.combinations)
    return {
        "metric": first.metric,
        "maximize": first.maximize,
        "cells": [
            {
                "place": next((n for n, mine in enumerate(section.combinations) if mine is each.combination), None),
                "seconds": _or_none(each.combination.mean("seconds")) if each.combination.runs else None,
                "row": each.combination.row,
                "setup": each.combination.setup,
                "base": each.combination.is_base,
                "runs": curves(each, first.metric, first.maximize),
            }
            for each in entries
        ],
        "sizes": None if of_sizes is None else _sizes(of_sizes),
    }


def _sizes(of_sizes: BySize) -> dict[str, Any]:
    places = range(len(of_sizes.bins))
    return {
        "unit": of_sizes.unit,
        "bins": [
            {"name": each.name, "mean": each.mean, "graphs": each.graphs, "constant": _or_none(each.constant)}
            for each in of_sizes.bins
        ],
        "curves": [
            {
                "row": each.combination.row,
                "setup": each.combination.setup,
                "base": each.combination.row == of_sizes.base,
                "means": [_or_none(each.at(place)[0]) for place in places],
                "halves": [_or_none(each.at(place)[1]) for place in places],
            }
            for each in of_sizes.curves
        ],
    }


def _or_none(value: float) -> float | None:
    return float(f"{value:.5g}") if math.isfinite(value) else None


def _json(content: Any) -> str:
    """JSON that may stand in a page: no text in it can end the element."""
    text = json.dumps(content, separators=(",", ":"), allow_nan=False)
    return text.replace("&", "\\u0026").replace("<", "\\u003c").replace(">", "\\u003e")
