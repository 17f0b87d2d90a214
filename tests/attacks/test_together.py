"""Several processes on one folder at once: one works, the others say so or find it done."""

from __future__ import annotations

import random
import shutil
import time
from pathlib import Path

import pytest

from .commands import Command, Forks
from .conftest import Count, Data, Figures, outcome, same_files

pytestmark = pytest.mark.attack


def at_once(forks: Forks, commands: list[list[object]], within: float) -> list[Command]:
    started = []
    for command in commands:
        started.append(forks.start(*command))
        time.sleep(random.uniform(0, within))
    return started


def test_precompute(forks: Forks, data: Data, tmp_path: Path, count: Count, figures: Figures) -> None:
    seconds = forks.timed(*data.encode(), "--out", tmp_path / "whole")
    for attack in range(count(15)):
        out = tmp_path / str(attack)
        ends = [each.wait() for each in at_once(forks, [[*data.encode(), "--out", out]] * 3, seconds / 2)]
        assert any(ended.status == 0 for ended in ends)
        for ended in ends:
            if ended.status:
                assert "another process is encoding into" in ended.one_line()
        assert same_files(out, tmp_path / "whole")
        figures.add("`graphpe encode` several times at once into one folder: one line, or the same bytes", 3)


def test_train(forks: Forks, data: Data, tmp_path: Path, count: Count, figures: Figures) -> None:
    seconds = forks.timed(*data.train(), "--run", tmp_path / "whole")
    expected = outcome(tmp_path / "whole")
    for attack in range(count(4)):
        run = tmp_path / str(attack)
        ends = [each.wait() for each in at_once(forks, [[*data.train(), "--run", run]] * 2, seconds / 2)]
        _one_worked(ends, "another process is at work in", "already holds files", "was removed by another")
        assert outcome(run) == expected
        (run / "summary.json").unlink()
        ends = [each.wait() for each in at_once(forks, [["train", "--resume", run, "--quiet"]] * 2, 0.1)]
        assert any(ended.status == 0 for ended in ends)
        for ended in ends:
            if ended.status:
                assert "another process is at work in" in ended.one_line()
        assert outcome(run) == expected
        figures.add("`graphpe train` twice at once in one folder: one works, one line of the other", 4)


def test_grid(forks: Forks, data: Data, tmp_path: Path, count: Count, figures: Figures) -> None:
    seconds = forks.timed(*data.grid(), "--out", tmp_path / "whole")
    for attack in range(count(2)):
        out = tmp_path / str(attack)
        ends = [each.wait() for each in at_once(forks, [[*data.grid(), "--out", out]] * 2, seconds / 2)]
        assert any(ended.status == 0 for ended in ends)
        for ended in ends:
            if ended.status:
                assert "another `graphpe grid` is at work" in ended.one_line()
        assert len(list((out / "cells").glob("*/run/summary.json"))) == 2
        shutil.rmtree(out)
        figures.add("`graphpe grid` twice at once in one folder: one works, one line of the other", 2)


def _one_worked(ends, *said: str) -> None:
    assert sorted(ended.status != 0 for ended in ends) == [False, True], ends
    line = next(ended for ended in ends if ended.status).one_line()
    assert any(each in line for each in said), line
