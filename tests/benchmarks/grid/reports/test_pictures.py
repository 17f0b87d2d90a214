from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from graphpe.benchmarks.grid.reports.pictures import draw_cost, front_of
from graphpe.benchmarks.grid.results import Combination, Run, combine

RUN = Run("zinc", "none", "GINE", 0, "MAE", False, 0.5, 0.5, 100, 1.0, 1.0, 9.0, 10**9, 9)


def combinations(speeds: dict[str, tuple[float, float, float]]) -> list[Combination]:
    """By encoding: the error, seconds by the clock, and graphs by processor second."""
    runs = [
        replace(RUN, encoding=encoding, test=error, train_seconds=seconds, graphs_per_second=speed)
        for encoding, (error, seconds, speed) in speeds.items()
    ]
    return combine(runs, [])


SPEEDS = {
    "none": (0.5, 10.0, 900.0),
    "quick": (0.4, 90.0, 800.0),
    "bad": (0.45, 20.0, 700.0),
    "best": (0.1, 30.0, 100.0),
}


def test_the_front_is_of_processor_seconds_where_all_have_them() -> None:
    assert [each.encoding for each in front_of(combinations(SPEEDS))] == ["none", "quick", "best"]
    without = SPEEDS | {"bad": (0.45, 20.0, float("nan"))}
    assert [each.encoding for each in front_of(combinations(without))] == ["none", "bad", "best"]
    assert front_of([]) == []


@pytest.mark.parametrize("speed", [500.0, float("nan")])
def test_names_of_the_front_alone_are_in_the_picture(tmp_path: Path, speed: float) -> None:
    found = combinations(SPEEDS | {"none": (0.5, 10.0, speed)})
    draw_cost(found, [tmp_path / "cost.svg"])
    text = (tmp_path / "cost.svg").read_text()
    chosen = {each.encoding for each in front_of(found)}
    assert {name for name in SPEEDS if f"<!-- {name} -->" in text} == chosen
    assert ("processor second" in text) == (speed > 0)
