from __future__ import annotations

import pytest

from graphpe.benchmarks.tasks.user.files.decimals import with_points
from graphpe.errors import GraphPERuntimeError


def where(row: int) -> str:
    return f"line {row + 2}"


@pytest.mark.parametrize(
    ("cells", "expected"),
    [
        (["1,5", "2"], ["1.5", "2"]),
        (["0,123", "1,234", "na", "", None, 3], ["0.123", "1.234", "na", "", None, 3]),
        ([" -,5e3 ", "+1,"], ["-.5e3", "+1."]),
        (["1.5", "2"], None),
        (["1,5", "low"], None),
        (["1,2-dichlorobenzene"], None),
        (["1,2,3"], None),
        ([1.5, None], None),
        ([], None),
    ],
)
def test_columns(cells: list, expected: list | None) -> None:
    assert with_points("y", cells, where) == expected


@pytest.mark.parametrize(
    ("cells", "message"),
    [
        (["1,234", "5"], "line 2: y is '1,234', which may be 1.234 or 1234: write all numbers as 1234.5"),
        (["2", "1,234,567"], "line 3: y is '1,234,567', and elsewhere|which may be"),
        (["1,5", "2.5"], "line 2: y is '1,5', and elsewhere '2.5'"),
        (["1.234,5", "1,5"], "line 2: y is '1.234,5', and elsewhere '1.234,5'"),
    ],
)
def test_it_is_not_guessed(cells: list, message: str) -> None:
    with pytest.raises(GraphPERuntimeError, match=message) as caught:
        with_points("y", cells, where)
    assert "\n" not in str(caught.value)
