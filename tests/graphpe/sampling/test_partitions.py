from __future__ import annotations

import numpy as np
import pytest
import torch
from torch_geometric.loader import ClusterData
from torch_geometric.utils import grid

from graphpe.compiled.jit import everything_compiled
from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.sampling.partitions import metis_partition, partition


def pack(index: torch.Tensor, nodes: int) -> PackedGraphs:
    return PackedGraphs(index, torch.tensor([0, nodes]), torch.tensor([0, index.shape[1]]))


def cut_share(graph: PackedGraphs, owner: np.ndarray) -> float:
    tail, head = graph.edge_index.numpy()
    return float((owner[tail] != owner[head]).mean())


@pytest.mark.parametrize("parts", [1, 2, 7, 30])
def test_parts_are_balanced_and_cut_few_edges(parts: int) -> None:
    index, _ = grid(30, 20)
    shuffled = torch.randperm(600)
    graph = pack(shuffled[index], 600)
    owner = partition(graph, parts)
    sizes = np.bincount(owner, minlength=parts)
    assert len(sizes) == parts
    assert sizes.min() >= 1
    assert sizes.max() <= np.ceil(1.05 * 600 / parts)
    at_random = cut_share(graph, np.random.default_rng(0).permutation(600) % parts)
    assert cut_share(graph, owner) <= 0.45 * at_random


def test_blocks_that_hang_by_a_thread_are_found() -> None:
    blocks = [torch.combinations(torch.arange(10 * b, 10 * b + 10)).t() for b in range(4)]
    index = torch.cat([*blocks, torch.tensor([[9, 19, 29], [10, 20, 30]])], dim=1)
    owner = partition(pack(index, 40), 4)
    assert all(len(set(owner[10 * b : 10 * b + 10].tolist())) == 1 for b in range(4))


def test_graphs_without_edges_and_in_pieces_have_parts_too() -> None:
    owner = partition(pack(torch.zeros(2, 0, dtype=torch.long), 9), 4)
    assert sorted(np.bincount(owner).tolist()) == [2, 2, 2, 3]
    with everything_compiled():
        assert np.array_equal(owner, partition(pack(torch.zeros(2, 0, dtype=torch.long), 9), 4))


def test_more_parts_than_nodes_are_refused() -> None:
    with pytest.raises(GraphPEValueError, match="parts is 5, but the graph has 4 nodes"):
        partition(pack(torch.zeros(2, 0, dtype=torch.long), 4), 5)


def test_metis_is_that_of_pyg(monkeypatch: pytest.MonkeyPatch) -> None:
    graph = pack(torch.randint(0, 30, (2, 60)), 30)
    wanted = torch.randint(0, 3, (30,))
    wanted[:3] = torch.arange(3)
    monkeypatch.setattr(ClusterData, "_metis", lambda self, edge_index, num_nodes: wanted)
    found = metis_partition(graph, 3)
    assert found is not None
    assert found.tolist() == wanted.tolist()


def test_without_metis_there_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(*_: object) -> torch.Tensor:
        raise ImportError("'ClusterData' requires either 'pyg-lib' or 'torch-sparse'")

    monkeypatch.setattr(ClusterData, "_metis", missing)
    assert metis_partition(pack(torch.randint(0, 30, (2, 60)), 30), 3) is None
