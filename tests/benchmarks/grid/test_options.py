from __future__ import annotations

import pytest

from graphpe.benchmarks.grid.options import Named, options_text
from graphpe.benchmarks.grid.ranges import Listed
from graphpe.errors import GraphPEValueError


def test_options_behind_an_at() -> None:
    assert Named.parse("GPS(layers=3)") == Named("GPS(layers=3)", {})
    text = "GPS(layers=3, local='GINE') @ learning-rate=1e-3, head=MLPReadout(halve=False, out=1), clip=[0, 1]"
    assert Named.parse(text) == Named(
        "GPS(layers=3, local='GINE')",
        {
            "learning_rate": 0.001,
            "head": "MLPReadout(halve=False, out=1)",
            "clip": Listed((0, 1)),
        },
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("GPS @", "no option behind its @"),
        ("GPS @ a=1 @ b=2", "more than one @"),
        ("GPS @ learning_rate", "cannot read 'learning_rate'"),
        ("GPS @ learning_rate=", "cannot read 'learning_rate='"),
        ("GPS @ clip=1, clip=2", "names clip twice"),
        ("GPS @ clip=[1, 1]", "names 1 twice"),
    ],
)
def test_options_that_cannot_be_read(text: str, message: str) -> None:
    with pytest.raises(GraphPEValueError, match=message):
        Named.parse(text)


def test_options_as_tables_show_them() -> None:
    assert options_text({"learning_rate": 0.001, "layers": 3, "schedule": "linear"}) == (
        "learning_rate=0.001, layers=3, schedule=linear"
    )
