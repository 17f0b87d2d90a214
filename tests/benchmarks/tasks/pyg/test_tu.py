from __future__ import annotations

import shutil
from pathlib import Path

import pytest
import torch
from torch_geometric.datasets import TUDataset

from graphpe.benchmarks.calls.build import build_task
from graphpe.benchmarks.tasks.pyg.tu import TU
from graphpe.errors import GraphPERuntimeError, GraphPEValueError


def write(folder: Path, name: str, count: int = 40, *, bare: bool = False, numbers: bool = False) -> None:
    """Random undirected graphs in the layout of TU's text files."""
    raw = folder / name / "raw"
    raw.mkdir(parents=True)
    sizes = torch.randint(2, 7, (count,)).tolist()
    graph_of = [graph for graph, n in enumerate(sizes) for _ in range(n)]
    first = [sum(sizes[:graph]) for graph in range(count)]
    edges = [
        (first[graph] + i + 1, first[graph] + j + 1)
        for graph, n in enumerate(sizes)
        for i in range(n)
        for j in range(n)
        if abs(i - j) == 1
    ]
    lines = {
        "A": [f"{u}, {v}" for u, v in edges],
        "graph_indicator": [graph + 1 for graph in graph_of],
    }
    if numbers:
        lines["graph_attributes"] = [f"{value:.3f}" for value in torch.randn(count).tolist()]
    else:
        lines["graph_labels"] = [(-1, 1)[graph % 2] for graph in range(count)]
    if not bare:
        lines["node_labels"] = torch.randint(0, 3, (len(graph_of),)).tolist()
        lines["node_attributes"] = [f"{value:.3f}" for value in torch.rand(len(graph_of)).tolist()]
        lines["edge_labels"] = torch.randint(0, 2, (len(edges),)).tolist()
    for key, rows in lines.items():
        (raw / f"{name}_{key}.txt").write_text("".join(f"{row}\n" for row in rows))


def test_files_in_the_layout_of_tu(tmp_path: Path) -> None:
    write(tmp_path, "TOY")
    data = TU(name="TOY", root=str(tmp_path), fold=3, download=False).load(progress=False)
    dataset = TUDataset(str(tmp_path), "TOY", use_node_attr=True, use_edge_attr=True)
    for index, graph in enumerate(dataset):
        found = data.graphs[index]
        assert torch.equal(found.edge_index, graph.edge_index)
        torch.testing.assert_close(found.x, graph.x)
        torch.testing.assert_close(found.edge_attr, graph.edge_attr.float())
        assert found.y.item() == graph.y.item()
    plain = TU(name="TOY", root=str(tmp_path), attributes=False, download=False).load(progress=False)
    assert plain.graphs.node["x"].shape[1] == data.graphs.node["x"].shape[1] - 1
    assert data.metric == "accuracy"


def test_ten_folds_share_every_class(tmp_path: Path) -> None:
    write(tmp_path, "TOY", 43, bare=True)
    splits = [TU(name="TOY", root=str(tmp_path), fold=k, download=False).load(progress=False).split for k in range(10)]
    assert sorted(torch.cat([split["test"] for split in splits]).tolist()) == list(range(43))
    labels = torch.arange(43) % 2
    for number, split in enumerate(splits):
        assert sorted(torch.cat(list(split.values())).tolist()) == list(range(43))
        assert torch.equal(split["valid"], splits[(number + 1) % 10]["test"])
        assert int(labels[split["test"]].sum()) in (2, 3)
    other = TU(name="TOY", root=str(tmp_path), seed=1, download=False).load(progress=False).split
    assert not torch.equal(other["test"], splits[0]["test"])


def test_numbers_of_graphs_are_regressed(tmp_path: Path) -> None:
    write(tmp_path, "NUMBERS", bare=True, numbers=True)
    data = TU(name="NUMBERS", root=str(tmp_path), download=False).load(progress=False)
    assert data.metric == "MAE"
    ids = data.split["test"]
    right = data.graphs.graph["y"][ids]
    assert data.evaluate(right + 0.5, ids) == pytest.approx(0.5)


def test_bad_input(tmp_path: Path) -> None:
    for name in ("", "../MUTAG", 3):
        with pytest.raises(GraphPEValueError, match="name must be that of a TU dataset"):
            TU(name=name)  # type: ignore[arg-type]
    with pytest.raises(GraphPEValueError, match="fold must be"):
        TU(fold=10)
    with pytest.raises(GraphPERuntimeError, match="NCI1 is not in"):
        TU(name="NCI1", root=str(tmp_path), download=False).load(progress=False)
    write(tmp_path, "TINY", 5)
    with pytest.raises(GraphPERuntimeError, match="holds 5 graphs: too few for 10 folds"):
        TU(name="TINY", root=str(tmp_path), download=False).load(progress=False)


@pytest.mark.parametrize("key", ["graph_labels", "node_labels"])
def test_a_file_cut_off_leaves_nothing_behind(tmp_path: Path, key: str) -> None:
    write(tmp_path, "TOY")
    file = tmp_path / "TOY" / "raw" / f"TOY_{key}.txt"
    whole = file.read_text()
    file.write_text(whole[: len(whole) // 2].rpartition("\n")[0] + "\n")
    if key == "node_labels":
        (tmp_path / "TOY" / "raw" / "TOY_node_attributes.txt").unlink()
    with pytest.raises(GraphPERuntimeError, match=r"TOY in .* has \d+ rows of [xy], but its graphs have \d+: a"):
        TU(name="TOY", root=str(tmp_path), download=False).load(progress=False)
    file.write_text(whole)
    assert len(TU(name="TOY", root=str(tmp_path), download=False).load(progress=False).graphs) == 40


def test_real_files(shared_data: Path, tmp_path: Path) -> None:
    shutil.copytree(shared_data / "tudataset" / "MUTAG", tmp_path / "MUTAG")
    data = build_task(f"tu(name='MUTAG', root={str(tmp_path)!r}, download=False)").load(progress=False)
    assert len(data.graphs) == 188
    assert data.graphs.num_nodes == 3371
    assert [len(data.split[part]) for part in ("train", "valid", "test")] == [150, 19, 19]
    assert data.constant_baseline(torch.arange(188))[0] == pytest.approx(125 / 188)
