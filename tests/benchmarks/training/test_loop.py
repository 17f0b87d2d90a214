"""What ends a run, and what its folder holds then."""

from __future__ import annotations

import json
import math
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from graphpe.benchmarks.tasks.graph_level import GraphAdapter, GraphTargets
from graphpe.benchmarks.training.batches import whole_graphs
from graphpe.benchmarks.training.checkpoints.file import load_checkpoint
from graphpe.benchmarks.training.experiment import run_experiment
from graphpe.benchmarks.training.loop import Diverged, Training
from graphpe.benchmarks.training.run_folder import RunFolder
from graphpe.errors import GraphPERuntimeError, GraphPEValueError
from graphpe.graphs.loader import PackedLoader

from .conftest import resume, train


@pytest.mark.parametrize("clip", [0.0, 1.0])
def test_a_loss_that_is_not_finite_ends_the_run(options: dict[str, Any], tmp_path: Path, clip: float) -> None:
    with pytest.raises(Diverged, match=r"not finite at step \d+, in epoch 1: lower learning_rate") as caught:
        train(options, tmp_path / "run", learning_rate=1e38, clip=clip)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "run" / "last.pt").exists()


def test_the_step_is_named_and_the_best_epoch_kept(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    step = Training._step

    def broken(self: Training, batch: Any) -> tuple[torch.Tensor, torch.Tensor]:
        if self.state.total_steps == 44:  # 20 steps an epoch
            batch.y[0] = math.inf
        return step(self, batch)

    monkeypatch.setattr(Training, "_step", broken)
    run = tmp_path / "run"
    with pytest.raises(Diverged, match=r"at step 45, in epoch 3.*the weights of epoch \d \(valid RMSE 0\.\d+\) are in"):
        train(options, run, batch_size=4, epochs=5, checkpoint_minutes=1e-9)
    kept = load_checkpoint(run / "last.pt")
    assert kept["state"]["total_steps"] == 44
    assert all(bool(torch.isfinite(value).all()) for value in kept["model"].values())
    monkeypatch.setattr(Training, "_step", step)
    assert math.isfinite(resume(run)["test"])


def scores(monkeypatch: pytest.MonkeyPatch, values: Callable[[int], torch.Tensor | None]) -> list[int]:
    """Replace the predictions of each call of `evaluate`."""
    collect, calls = whole_graphs.collect_predictions, [0]

    def collected(*arguments: Any, **keywords: Any) -> tuple[torch.Tensor, float]:
        predictions, loss = collect(*arguments, **keywords)
        calls[0] += 1
        replaced = values(calls[0])
        return (predictions if replaced is None else predictions * replaced), loss

    monkeypatch.setattr(whole_graphs, "collect_predictions", collected)
    return calls


def test_a_first_epoch_that_is_not_finite_can_be_beaten(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = tmp_path / "run"
    scores(monkeypatch, lambda call: torch.tensor(math.nan) if call in (1, 3) else None)
    summary = train(options, run, epochs=3)
    assert summary["best_epoch"] == 2
    assert math.isfinite(summary["valid"])
    records = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    assert [record["valid_RMSE"] is None for record in records] == [True, False, True]


def test_a_test_metric_that_is_not_finite_is_told(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scores(monkeypatch, lambda call: torch.tensor(math.inf) if call == 2 else None)
    summary = train(options, tmp_path / "run", epochs=1)
    assert math.isnan(summary["test"])
    text = (tmp_path / "run" / "summary.json").read_text()
    assert json.loads(text, parse_constant=lambda name: pytest.fail(f"{name} is not JSON"))["test"] is None
    assert math.isnan(RunFolder(tmp_path / "run").read_summary()["test"])  # type: ignore[index]


def test_no_finite_epoch_at_all_is_an_error(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = scores(monkeypatch, lambda call: torch.tensor(math.nan))
    with pytest.raises(Diverged, match="no epoch of 2 gave a finite validation RMSE: lower learning_rate"):
        train(options, tmp_path / "run", epochs=50, patience=2)
    assert calls == [2]


def test_metrics_never_see_numbers_that_are_not_finite(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[torch.Tensor] = []
    evaluate = GraphTargets.evaluate

    def noted(self: GraphTargets, predictions: torch.Tensor, indices: torch.Tensor) -> float:
        seen.append(predictions)
        return evaluate(self, predictions, indices)

    monkeypatch.setattr(GraphTargets, "evaluate", noted)
    scores(monkeypatch, lambda call: torch.tensor(math.nan) if call == 1 else None)
    train(options, tmp_path / "run", epochs=2)
    assert seen
    assert all(bool(torch.isfinite(predictions).all()) for predictions in seen)


def test_epochs_with_limits_are_planned_without_looking_at_all(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    batch_indices = PackedLoader.batch_indices

    def noted(self: PackedLoader, epoch: int) -> list[torch.Tensor]:
        asked.append(epoch)
        return batch_indices(self, epoch)

    monkeypatch.setattr(PackedLoader, "batch_indices", noted)
    summary = train(options, tmp_path / "run", epochs=10**6, max_pairs=200, max_steps=3)
    assert summary["epochs"] == 1
    assert len(asked) < 300


# The folder of a run


def test_random_features_of_a_resumed_run_are_those_of_one_that_was_not_stopped(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = options | {"encodings": ("PEARLEncoding(samples=2, hidden=4, layers=1)",), "epochs": 3, "batch_size": 20}
    train(options, tmp_path / "whole")
    step = Training._step

    def stopping(self: Training, batch: Any) -> tuple[torch.Tensor, torch.Tensor]:
        if self.state.total_steps == 6:
            raise KeyboardInterrupt
        return step(self, batch)

    monkeypatch.setattr(Training, "_step", stopping)
    with pytest.raises((KeyboardInterrupt, SystemExit)):
        train(options, tmp_path / "stopped", checkpoint_minutes=1e-9)
    monkeypatch.setattr(Training, "_step", step)
    resume(tmp_path / "stopped")
    whole, again = (load_checkpoint(tmp_path / name / "last.pt") for name in ("whole", "stopped"))
    assert whole["state"]["total_steps"] == again["state"]["total_steps"] == 12
    assert whole["model"].keys() == again["model"].keys()
    assert all(torch.equal(value, again["model"][key]) for key, value in whole["model"].items())


def test_a_run_without_its_last_checkpoint_says_that_it_starts_again(
    stopped: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (stopped / "last.pt").unlink()
    folder = RunFolder.open(stopped)
    run_experiment(folder.read_config(), resume=folder, workers=1)
    assert "the run starts again from its first step" in capsys.readouterr().out


def test_a_damaged_summary_is_made_again(stopped: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = resume(stopped)
    text = (stopped / "summary.json").read_text()
    for damaged in (text[:-20], text.replace('"best_epoch": ', '"best_epoch": 1'), "[]", "null", "[" * 100_000):
        (stopped / "summary.json").write_text(damaged)
        folder = RunFolder.open(stopped)
        again = run_experiment(folder.read_config(), resume=folder, workers=1)
        assert "evaluating again" in capsys.readouterr().out
        assert {key: again[key] for key in ("valid", "test", "best_epoch")} == {
            key: first[key] for key in ("valid", "test", "best_epoch")
        }
        assert json.loads((stopped / "summary.json").read_text())["test"] == first["test"]


def test_one_process_at_a_time(options: dict[str, Any], stopped: Path) -> None:
    (stopped / ".last.pt.abc.part").write_bytes(b"half")
    with RunFolder(stopped).at_work(new=False):
        assert not (stopped / ".last.pt.abc.part").exists()
        for again in (lambda: resume(stopped), lambda: RunFolder(stopped).at_work(new=False).__enter__()):
            with pytest.raises(GraphPERuntimeError, match="another process is at work in"):
                again()
    resume(stopped)


def test_out_of_memory_is_one_line(options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def large(self: Training, batch: Any) -> None:
        torch.empty(2**50)

    monkeypatch.setattr(Training, "_step", large)
    with pytest.raises(GraphPERuntimeError, match=r"out of memory \(.*\): lower batch_size, bound max_nodes"):
        train(options, tmp_path / "run")


def test_a_signal_between_epochs_stops_there(options: dict[str, Any], tmp_path: Path, monkeypatch: Any) -> None:
    validate = Training._validate

    def signalled(self: Training) -> bool:
        os.kill(os.getpid(), signal.SIGTERM)
        return validate(self)

    monkeypatch.setattr(Training, "_validate", signalled)
    with pytest.raises(GraphPERuntimeError, match="stopped at epoch 2, step 0, and saved"):
        train(options, tmp_path / "run", epochs=3)


def test_labels_are_smoothed_in_training_alone(
    options: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    graphs = torch.load(options["task"].split("'")[1], weights_only=False)
    for graph in graphs:
        graph.y = (graph.y.view(-1) > 0).long() + (graph.y.view(-1) > 0.5).long()
    torch.save(graphs, path := tmp_path / "classes.pt")
    seen: list[tuple[bool, float]] = []
    plain = GraphAdapter.loss

    def watched(self: GraphAdapter, output: torch.Tensor, batch: Any, label_smoothing: float = 0.0) -> torch.Tensor:
        seen.append((output.requires_grad, label_smoothing))
        return plain(self, output, batch, label_smoothing)

    monkeypatch.setattr(GraphAdapter, "loss", watched)
    asked = options | {"task": f"data-file(path={str(path)!r})", "epochs": 1, "label_smoothing": 0.1}
    train(asked, tmp_path / "run")
    assert set(seen) == {(True, 0.1), (False, 0.0)}
    with pytest.raises(GraphPEValueError, match=r"label_smoothing=0.1 is for tasks of classes, which this is not"):
        train(options, tmp_path / "other", label_smoothing=0.1)
