from __future__ import annotations

import pytest

from graphpe.benchmarks.measure.pairs.factored_bias import compare, main, measure


@pytest.mark.parametrize("name", ["none", "matrix", "k = 4", "exact"])
def test_every_side_runs(name: str) -> None:
    cost = measure(name, 30, 1, 0)
    assert cost.wall > 0


def test_results_are_equal() -> None:
    assert compare(60, 3) < 1e-4


@pytest.mark.slow  # processes of its own
def test_table(capsys) -> None:
    main(["--sizes", "40", "--repeats", "1", "--coordinates", "4"])
    assert capsys.readouterr().out.count("\n| 40 |") == 1
