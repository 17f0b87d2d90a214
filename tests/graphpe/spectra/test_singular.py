from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from scipy.sparse import csr_matrix
from scipy.sparse.linalg import eigsh
from torch_geometric.data import Data

from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.spectra import singular
from graphpe.spectra.singular import singular_triplets


def digraph(n: int, p: float, seed: int) -> nx.DiGraph:
    graph = nx.gnp_random_graph(n, p, seed=seed, directed=True)
    rng = np.random.default_rng(seed)
    for _, _, data in graph.edges(data=True):
        data["weight"] = float(rng.uniform(0.1, 3))
    return graph


def check(matrix: np.ndarray, u: np.ndarray, s: np.ndarray, v: np.ndarray) -> None:
    """Leading singular triplets: values, orthonormality, and A v = s u, A^T u = s v."""
    exact = np.linalg.svd(matrix, compute_uv=False) if matrix.size else np.zeros(0)
    top = exact.max(initial=0)
    found = int((exact[: len(s)] > 1e-9 * top).sum()) if top else 0
    np.testing.assert_allclose(s[:found], exact[:found], atol=1e-9 * top)
    assert not s[found:].any()
    assert not u[:, found:].any()
    assert not v[:, found:].any()
    for w in (u, v):
        np.testing.assert_allclose(w[:, :found].T @ w[:, :found], np.eye(found), atol=1e-9)
    np.testing.assert_allclose(matrix @ v, u * s, atol=1e-8 * max(top, 1))
    np.testing.assert_allclose(matrix.T @ u, v * s, atol=1e-8 * max(top, 1))


@pytest.mark.parametrize("k", [1, 4, 40])
def test_against_dense(k):
    graphs = [digraph(n, 0.3, n) for n in (1, 2, 7, 7, 20, 30)] + [nx.DiGraph(nx.empty_graph(3))]
    packed = PackedGraphs.from_networkx(graphs)
    u, v, s = singular_triplets(packed, k)
    for i in range(len(graphs)):
        rows = slice(int(packed.ptr[i]), int(packed.ptr[i + 1]))
        check(packed.to_scipy().toarray()[rows, rows], u[rows].numpy(), s[i].numpy(), v[rows].numpy())


@pytest.mark.parametrize(
    "graph",
    [
        digraph(600, 0.01, 1),
        nx.star_graph(599),  # two equal singular values, the others 0
        nx.disjoint_union_all([nx.cycle_graph(5)] * 120),  # each singular value hundreds of times
        nx.DiGraph(nx.path_graph(700, create_using=nx.DiGraph)),
    ],
    ids=["random", "star", "cycles", "path"],
)
def test_large_sparse(graph):
    packed = PackedGraphs.from_networkx(graph)
    u, v, s = (part.numpy() for part in singular_triplets(packed, 4))
    check(packed.to_scipy().toarray(), u, s[0], v)
    again = singular_triplets(packed, 4)
    assert np.array_equal(again.left.numpy(), u)


def test_scale_of_weights():
    graph = digraph(12, 0.4, 3)
    packed = PackedGraphs.from_networkx(graph)
    for factor in (1e-30, 1e30):
        scaled = PackedGraphs(packed.edge_index, packed.ptr, packed.edge_ptr, packed.edge_weight.double() * factor)
        torch.testing.assert_close(
            singular_triplets(scaled, 5).values, singular_triplets(packed, 5).values * factor, rtol=1e-6, atol=0
        )


def test_no_columns_are_an_error():
    with pytest.raises(GraphPEValueError, match="k must be from 1 on, got 0"):
        singular_triplets(PackedGraphs.from_networkx(nx.path_graph(2)), 0)


@pytest.mark.parametrize("kind", ["path", "hubs", "star"])
def test_large_graphs_need_nothing_dense(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(singular, "_dense_triplets", None)
    n, k = 2400, 6
    node = np.arange(n - 1)
    random = np.random.default_rng(0)
    tail, head = {
        "path": (node, node + 1),  # the largest values are twice there, and 1e-6 apart
        "hubs": (random.integers(0, 30, 6000), random.integers(0, n, 6000)),
        "star": (np.zeros(n - 1, dtype=int), node + 1),
    }[kind]
    edges = torch.from_numpy(np.stack([np.append(tail, head), np.append(head, tail)]))
    left, right, values = singular_triplets(PackedGraphs.from_data(Data(edge_index=edges, num_nodes=n)), k)
    matrix = csr_matrix((np.ones(edges.size(1)), tuple(edges.numpy())), shape=(n, n))
    matrix.data[:] = 1  # parallel edges count once
    expected = {
        "path": lambda: np.repeat(2 * np.cos(np.pi * np.arange(1, 4) / (n + 1)), 2),
        "hubs": lambda: np.sort(np.abs(eigsh(matrix, 20, which="BE", return_eigenvectors=False)))[::-1][:k],
        "star": lambda: np.array([(n - 1) ** 0.5] * 2 + [0] * (k - 2)),
    }[kind]()
    np.testing.assert_allclose(values[0], expected, rtol=1e-8)
    found = int((values[0] > 0).sum())
    scale = float(values[0, 0])
    np.testing.assert_allclose(matrix @ right.numpy(), left.numpy() * values.numpy(), atol=1e-7 * scale)
    np.testing.assert_allclose(matrix.T @ left.numpy(), right.numpy() * values.numpy(), atol=1e-7 * scale)
    np.testing.assert_allclose((left.T @ left).numpy(), np.diag(np.arange(k) < found), atol=1e-6)
