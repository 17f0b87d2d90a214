"""PyG's own transforms: the same result where PyG is right, and one test for each case in which it is not.

A case that a later PyG has repaired is skipped, with that reason.
"""

from __future__ import annotations

import warnings

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Batch, Data
from torch_geometric.transforms import AddLaplacianEigenvectorPE, AddRandomWalkPE
from torch_geometric.utils import from_networkx

from graphpe import laplacian
from graphpe import transforms as T

seeds = st.integers(0, 2**32 - 1)


def skip_if_pyg_is_right(right: bool) -> None:
    if right:
        pytest.skip("this version of PyG is right here")


def undirected(graph: nx.Graph) -> Data:
    edges = np.array([(u, v) for a, b in graph.edges for u, v in ((a, b), (b, a))], dtype=int).reshape(-1, 2)
    return Data(edge_index=torch.from_numpy(edges.T.copy()), num_nodes=graph.number_of_nodes())


# Where PyG is right


@settings(deadline=None, max_examples=30)
@given(seed=seeds, n=st.integers(1, 30), walk_length=st.integers(1, 12), density=st.floats(0, 0.5))
def test_random_walks_on_simple_undirected_graphs(seed, n, walk_length, density):
    data = undirected(nx.gnp_random_graph(n, density, seed=seed))  # isolated nodes included
    ours, theirs = T.RandomWalkPE(walk_length)(data), AddRandomWalkPE(walk_length)(data)
    assert ours.random_walk_pe.dtype == theirs.random_walk_pe.dtype
    torch.testing.assert_close(ours.random_walk_pe, theirs.random_walk_pe, atol=1e-6, rtol=1e-5)


@pytest.mark.filterwarnings("ignore:Sparse")
def test_random_walks_on_a_large_graph():
    data = undirected(nx.random_regular_graph(3, 2100, seed=1))
    ours, theirs = T.RandomWalkPE(4)(data), AddRandomWalkPE(4)(data)
    torch.testing.assert_close(ours.random_walk_pe, theirs.random_walk_pe, atol=1e-6, rtol=1e-5)


