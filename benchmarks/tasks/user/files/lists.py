"""Cells that hold lists of numbers, as several columns."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from graphpe.arguments import shown
from graphpe.errors import GraphPERuntimeError

_OF_NUMBERS = re.compile(r"\[[\s\d.,;+\-eE]*\]?")


def expand(
    name: str, cells: Sequence[Any], where: Callable[[int], str], *, missing: Callable[[Any], bool] | None = None
) -> dict[str, list[Any]]:
    """A column whose cells are lists as several columns; any other as it is.

    Args:
        name: Its name.
        cells: Its cells; a text `[1, 2.5]` is a list too.
        where: Names the place of a cell in messages.
        missing: Which cells stand for a list of nothing known; None where every cell must be a list.

    Raises:
        GraphPERuntimeError: If lists differ in length, or a text begins like one and is none.
    """
    read = [_read(name, cell, row, where) for row, cell in enumerate(cells)]
    length = next((len(cell) for cell in read if isinstance(cell, list)), None)
    if length is None:
        return {name: list(cells)}
    rows: list[list[Any]] = []
    for row, cell in enumerate(read):
        if missing is not None and not isinstance(cell, list) and missing(cell):
            cell = [None] * length
        if not isinstance(cell, list) or len(cell) != length:
            raise GraphPERuntimeError(f"{where(row)}: {name} is {shown(cells[row])}, elsewhere a list of {length}")
        rows.append(cell)
    return {f"{name}[{place}]": [row[place] for row in rows] for place in range(length)}


def _read(name: str, cell: Any, row: int, where: Callable[[int], str]) -> Any:
    if isinstance(cell, np.ndarray | tuple):
        return list(cell)
    if isinstance(cell, str) and cell.strip().startswith("["):
        try:
            found = json.loads(cell)
        except (ValueError, RecursionError):
            if not _OF_NUMBERS.fullmatch(cell.strip()):
                return cell
            raise GraphPERuntimeError(
                f"{where(row)}: {name} is {cell[:60]!r}, which begins like a list: write it as [1, 2.5]"
            ) from None
        return found
    return cell
