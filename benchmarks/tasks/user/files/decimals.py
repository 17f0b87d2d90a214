"""Numbers with a decimal comma, as many countries write them: read where nothing else can be meant."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from typing import Any

from graphpe.errors import GraphPERuntimeError

MISSING = {"", "nan", "na", "n/a", "null", "none"}
"""Words that stand for a cell that is not known."""

_DECIMAL = re.compile(r"[+-]?(\d+,\d*|,\d+)([eE][+-]?\d+)?")
_THOUSANDS = re.compile(r"[+-]?[1-9]\d{0,2}(,\d{3})+")
_EUROPEAN = re.compile(r"[+-]?[1-9]\d{0,2}(\.\d{3})+,\d*")


def with_points(name: str, cells: Sequence[Any], where: Callable[[int], str]) -> list[Any] | None:
    """A column of numbers, some with a decimal comma, with points instead.

    Args:
        name: Its name.
        cells: Its cells.
        where: Names the place of a cell in messages.

    Returns:
        The column; None where no cell has a decimal comma, or some are words: then it stays what it is.

    Raises:
        GraphPERuntimeError: Each of its commas could part thousands, or some numbers have a point and others a comma.
    """
    texts = {row: cell.strip() for row, cell in enumerate(cells) if isinstance(cell, str) and cell.strip()}
    commas = {row: text for row, text in texts.items() if "," in text}
    if not commas or not all(_DECIMAL.fullmatch(text) or _grouped(text) for text in commas.values()):
        return None
    rest = {row: text for row, text in texts.items() if row not in commas and text.lower() not in MISSING}
    if not all(map(_is_number, rest.values())):
        return None
    first, text = next(iter(commas.items()))
    odd = next((each for each in commas.values() if not _DECIMAL.fullmatch(each)), None)
    odd = odd or next((each for each in rest.values() if "." in each), None)
    if odd is not None:
        raise GraphPERuntimeError(
            f"{where(first)}: {name} is {text!r}, and elsewhere {odd!r}: is a comma the decimal point, or does it part "
            "thousands? Write all numbers as 1234.5"
        )
    if all(_THOUSANDS.fullmatch(each) for each in commas.values()):
        raise GraphPERuntimeError(
            f"{where(first)}: {name} is {text!r}, which may be {text.replace(',', '.')} or {text.replace(',', '')}: "
            "write all numbers as 1234.5"
        )
    return [commas[row].replace(",", ".") if row in commas else cell for row, cell in enumerate(cells)]


def _grouped(text: str) -> bool:
    return bool(_THOUSANDS.fullmatch(text) or _EUROPEAN.fullmatch(text))


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
