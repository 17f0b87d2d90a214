"""What a run goes on from: checkpoints that belong together, and ones that do not."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import pytest
import yaml

from graphpe.benchmarks.training import run_folder
from graphpe.benchmarks.training.checkpoints.file import load_checkpoint, save_checkpoint
from graphpe.errors import GraphPERuntimeError, GraphPEValueError

from ..conftest import resume, train


def test_an_older_best_beside_a_newer_last_is_refused(options: dict[str, Any], stopped: Path) -> None:
    best = load_checkpoint(stopped / "best.pt")
    for value in best["model"].values():
        value.mul_(0.9)
    kept = (stopped / "best.pt").read_bytes()
    last = load_checkpoint(stopped / "last.pt")
    save_checkpoint(stopped / "best.pt", best)
    if last["state"]["best_epoch"] == 1:  # the newest checkpoint holds the best weights: they are written again
        resume(stopped)
        assert (stopped / "best.pt").exists()
        (stopped / "summary.json").unlink()
    save_checkpoint(stopped / "last.pt", last | {"state": last["state"] | {"step": 1, "epoch": 1, "total_steps": 3}})
    save_checkpoint(stopped / "best.pt", best)
    with pytest.raises(GraphPERuntimeError, match=r"best\.pt is not the one that last\.pt was saved with \(epoch"):
        resume(stopped)
    (stopped / "best.pt").write_bytes(kept)
    assert math.isfinite(resume(stopped)["test"])


def test_a_kill_between_last_and_best_is_mended(options: dict[str, Any], tmp_path: Path) -> None:
    run = tmp_path / "run"
    uninterrupted = train(options, run, epochs=1)
    for name in ("best.pt", "summary.json"):
        (run / name).unlink()
    assert resume(run)["test"] == uninterrupted["test"]
    assert load_checkpoint(run / "best.pt")["state"]["best_digest"]


@pytest.mark.parametrize(
    ("name", "value"), [("learning_rate", 0.5), ("seed", 7), ("batch_size", 5), ("model", "GCN()")]
)
def test_edits_of_the_config_are_refused(stopped: Path, name: str, value: Any) -> None:
    text = (stopped / "config.yaml").read_text()
    changed = yaml.safe_dump(yaml.safe_load(text) | {name: value}, sort_keys=False)
    (stopped / "config.yaml").write_text(changed + text.splitlines()[-1] + "\n")
    with pytest.raises(GraphPERuntimeError, match=r"config\.yaml"):
        resume(stopped)
    (stopped / "config.yaml").write_text(f"{changed}# checksum {run_folder._checksum(changed)}\n")
    with pytest.raises(GraphPERuntimeError, match=r"last\.pt (was made with|holds)"):
        resume(stopped)


def test_the_data_is_checked_without_the_task_file_too(
    options: dict[str, Any], stopped: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (stopped / "task.json").unlink()
    last = load_checkpoint(stopped / "last.pt")
    save_checkpoint(stopped / "last.pt", last | {"fingerprint": "other"})
    with pytest.raises(GraphPEValueError, match="the data changed"):
        resume(stopped)
    save_checkpoint(stopped / "last.pt", last)
    resume(stopped)
    assert (stopped / "task.json").exists()


@pytest.mark.parametrize("what", ["optimizer", "model", "state"])
def test_parts_of_another_model_are_named(options: dict[str, Any], stopped: Path, tmp_path: Path, what: str) -> None:
    other = tmp_path / "other"
    train(options, other, epochs=1, model="GraphTransformer(width=16, layers=1, heads=2, dropout=0.0, norm='layer')")
    content = load_checkpoint(stopped / "last.pt")
    foreign = {"best": 3} if what == "state" else load_checkpoint(other / "last.pt")[what]
    save_checkpoint(stopped / "last.pt", content | {what: foreign})
    expected = {
        "optimizer": "the optimizer's state in",
        "model": r"best\.pt|the weights in",
        "state": "where its run is",
    }
    with pytest.raises(GraphPERuntimeError, match=expected[what]):
        resume(stopped)
    deeper = load_checkpoint(stopped / "last.pt") | {what: {}}
    save_checkpoint(stopped / "last.pt", deeper)
    with pytest.raises(GraphPERuntimeError, match=r"last\.pt"):
        resume(stopped)
