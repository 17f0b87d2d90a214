from __future__ import annotations

import os
import resource
import signal
from pathlib import Path

import pytest

from graphpe.benchmarks.cli.main import main
from graphpe.benchmarks.training import run_folder
from graphpe.benchmarks.training.checkpoints.file import load_checkpoint
from graphpe.benchmarks.training.config import TrainConfig
from graphpe.benchmarks.training.run_folder import RunFolder
from graphpe.errors import GraphPERuntimeError, GraphPEValueError


def test_default_folders_are_numbered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    assert [RunFolder.create(None, "task").path for _ in range(2)] == [Path("runs/task-001"), Path("runs/task-002")]


def test_a_used_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(GraphPEValueError, match="already holds files: name another folder"):
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
    assert RunFolder.trained(tmp_path) == []


@pytest.mark.parametrize("text", ["epochs: [", "unknown: 3", "epochs: 0", "- 1"])
def test_a_damaged_config_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "config.yaml").write_text(f"{text}\n# checksum {run_folder._checksum(text + chr(10))}\n")
    with pytest.raises(GraphPERuntimeError, match=r"cannot read .*config\.yaml: (?!it is damaged)"):
        RunFolder.open(tmp_path).read_config()


def test_a_config_that_was_cut_off_is_damaged(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", "task")
    run.write_config(TrainConfig())
    whole = run.config_file.read_bytes()
    for length in range(0, len(whole) - 1, 37):
        run.config_file.write_bytes(whole[:length])
        with pytest.raises(GraphPERuntimeError, match=r"cannot read .*config\.yaml: it is damaged"):
            run.read_config()


@pytest.mark.parametrize("name", ["config.yaml", "task.json", "summary.json", "best.pt"])
def test_what_never_ends_is_not_read(tmp_path: Path, name: str) -> None:
    run = RunFolder(tmp_path)
    readers = {"config.yaml": run.read_config, "task.json": run.read_task, "summary.json": run.read_summary}
    reader = readers.get(name, lambda: load_checkpoint(run.best))
    (tmp_path / name).symlink_to("/dev/zero")
    with pytest.raises(GraphPERuntimeError, match=rf"{name} is a device"):
        reader()
    (tmp_path / name).unlink()
    os.mkfifo(tmp_path / name)
    with pytest.raises(GraphPERuntimeError, match=rf"{name} is a pipe"):
        reader()


@pytest.mark.parametrize("content", ["[" * 100_000, "ü".encode("utf-16"), "ü".encode("latin-1"), b"{}", b"[]", b""])
def test_a_text_of_another_kind_is_one_line(tmp_path: Path, content: str | bytes) -> None:
    for name in ("config.yaml", "task.json", "summary.json"):
        (tmp_path / name).write_bytes(content.encode() if isinstance(content, str) else content)
    run = RunFolder(tmp_path)
    for reader in (run.read_config, run.read_task, run.read_summary):
        with pytest.raises(GraphPERuntimeError) as caught:
            reader()
        assert "\n" not in str(caught.value)


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


def test_only_an_empty_new_folder_is_removed_again(tmp_path: Path) -> None:
    kept = RunFolder.create(tmp_path / "kept", "task")
    with kept.at_work(new=True):
        kept.write_task({}, "a")
    assert kept.read_task() == ({}, "a")
    empty = RunFolder.create(tmp_path / "empty", "task")
    with empty.at_work(new=False):
        pass
    assert empty.path.exists()
    with empty.at_work(new=True):
        pass
    assert not empty.path.exists()


def test_what_a_failed_start_left_is_no_dead_end(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", "task")
    run.write_task({}, "a")  # then the disk was full
    (run.path / ".config.yaml.x1.part").write_text("half")
    with pytest.raises(GraphPEValueError, match="start it again with `--run"):
        RunFolder.open(run.path)
    with RunFolder.create(run.path, "task").at_work(new=True):
        assert {path.name for path in run.path.iterdir()} == {"task.json"}
    run.write_config(TrainConfig())
    with pytest.raises(GraphPEValueError, match="already holds files: resume"):
        RunFolder.create(run.path, "task")


@pytest.mark.skipif(not hasattr(resource, "RLIMIT_FSIZE"), reason="no limit of file sizes on this system")
def test_the_advice_after_a_full_disk_can_be_followed(tmp_path: Path) -> None:
    run = RunFolder.create(tmp_path / "run", "task")
    limits, before = resource.getrlimit(resource.RLIMIT_FSIZE), signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (200, limits[1]))
    try:
        with run.at_work(new=True):
            run.write_task({}, "a")
            with pytest.raises(GraphPERuntimeError, match=r"could not write .*\.yaml.*give the same command again"):
                run.write_config(TrainConfig())
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, before)
    RunFolder.create(run.path, "task").write_config(TrainConfig())


def test_a_second_run_in_one_folder_is_refused(tmp_path: Path) -> None:
    first, second = (RunFolder.create(tmp_path / "run", "task") for _ in range(2))
    with (
        first.at_work(new=True),
        pytest.raises(GraphPERuntimeError, match="another process is at work in"),
        second.at_work(new=True),
    ):
        pass
    second.path.mkdir(exist_ok=True)
    with first.at_work(new=True):
        first.write_config(TrainConfig())
    with pytest.raises(GraphPEValueError, match="already holds files"), second.at_work(new=True):
        pass


@pytest.mark.parametrize("name", ["config.yaml", "task.json", "summary.json"])
def test_no_flipped_bit_changes_what_is_read(tmp_path: Path, name: str) -> None:
    run = RunFolder.create(tmp_path / "run", "task")
    numbers = dict.fromkeys(("valid", "test", "constant_valid", "constant_test"), 0.25)
    plain = {key: 1 for key in run_folder._OF_A_SUMMARY} | numbers
    run.write_config(TrainConfig(seed=3))
    run.write_task({"words": ["a", "b"]}, "f")
    run.write_summary(plain)
    read = {"config.yaml": run.read_config, "task.json": run.read_task, "summary.json": run.read_summary}[name]
    path, whole, right = run.path / name, (run.path / name).read_bytes(), read()
    refused = 0
    for bit in range(0, 8 * len(whole), 23):
        damaged = bytearray(whole)
        damaged[bit // 8] ^= 1 << bit % 8
        path.write_bytes(bytes(damaged))
        try:
            found = read()
        except GraphPERuntimeError:
            refused += 1
        else:
            assert found == right or (name == "summary.json" and found | right == found)
    assert refused > len(whole) // 4


def test_what_the_first_batch_refuses_leaves_no_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    options = ["--task", "bridges(train=8, valid=4, test=4)", "--model", "GPS(width=8, layers=1, heads=2)"]
    options += ["--epochs", "1", "--run", str(run)]
    refused = ["train", *options, "--encodings", "none", "--bias", "EdgeTerms(types=4)"]
    assert main(refused) == 1
    assert "must be types of edges" in capsys.readouterr().err
    assert not run.exists()
    assert main(["train", *options, "--encodings", "none"]) == 0
    assert main(refused) == 1  # that one stays
    assert RunFolder(run).read_summary() is not None
