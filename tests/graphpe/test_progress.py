from __future__ import annotations

import io
import sys

import pytest

from graphpe import progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_a_log_gets_nothing_of_short_work_and_plain_lines_of_long_work(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = io.StringIO()
    monkeypatch.setattr(sys, "stderr", log)
    with progress.progress_bar(total=1000, desc="encode", unit="graph") as bar:
        for _ in range(1000):
            bar.update()
    assert list(progress.progress_bar(range(3), leave=False)) == [0, 1, 2]
    assert log.getvalue() == ""
    monkeypatch.setattr(progress, "_SECONDS", 0.0)
    with progress.progress_bar(total=3, desc="encode", unit="graph") as bar:
        for _ in range(3):
            bar.update()
    lines = log.getvalue().splitlines()
    assert len(lines) >= 3
    assert all(line.startswith("encode: ") and "/3 " in line for line in lines)
    assert "\r" not in log.getvalue()


def test_a_terminal_gets_a_bar_and_nobody_one_that_is_off(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    with progress.progress_bar(total=3, disable=True) as bar:
        bar.update()
    assert terminal.getvalue() == ""
    with progress.progress_bar(total=3, file=terminal) as bar:
        bar.update()
    assert "\r" in terminal.getvalue()
