from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch_geometric.data import Data

from graphpe.benchmarks.calls.build import build_task
from graphpe.benchmarks.tasks.by_size import load_task
from graphpe.benchmarks.tasks.graph_level import GraphAdapter, GraphTargets
from graphpe.errors import GraphPEValueError


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> str:
    """A file of graphs of 1 to 12 nodes, 8 of each size, whose target is a third of the size."""
    graphs = [
        Data(x=torch.ones(n, 1), edge_index=torch.stack([torch.arange(n), torch.arange(n).roll(1)]), y=n / 3)
        for _ in range(8)
        for n in range(1, 13)
    ]
    where = tmp_path_factory.mktemp("graphs") / "graphs.pt"
    torch.save(graphs, where)
    return str(where)


def load(path: str, sizes: str) -> GraphTargets:
    data = load_task(build_task(f"DataFile({path!r})"), sizes, progress=False)
    assert isinstance(data, GraphTargets)
    return data


def test_graphs_are_divided_by_size(path: str) -> None:
    data, own = load(path, "6 | 7-8 10-12"), load(path, "")
    assert list(data.split) == ["train", "valid", "test", "7-8", "10-12"]
    sizes = {part: data.graphs.sizes[ids] for part, ids in data.split.items()}
    for part in ("train", "valid", "test"):
        assert int(sizes[part].max()) <= 6
    assert [len(ids) for ids in data.split.values()] == [40, 4, 4, 16, 24]
    everything = torch.cat(list(data.split.values()))
    assert len(everything) == len(set(everything.tolist())) == 88  # the eight of size 9 are left out
    assert sorted(everything.tolist()) == [i for i, n in enumerate(data.graphs.sizes.tolist()) if n != 9]
    assert sizes["7-8"].unique().tolist() == [7, 8]
    assert data.mean_sizes == {"test": sizes["test"].double().mean(), "7-8": 7.5, "10-12": 11.0}
    assert any("8 graphs of other sizes are left out" in note for note in data.notes)
    few = [note.split(",")[0] for note in data.notes if "says little" in note]
    assert few == ["test nodes: 4 graphs", "7-8 nodes: 16 graphs", "10-12 nodes: 24 graphs"]
    assert own.mean_sizes == {}
    # The same on every machine; other sizes are other data.
    again, others = load(path, "6|6-8 10-12"), load(path, "6 | 7-8 10-11")
    assert again.fingerprint == data.fingerprint != own.fingerprint
    assert all(torch.equal(again.split[part], ids) for part, ids in data.split.items())
    assert others.fingerprint != data.fingerprint


def test_numbers_are_standardised_by_the_new_training_part(path: str) -> None:
    data, own = load(path, "6 | 7-12"), load(path, "")
    target = data.graphs.sizes[data.split["train"]].double() / 3
    assert isinstance(data.adapter, GraphAdapter)
    assert data.adapter.shift == pytest.approx((float(target.mean()),))
    assert data.adapter.scale == pytest.approx((float(target.std(correction=0)),))
    assert isinstance(own.adapter, GraphAdapter)
    assert own.adapter.shift[0] > data.adapter.shift[0]


@pytest.mark.parametrize(
    ("sizes", "message"),
    [
        ("6 | 13-20", "no graph of data-file has 13-20 nodes: its 96 graphs have 1 to 12, half of them up to 6"),
        ("6 | 7-12 100", "no graph of data-file has 100 nodes"),
    ],
)
def test_sizes_that_no_graph_has(path: str, sizes: str, message: str) -> None:
    with pytest.raises(GraphPEValueError, match=message):
        load(path, sizes)


def test_too_few_to_train_on(tmp_path: Path) -> None:
    graphs = [Data(x=torch.ones(n, 1), edge_index=torch.zeros(2, 0).long(), y=n / 3) for n in [1, 2, *range(5, 30)]]
    torch.save(graphs, tmp_path / "graphs.pt")
    with pytest.raises(GraphPEValueError, match=r"fewer than 3 graphs \(2\) of data-file have up to 4 nodes"):
        load(str(tmp_path / "graphs.pt"), "4 | 5-9")


def test_tasks_about_nodes_of_one_graph_have_no_sizes(tmp_path: Path) -> None:
    edges = torch.stack([torch.arange(20), torch.arange(20).roll(1)])
    torch.save([Data(x=torch.randn(20, 2), edge_index=edges, y=torch.randn(20))], tmp_path / "one.pt")
    with pytest.raises(GraphPEValueError, match="asks about nodes of graphs that all parts share: take a task of many"):
        load(str(tmp_path / "one.pt"), "10 | 11-20")


@pytest.mark.parametrize(
    ("call", "sizes"),
    [
        ("playground(question='distance', train=9, valid=3, test=4)", "8 | 9-12 16"),
        ("path-length(train=9, valid=3, test=4)", "8 | 9-12 16"),
    ],
)
def test_tasks_that_draw_their_graphs_draw_those_sizes(call: str, sizes: str, tmp_path: Path) -> None:
    def loaded(text: str) -> Any:
        return load_task(build_task(call), text, cache=tmp_path, progress=False)

    data = loaded(sizes)
    nodes = {part: data.graphs.sizes[ids].tolist() for part, ids in data.split.items()}
    assert [len(each) for each in nodes.values()] == [9, 3, 4, 4, 4]
    assert all(2 <= n <= 8 for part in ("train", "valid", "test") for n in nodes[part])
    assert all(9 <= n <= 12 for n in nodes["9-12"])
    assert nodes["16"] == [16] * 4
    assert data.mean_sizes["16"] == 16
    assert list(data.mean_sizes) == ["test", "9-12", "16"]
    assert loaded(sizes).fingerprint == data.fingerprint != loaded("8 | 9-12").fingerprint


def test_a_bin_that_outweighs_training_is_told() -> None:
    def told(sizes: str) -> list[str]:
        data = load_task(build_task("path-length(train=10, valid=3, test=4)"), sizes, progress=False)
        return [note for note in data.notes if "times as many" in note]

    assert told("8 | 9-12 13-16") == []
    (line,) = told("8-8 | 9-12 2500-2500")
    # Ten graphs of eight nodes, and four of 2,500.
    assert line.startswith("2500 nodes: 10,000 nodes, 125 times as many as training has, and 39,062 times the pairs")
