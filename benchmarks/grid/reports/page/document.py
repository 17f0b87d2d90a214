"""`report.md` as HTML: whatever the report says, the page says, with tables that can be sorted."""

from __future__ import annotations

import base64
import math
import re
from dataclasses import dataclass
from html import escape
from pathlib import Path
from typing import Literal

Kind = Literal["title", "heading", "subheading", "paragraph", "code", "bullets", "numbered"]

_NUMBER = re.compile(r"(<\s*)?([+-]?\d[\d,]*(?:\.\d+)?(?:e[+-]?\d+)?)(?=$|[\s%x×])")
_MISSING = {"", "–", "not defined", "nan", "inf", "-inf"}
_PICTURE = re.compile(r"!\[(.*)\]\((\S+)\)")


@dataclass(frozen=True)
class Text:
    """Lines of text.

    Attributes:
        kind: What they are.
        lines: Without the marks of Markdown.
    """

    kind: Kind
    lines: tuple[str, ...]


@dataclass(frozen=True)
class Table:
    """A table, as it is shown.

    Attributes:
        columns: Their names.
        rows: As many texts each.
    """

    columns: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Picture:
    """A picture beside the report.

    Attributes:
        title: What it shows.
        file: Its name.
    """

    title: str
    file: str


Block = Text | Table | Picture


def read_blocks(text: str) -> list[Block]:
    """The blocks of a report: only the Markdown that reports are written in, paragraphs between empty lines."""
    return [_block(chunk.split("\n")) for chunk in re.split(r"\n{2,}", text.strip("\n"))]


def number_in(text: str) -> float | None:
    """The number that a cell of a table begins with; None where it has none.

    `< 0.001` is just below; of `0.51 ± 0.02`, `2 of 3 models` and `+0.1 to +0.2` it is the first one.
    """
    match = _NUMBER.match(text.strip())
    if match is None:
        return None
    value = float(match[2].replace(",", ""))
    return math.nextafter(value, -math.inf) if match[1] else value


def numeric(table: Table, place: int) -> bool:
    """Whether a column holds numbers, as far as it holds anything."""
    known = [row[place] for row in table.rows if row[place].split(" ± ")[0] not in _MISSING]
    return bool(known) and all(number_in(text) is not None for text in known)


def table_html(table: Table, caption: str, name: str) -> str:
    """A table with headings to click on, and a field that filters its rows.

    Args:
        table: The table.
        caption: What it shows.
        name: Its id on the page.
    """
    numbers = [numeric(table, place) for place in range(len(table.columns))]
    heads = "".join(
        f'<th scope="col" aria-sort="none"{_of_kind(number)}><button type="button">{escape(column)}</button></th>'
        for column, number in zip(table.columns, numbers, strict=True)
    )
    rows = "\n".join(f"<tr>{_row(row, table.columns, numbers)}</tr>" for row in table.rows)
    title = escape(caption)
    return (
        f'<div class="sortable" id="{name}">\n'
        f'<div class="tools"><h3>{title}</h3><label class="screen">Filter rows '
        f'<input type="search" placeholder="all words" autocomplete="off"></label>'
        f'<output class="screen" aria-live="polite">{len(table.rows)} rows</output></div>\n'
        f'<div class="scroll" tabindex="0" role="region" aria-label="{title}">'
        f"<table><thead><tr>{heads}</tr></thead>\n<tbody>{rows}</tbody></table></div>\n</div>"
    )


def broken(text: str) -> str:
    """A text whose lines may end behind brackets, commas and equals signs, as HTML."""
    return "<wbr>".join(map(escape, re.split(r"(?<=[(,=])", text)))


def text_html(block: Text) -> str:
    """A block of text."""
    lines = [escape(line) for line in block.lines]
    match block.kind:
        case "title" | "heading" | "subheading":
            level = {"title": 1, "heading": 2, "subheading": 3}[block.kind]
            return f"<h{level}>{lines[0]}</h{level}>"
        case "code":
            # A line may not end within an option's name, at its dashes.
            commands = re.sub(r"--[\w-]+", r"<span>\g<0></span>", "\n".join(lines))
            return f"<pre><code>{commands}</code></pre>"
        case "bullets" | "numbered":
            tag = "ul" if block.kind == "bullets" else "ol"
            return f"<{tag}>{''.join(f'<li>{line}</li>' for line in lines)}</{tag}>"
        case _:
            return f"<p>{' '.join(lines)}</p>"


def picture_html(picture: Picture, folder: Path) -> str:
    """A picture within the page: as SVG where the report has that, too."""
    drawn = (folder / picture.file).with_suffix(".svg")
    path, kind = (drawn, "svg+xml") if drawn.is_file() else (folder / picture.file, "png")
    if not path.is_file():
        return ""
    content = base64.b64encode(path.read_bytes()).decode("ascii")
    title = escape(picture.title)
    return (
        f'<figure><img alt="{title}" src="data:image/{kind};base64,{content}"><figcaption>{title}</figcaption></figure>'
    )


def _block(lines: list[str]) -> Block:
    first = lines[0]
    if all(line.startswith("|") for line in lines) and len(lines) > 1:
        columns, _, *rows = [_cells(line) for line in lines]
        return Table(columns, tuple((*row, *[""] * len(columns))[: len(columns)] for row in rows))
    if match := _PICTURE.fullmatch(first):
        return Picture(match[1], match[2])
    marks: tuple[tuple[str, Kind], ...] = (
        (r"# ", "title"),
        (r"## ", "heading"),
        (r"### ", "subheading"),
        (r"    ", "code"),
        (r"- ", "bullets"),
        (r"\d+\. ", "numbered"),
    )
    for mark, kind in marks:
        if re.match(mark, first):
            return Text(kind, tuple(re.sub(f"^{mark}", "", line) for line in lines))
    return Text("paragraph", tuple(lines))


def _cells(line: str) -> tuple[str, ...]:
    cells = re.split(r"(?<!\\)\|", line.strip().removeprefix("|"))
    return tuple(cell.strip().replace("\\|", "|") for cell in cells[:-1])


def _row(row: tuple[str, ...], columns: tuple[str, ...], numbers: list[bool]) -> str:
    cells = [f'<th scope="row">{_name(row[0])}</th>']
    for text, column, number in list(zip(row, columns, numbers, strict=True))[1:]:
        value = number_in(text) if number else None
        small = value is not None and value < 0.05 and re.match(r"p\b", column) is not None
        shown = escape(text) if number else _name(text)
        mean, plus_minus, spread = shown.partition(" ± ")
        if plus_minus:
            shown = f'{mean} <span class="spread">± {spread}</span>'
        stated = "" if value is None else f' data-value="{value!r}"'
        cells.append(f"<td{_of_kind(number, small)}{stated}>{shown}</td>")
    return "".join(cells)


def _name(text: str) -> str:
    """A text in a column of texts, which is as wide as it needs, up to some width."""
    return f"<span>{broken(text)}</span>" if text else ""


def _of_kind(number: bool, small: bool = False) -> str:
    kinds = ["number"] * number + ["small"] * small
    return f' class="{" ".join(kinds)}"' if kinds else ""
