"""`graphpe train` as a user runs it, on a small tree of real source."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
import yaml
from torch_geometric.data import Data

from graphpe.benchmarks.cli.main import main

MODEL = "GraphTransformer(width=16, layers=2, heads=2, dropout=0.1)"
ENCODINGS = ["LaplacianPE(k=4)", "MagneticLaplacianPE(k=4)", "RandomWalkPE(walk_length=4)"]


@pytest.fixture(scope="module")
def small(source_tree: Path, cache: Path) -> list[str]:
    return ["--root", str(source_tree), "--cache", str(cache), "--workers", "1", "--model", MODEL, "--batch-size", "16"]


@pytest.fixture(scope="module")
def trained(source_tree: Path, cache: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "trained"
    options = ["--root", str(source_tree), "--cache", str(cache), "--workers", "1", "--model", MODEL]
    options += ["--batch-size", "16", "--epochs", "3", "--run", str(run), "--encodings", *ENCODINGS]
    assert main(["train", *options]) == 0
    return run


def run_graphpe(arguments: list[str], folder: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "graphpe.benchmarks.cli.main", *arguments],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
    )


def wait_for(path: Path, process: subprocess.Popen[str], seconds: float = 90.0) -> None:
    deadline = time.monotonic() + seconds
    while not path.exists():
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline, f"{path} did not appear"
        time.sleep(0.02)


def result(run: Path) -> dict[str, object]:
    summary = json.loads((run / "summary.json").read_text())
    return {key: summary[key] for key in ("valid", "test", "best_epoch", "epochs", "parameters", "model")}


def test_the_run_folder_holds_what_it_says(trained: Path) -> None:
    names = {path.name for path in trained.iterdir()}
    assert names == {
        "config.yaml",
        "task.json",
        "metrics.jsonl",
        "metrics.csv",
        "last.pt",
        "best.pt",
        "summary.json",
        "test_predictions.csv",
    }
    metrics = [json.loads(line) for line in (trained / "metrics.jsonl").read_text().splitlines()]
    assert [record["epoch"] for record in metrics] == [1, 2, 3]
    assert metrics[-1]["train_loss"] < metrics[0]["train_loss"]
    summary = json.loads((trained / "summary.json").read_text())
    assert summary["valid"] == max(record["valid_F1"] for record in metrics)
    assert summary["valid"] == metrics[summary["best_epoch"] - 1]["valid_F1"]
    assert 0 <= summary["test"] <= 1
    weights = torch.load(trained / "best.pt", weights_only=True)["model"]
    assert torch.equal(weights["head.classifier.weight"], weights["node_encoder.word_embedding.weight"])  # one tensor
    learned = [w for k, w in weights.items() if not k.startswith("head.classifier") and "running" not in k]
    assert sum(w.numel() for w in learned if w.is_floating_point()) == summary["parameters"]


def test_the_config_is_resolved_and_builds_the_same_run(trained: Path, tmp_path: Path, cache: Path) -> None:
    config = yaml.safe_load((trained / "config.yaml").read_text())
    assert config["encodings"][0].startswith("LaplacianPE(k=4, ")
    assert "heads=2" in config["model"]
    again = tmp_path / "again"
    options = ["--config", str(trained / "config.yaml"), "--run", str(again), "--cache", str(cache), "--workers", "1"]
    assert main(["train", *options, "--quiet"]) == 0
    assert result(again) == result(trained)


def test_the_end_of_a_run_prints_the_result(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["train", "--resume", str(trained)]) == 0
    printed = capsys.readouterr().out
    for expected in ("valid F1", "test F1", "constant prediction", "parameters", "s an epoch (load", "encode"):
        assert expected in printed


SIX_EPOCHS = ["--epochs", "6", "--encodings", *ENCODINGS, "--quiet"]


@pytest.fixture(scope="module")
def whole(small: list[str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run that nothing interrupted, in this process: those that are killed have a process of their own."""
    run = tmp_path_factory.mktemp("runs") / "whole"
    assert main(["train", *small, *SIX_EPOCHS, "--run", str(run)]) == 0
    return run


