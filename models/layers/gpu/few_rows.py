"""Programs that take a few columns and go over all rows: one kernel where rows are few, sums in one order."""

from __future__ import annotations

from typing import Any

MOST_ROWS = 1 << 14
"""Beyond, programs of a few columns would leave most of a GPU idle for longer than launches take."""

COLUMNS = 8
"""Of a program: of float32 so many are read at once."""


def options(width: int) -> dict[str, Any]:
    """How kernels over few rows are launched.

    Args:
        width: Number D of columns.
    """
    return {"D": width, "ROWS": 128, "COLUMNS": COLUMNS, "warps": 4, "stages": 2}


def programs(width: int) -> int:
    """How many programs take all columns.

    Args:
        width: Number D of columns.
    """
    return -(-width // COLUMNS)
