from __future__ import annotations

import pytest

from graphpe.benchmarks.grid.budget import widest
from graphpe.benchmarks.grid.config import Column, GridConfig, parse_budget
from graphpe.errors import GraphPEValueError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("none", Column(())),
        ("published", Column(None)),
        ("LaplacianPE(k=8)", Column(("LaplacianPE(k=8)",))),
        ("LaplacianPE(8) + DegreePE() with SPE(hidden=16)", Column(("LaplacianPE(8)", "DegreePE()"), "SPE(hidden=16)")),
        ("ResistancePE() as PairBias(head='fire')", Column(("ResistancePE()",), None, "PairBias(head='fire')")),
    ],
)
def test_columns(text: str, expected: Column) -> None:
    assert Column.parse(text) == expected


@pytest.mark.parametrize("text", ["", " + LaplacianPE(8)", "LaplacianPE(8) with ", "LaplacianPE(8) as "])
def test_columns_that_cannot_be_read(text: str) -> None:
    with pytest.raises(GraphPEValueError, match="cannot read the column"):
        Column.parse(text)


def test_budgets() -> None:
    assert [parse_budget(text) for text in ("", "500k", "1.5M", "250_000", " 7 ")] == [
        None,
        500_000,
        1_500_000,
        250_000,
        7,
    ]
    for text in ("many", "-3", "0", "5 GB"):
        with pytest.raises(GraphPEValueError, match="write a number of parameters"):
            parse_budget(text)


def test_options_are_checked() -> None:
    options = {"tasks": ("zinc",), "encodings": ("none",), "models": ("GRIT",)}
    for change, message in (
        ({"tasks": ()}, "tasks is empty"),
        ({"models": ("GRIT", "GRIT")}, "names 'GRIT' twice"),
        ({"seeds": 0}, "seeds must be from 1 on, got 0"),
        ({"engine": "slurm"}, "engine must be one of 'local', 'ray', got 'slurm'"),
        ({"params": "x"}, "params is 'x'"),
    ):
        with pytest.raises(GraphPEValueError, match=message):
            GridConfig(**options | change)


class Weights:
    def __init__(self, count: int) -> None:
        self.count = count

    def parameters(self) -> list[Weights]:
        return [self]

    def numel(self) -> int:
        return self.count


@pytest.mark.parametrize("budget", [300, 1_000, 123_456, 10**9])
def test_the_width_is_the_largest_within_the_budget(budget: int) -> None:
    def build(text: str) -> Weights:
        width = int(text.split("width=")[1].split(",")[0].rstrip(")"))
        return Weights(2 * width**2 + 10)

    text = widest("GRIT(width=64, heads=2)", build, budget)
    width = int(text.split("width=")[1].split(",")[0].rstrip(")"))
    assert width % 8 == 0
    assert 2 * width**2 + 10 <= budget
    assert 2 * (width + 8) ** 2 + 10 > budget or width >= 4096
    with pytest.raises(GraphPEValueError, match="138 parameters at its smallest width 8: the budget of 100"):
        widest("GRIT(width=64, heads=2)", build, 100)