def test_own_data_from_a_path_to_predictions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    graphs = [
        Data(
            x=torch.rand(n, 2),
            edge_index=torch.randint(n, (2, 2 * n)),
            gap=torch.tensor([torch.nan if n == 5 else n / 2]),
        )
        for n in range(2, 22)
    ]
    torch.save(graphs, "graphs.pt")
    assert main(["train", "graphs.pt", "--target", "gap", "--epochs", "1", "--model", MODEL, "--run", "a"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("task DataFile(path='graphs.pt', target='gap', ")
    assert any(line.startswith("1 of 20 graphs have no known target") for line in lines)
    assert lines[-2].startswith("next: `graphpe predict new.pt --run a` predicts your own")
    assert main(["predict", "graphs.pt", "--run", "a", "--out", "out.csv"]) == 0
    assert len(Path("out.csv").read_text().splitlines()) == 21
    assert main(["train", "--resume", "a", "--quiet"]) == 0
    assert not any(line.startswith(("next", "task")) for line in capsys.readouterr().out.splitlines())

    # Encoded first, the run is the same, and so is a later one that starts from it.
    encoding = "RandomWalkPE(walk_length=16)"
    assert main(["encode", "graphs.pt", "--encodings", encoding, "--out", "enc", "--quiet"]) == 0
    assert main(["train", "enc", "--target", "gap", "--epochs", "1", "--model", MODEL, "--run", "b"]) == 0
    assert "encodings as they are in the data: RandomWalkPE(walk_length=16" in capsys.readouterr().out
    assert result(Path("a")) == result(Path("b"))
    assert main(["train", "graphs.pt", "--target", "gap", "--epochs", "1", "--init", "a", "--run", "c"]) == 0
    assert f"from {tmp_path / 'a'}: " in capsys.readouterr().out
    assert main(["train", "graphs.pt", "--target", "hue", "--epochs", "1"]) == 1
    error = capsys.readouterr().err
    assert error == (
        "graphpe train: error: graphs.pt: no graph has a value 'hue' to predict (target=..., --target); there is x, "
        "gap\n"
    )


@pytest.mark.parametrize("moment", [pytest.param("metrics.jsonl", marks=pytest.mark.slow), "last.pt"])
def test_a_killed_run_resumes_to_the_same_bits(
    small: list[str], whole: Path, tmp_path: Path, moment: str, capsys: pytest.CaptureFixture[str]
) -> None:
    killed = tmp_path / "killed"
    process = run_graphpe(["train", *small, *SIX_EPOCHS, "--run", str(killed)], tmp_path)
    wait_for(killed / moment, process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (killed / "summary.json").exists()
    saved = (killed / "last.pt").exists()  # metrics come first: a run killed between them starts anew
    assert saved or moment == "metrics.jsonl"
    assert main(["train", "--resume", str(killed), "--cache", small[3]]) == 0
    assert ("resumed" in capsys.readouterr().out) == saved
    assert result(killed) == result(whole)
    first, second = (torch.load(run / "last.pt", weights_only=True) for run in (killed, whole))
    for key, value in first["model"].items():
        assert torch.equal(value, second["model"][key]), key


def test_ctrl_c_saves_and_says_how_to_resume(small: list[str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    options = [*small, "--epochs", "200", "--patience", "0", "--encodings", "--quiet", "--run", str(run)]
    process = run_graphpe(["train", *options], tmp_path)
    wait_for(run / "last.pt", process)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130
    assert f"go on with `graphpe train --resume {run}`" in errors
    assert "Traceback" not in errors
    state = torch.load(run / "last.pt", weights_only=True)["state"]
    assert state["total_steps"] > 0


@pytest.mark.slow
def test_resume_within_an_epoch_makes_the_same_steps(small: list[str], tmp_path: Path) -> None:
    # A checkpoint after every step: the kill falls inside an epoch.
    options = [*small, "--epochs", "4", "--encodings", "LaplacianPE(k=4)", "--quiet", "--checkpoint-minutes", "1e-9"]
    run, whole = tmp_path / "run", tmp_path / "whole"
    process = run_graphpe(["train", *options, "--run", str(run)], tmp_path)
    wait_for(run / "last.pt", process)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert main(["train", "--resume", str(run), "--cache", small[3], "--quiet"]) == 0
    assert main(["train", *options, "--run", str(whole)]) == 0
    first, second = (torch.load(each / "last.pt", weights_only=True) for each in (run, whole))
    assert first["state"]["total_steps"] == second["state"]["total_steps"]
    assert [record["train_loss"] for record in first["state"]["history"]] == pytest.approx(
        [record["train_loss"] for record in second["state"]["history"]], rel=1e-12
    )
    for key, value in first["model"].items():
        assert torch.equal(value, second["model"][key]), key


@pytest.mark.slow
def test_two_devices_train_and_evaluate_every_graph(small: list[str], tmp_path: Path) -> None:
    run = tmp_path / "run"
    options = [*small, "--epochs", "2", "--encodings", "--accelerator", "cpu", "--devices", "2", "--run", str(run)]
    process = run_graphpe(["train", *options, "--quiet"], tmp_path)
    _, errors = process.communicate(timeout=240)
    assert process.returncode == 0, errors
    assert 0 <= float(result(run)["test"]) <= 1


def fails(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> str:
    """The one line that a failing command prints."""
    status = main(arguments)
    captured = capsys.readouterr()
    assert status in (1, 2)
    lines = captured.err.strip().splitlines()
    assert "Traceback" not in captured.err
    assert lines[-1].startswith(f"graphpe {arguments[0]}: error: ")
    return lines[-1]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (["--epoch", "3"], "--epoch"),
        (["--epochs", "three"], "epochs"),
        (["--epochs", "0"], "epochs must be from 1 to"),
        (["--model", "GIT(width=3)"], "unknown model 'GIT'; known: ClassicGNN, EdgeTransformer"),
        (["--model", "GraphTransformer(wdth=3)"], "GraphTransformer has no argument 'wdth'; it takes width"),
        (["--model", "GraphTransformer(width=30, heads=8)"], "width"),
        (["--encodings", "LaplacianPE(k=-1)"], "k"),
        (["--encodings", "LaplacianPE(k=100000000)"], "k"),
        (["--encodings", "LaplacePE(k=3)"], "unknown encoding 'LaplacePE'; known:"),
        (["--encodings", "LaplacianPE(k=3)", "LaplacianPE(k=4)"], "both write 'laplacian_eigenvector_pe'"),
        (["--task", "codes"], "unknown task 'codes'; known:"),
        (["--task", "python-source(graf='ast')"], "no argument 'graf'"),
        (["--resume", "nowhere"], "is not a run folder"),
        (["--run", "a", "--resume", "b"], "give one of them"),
        (["--recipe", "grit-zinc", "--resume", "b"], "give one of them"),
        (["--config", "missing.yaml"], "missing.yaml"),
        (["--accelerator", "cudda"], "accelerator"),
    ],
)
def test_bad_options_get_one_line(
    options: list[str],
    expected: str,
    small: list[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    assert expected in fails(["train", *small, *options], capsys)
    assert list(tmp_path.iterdir()) == []  # nothing half-written


def test_an_unknown_key_in_yaml(small: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "config.yaml").write_text("epochs: 3\nlearning_rat: 0.1\n")
    assert "learning_rat" in fails(["train", *small, "--config", str(tmp_path / "config.yaml")], capsys)


def test_bad_roots(tmp_path: Path, cache: Path, capsys: pytest.CaptureFixture[str]) -> None:
    common = ["--cache", str(cache), "--run", str(tmp_path / "run"), "--workers", "1"]
    missing = fails(["train", "--root", str(tmp_path / "nowhere"), *common], capsys)
    assert str(tmp_path / "nowhere") in missing
    (tmp_path / "empty").mkdir()
    assert "empty" in fails(["train", "--root", str(tmp_path / "empty"), *common], capsys)
    (tmp_path / "bare").mkdir()
    for name in "abc":
        (tmp_path / "bare" / f"{name}.py").write_text("x = 1\n")
    assert "function" in fails(["train", "--root", str(tmp_path / "bare"), *common], capsys)
    assert not (tmp_path / "run").exists()


def test_resuming_with_another_model_is_refused(trained: Path, capsys: pytest.CaptureFixture[str]) -> None:
    line = fails(["train", "--resume", str(trained), "--model", "GraphTransformer(width=32, heads=2)"], capsys)
    assert "was made with model=" in line
    assert main(["train", "--resume", str(trained), "--model", MODEL]) == 0


def test_a_damaged_checkpoint_is_named(small: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run = tmp_path / "run"
    assert main(["train", *small, "--epochs", "1", "--encodings", "--run", str(run), "--quiet"]) == 0
    (run / "summary.json").unlink()
    damaged = bytearray((run / "last.pt").read_bytes())
    damaged[len(damaged) // 2] ^= 255
    (run / "last.pt").write_bytes(bytes(damaged))
    assert "last.pt is damaged" in fails(["train", "--resume", str(run), "--cache", small[3]], capsys)


def test_an_unwritable_run_folder(small: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "file").touch()
    assert "cannot write the run folder" in fails(["train", *small, "--run", str(tmp_path / "file" / "run")], capsys)
