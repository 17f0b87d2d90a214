from __future__ import annotations

import pytest

from graphpe.benchmarks.measure.pairs import triplets
from graphpe.benchmarks.measure.pairs.triplets import compare, main, measure


@pytest.mark.parametrize("side", ["einsum", pytest.param("compiled", marks=pytest.mark.slow), "ours", "ours, dropout"])
def test_every_side_runs(side: str) -> None:
    assert measure(side, [6, 3], 1, 0).cpu > 0


def test_results_and_gradients_are_equal() -> None:
    assert compare([7, 12, 1], 3) < 1e-4


@pytest.mark.slow  # processes of its own
def test_table(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(triplets, "BATCHES", {"two": [5, 6]})
    main(["--repeats", "1"])
    assert capsys.readouterr().out.count("\n| two | 61 | 341 |") == 1
