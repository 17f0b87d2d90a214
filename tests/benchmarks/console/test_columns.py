from __future__ import annotations

from graphpe.benchmarks.console.columns import aligned


def test_columns_are_as_wide_as_their_widest_cell() -> None:
    assert aligned([["a", "bb", ""], ["ccc", "d", "e"]]) == ["a    bb", "ccc  d   e"]
    assert aligned([]) == []
