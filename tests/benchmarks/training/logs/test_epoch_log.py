"""Runs log to TensorBoard and W&B: each epoch once, also after a kill between its log and its checkpoint."""

from __future__ import annotations

import csv
import json
import struct
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from graphpe.benchmarks.cli.main import main
from graphpe.benchmarks.training.config import TrainConfig
from graphpe.benchmarks.training.experiment import resolve, run_experiment
from graphpe.benchmarks.training.logs.epoch_log import EpochLog, check_log
from graphpe.benchmarks.training.loop import Training
from graphpe.benchmarks.training.run_folder import RunFolder
from graphpe.errors import GraphPERuntimeError, GraphPEValueError

SMALL = "train=20, valid=5, test=5, train_wires=(3, 3), valid_wires=(3, 3), test_wires=(3, 3)"


def options(**changes: Any) -> TrainConfig:
    asked = {
        "task": f"sorting-networks({SMALL})",
        "model": "GINE(width=8, layers=1)",
        "encodings": (),
        "epochs": 3,
        "patience": 0,
        "accelerator": "cpu",
    }
    return resolve(TrainConfig(**(asked | changes)))


def killed_after_the_log_of_an_epoch(monkeypatch: pytest.MonkeyPatch, epoch: int) -> None:
    save = Training.save

    def dying(training: Training) -> None:
        if training.state.epoch == epoch:
            raise MemoryError("killed")
        save(training)

    monkeypatch.setattr(Training, "save", dying)


def run_twice(path: Path, log: Any, cache: Path) -> None:
    with pytest.MonkeyPatch.context() as patch:
        killed_after_the_log_of_an_epoch(patch, 2)
        with pytest.raises(GraphPERuntimeError):
            run_experiment(options(), run_path=path, progress=False, log=log, cache=cache)
    run = RunFolder.open(path)
    assert len(run.read_metrics()) == 2
    run_experiment(run.read_config(), resume=run, progress=False, log=log, cache=cache)


def test_tensorboard_has_each_epoch_once(tmp_path: Path, cache: Path) -> None:
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed (pip install 'graphpe[log]')")
    from tensorboard.backend.event_processing.event_file_loader import EventFileLoader

    run_twice(tmp_path / "run", "tensorboard", cache)
    (tmp_path / "run" / "tensorboard" / "notes.txt").write_text("theirs")
    found: dict[str, list[tuple[int, float]]] = {}
    for path in (tmp_path / "run" / "tensorboard").glob("events.out.tfevents.*"):
        for event in EventFileLoader(str(path)).Load():
            for value in event.summary.value:
                if value.tensor.float_val:
                    found.setdefault(value.tag, []).append((event.step, value.tensor.float_val[0]))
    records = RunFolder(tmp_path / "run").read_metrics()
    for name in ("train_loss", "valid_loss", "valid_accuracy", "learning_rate"):
        assert [step for step, _ in found[name]] == [1, 2, 3]
        assert [value for _, value in found[name]] == pytest.approx([record[name] for record in records])
    assert len(found["seconds/step"]) == 3
    summary = RunFolder(tmp_path / "run").read_summary()
    assert summary is not None
    assert found["test_accuracy"] == [(summary["best_epoch"], pytest.approx(summary["test"]))]


def leveldb_records(data: bytes) -> Iterator[bytes]:
    """What stands in a log of LevelDB: pieces with a checksum, a length and a kind, in blocks of 32 KiB."""
    place, whole = 0, b""
    while place + 7 <= len(data):
        left = 32768 - (place + 7) % 32768  # the header of the file is in the first block
        if left < 7:
            place += left
            continue
        _, length, kind = struct.unpack("<IHB", data[place : place + 7])
        whole += data[place + 7 : place + 7 + length]
        place += 7 + length
        if kind in (1, 4):  # a whole one, or the last piece
            yield whole
            whole = b""


def test_wandb_offline_has_each_epoch_once(tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("wandb", reason="W&B is not installed (pip install 'graphpe[log]')")
    from wandb.proto import wandb_internal_pb2

    monkeypatch.setenv("WANDB_MODE", "offline")
    run_twice(tmp_path / "run", "wandb", cache)
    assert json.loads((tmp_path / "run" / "wandb.json").read_text())["epochs"] == 3
    steps, names = [], set()
    for path in sorted((tmp_path / "run" / "wandb").glob("offline-run-*/*.wandb")):
        for data in leveldb_records(path.read_bytes()[7:]):  # behind the header of the file
            record = wandb_internal_pb2.Record()
            record.ParseFromString(data)
            if record.WhichOneof("record_type") == "history":
                items = {item.key or "/".join(item.nested_key): item.value_json for item in record.history.item}
                steps.append(record.history.step.num)
                names |= items.keys()
    assert sorted(steps) == [1, 2, 3]
    assert {"train_loss", "valid_accuracy", "learning_rate"} <= names


def test_the_table_of_epochs_is_always_there(tmp_path: Path, cache: Path) -> None:
    run_twice(tmp_path / "run", "none", cache)
    rows = list(csv.DictReader((tmp_path / "run" / "metrics.csv").open()))
    records = RunFolder(tmp_path / "run").read_metrics()
    assert [int(row["epoch"]) for row in rows] == [1, 2, 3]
    assert [float(row["valid_loss"]) for row in rows] == [record["valid_loss"] for record in records]
    assert not (tmp_path / "run" / "tensorboard").exists()


@pytest.mark.slow
def test_only_the_first_of_several_processes_logs(tmp_path: Path, cache: Path) -> None:
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed (pip install 'graphpe[log]')")
    run_experiment(
        options(devices=2, batch_size=4, epochs=1),
        run_path=tmp_path / "run",
        progress=False,
        log="tensorboard",
        cache=cache,
    )
    assert len(list((tmp_path / "run" / "tensorboard").glob("events.out.tfevents.*"))) == 1


@pytest.mark.parametrize(("log", "module"), [("tensorboard", "torch.utils.tensorboard"), ("wandb", "wandb")])
def test_a_package_that_is_missing_is_one_line_before_anything(
    log: str, module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    for command in (["train", "--run", str(tmp_path / "run")], ["grid", "--out", str(tmp_path / "run")]):
        cells = ["--tasks", "zinc", "--models", "GINE", "--encodings", "none"] if command[0] == "grid" else []
        assert main([*command, *cells, "--log", log]) == 1
        error = capsys.readouterr().err.strip()
        assert f"--log {log} needs the package {log}" in error
        assert "pip install 'graphpe[log]'" in error
        assert "\n" not in error
    assert not (tmp_path / "run").exists()


def test_unknown_logs_and_logs_that_cannot_be_written(tmp_path: Path) -> None:
    with pytest.raises(GraphPEValueError, match="log must be one of"):
        check_log("csv")
    pytest.importorskip("tensorboard", reason="TensorBoard is not installed (pip install 'graphpe[log]')")
    (tmp_path / "tensorboard").write_text("a file")
    with pytest.raises(GraphPERuntimeError, match="cannot write the log for tensorboard"):
        EpochLog("tensorboard", tmp_path, TrainConfig()).write([{"epoch": 1, "train_loss": 0.5}])


def test_an_account_is_asked_for_before_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    wandb = pytest.importorskip("wandb", reason="W&B is not installed (pip install 'graphpe[log]')")
    monkeypatch.delenv("WANDB_MODE", raising=False)
    monkeypatch.setattr(wandb, "login", lambda **options: False)
    with pytest.raises(GraphPERuntimeError, match="knows no account here"):
        check_log("wandb")
