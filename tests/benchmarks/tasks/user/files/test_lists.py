from __future__ import annotations

import numpy as np
import pytest

from graphpe.benchmarks.tasks.user.files.lists import expand
from graphpe.errors import GraphPERuntimeError


def where(row: int) -> str:
    return f"line {row + 2}"


def test_lists_are_columns() -> None:
    for first in ([1, 2.5], (1, 2.5), "[1, 2.5]", np.array([1, 2.5])):
        assert expand("y", [first, [3, None]], where) == {"y[0]": [1, 3], "y[1]": [2.5, None]}
    assert expand("y", [[1, 2], ""], where, missing=lambda cell: cell == "") == {"y[0]": [1, None], "y[1]": [2, None]}
    assert expand("y", ["a", "[C] of a molecule"], where) == {"y": ["a", "[C] of a molecule"]}


def test_wrong_lists() -> None:
    for cells, message in (
        ([[1, 2], [3]], r"line 3: y is \[3\], elsewhere a list of 2"),
        ([[1, 2], None], "line 3: y is None, elsewhere a list of 2"),
        (["[1 2]"], r"line 2: y is '\[1 2\]', which begins like a list: write it as \[1, 2.5\]"),
        (["[1, 2"], "which begins like a list"),
    ):
        with pytest.raises(GraphPERuntimeError, match=message):
            expand("y", cells, where)
