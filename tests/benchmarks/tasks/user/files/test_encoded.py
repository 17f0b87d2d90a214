from __future__ import annotations

from pathlib import Path

import torch
from torch_geometric.data import Data

from graphpe import transforms as T
from graphpe.benchmarks.tasks.user.data_file import DataFile
from graphpe.benchmarks.tasks.user.files.encoded import held_encodings, held_keys, held_values
from graphpe.storage.precompute import precompute

GRAPHS = [Data(x=torch.rand(n, 2), edge_index=torch.randint(n, (2, 2 * n)), y=torch.rand(1)) for n in range(2, 14)]


def test_what_folders_hold(tmp_path: Path) -> None:
    transform = T.Compose([T.LaplacianPE(k=2), T.ShortestPathPE(max_distance=3)])
    for name, graphs in (("a", GRAPHS[:6]), ("b", GRAPHS[6:])):
        precompute(graphs, transform, tmp_path / name, progress=False)
    folders = [tmp_path / "a", tmp_path / "b"]
    held = held_encodings(folders)
    assert held == tuple(map(repr, transform.transforms))
    keys = {"laplacian_eigenvector_pe", "laplacian_eigenvalues", "laplacian_mask", "shortest_path"}
    assert held_keys(held) == keys
    values = held_values(folders, held[1:])
    assert (set(values.node), set(values.graph), set(values.pair)) == (set(), set(), {"shortest_path"})
    alone = T.ShortestPathPE(max_distance=3)(values.structure())
    assert torch.equal(values.pair["shortest_path"], alone.pair["shortest_path"])

    data = DataFile(path=str(folders[0]), test=str(folders[1])).load()
    assert data.encodings == held
    assert data.split["test"].tolist() == list(range(6, 12))
    assert keys == {*data.graphs.node, *data.graphs.graph, *data.graphs.pair} - {"x", "y"}
    torch.testing.assert_close(data.graphs.node["x"], torch.cat([graph.x for graph in GRAPHS]))


def test_what_is_none(tmp_path: Path) -> None:
    precompute(GRAPHS, T.DegreePE(), tmp_path / "a", progress=False)
    precompute(GRAPHS, T.DegreePE(max_degree=3), tmp_path / "b", progress=False)
    precompute(GRAPHS, T.RandomWalkPE(walk_length=3, attr_name=None), tmp_path / "x", progress=False)
    assert held_encodings([tmp_path / "a"]) == (repr(T.DegreePE()),)
    assert held_encodings([tmp_path / "a", tmp_path / "b"]) == ()
    assert held_encodings([tmp_path / "x"]) == ()  # they are features now
    assert held_encodings([tmp_path]) == ()
    assert DataFile(path=str(tmp_path / "x")).load().adapter.node_channels == 5
