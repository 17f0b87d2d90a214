from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import scipy.sparse
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs

SEEDS = st.integers(0, 2**31 - 1)


def random_graph(seed: int, n: int, directed: bool, weighted: bool) -> nx.Graph:
    graph = nx.gnp_random_graph(n, 0.4, seed=seed, directed=directed)
    rng = np.random.default_rng(seed)
    graph.add_edges_from((i, i) for i in range(n) if rng.random() < 0.2)
    if weighted:
        for u, v in graph.edges:
            graph[u][v]["weight"] = int(rng.integers(1, 9)) / 4  # exact in float32
    return graph


@settings(deadline=None, max_examples=30)
@given(
    seed=SEEDS,
    sizes=st.lists(st.integers(0, 7), min_size=1, max_size=4),
    directed=st.booleans(),
    weighted=st.booleans(),
)
def test_networkx_round_trip(seed, sizes, directed, weighted):
    graphs = [random_graph(seed + i, n, directed, weighted) for i, n in enumerate(sizes)]
    packed = PackedGraphs.from_networkx(graphs)
    assert packed.sizes.tolist() == sizes  # isolated nodes too
    assert (packed.edge_weight is None) == (not weighted or packed.num_edges == 0)
    for i, graph in enumerate(graphs):
        back = packed.to_networkx(i)
        assert nx.utils.graphs_equal(back, graph.to_directed())
        if not directed:
            assert nx.utils.graphs_equal(back.to_undirected(), graph)


def test_networkx_single_graph_labels_and_default_weight():
    graph = nx.DiGraph()
    graph.add_nodes_from(["c", "a", "b"])
    graph.add_edge("a", "b", cost=0.5)
    graph.add_edge("b", "c")
    packed = PackedGraphs.from_networkx(graph, weight="cost")
    assert packed.edge_index.tolist() == [[1, 2], [2, 0]]
    assert packed.edge_weight.tolist() == [0.5, 1.0]
    assert packed.edge_weight.dtype == torch.get_default_dtype()
    assert packed.to_networkx(0, weight="cost").edges[1, 2] == {"cost": 0.5}
    assert PackedGraphs.from_networkx(graph).edge_weight is None
    assert PackedGraphs.from_networkx(graph, weight=None).edge_weight is None
    assert len(PackedGraphs.from_networkx([])) == 0


def test_networkx_parallel_edges_stay():
    graph = nx.MultiDiGraph([(0, 1), (0, 1), (1, 1)])
    packed = PackedGraphs.from_networkx(graph)
    assert packed.edge_index.tolist() == [[0, 0, 1], [1, 1, 1]]
    back = packed.to_networkx(0)
    assert isinstance(back, nx.MultiDiGraph)
    assert nx.is_isomorphic(back, graph)
    assert PackedGraphs.from_networkx(nx.MultiGraph([(0, 1), (0, 1)])).num_edges == 4


@settings(deadline=None, max_examples=30)
@given(seed=SEEDS, sizes=st.lists(st.integers(0, 6), max_size=4), form=st.sampled_from(["csr", "csc", "coo", "lil"]))
def test_scipy_round_trip(seed, sizes, form):
    blocks = [scipy.sparse.random(n, n, 0.4, format=form, random_state=np.random.default_rng([seed, n])) for n in sizes]
    packed = PackedGraphs.from_scipy(blocks)
    assert packed.sizes.tolist() == sizes
    expected = scipy.sparse.block_diag(blocks).toarray() if sizes else np.zeros((0, 0))
    actual = packed.to_scipy()
    assert actual.format == "csr"
    assert actual.shape == (sum(sizes), sum(sizes))
    assert np.array_equal(actual.toarray(), expected.reshape(actual.shape))
    for i, block in enumerate(blocks):
        assert np.array_equal(packed[[i]].to_scipy().toarray(), block.toarray())
        assert np.array_equal(nx.to_numpy_array(packed.to_networkx(i)), block.toarray()) or block.shape == (0, 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_scipy_weights_keep_their_dtype(dtype):
    packed = PackedGraphs.from_scipy(scipy.sparse.csr_array(np.array([[0, 3], [2, 0]], dtype=dtype)))
    assert packed.edge_weight.numpy().dtype == dtype
    assert packed.edge_index.tolist() == [[0, 1], [1, 0]]
    assert packed.edge_weight.tolist() == [3, 2]


def test_scipy_stored_zeros_bools_and_entries_stored_twice():
    stored = scipy.sparse.csr_matrix((np.array([0.0, 2.0]), np.array([1, 0]), np.array([0, 1, 2])))
    assert PackedGraphs.from_scipy(stored).edge_weight.tolist() == [0.0, 2.0]
    bools = PackedGraphs.from_scipy(scipy.sparse.eye(3, dtype=bool))
    assert (bools.edge_weight, bools.num_edges) == (None, 3)
    assert np.array_equal(bools.to_scipy().toarray(), np.eye(3))
    twice = scipy.sparse.coo_matrix(([1.0, 2.0], ([0, 0], [1, 1])), shape=(2, 2))
    unsummed = scipy.sparse.csr_matrix((np.array([1.0, 2.0]), np.array([1, 1]), np.array([0, 2, 2])), shape=(2, 2))
    for matrix in (twice, unsummed):
        packed = PackedGraphs.from_scipy(matrix)
        assert (packed.num_edges, packed.edge_weight.tolist()) == (1, [3.0])
        assert matrix.nnz == 2  # the input is left as it was


def test_to_scipy_adds_up_parallel_edges():
    packed = PackedGraphs(torch.tensor([[0, 0], [1, 1]]), torch.tensor([0, 2]), torch.tensor([0, 2]))
    assert packed.to_scipy().toarray().tolist() == [[0, 2], [0, 0]]


def test_wrong_input():
    with pytest.raises(GraphPETypeError, match="graph 1 must be a networkx graph, got str"):
        PackedGraphs.from_networkx([nx.path_graph(2), "graph"])
    with pytest.raises(GraphPETypeError, match="matrix 0 must be a SciPy sparse matrix, got ndarray"):
        PackedGraphs.from_scipy([np.eye(2)])
    with pytest.raises(GraphPEValueError, match=r"matrix 0 must be square, got \[2, 3\]"):
        PackedGraphs.from_scipy(scipy.sparse.csr_matrix((2, 3)))
    with pytest.raises(GraphPEValueError, match="no graph 2"):
        PackedGraphs.from_networkx([nx.path_graph(2)]).to_networkx(2)
