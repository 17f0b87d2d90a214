"""`graphpe pretrain` as a user runs it, on files of every kind, and what is built on its runs."""

from __future__ import annotations

import json
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from graphpe.benchmarks.cli.main import main
from graphpe.benchmarks.grid.cell import Cell
from graphpe.benchmarks.grid.cells import Skipped, grid_cells
from graphpe.benchmarks.grid.config import GridConfig
from graphpe.benchmarks.training.config import TrainConfig
from graphpe.benchmarks.training.run_folder import RunFolder

SHORT = ["--model", "GPS(width=8, layers=1, heads=2)", "--epochs", "1", "--quiet", "--predict", "RandomWalkPE(3)"]


def some_graphs() -> list[nx.Graph]:
    return [nx.gnp_random_graph(n, 0.4, seed=n, directed=n % 2 == 0) for n in range(3, 24)]


def write_json(folder: Path) -> str:
    path = folder / "graphs.json"
    path.write_text(json.dumps([nx.node_link_data(graph, edges="edges") for graph in some_graphs()]))
    return str(path)


def write_one(folder: Path) -> str:
    path = folder / "one.json"
    path.write_text(json.dumps([nx.node_link_data(nx.gnp_random_graph(40, 0.1, seed=1), edges="edges")]))
    return str(path)


def write_edges(folder: Path) -> str:
    (folder / "edges").mkdir(parents=True)
    for number, graph in enumerate(some_graphs()):
        lines = [f"{u} {v}" for u, v in graph.edges]
        (folder / "edges" / f"{number}.edges").write_text("\n".join(lines or ["0 1"]) + "\n")
    return str(folder)


def write_smiles(folder: Path) -> str:
    path = folder / "molecules.csv"
    path.write_text("smiles\n" + "".join("C" * n + "O\n" + "C1CC1" + "N" * n + "\n" for n in range(1, 11)))
    return str(path)


@pytest.mark.parametrize("write", [write_json, write_one, write_edges, write_smiles])
def test_files_without_labels(write: object, tmp_path: Path) -> None:
    if write is write_smiles:
        pytest.importorskip("rdkit")
    path = write(tmp_path / "data" if write is write_edges else tmp_path)  # type: ignore[operator]
    assert main(["pretrain", path, *SHORT, "--run", str(tmp_path / "run")]) == 0
    summary = RunFolder(tmp_path / "run").read_summary()
    assert summary is not None
    assert np.isfinite(summary["test"])


def test_any_task_and_its_own_inputs(source_tree: Path, cache: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    command = ["pretrain", "--root", str(source_tree), "--cache", str(cache), "--workers", "1", *SHORT]
    more = ["--encodings", "DepthPE()", "--max_steps", "2", "--run", str(run)]
    assert main([*command, "MagneticLaplacianPE(k=2)", *more]) == 0
    config = RunFolder(run).read_config()
    assert config.encodings is not None
    assert config.encodings[0].startswith("DepthPE(")
    assert config.task.startswith("Pretraining(task=\"PythonSource(root='")
    assert main(["pretrain", "--resume", str(run), "--quiet"]) == 0
    script = source_tree / "queue.py"
    assert main(["predict", str(script), "--run", str(run)]) == 0
    start = [
        "train",
        "--root",
        str(source_tree),
        "--cache",
        str(cache),
        "--workers",
        "1",
        "--max_steps",
        "1",
        "--quiet",
    ]
    assert main([*start, "--init", str(run), "--run", str(tmp_path / "trained")]) == 0
    assert RunFolder(tmp_path / "trained").read_config().encodings == config.encodings
    assert main([*start, "--init", "none", "--encodings", "none", "--run", str(tmp_path / "plain")]) == 0
    assert RunFolder(tmp_path / "plain").read_config().init is None


@pytest.fixture(scope="module")
def file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("data") / "graphs.pt"
    generator = torch.Generator().manual_seed(0)
    found = []
    for n in range(4, 34):
        edges = (torch.rand(n, n, generator=generator) < 0.2).nonzero().t()
        found.append(Data(edge_index=edges, num_nodes=n, y=torch.tensor([float(edges.shape[1])])))
    torch.save(found, path)
    return path


@pytest.fixture(scope="module")
def run(file: Path) -> Path:
    assert main(["pretrain", str(file), *SHORT, "--run", str(file.parent / "run")]) == 0
    return file.parent / "run"


def test_a_grid_has_it_as_an_option(file: Path, run: Path, tmp_path: Path) -> None:
    models = (f"GPS(width=8, layers=1, heads=2) @ init=[none, {str(run)!r}]", f"GINE(width=8) @ init={run}")
    grid = GridConfig(tasks=(f"DataFile({str(file)!r})",), encodings=("none",), models=models, seeds=1)
    found = list(grid_cells(grid, TrainConfig(epochs=1), tmp_path, workers=1, cache=None, progress=False))
    plain, started, skipped = found
    assert isinstance(plain, Cell)
    assert isinstance(started, Cell)
    assert (plain.config.init, started.config.init) == (None, str(run))
    assert plain.folder != started.folder
    assert isinstance(skipped, Skipped)
    assert "is a run of GPS, and this one is of GINE" in skipped.reason


def test_links_start_from_it(file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    generator = torch.Generator().manual_seed(1)
    upper = (torch.rand(40, 40, generator=generator) < 0.15).triu(1).nonzero().t()
    path = tmp_path / "links.pt"
    torch.save(Data(edge_index=torch.cat([upper, upper.flip(0)], 1), num_nodes=40), path)
    task, run = f"LinkFile({str(path)!r})", tmp_path / "run"
    assert main(["pretrain", "--task", task, *SHORT, "--run", str(run)]) == 0
    command = ["train", "--task", task, "--init", str(run), "--epochs", "1", "--run", str(tmp_path / "links")]
    capsys.readouterr()
    assert main(command) == 0
    assert "anew: the head, for its targets are others" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("more", "status", "what"),
    [
        ([], 2, "--predict is missing"),
        (["--predict", "RandomWalkPE(3)", "--encodings", "RandomWalkPE(2)"], 1, "holds the answer"),
        (["--predict", "SVDPE(2)"], 1, "not decided by the graph"),
        (["--predict", "RandomWalkPE(3)", "--features", "none"], 1, "features"),
        (["--predict", "RandomWalkPE(3)", "--partners", "0"], 1, "partners"),
        (["--predict", "HopFeatures(2, features={'z': 3})"], 1, "'z'"),
    ],
)
def test_what_cannot_be_is_one_line(
    file: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], more: list[str], status: int, what: str
) -> None:
    assert main(["pretrain", str(file), "--quiet", "--run", str(tmp_path / "run"), *more]) == status
    error = capsys.readouterr().err
    assert what in error
    assert error.count("\n") == 1
    assert not (tmp_path / "run").exists()
    assert main(["train", str(file), "--init", str(tmp_path / "none"), "--quiet"]) == 1


def test_it_is_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "tasks", "encodings"]) == 0
    printed = capsys.readouterr().out
    assert "Pretraining(task, predict, features='task', partners=32, seed=0)" in printed
    assert "WithEncodings(task, predict, weight=0.1, pooling='mean', partners=32)" in printed
    assert "PretrainedPE(run, samples=1, seed=0, digest=None, attr_name='pretrained_pe')" in printed
