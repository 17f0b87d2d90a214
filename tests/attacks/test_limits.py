"""Too little memory, files that may not grow: one line, and the same call goes on once there is room."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from .commands import Forks
from .conftest import Count, Data, Figures, outcome, same_files

pytestmark = pytest.mark.attack


def test_memory(forks: Forks, data: Data, tmp_path: Path, count: Count, figures: Figures) -> None:
    for attack in range(count(8)):
        run, out = tmp_path / f"run{attack}", tmp_path / f"out{attack}"
        memory = int(10 ** random.uniform(6, 8.5))
        model = "GRIT(width=64, layers=4)"
        for command, target in ((data.train(model=model), ["--run", run]), (data.encode(), ["--out", out])):
            ended = forks.run(*command, *target, memory=memory)
            if ended.status != 0:
                line = ended.one_line()
                assert "memory" in line.lower(), line
            figures.add("too little memory (RLIMIT_AS): one line, or it works")
    forks.run(*data.encode(), "--out", tmp_path / "whole").success()
    forks.run(*data.encode(), "--out", out).success()
    assert same_files(out, tmp_path / "whole")


def test_size_of_files(forks: Forks, data: Data, tmp_path: Path, count: Count, figures: Figures) -> None:
    forks.run(*data.train(), "--run", tmp_path / "whole").success()
    forks.run(*data.encode(), "--out", tmp_path / "store").success()
    expected = outcome(tmp_path / "whole")
    for attack in range(count(8)):
        run, out = tmp_path / f"run{attack}", tmp_path / f"out{attack}"
        size = int(10 ** random.uniform(2.8, 5))  # what it says goes to a file, too
        for command, target in ((data.train(), ["--run", run]), (data.encode(), ["--out", out])):
            ended = forks.run(*command, *target, file_size=size)
            if ended.status != 0:
                ended.one_line()
            figures.add("no room for a file (RLIMIT_FSIZE): one line, then the same call goes on: the same result")
        begun = (run / "config.yaml").exists()
        again = ["train", "--resume", run, "--quiet"] if begun else [*data.train(), "--run", run]
        forks.run(*again).success()
        assert outcome(run) == expected
        forks.run(*data.encode(), "--out", out).success()
        assert same_files(out, tmp_path / "store")
