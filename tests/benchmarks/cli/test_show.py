from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch_geometric.data import Data

from graphpe import precompute
from graphpe import transforms as T
from graphpe.benchmarks.cli.main import main


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    graphs = [Data(edge_index=torch.tensor([[0, 1, 2], [1, 2, 0]]), own_pe=torch.rand(3, 2), num_nodes=3)] * 2
    torch.save(graphs, tmp_path / "graphs.pt")
    return tmp_path / "graphs.pt"


@pytest.mark.parametrize(("suffix", "begin"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_an_encoding_of_a_saved_graph(saved: Path, capsys: pytest.CaptureFixture[str], suffix: str, begin: bytes):
    out = saved.with_suffix(f".{suffix}")
    options = ["--data", str(saved), "--index", "1", "--out", str(out)]
    assert main(["show", *options, "--encoding", "MagneticLaplacianPE(k=2)"]) == 0
    assert capsys.readouterr().out.strip() == str(out)
    assert out.read_bytes().startswith(begin)


def test_a_value_that_the_graphs_have(saved: Path):
    out = saved.with_suffix(".png")
    assert main(["show", "--data", str(saved), "--key", "own_pe", "--out", str(out)]) == 0
    assert out.stat().st_size > 1000


def test_a_function_of_a_source_tree(source_tree: Path, cache: Path, tmp_path: Path):
    out = tmp_path / "function.png"
    data = f"python-source(root={str(source_tree)!r})"
    options = ["--data", data, "--cache", str(cache), "--out", str(out)]
    assert main(["show", *options, "--encoding", "RandomWalkPE(walk_length=3)"]) == 0
    assert out.is_file()


def test_an_encoded_folder(saved: Path, tmp_path: Path):
    graphs = torch.load(saved, weights_only=False)
    precompute(graphs, T.LaplacianPE(2), tmp_path / "encoded", progress=False)
    out = tmp_path / "encoded.png"
    key = ["--key", "laplacian_eigenvector_pe"]
    assert main(["show", "--data", str(tmp_path / "encoded"), *key, "--out", str(out)]) == 0
    assert out.is_file()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--key", "own_pe", "--out", "picture.gif"], "it must end with .png, .svg, .pdf"),
        (["--out", "picture.png"], "give --encoding (to compute it) or --key"),
        (["--key", "own_pe", "--encoding", "DegreePE()"], "one of them"),
        (["--key", "none"], "the graph has no 'none' to draw: it has 'own_pe'"),
        (["--key", "own_pe", "--index", "9"], "index must be below the number of graphs, 2, got 9"),
        (["--encoding", "Degree()"], "unknown encoding 'Degree'"),
        (["--encoding", "none"], "--encoding is 'none'; a picture is of one encoding"),
        (["--encoding", "published"], "'published' is for commands with a model"),
        (["--key", "own_pe", "--colour", "red"], "colour"),
        (["--key", "own_pe", "--out", "missing/folder/a.png"], "cannot be written"),
    ],
)
def test_mistakes_are_one_line(saved: Path, options, message, capsys: pytest.CaptureFixture[str], monkeypatch):
    monkeypatch.chdir(saved.parent)
    assert main(["show", "--data", str(saved), *options]) != 0
    error = capsys.readouterr().err
    assert message in error
    assert error.count("\n") == 1
    assert not list(saved.parent.glob("*.p[nd]*g"))
