"""What separates the cells of a text table: commas, semicolons or tabs, as its lines say."""

from __future__ import annotations

import csv
import io
import re
from pathlib import Path

from graphpe.errors import GraphPERuntimeError

COMMA = ","
WORDS = {COMMA: "commas", ";": "semicolons", "\t": "tabs"}

_QUOTED = re.compile(r'"[^"]*"')


def separator_of(text: str, path: Path) -> str:
    """The separator of a table.

    It is the one that stands in the first line, outside of quotes. Where several do, it is the one that cuts every line
    into equally many cells, or the tab in a file that ends in `.tsv`.

    Args:
        text: The table.
        path: Its file, for messages.

    Raises:
        GraphPERuntimeError: None does, or more than one.
    """
    header = next((line for line in _QUOTED.sub('""', text).splitlines() if line.strip()), "")
    there = [mark for mark in WORDS if mark in header]
    if len(there) < 2:
        return there[0] if there else COMMA
    if "\t" in there and ".tsv" in path.suffixes:
        return "\t"
    fitting = [mark for mark in there if _fits(text, mark)]
    if len(fitting) == 1:
        return fitting[0]
    which = " and ".join(WORDS[mark] for mark in there)
    raise GraphPERuntimeError(
        f"{path}: its first line has {which}, and {'each' if fitting else 'none'} of them would cut all lines into "
        "equally many cells: put names and cells that hold one which separates nothing into double quotes"
    )


def _fits(text: str, mark: str) -> bool:
    try:
        return len({len(row) for row in csv.reader(io.StringIO(text), delimiter=mark) if any(row)}) == 1
    except csv.Error:
        return False
