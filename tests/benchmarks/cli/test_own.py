"""An own architecture and an own encoding through every command, as a user runs them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest
import torch
from torch_geometric.data import Data

import graphpe
from graphpe.benchmarks.cli.main import main
from graphpe.errors import GraphPEValueError

MODEL = '''
"""Thirty lines: graph convolutions and attention over all nodes."""

import torch
from torch import nn
from torch_geometric.nn import GCNConv

from graphpe import models as M


class Hops(M.Architecture):
    """Graph convolutions and attention over all nodes, one after the other."""

    def __init__(self, *, layers: int = 2, heads: int = 4, dropout: float = 0.1, **ends):
        super().__init__(**ends)
        self.heads, self.dropout = heads, dropout
        self.layers = nn.ModuleList(GCNConv(self.width, self.width) for _ in range(layers))
        self.attention = nn.ModuleList(M.MultiHeadAttention(self.width, heads) for _ in range(layers))

    def forward(self, batch):
        members, edge_index, x = M.read_nodes(self, batch)
        pairs = M.all_pairs_of(batch, members)
        for convolution, attention in zip(self.layers, self.attention, strict=True):
            x = x + nn.functional.dropout(convolution(x, edge_index).relu(), self.dropout, self.training)
            x = x + attention(x, pairs)
        return self.head(M.pool(x, members, self.readout))
'''
ENCODING = '''
import torch

from graphpe import transforms as T


class BothDegreesPE(T.Encoding):
    """Out-degree and in-degree, parallel edges counted."""

    def __init__(self, scale: float = 1.0, *, attr_name: str = "both_degrees"):
        self.scale, self.attr_name = scale, attr_name

    columns = 2

    def encode(self, plan):
        n = plan.graphs.num_nodes
        degrees = [torch.bincount(ends, minlength=n) for ends in plan.graphs.edge_index]
        return T.Values(node={self.attr_name: self.scale * torch.stack(degrees, dim=1).float()})
'''
TASK = '''
from dataclasses import dataclass

from graphpe.benchmarks import tasks


@dataclass(frozen=True, kw_only=True)
class Counts(tasks.DataFile):
    """Graphs of one's own, of which one knows where they are."""

    path: str = "graphs.pt"
