from __future__ import annotations

import numpy as np
import torch

from graphpe.graphs.fields import count_joined
from graphpe.graphs.packed import PackedGraphs


def random_edges(sizes: list[int], seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    ptr = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    parts = [rng.integers(0, n, (2, 3 * n)) + ptr[g] for g, n in enumerate(sizes) if n]
    edge_ptr = np.concatenate([[0], np.cumsum([3 * n for n in sizes])]).astype(np.int64)
    edges = np.concatenate(parts, axis=1) if parts else np.zeros((2, 0), np.int64)
    return edges.astype(np.int64), ptr, edge_ptr


def test_pairs_are_counted_once_each() -> None:
    for seed, sizes in enumerate([[4, 0, 1, 7, 3], [0], [2], [1, 1, 1], [20]]):
        edges, ptr, edge_ptr = random_edges(sizes, seed)
        counts = count_joined(edges, ptr)
        for graph in range(len(sizes)):
            pairs = {tuple(edge) for edge in edges[:, edge_ptr[graph] : edge_ptr[graph + 1]].T.tolist()}
            assert counts[graph].tolist() == [len(pairs), sum(a == b for a, b in pairs)]


def test_what_is_counted_once_stays_with_a_selection_and_not_with_other_edges() -> None:
    edges, ptr, edge_ptr = random_edges([4, 0, 1, 7, 3], 0)
    graphs = PackedGraphs(*map(torch.from_numpy, (edges, ptr, edge_ptr)))
    counts = graphs.host_joined
    for ids in ([3, 0, 0, 1], slice(1, 4)):
        some = graphs.select(ids)
        assert "host_joined" in vars(some)
        assert (some.host_joined == count_joined(some.edge_index.numpy(), some.host_ptr)).all()
    reversed_edges = graphs.with_edges(graphs.edge_index.flip(0), graphs.edge_ptr)
    assert "host_joined" not in vars(reversed_edges)
    assert (reversed_edges.host_joined == counts).all()
    bare = graphs.without_edges()
    assert (bare.num_edges, bare.host_joined.sum(), bare.edge_ptr.tolist()) == (0, 0, [0] * 6)
    assert bare.num_nodes == graphs.num_nodes
