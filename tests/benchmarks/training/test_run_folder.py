from __future__ import annotations

import os
from pathlib import Path

import pytest

from graphpe.benchmarks.training.config import TrainConfig
from graphpe.benchmarks.training.run_folder import RunFolder
from graphpe.errors import GraphPERuntimeError, GraphPEValueError


def test_default_folders_are_numbered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert [RunFolder.create(None, "task").path for _ in range(2)] == [Path("runs/task-001"), Path("runs/task-002")]


def test_a_used_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(GraphPEValueError, match="already holds files: resume"):
        RunFolder.create(tmp_path, "task")


def test_an_unwritable_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(GraphPERuntimeError, match="cannot write the run folder"):
        RunFolder.create(tmp_path / "file" / "run", "task")
    if os.path.isdir("/proc/1") and os.geteuid() == 0:  # root writes everywhere else
        with pytest.raises(GraphPERuntimeError, match="cannot write the run folder"):
            RunFolder.create(Path("/proc/run"), "task")


def test_config_round_trip(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", "task")
    config = TrainConfig(encodings=("LaplacianPE(k=3)", "RandomWalkPE(walk_length=4)"), seed=9)
    run.write_config(config)
    assert RunFolder.open(run.path).read_config() == config


def test_what_is_not_a_run_is_said_so(tmp_path: Path) -> None:
    with pytest.raises(GraphPEValueError, match="is not a run folder"):
        RunFolder.open(tmp_path)
    with pytest.raises(GraphPEValueError, match="no trained run in"):
        RunFolder.latest(tmp_path)


@pytest.mark.parametrize("text", ["epochs: [", "unknown: 3", "epochs: 0", "- 1"])
def test_a_damaged_config_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(text)
    with pytest.raises(GraphPERuntimeError, match=r"cannot read .*config\.yaml"):
        RunFolder.open(tmp_path).read_config()


def test_a_damaged_task_file_is_named(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.write_task({"types": ["a"]}, "abc")
    assert run.read_task() == ({"types": ["a"]}, "abc")
    (tmp_path / "task.json").write_text("{")
    with pytest.raises(GraphPERuntimeError, match=r"cannot read .*task\.json"):
        run.read_task()


def test_metrics_are_rewritten_whole(tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.write_metrics([{"epoch": 1}, {"epoch": 2}])
    run.write_metrics([{"epoch": 1}])
    assert (tmp_path / "metrics.jsonl").read_text() == '{"epoch": 1}\n'


def test_only_an_empty_folder_is_discarded(tmp_path: Path) -> None:
    RunFolder(tmp_path / "missing").discard_if_empty()
    kept = RunFolder.create(tmp_path / "kept", "task")
    kept.write_summary({"a": 1})
    kept.discard_if_empty()
    assert kept.read_summary() == {"a": 1}
    empty = RunFolder.create(tmp_path / "empty", "task")
    empty.discard_if_empty()
    assert not empty.path.exists()
