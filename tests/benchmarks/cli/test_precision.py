"""`graphpe train --precision`: every choice trains, or is refused in one line."""

from __future__ import annotations

import json
from pathlib import Path
from typing import get_args

import pytest
import torch
from torch_geometric.data import Data

from graphpe.benchmarks.cli.main import main
from graphpe.benchmarks.training.config import Precision

MODEL = "GPS(width=16, layers=1, heads=2)"


@pytest.fixture
def options(tmp_path: Path) -> list[str]:
    graphs = [
        Data(x=torch.randint(4, (6, 1)), edge_index=torch.randint(6, (2, 14)), y=torch.tensor([i % 2]))
        for i in range(40)
    ]
    torch.save(graphs, tmp_path / "g.pt")
    task = f"DataFile({str(tmp_path / 'g.pt')!r}, metric='accuracy')"
    encodings = ["--encodings", "LaplacianPE(k=3)", "ShortestPathPE(max_distance=3)"]
    chosen = ["--task", task, *encodings, "--model", MODEL, "--epochs", "2", "--quiet", "--accelerator", "cpu"]
    return ["train", *chosen, "--run", str(tmp_path / "run")]


@pytest.mark.parametrize("precision", sorted(set(get_args(Precision)) - {"16-mixed"}))
def test_a_precision_trains_and_resumes(options: list[str], precision: str, tmp_path: Path) -> None:
    assert main([*options, "--precision", precision]) == 0
    assert torch.get_default_dtype() == torch.float32
    summary = tmp_path / "run" / "summary.json"
    found = json.loads(summary.read_text())
    assert 0 <= found["test"] <= 1
    weights = torch.load(tmp_path / "run" / "last.pt", weights_only=True)["model"]
    stored = {"bf16-true": torch.bfloat16, "64-true": torch.float64}.get(precision, torch.float32)
    assert {w.dtype for key, w in weights.items() if key.endswith(("weight", "bias"))} == {stored}
    exact = {w.dtype for key, w in weights.items() if "running" in key}
    assert exact == {torch.float64 if precision == "64-true" else torch.float32}
    summary.unlink()
    assert main(["train", "--resume", str(tmp_path / "run"), "--quiet"]) == 0
    assert json.loads(summary.read_text())["test"] == found["test"]


@pytest.mark.parametrize(
    ("precision", "expected"),
    [("16-mixed", "needs a GPU: on a CPU use --precision bf16-mixed"), ("16-true", "Literal"), ("half", "Literal")],
)
def test_others_are_refused(
    options: list[str], precision: str, expected: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main([*options, "--precision", precision]) in (1, 2)
    (line,) = capsys.readouterr().err.strip().splitlines()
    assert expected in line
    assert not (tmp_path / "run").exists()
