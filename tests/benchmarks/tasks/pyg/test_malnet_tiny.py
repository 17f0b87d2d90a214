from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch_geometric.data import Data
from torch_geometric.transforms import LocalDegreeProfile

from graphpe.benchmarks.tasks.pyg.malnet_tiny import MalNetTiny
from graphpe.errors import GraphPERuntimeError

KINDS = ("addisplay", "adware", "benign", "downloader", "trojan")


def write(root: Path) -> list[torch.Tensor]:
    graphs = []
    for part, count in (("train", 7), ("val", 5), ("test", 6)):
        names = []
        for number in range(count):
            kind = KINDS[number % 5]
            name = f"{kind}/family/{part}{number}"
            path = root / "raw" / "malnet-graphs-tiny" / f"{name}.edgelist"
            path.parent.mkdir(parents=True, exist_ok=True)
            n = int(torch.randint(3, 9, ()))
            edges = (torch.rand(n, n) < 0.4).nonzero()
            edges = torch.cat([edges, torch.tensor([[0, n - 1]])])
            path.write_text("#\n" * 5 + "".join(f"{u} {v}\n" for u, v in edges.tolist()))
            names.append(name)
            graphs.append(edges.t())
        lists = root / "raw" / "split_info_tiny" / "type"
        lists.mkdir(parents=True, exist_ok=True)
        (lists / f"{part}.txt").write_text("".join(f"{name}\n" for name in names))
    return graphs


def test_files_in_the_layout_of_malnet(tmp_path: Path) -> None:
    graphs = write(tmp_path)
    data = MalNetTiny(root=str(tmp_path), download=False).load(progress=False)
    assert {part: len(ids) for part, ids in data.split.items()} == {"train": 7, "valid": 5, "test": 6}
    for index, edges in enumerate(graphs):
        found = data.graphs[index]
        assert torch.equal(found.edge_index, edges)
        expected = LocalDegreeProfile()(Data(edge_index=edges, num_nodes=int(edges.max()) + 1)).x
        torch.testing.assert_close(found.x, expected)
    assert data.graphs.graph["y"].flatten().tolist() == [i % 5 for count in (7, 5, 6) for i in range(count)]


def test_bad_files(tmp_path: Path) -> None:
    with pytest.raises(GraphPERuntimeError, match="MalNet-Tiny is not in"):
        MalNetTiny(root=str(tmp_path), download=False).load(progress=False)
