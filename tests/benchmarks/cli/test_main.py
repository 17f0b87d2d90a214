from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from graphpe import transforms
from graphpe.benchmarks.cli.main import main


def test_help_names_every_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    printed = capsys.readouterr().out
    for command in ("train", "predict", "encode", "show", "list"):
        assert f"graphpe {command}" in printed


@pytest.mark.parametrize("command", ["train", "predict", "encode", "expressivity", "show", "grid", "report"])
def test_examples_stand_one_a_line(command: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        main([command, "--help"])
    assert leaving.value.code == 0
    lines = capsys.readouterr().out.split("\n")
    examples = lines[lines.index("examples:") + 1 :]
    assert sum(line.startswith(f"  graphpe {command} ") for line in examples) >= 2
    assert all(line.count(f"graphpe {command}") <= 1 for line in examples)


def test_an_unknown_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trian"]) == 2
    assert (
        capsys.readouterr().err
        == "graphpe: error: unknown command 'trian'; known: train, pretrain, predict, runs, encode, expressivity, "
        "show, grid, report, list, bench, warmup\n"
    )


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("graphpe ")


def test_list_shows_encodings_models_and_tasks(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list"]) == 0
    printed = capsys.readouterr().out
    for name in ("LaplacianPE", "MagneticLaplacianPE", "RandomWalkPE", "GraphTransformer", "python-source", "code2"):
        assert f"  {name} " in printed
    assert "Compose " not in printed
    assert "Compose" in transforms.__all__


def test_list_one_kind(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "tasks"]) == 0
    printed = capsys.readouterr().out
    assert "python-source" in printed
    assert "LaplacianPE" not in printed


def test_list_something_unknown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "task"]) == 2
    assert "nothing to list under 'task'; known: encodings, encoders, biases, models, tasks" in capsys.readouterr().err


@pytest.mark.parametrize(
    "arguments",
    [
        ["train", "--resume", "~/run"],
        ["train", "--resume=~/run"],
        ["train", "--config=~/run.yaml"],
        ["predict", "file.py", "--run", "~/run"],
        ["report", "~/run"],
    ],
)
def test_a_tilde_is_the_home_of_the_user(
    arguments: list[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert main(arguments) in (1, 2)
    assert str(tmp_path / "run") in capsys.readouterr().err


def test_numbers_that_no_array_takes(capsys: pytest.CaptureFixture[str]) -> None:
    for arguments in (["train", "--seed", str(2**70)], ["predict", "a.py", "--batch-size", str(2**70)]):
        assert main(arguments) == 2
        assert f"is {2**70}; it must be at most" in capsys.readouterr().err


def test_paths_that_the_system_refuses(capsys: pytest.CaptureFixture[str]) -> None:
    long = "a" * 5000
    for arguments in (
        ["train", "--task", f"DataFile('{long}')"],
        ["train", "--run", long],
        ["predict", "a.py", "--run", long],
        ["show", "--data", long, "--key", "x"],
        ["encode", "--data", long, "--encodings", "DegreePE()", "--out", long],
        ["report", long],
    ):
        assert main(arguments) in (1, 2)
        error = capsys.readouterr().err
        # From Python 3.13 on, a folder with such a name is just not there.
        assert "File name too long" in error or sys.version_info >= (3, 13)
        assert error.count("\n") == 1


def test_help_and_lists_import_nothing_heavy() -> None:
    code = """
import sys
from graphpe.benchmarks.cli.main import COMMANDS, main
for arguments in (["--help"], ["--version"], ["list"], *([name, "--help"] for name in COMMANDS)):
    try:
        assert main(arguments) == 0
    except SystemExit as stopped:
        assert not stopped.code
    print([name for name in ("torch", "torch_geometric", "numba", "scipy", "matplotlib") if name in sys.modules],
          file=sys.stderr)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert set(done.stderr.splitlines()) == {"[]"}


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="a device that is always full is Linux's")
def test_output_that_has_no_place_is_one_line() -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "graphpe.benchmarks.cli.main", "list", "recipes"],
            stdout=full, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == "graphpe list: error: the output cannot be written: No space left on device\n"
