"""Killed or stopped at random moments, the same call goes on and ends in what one ends in that nothing interrupted."""

from __future__ import annotations

import random
import shutil
import signal
from pathlib import Path

import pytest

from .commands import Forks
from .conftest import Count, Data, Figures, outcome, same_files

pytestmark = pytest.mark.attack

STEPS = ("--checkpoint-minutes", "0.0001")  # within epochs, too


def test_precompute(forks: Forks, data: Data, tmp_path: Path, count: Count, figures: Figures) -> None:
    command = data.encode()
    seconds = forks.timed(*command, "--out", tmp_path / "whole")
    killed = 0
    for attack in range(count(8)):
        out = tmp_path / f"out{attack}"
        for _ in range(random.randint(1, 4)):
            running = forks.start(*command, "--out", out)
            assert running.wait(random.uniform(0, seconds)).status in (0, None)
            killed += 1
        forks.run(*command, "--out", out).success()
        assert same_files(out, tmp_path / "whole")
        shutil.rmtree(out)
        figures.add("kill -9 of `graphpe encode`, then the same call: the same bytes")
    assert killed


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_train(number: int, forks: Forks, data: Data, tmp_path: Path, count: Count, figures: Figures) -> None:
    command = [*data.train(epochs=6), *STEPS]
    seconds = forks.timed(*command, "--run", tmp_path / "whole")
    expected = outcome(tmp_path / "whole")
    name = signal.Signals(number).name
    for attack in range(count(4)):
        run = tmp_path / f"run{attack}"
        for _ in range(random.randint(1, 3)):
            ended = _go_on(forks, command, run).wait_and_send(random.uniform(0, seconds), number)
            if number != signal.SIGKILL and ended.status not in (0, -number):  # before it listens, a signal ends it
                ended.one_line()
                assert ended.status in (130, 143)
        _go_on(forks, command, run).wait().success()
        assert outcome(run) == expected
        assert not [path.name for path in run.iterdir() if path.name.startswith(".")]
        figures.add(f"{name} of `graphpe train`, then the same run goes on: the same weights and result")


def _go_on(forks: Forks, command: list[object], run: Path):
    begun = (run / "config.yaml").exists()
    return forks.start("train", "--resume", run, "--quiet") if begun else forks.start(*command, "--run", run)


def test_grid(forks: Forks, data: Data, tmp_path: Path, count: Count, figures: Figures) -> None:
    command = data.grid()
    seconds = forks.timed(*command, "--out", tmp_path / "whole")

    def results(root: Path) -> dict[str, object]:
        return {path.parent.name: outcome(path) for path in (root / "cells").glob("*/run")}

    expected = results(tmp_path / "whole")
    for attack in range(count(3)):
        out = tmp_path / f"grid{attack}"
        for _ in range(random.randint(1, 2)):
            forks.start(*command, "--out", out).wait(random.uniform(0, seconds))
        forks.run(*command, "--out", out).success()
        assert results(out) == expected
        assert not list(out.rglob("*.part"))
        figures.add("kill -9 of `graphpe grid`, then the same call: the same results")


def test_processing_of_a_dataset(forks: Forks, data: Data, tmp_path: Path, count: Count, figures: Figures) -> None:
    data.zinc(tmp_path / "whole")
    command = data.train(epochs=1, model="GINE(width=8, layers=1)")
    seconds = forks.timed(*_of(command, tmp_path / "whole"), "--run", tmp_path / "run")
    expected = outcome(tmp_path / "run")
    for attack in range(count(4)):
        root, run = tmp_path / f"zinc{attack}", tmp_path / f"run{attack}"
        shutil.copytree(tmp_path / "whole" / "raw", root / "raw")
        forks.start(*_of(command, root), "--run", tmp_path / f"killed{attack}").wait(random.uniform(0, seconds))
        forks.run(*_of(command, root), "--run", run).success()
        assert outcome(run) == expected
        assert not list(root.rglob(".*"))
        figures.add("kill -9 while a dataset is processed, then the same call: the same weights and result")


def _of(command: list[object], root: Path) -> list[object]:
    place = command.index("--task") + 1
    return [*command[:place], f"zinc(root={str(root)!r}, download=False)", *command[place + 1 :]]
