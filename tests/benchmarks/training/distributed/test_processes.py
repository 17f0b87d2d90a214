"""Several devices against one, and what ends one of several processes."""

from __future__ import annotations

import json
import math
import multiprocessing
import os
import signal
import threading
import time
from pathlib import Path
from typing import Any

import pytest
import torch

from graphpe.benchmarks.calls.build import build_model, build_task
from graphpe.benchmarks.training.experiment import run_experiment
from graphpe.benchmarks.training.interrupt import Interrupted
from graphpe.benchmarks.training.run_folder import RunFolder
from graphpe.errors import GraphPEError, GraphPERuntimeError
from graphpe.graphs.packed import PackedGraphs

from ..conftest import train


def metrics(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]


def scored_by_hand(run: Path) -> float:
    """The test metric of the weights in `best.pt`, all test graphs in one batch."""
    config = RunFolder(run).read_config()
    data = build_task(config.task).load(progress=False)
    model = build_model(config.model, data.adapter, ())
    model.load_state_dict(torch.load(run / "best.pt", weights_only=True)["model"])
    graphs: PackedGraphs = data.adapter.model_graphs(data.graphs.select(data.split["test"]))
    with torch.no_grad():
        return data.evaluate(data.adapter.predict(model.eval()(graphs.to_batch())), data.split["test"])


@pytest.mark.parametrize("epochs", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_two_devices_do_what_one_does(options: dict[str, Any], tmp_path: Path, epochs: int) -> None:
    found = {}
    for devices in (1, 2):
        # The same graphs in a step. Batches of evaluation hold 4 graphs then: three for two devices.
        size = {"batch_size": 4 // devices, "devices": devices, "epochs": epochs}
        found[devices] = train(options, tmp_path / str(devices), **size)
        assert found[devices]["test"] == pytest.approx(scored_by_hand(tmp_path / str(devices)), rel=1e-5)
    for key in ("valid", "test"):
        assert found[2][key] == pytest.approx(found[1][key], rel=1e-3)
    assert found[2]["best_epoch"] == found[1]["best_epoch"]
    for one, two in zip(metrics(tmp_path / "1"), metrics(tmp_path / "2"), strict=True):
        assert two["steps"] == one["steps"]
        for key in ("train_loss", "valid_loss"):
            assert two[key] == pytest.approx(one[key], rel=1e-3)


@pytest.mark.slow
def test_three_devices_do_what_one_does(options: dict[str, Any], tmp_path: Path) -> None:
    one = train(options, tmp_path / "1", batch_size=6, epochs=2)
    three = train(options, tmp_path / "3", batch_size=2, epochs=2, devices=3)
    assert three["test"] == pytest.approx(one["test"], rel=1e-3)
    assert three["test"] == pytest.approx(scored_by_hand(tmp_path / "3"), rel=1e-5)
    assert three["valid"] == pytest.approx(one["valid"], rel=1e-3)


def in_the_middle(run: Path, number: int, rank: int | None) -> threading.Thread:
    """Send a signal to the process of a rank, or to this one, once the run has saved something."""

    def act() -> None:
        deadline = time.monotonic() + 100
        while not (run / "last.pt").exists() and time.monotonic() < deadline:
            time.sleep(0.01)
        children = sorted(multiprocessing.active_children(), key=lambda each: each.pid or 0)
        os.kill(os.getpid() if rank is None else children[rank].pid or 0, number)

    thread = threading.Thread(target=act)
    thread.start()
    return thread


LONG = {"devices": 2, "batch_size": 2, "epochs": 10_000}


@pytest.mark.parametrize("rank", [pytest.param(0, marks=pytest.mark.slow), 1])
def test_a_killed_process_ends_all_with_one_line(
    options: dict[str, Any], tmp_path: Path, rank: int, capfd: pytest.CaptureFixture[str]
) -> None:
    run = tmp_path / "run"
    thread = in_the_middle(run, signal.SIGKILL, rank)
    with pytest.raises(GraphPERuntimeError) as caught:
        train(options, run, **LONG)
    thread.join()
    expected = rf"process {rank + 1} of 2 was killed by SIGKILL .*`graphpe train --resume {run}` goes on"
    caught.match(expected)
    assert "\n" not in str(caught.value)
    assert capfd.readouterr() == ("", "")
    assert not multiprocessing.active_children()
    with RunFolder(run).at_work(new=False):  # nobody holds the lock
        pass


@pytest.mark.slow
def test_a_request_to_stop_stops_all_within_an_epoch_and_the_run_goes_on(
    options: dict[str, Any], tmp_path: Path
) -> None:
    run, whole = tmp_path / "run", tmp_path / "whole"
    short = {"devices": 2, "batch_size": 2, "epochs": 6}
    thread = in_the_middle(run, signal.SIGTERM, None)
    with pytest.raises(Interrupted, match="go on with `graphpe train --resume") as caught:
        train(options, run, **short, checkpoint_minutes=1e-9)  # after every step: the signal falls within an epoch
    thread.join()
    assert caught.value.exit_code == 128 + signal.SIGTERM
    state = torch.load(run / "last.pt", weights_only=True)["state"]
    assert 0 < state["total_steps"] < 6 * 20
    resumed = run_experiment(RunFolder(run).read_config(), resume=RunFolder.open(run), progress=False, workers=1)
    uninterrupted = train(options, whole, **short)
    assert resumed["test"] == uninterrupted["test"]
    for one, two in zip(metrics(run), metrics(whole), strict=True):
        assert one["train_loss"] == pytest.approx(two["train_loss"], rel=1e-9)  # of both devices, before and after


@pytest.mark.slow
def test_minutes_are_those_of_the_first_device(options: dict[str, Any], tmp_path: Path) -> None:
    summary = train(options, tmp_path / "run", **LONG, max_minutes=1e-6)
    assert summary["epochs"] == 1
    assert math.isfinite(summary["test"])


def test_an_error_of_all_is_told_once(
    options: dict[str, Any], tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(GraphPEError, match="not finite at step"):
        train(options, tmp_path / "run", devices=2, batch_size=2, learning_rate=1e30, clip=0.0)
    assert capfd.readouterr() == ("", "")


def test_processes_that_nobody_started(options: dict[str, Any], tmp_path: Path) -> None:
    with pytest.raises(GraphPEError, match="start one for each device with torchrun"):
        train(options, tmp_path / "run", devices=2, nodes=2)
    assert not (tmp_path / "run").exists()