'''
TRAIN = ["--model", "Hops(width=16)", "--encodings", "BothDegreesPE(scale=0.5)", "--quiet"]
COMMAND = [sys.executable, "-m", "graphpe.benchmarks.cli.main"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's folder: a model, an encoding elsewhere, and graphs."""
    folder = tmp_path_factory.mktemp("own")
    (folder / "own_hops.py").write_text(MODEL)
    (folder / "lib").mkdir()
    (folder / "lib" / "own_degrees.py").write_text(ENCODING)
    graphs = []
    for n in range(4, 44):
        edge_index = torch.randint(n, (2, 2 * n))
        graphs.append(Data(x=torch.rand(n, 3), edge_index=edge_index, y=torch.tensor([float(n)])))
    torch.save(graphs, folder / "graphs.pt")
    return folder


@pytest.fixture
def imports(folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[str]:
    monkeypatch.chdir(folder)
    return ["--import", "own_hops", "--import", "lib/own_degrees.py"]


@pytest.fixture
def run(folder: Path, imports: list[str]) -> Path:
    path = folder / "run"
    if not path.exists():
        task = ["--task", "DataFile('graphs.pt')", "--epochs", "2", "--run", str(path)]
        assert main(["train", *imports, *task, *TRAIN]) == 0
    return path


@pytest.mark.slow
def test_a_killed_run_goes_on_and_finds_its_classes(
    folder: Path, imports: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    options = ["--task", "DataFile('graphs.pt')", "--epochs", "2000", "--patience", "0", "--max-steps", "60"]
    process = subprocess.Popen([*COMMAND, "train", *imports, *options, *TRAIN, "--run", "killed"])
    deadline = time.monotonic() + 240
    while not Path("killed/last.pt").exists():
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not Path("killed/summary.json").exists()
    assert main(["train", "--resume", "killed"]) == 0
    assert "Hops(layers=2, heads=4, dropout=0.1, width=16, readout='mean')" in capsys.readouterr().out
    Path("own_hops.py").rename("moved.py")
    sys.modules.pop("own_hops")
    try:
        assert main(["train", "--resume", "killed"]) == 1
        assert "--import own_hops: there is no module own_hops in" in capsys.readouterr().err
    finally:
        Path("moved.py").rename("own_hops.py")


def test_predictions_run_code_only_where_that_is_said(
    run: Path, imports: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    for name in ("own_hops", "own_degrees"):
        sys.modules.pop(name, None)
    capsys.readouterr()
    assert main(["predict", "graphs.pt", "--run", str(run), "--out", "a.csv"]) == 1
    said = capsys.readouterr().err
    assert "was trained with --import own_hops --import lib/own_degrees.py: say that again" in said
    assert said.count("\n") == 1
    with pytest.raises(GraphPEValueError, match=r"imports=\['own_hops', 'lib/own_degrees.py'\]"):
        graphpe.load_run(run)
    assert not {"own_hops", "own_degrees"} & sys.modules.keys()
    assert main(["predict", "graphs.pt", "--run", str(run), "--out", "a.csv", *imports]) == 0
    frame = graphpe.load_run(run, imports=imports[1::2]).predict("graphs.pt")
    assert frame["predicted_y"].tolist() == pytest.approx(pd.read_csv("a.csv")["predicted_y"].tolist())
    assert str(Path.cwd()) not in sys.path


def test_an_own_task_trains_to_the_end_and_says_how_to_predict(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(folder)
    Path("own_counts.py").write_text(TASK)
    options = ["--import", "own_counts", "--task", "Counts()", "--skip-bad", "--epochs", "1", "--run", "counts"]
    model = ["--model", "GINE(width=8, layers=1)", "--encodings", "none"]
    assert main(["train", *options, *model]) == 0
    printed = capsys.readouterr().out
    command = "graphpe predict new.pt --run counts --import own_counts"
    assert f"next: `{command}`" in printed
    assert "graphpe.load_run('counts', imports=['own_counts'])" in printed
    assert main([*command.replace("new.pt", "graphs.pt").split()[1:]]) == 0


@pytest.mark.slow
def test_a_grid_of_own_and_built_in_ones(imports: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    options = ["--tasks", "DataFile('graphs.pt')", "--models", "Hops(layers=1)", "GCN(layers=1)", "--params", "3k"]
    columns = ["--encodings", "none", "BothDegreesPE()", "--seeds", "1", "--epochs", "1", "--out", "grid"]
    assert main(["grid", *imports, *options, *columns]) == 0
    table = pd.read_csv("grid/report/runs.csv")
    assert len(table) == 4
    assert table["parameters"].between(1500, 3000).all()
    assert main(["grid", *imports, *options, *columns]) == 0
    assert "4 cells, 4 done before" in capsys.readouterr().out
    assert main(["grid", *options, *columns]) == 1
    assert "unknown encoding 'BothDegreesPE'" in capsys.readouterr().err


def test_encode_show_and_list(imports: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    call = "BothDegreesPE()"
    options = ["--data", "graphs.pt", "--encodings", call, "--out", "encoded", "--quiet"]
    assert main(["encode", *imports, *options]) == 0
    dataset = graphpe.EncodedDataset("encoded")
    assert dataset[3].both_degrees.sum() == 2 * dataset[3].num_edges
    assert main(["show", *imports, "--data", "graphs.pt", "--encoding", call, "--out", "a.png"]) == 0
    capsys.readouterr()
    assert main(["list", *imports, "encodings", "models"]) == 0
    out = capsys.readouterr().out
    assert "BothDegreesPE(scale=1.0, attr_name='both_degrees')" in out
    assert "Hops(layers=2, heads=4, dropout=0.1, width=64, readout='mean')" in out
    assert main(["list", "models"]) == 0
    assert "Hops" not in capsys.readouterr().out


@pytest.mark.slow
def test_encode_in_processes(folder: Path, imports: list[str]) -> None:
    options = ["--data", "graphs.pt", "--encodings", "BothDegreesPE()", "--out", "spread", "--quiet", "--workers", "2"]
    call = [*COMMAND, "encode", *imports, *options]
    subprocess.run(call, check=True, env=os.environ | {"PYTHONPATH": str(Path(graphpe.__file__).parents[1])})
    assert graphpe.EncodedDataset("spread")[3].both_degrees.shape == (7, 2)


def test_an_error_in_own_code_is_one_line_that_says_where(
    folder: Path, imports: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    Path("own_broken.py").write_text(MODEL.replace("Hops", "Broken").replace("x = x + attention(x, pairs)", "x = xx"))
    task = ["--task", "DataFile('graphs.pt')", "--model", "Broken(width=8)", "--encodings", "none", "--quiet"]
    assert main(["train", "--import", "own_broken.py", *task, "--run", "broken"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert f"{folder / 'own_broken.py'}, line 25, in forward: NameError: name 'xx' is not defined" in said
