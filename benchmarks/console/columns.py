"""Tables on a terminal."""

from __future__ import annotations

from collections.abc import Sequence


def aligned(rows: Sequence[Sequence[str]], *, numbers_from: int | None = None) -> list[str]:
    """A line for each row, its cells in columns as wide as their widest cell, two spaces apart.

    Args:
        rows: The cells, as many in each row.
        numbers_from: The first of the columns, up to the last, whose cells stand on the right; None for none.
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    left = len(widths) if numbers_from is None else numbers_from
    sides = [*["<"] * left, *[">"] * (len(widths) - left)]
    columns = list(zip(sides, widths, strict=True))
    return [
        "  ".join(f"{cell:{side}{width}}" for cell, (side, width) in zip(row, columns, strict=True)).rstrip()
        for row in rows
    ]