@settings(deadline=None, max_examples=30)
@given(seed=seeds, n=st.integers(2, 30), weighted=st.booleans())
def test_laplacian_of_connected_undirected_graphs(seed, n, weighted):
    rng = np.random.default_rng(seed)
    graph = nx.random_labeled_tree(n, seed=int(seed))
    graph.add_edges_from(edge for edge in rng.integers(0, n, (n, 2)).tolist() if edge[0] != edge[1])
    data = undirected(graph)
    if weighted:
        half = rng.uniform(0.2, 2, data.num_edges // 2)
        data.edge_weight = torch.from_numpy(np.repeat(half, 2))
    k = n - 1
    ours = T.LaplacianPE(k)(data)
    theirs = AddLaplacianEigenvectorPE(k, is_undirected=True)(data).laplacian_eigenvector_pe.double()
    values = ours.laplacian_eigenvalues[0]
    # The projector of every cluster of eigenvalues: neither signs nor bases of eigenspaces are to be compared.
    cluster = torch.cumsum(values.diff(prepend=values[:1]) > 1e-4, 0)
    for number in cluster.unique():
        mine, other = ours.laplacian_eigenvector_pe.double()[:, cluster == number], theirs[:, cluster == number]
        torch.testing.assert_close(mine @ mine.T, other @ other.T, atol=1e-2, rtol=0)


# Where PyG is wrong


def test_fewer_nodes_than_k():
    data = undirected(nx.path_graph(2))
    out = T.LaplacianPE(4)(data)
    assert out.laplacian_eigenvector_pe.shape == (2, 4)
    assert out.laplacian_mask.tolist() == [[True, False, False, False]]
    try:
        shape = AddLaplacianEigenvectorPE(4, is_undirected=True)(data).laplacian_eigenvector_pe.shape
    except RuntimeError:
        return
    skip_if_pyg_is_right(shape == (2, 4))


def test_as_many_eigenvectors_as_a_large_graph_has():
    data = undirected(nx.cycle_graph(100))
    assert T.LaplacianPE(99)(data).laplacian_mask.all()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            AddLaplacianEigenvectorPE(99, is_undirected=True)(data)
        except TypeError:
            return
    skip_if_pyg_is_right(True)


def test_every_zero_mode_of_a_disconnected_graph_is_dropped():
    data = undirected(nx.disjoint_union(nx.path_graph(4), nx.cycle_graph(5)))
    operator = laplacian(data.edge_index, 9).to_dense().float()

    def energy(vector: torch.Tensor) -> float:
        return float(vector @ operator @ vector)

    assert energy(T.LaplacianPE(2)(data).laplacian_eigenvector_pe[:, 0]) > 0.1
    theirs = AddLaplacianEigenvectorPE(2, is_undirected=True)(data).laplacian_eigenvector_pe[:, 0].float()
    skip_if_pyg_is_right(energy(theirs) > 0.1)
    assert energy(theirs) < 1e-5


def test_isolated_nodes_have_eigenvalue_zero():
    # An edge and a lone node: eigenvalues 0, 0, 2. PyG has the lone node at 1, and keeps it as its first vector.
    data = Data(edge_index=torch.tensor([[0, 1], [1, 0]]), num_nodes=3)
    out = T.LaplacianPE(2)(data)
    assert out.laplacian_mask.tolist() == [[True, False]]
    torch.testing.assert_close(out.laplacian_eigenvalues, torch.tensor([[2.0, 0.0]]))
    theirs = AddLaplacianEigenvectorPE(2, is_undirected=True)(data).laplacian_eigenvector_pe.abs()
    skip_if_pyg_is_right(float(theirs[2, 0]) < 0.5)
    torch.testing.assert_close(theirs[:, 0], torch.tensor([0.0, 0.0, 1.0], dtype=theirs.dtype))


def test_directed_path_tells_its_nodes_apart():
    path = Data(edge_index=torch.stack([torch.arange(9), torch.arange(1, 10)]), num_nodes=10)
    ours = T.LaplacianPE(3, sign="none")(path).laplacian_eigenvector_pe
    both = T.LaplacianPE(3, sign="none")(undirected(nx.path_graph(10))).laplacian_eigenvector_pe
    assert torch.equal(ours, both)
    assert torch.cdist(ours, ours).fill_diagonal_(1).min() > 1e-3
    theirs = AddLaplacianEigenvectorPE(3)(path).laplacian_eigenvector_pe
    distinct = len(torch.unique(theirs.abs().round(decimals=6), dim=0))
    skip_if_pyg_is_right(distinct == 10)
    assert distinct <= 2  # nine nodes of ten look alike


def test_a_directed_graph_is_not_read_by_half():
    # `is_undirected=True` makes eigh read one triangle: the result depends on how the nodes are numbered.
    path = Data(edge_index=torch.tensor([[0, 2, 2, 3], [1, 1, 3, 4]]), num_nodes=5)
    order = torch.tensor([4, 2, 0, 1, 3])
    moved = Data(edge_index=order[path.edge_index], num_nodes=5)

    def projector(transform, data):
        vectors = transform(data).laplacian_eigenvector_pe.double()
        return vectors @ vectors.T

    ours = projector(T.LaplacianPE(2), path)
    torch.testing.assert_close(projector(T.LaplacianPE(2), moved)[order][:, order], ours, atol=1e-5, rtol=0)
    theirs = AddLaplacianEigenvectorPE(2, is_undirected=True)
    skip_if_pyg_is_right(torch.allclose(projector(theirs, moved)[order][:, order], projector(theirs, path), atol=1e-3))


def test_eigenvectors_of_repeated_eigenvalues_are_orthogonal():
    cycle = undirected(nx.cycle_graph(12))

    def worst(vectors: torch.Tensor) -> float:
        return float((vectors.T @ vectors - torch.eye(10, dtype=vectors.dtype)).abs().max())

    assert worst(T.LaplacianPE(10)(cycle).laplacian_eigenvector_pe.double()) < 1e-6
    theirs = AddLaplacianEigenvectorPE(10)(cycle).laplacian_eigenvector_pe.double()  # the default: a general solver
    skip_if_pyg_is_right(worst(theirs) < 1e-3)


def test_large_graphs_are_reproducible_under_a_seed():
    data = undirected(nx.gnp_random_graph(300, 0.02, seed=5))

    def run(transform) -> torch.Tensor:
        torch.manual_seed(0)
        np.random.seed(0)  # noqa: NPY002
        return transform(data).laplacian_eigenvector_pe

    assert torch.equal(run(T.LaplacianPE(4)), run(T.LaplacianPE(4)))
    theirs = [run(AddLaplacianEigenvectorPE(4, is_undirected=True)) for _ in range(4)]
    skip_if_pyg_is_right(all(torch.equal(theirs[0], other) for other in theirs[1:]))


def test_signs_come_from_the_transforms_own_seed():
    data = undirected(nx.path_graph(6))
    state = torch.get_rng_state()
    T.LaplacianPE(4)(data)
    assert torch.equal(torch.get_rng_state(), state)
    AddLaplacianEigenvectorPE(4, is_undirected=True)(data)
    skip_if_pyg_is_right(torch.equal(torch.get_rng_state(), state))


def test_random_walks_use_the_weights():
    # A path of 4 nodes with weights 0.1, 0.2, 0.3 from one end to the other.
    tail, head = torch.tensor([0, 1, 1, 2, 2, 3]), torch.tensor([1, 0, 2, 1, 3, 2])
    weight = torch.tensor([0.1, 0.1, 0.2, 0.2, 0.3, 0.3])
    data = Data(edge_index=torch.stack([tail, head]), edge_weight=weight, num_nodes=4)
    expected = torch.tensor([1 / 3, 1 / 3 + 2 / 3 * 0.4, 0.4 * 2 / 3 + 0.6, 0.6])
    torch.testing.assert_close(T.RandomWalkPE(2)(data).random_walk_pe[:, 1], expected)
    theirs = AddRandomWalkPE(2)(data).random_walk_pe
    skip_if_pyg_is_right(torch.allclose(theirs[:, 1], expected))
    assert theirs.max() > 1.5  # no probability


def test_random_walks_do_not_leak_through_parallel_edges():
    # Two edges 0 -> 1 and one 0 -> 2; both nodes lead back to 0, so that every walk is back after two steps.
    data = Data(edge_index=torch.tensor([[0, 0, 0, 1, 2], [1, 1, 2, 0, 0]]), num_nodes=3)
    for weight in (None, torch.ones(5)):
        data.edge_weight = weight
        torch.testing.assert_close(T.RandomWalkPE(2)(data).random_walk_pe[0, 1], torch.tensor(1.0))
    data.edge_weight = None
    theirs = AddRandomWalkPE(2)(data).random_walk_pe[0, 1]
    skip_if_pyg_is_right(bool((theirs - 1).abs() < 1e-6))
    torch.testing.assert_close(theirs, torch.tensor(2 / 3))


def test_a_batch_is_encoded_graph_by_graph():
    graphs = [undirected(nx.path_graph(5)), undirected(nx.cycle_graph(6))]
    batch = Batch.from_data_list(graphs)
    torch.testing.assert_close(
        T.LaplacianPE(3, sign="canonical")(batch).laplacian_eigenvalues[1],
        T.LaplacianPE(3, sign="canonical")(graphs[1]).laplacian_eigenvalues[0],
    )
    theirs = AddLaplacianEigenvectorPE(3, is_undirected=True)
    whole = theirs(batch).laplacian_eigenvector_pe[:5].abs()
    # PyG sees one graph of 11 nodes: what it writes for the path is not of unit norm there.
    skip_if_pyg_is_right(torch.allclose(whole, theirs(graphs[0]).laplacian_eigenvector_pe.abs(), atol=1e-3))


def test_repr_tells_parameters_apart():
    # PyG's datasets compare it to decide whether what is on disk is still right.
    assert repr(T.RandomWalkPE(4)) != repr(T.RandomWalkPE(16))
    assert repr(T.LaplacianPE(4)) != repr(T.LaplacianPE(4, seed=1))
    skip_if_pyg_is_right(repr(AddRandomWalkPE(4)) != repr(AddRandomWalkPE(16)))


def test_weighted_graph_of_networkx():
    # The first thing that a user does: a graph of networkx, with attributes, through both.
    data = from_networkx(nx.les_miserables_graph())
    data.edge_weight = data.pop("weight").double()
    ours = T.LaplacianPE(5)(data).laplacian_eigenvector_pe
    theirs = AddLaplacianEigenvectorPE(5, is_undirected=True)(data).laplacian_eigenvector_pe.float()
    torch.testing.assert_close(ours.abs(), theirs.abs(), atol=1e-4, rtol=0)
