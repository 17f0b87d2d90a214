from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch_geometric.data import Data

from graphpe.benchmarks.tasks.links.own import LinkFile
from graphpe.errors import GraphPERuntimeError, GraphPEValueError

RING = torch.stack([torch.arange(50), (torch.arange(50) + 1) % 50])


def test_one_graph_and_a_list_of_its_edges(tmp_path: Path) -> None:
    both = torch.cat([RING, RING.flip(0)], dim=1)
    torch.save(Data(edge_index=both, x=torch.randn(50, 3)), tmp_path / "graph.pt")
    data = LinkFile(str(tmp_path / "graph.pt"), valid=0.1, test=0.2).load(progress=False)
    assert {part: len(ids) for part, ids in data.split.items()} == {"train": 35, "valid": 10, "test": 20}
    assert data.graphs.num_edges == 70
    assert data.graphs.node["x"].shape == (50, 3)
    lines = "source,target\n" + "".join(f"{u},{v}\n" for u, v in RING.t().tolist())
    (tmp_path / "edges.csv").write_text(lines)
    listed = LinkFile(str(tmp_path / "edges.csv"), valid=0.1, test=0.2).load(progress=False)
    assert torch.equal(listed.graphs.edge_index, data.graphs.edge_index)
    assert torch.equal(listed.pairs, data.pairs)
    directed = LinkFile(str(tmp_path / "edges.csv"), valid=0.1, test=0.2, directed=True).load(progress=False)
    assert directed.graphs.num_edges == len(directed.split["train"]) == 35
    assert directed.notes == [f"{tmp_path / 'edges.csv'}: 50 nodes, 50 directed edges"]
    assert not directed.graphs.node["x"].is_floating_point()


def test_comments_and_names_stand_before_a_list(tmp_path: Path) -> None:
    lines = "# friends\n% of mine\n\nsource target since\n" + "".join(f"{u} {v} 7\n" for u, v in RING.t().tolist())
    (tmp_path / "edges.txt").write_text(lines)
    assert LinkFile(str(tmp_path / "edges.txt"), valid=0.1, test=0.2).load(progress=False).graphs.num_edges == 70


def test_weights_go_with_the_edges_that_are_seen(tmp_path: Path) -> None:
    both = torch.cat([RING, RING.flip(0), torch.tensor([[3, 5], [3, 6]])], dim=1)  # a self-loop and a parallel edge
    weight = both[0] * 100.0 + both[1]
    torch.save(Data(edge_index=both, num_nodes=50, edge_weight=weight, edge_attr=weight), tmp_path / "graph.pt")
    data = LinkFile(str(tmp_path / "graph.pt"), valid=0.1, test=0.2).load(progress=False)
    source, target = data.graphs.edge_index
    expected = source * 100.0 + target
    expected[(source == 5) & (target == 6)] *= 2
    assert data.graphs.edge_weight is not None
    assert torch.equal(data.graphs.edge_weight, expected)
    assert data.notes[1] == "there and not used: edge_attr"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0,1\n1\n", "line 2: expected two node ids, got '1'"),
        ("0,1\n1,-2\n", "line 2: node ids are from 0 on"),
        ("0,1\n1,two\n", "line 2: expected two node ids"),
        ("source,target\n", "has no edges"),
        ("a b\nc d\n0 1\n", "line 2: expected two node ids, got 'c d'"),
        ("0 1\n1 99999999999999999999\n", r"line 2: node ids are from 0 on, and below 2\^63"),
        ("0 1\n1 99999999999\n", "node ids run up to 99,999,999,999, of which 2 edges name 3: number the nodes"),
        ("0,1\n1,2\n", "has 2 links, too few for valid=0.05 and test=0.1"),
    ],
)
def test_bad_lists_are_one_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "edges.csv").write_text(text)
    with pytest.raises(GraphPERuntimeError, match=message) as caught:
        LinkFile(str(tmp_path / "edges.csv")).load(progress=False)
    assert "\n" not in str(caught.value)


def test_bad_graphs_are_one_line(tmp_path: Path) -> None:
    torch.save(torch.zeros(3), tmp_path / "a.pt")
    torch.save(Data(edge_index=torch.tensor([[0, 1], [1, 70]]), num_nodes=3), tmp_path / "b.pt")
    torch.save(Data(edge_index=torch.zeros(3, 2), num_nodes=3), tmp_path / "c.pt")
    x = torch.zeros(50, 1)
    x[3] = torch.nan
    torch.save(Data(edge_index=RING, x=x), tmp_path / "d.pt")
    torch.save(Data(edge_index=RING, x=torch.zeros(50, 1, dtype=torch.complex64)), tmp_path / "e.pt")
    torch.save(Data(edge_index=RING, num_nodes=50, edge_weight=torch.full((50,), torch.nan)), tmp_path / "f.pt")
    torch.save(Data(edge_index=RING, num_nodes=50, edge_weight=torch.ones(7)), tmp_path / "g.pt")
    torch.save(Data(edge_index=RING * 10**9), tmp_path / "h.pt")
    for name, message in (
        ("e", r"x is torch.complex64 \[50, 1\].*, expected real numbers in 50 rows"),
        ("f", "edge_weight must be one finite number for each edge"),
        ("g", r"edge_weight is torch.float32 \[7\].*, expected real numbers in 50 rows"),
        ("h", "node ids run up to 49,000,000,000, of which 50 edges name 50"),
        ("a", "holds Tensor: for links, save one PyG Data"),
        ("b", "edge_index runs from 0 to 70, but there are 3 nodes"),
        ("c", r"edge_index must be node ids \[2, num_edges\]"),
        ("d", "x has nan in row 3, column 0"),
    ):
        with pytest.raises(GraphPERuntimeError, match=message):
            LinkFile(str(tmp_path / f"{name}.pt")).load(progress=False)
    with pytest.raises(GraphPERuntimeError):
        LinkFile(str(tmp_path / "none.pt")).load(progress=False)
    with pytest.raises(GraphPEValueError, match="path must be a text"):
        LinkFile("")
