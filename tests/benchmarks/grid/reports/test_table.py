from __future__ import annotations

from graphpe.benchmarks.grid.reports.table import duration_text


def test_durations() -> None:
    seconds = (0.4, 89.4, 90, 5399, 5400, 12_345)
    assert [duration_text(each) for each in seconds] == ["0 s", "89 s", "2 min", "90 min", "1.5 h", "3.4 h"]
