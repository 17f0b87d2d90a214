"""`graphpe train` with encodings of pairs, limits of a batch, and named encoders and biases."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from graphpe.benchmarks.cli.main import main


@pytest.fixture
def small(write_molecules: Callable[..., object], tmp_path: Path) -> list[str]:
    write_molecules(tmp_path / "data" / "ogbg_molesol", 40, [[float(i % 7)] for i in range(40)])
    options = ["--task", "molesol", "--root", str(tmp_path / "data"), "--batch-size", "8", "--epochs", "2"]
    return [*options, "--quiet", "--warmup-steps", "2"]


def result(run: Path) -> tuple[object, ...]:
    summary = json.loads((run / "summary.json").read_text())
    return tuple(summary[key] for key in ("valid", "test", "best_epoch", "epochs", "parameters", "model"))


def test_the_encodings_of_a_model_are_the_default(small: list[str], tmp_path: Path) -> None:
    for name, model, expected in (
        ("grit", "GRIT(width=8, layers=2, heads=2)", "RelativeRandomWalkPE"),
        ("transformer", "GraphTransformer(width=8, layers=2, heads=2)", "RandomWalkPE"),
    ):
        assert main(["train", *small, "--model", model, "--run", str(tmp_path / name)]) == 0
        (encoding,) = yaml.safe_load((tmp_path / name / "config.yaml").read_text())["encodings"]
        assert encoding.startswith(f"{expected}(")


@pytest.mark.parametrize("text", ["none", "published", "yaml", "joined"])
def test_words_for_encodings(small: list[str], tmp_path: Path, text: str) -> None:
    given = ["--encodings", text]
    if text == "yaml":
        (tmp_path / "options.yaml").write_text("encodings: [none]\n")
        given = ["--config", str(tmp_path / "options.yaml")]
    if text == "joined":
        given = ["--encodings", "RandomWalkPE(3) + DegreePE(max_degree=4)"]
    options = [*small, "--model", "GRIT(width=8, layers=1, heads=2)", "--epochs", "1", "--run", str(tmp_path / "run")]
    assert main(["train", *options, *given]) == 0
    found = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())["encodings"]
    names = {"published": ["RelativeRandomWalkPE"], "joined": ["RandomWalkPE", "DegreePE"]}.get(text, [])
    assert [each.partition("(")[0] for each in found] == names


def test_a_run_with_limits_stops_and_goes_on_with_the_same_result(small: list[str], tmp_path: Path) -> None:
    options = [*small, "--model", "GRIT(width=8, layers=2, heads=2)", "--max-pairs", "60", "--max-nodes", "20"]
    assert main(["train", *options, "--run", str(tmp_path / "whole")]) == 0
    assert main(["train", *options, "--run", str(tmp_path / "again")]) == 0
    assert result(tmp_path / "whole") == result(tmp_path / "again")
    steps = [json.loads(line)["steps"] for line in (tmp_path / "whole" / "metrics.jsonl").read_text().splitlines()]
    assert steps[0] > 20 // 8  # more batches than without limits
    (tmp_path / "again" / "summary.json").unlink()
    assert main(["train", "--resume", str(tmp_path / "again"), "--quiet"]) == 0
    assert result(tmp_path / "whole") == result(tmp_path / "again")


def test_encoders_and_biases_by_name(small: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    options = [*small, "--epochs", "1", "--model", "Graphormer(width=8, layers=1, heads=2)"]
    options += ["--encodings", "LaplacianPE(k=3)", "ShortestPathPE(max_distance=4)", "--run", str(tmp_path / "run")]
    assert main(["train", *options, "--encoder", "sign-net", "--bias", "PairBias(head='kerple_log')"]) == 0
    config = yaml.safe_load((tmp_path / "run" / "config.yaml").read_text())
    assert (config["encoder"], config["bias"]) == ("SignNet()", "PairBias(head='kerple_log')")

    def error(*more: str) -> str:
        capsys.readouterr()
        assert main(["train", *options[:-1], str(tmp_path / "other"), *more]) in (1, 2)
        assert not (tmp_path / "other").exists()
        lines = capsys.readouterr().err.strip().split("\n")
        assert len(lines) == 1
        return lines[0]

    assert "unknown encoder 'sine'; known: BasisNet" in error("--encoder", "sine")
    assert "SignNet has no argument 'depth'" in error("--encoder", "SignNet(depth=3)")
    assert "head must be one of" in error("--bias", "PairBias(head='sine')")
    assert "unknown bias 'Bias'; known: " in error("--bias", "Bias()")
    assert "max_pairs must be from 0 to" in error("--max-pairs", "-1")


def test_a_model_that_takes_no_pairs_says_which_do(
    small: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--encodings", "RelativeRandomWalkPE(4)", "--run", str(tmp_path / "run")]
    assert main(["train", *small, "--model", "GraphTransformer(width=8, layers=1, heads=2)", *options]) == 1
    message = capsys.readouterr().err
    assert "GraphTransformer takes no encoding of pairs such as RelativeRandomWalkPE" in message
    assert "GRIT" in message
    assert not (tmp_path / "run").exists()
