"""What is predicted of encodings, against dense eigenvectors and the encodings themselves."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from torch import Tensor
from torch_geometric.data import Batch, Data
from torch_geometric.utils import from_networkx

from graphpe import transforms as T
from graphpe.benchmarks.pretraining import targets
from graphpe.benchmarks.pretraining.pairs import pair_values
from graphpe.benchmarks.pretraining.targets import (
    NodeTarget,
    NodeTargets,
    PairTarget,
    check_no_answer,
    is_asked,
    target_of,
)
from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from tests.benchmarks.pretraining.conftest import random_graphs


def of_nodes(encoding: T.Encoding, graphs: PackedGraphs) -> Tensor:
    target = target_of(encoding)
    assert isinstance(target, NodeTarget)
    return NodeTargets([target])(graphs.structure()).node["y"][:, 1:]


def of_pairs(encoding: T.Encoding, graphs: PackedGraphs, most: int = 64) -> tuple[Tensor, Tensor]:
    target = target_of(encoding)
    assert isinstance(target, PairTarget)
    return pair_values(graphs, [target], most)


def undirected(graph: nx.Graph) -> PackedGraphs:
    return PackedGraphs.from_data_list([from_networkx(graph)])


def test_moduli_are_those_of_dense_eigenvectors() -> None:
    graph = nx.random_labeled_tree(9, seed=3)
    graph.add_edge(0, 5)
    values, vectors = np.linalg.eigh(nx.normalized_laplacian_matrix(graph, nodelist=range(9)).toarray())
    assert np.diff(values).min() > 1e-3  # all simple
    found = of_nodes(T.LaplacianPE(5, sign="random", scaling="abs-max"), undirected(graph))
    np.testing.assert_allclose(found.numpy(), np.abs(vectors[:, 1:6]), atol=1e-5)


def test_a_repeated_eigenvalue_has_one_value_for_its_space_and_none_where_it_is_cut() -> None:
    graphs = undirected(nx.complete_graph(5))  # eigenvalue 1.25, four times
    assert not bool(is_asked(of_nodes(T.LaplacianPE(3), graphs)).any())
    whole = of_nodes(T.LaplacianPE(6), graphs)
    torch.testing.assert_close(whole[:, :4], torch.full((5, 4), (0.8 / 4) ** 0.5))
    assert not bool(is_asked(whole[:, 4:]).any())  # vectors that are not there
    cycle = of_nodes(T.LaplacianPE(3), undirected(nx.cycle_graph(8)))  # two of one eigenvalue, then two of the next
    torch.testing.assert_close(cycle[:, :2], torch.full((8, 2), (1 / 8) ** 0.5))
    assert is_asked(cycle).all(0).tolist() == [True, True, False]


def test_projectors_have_direction_and_no_phase() -> None:
    data = next(each for each in random_graphs(20, 5) if each.num_nodes == 8)
    encoding = T.MagneticLaplacianPE(3, q=0.2, sign="random", seed=4)
    graphs = PackedGraphs.from_data_list([data])
    partner, found = of_pairs(encoding, graphs)
    vectors = T.MagneticLaplacianPE(3, q=0.2, sign="none")(data).magnetic_eigenvector_pe.to(torch.complex128)
    assert partner.tolist() == [list(range(8))] * 8
    expected = vectors[:, None] * vectors[None].conj()
    torch.testing.assert_close(found[..., :3].double(), expected.real, atol=1e-5, rtol=0)
    torch.testing.assert_close(found[..., 3:].double(), expected.imag, atol=1e-5, rtol=0)
    back = Data(edge_index=data.edge_index.flip(0), num_nodes=8)
    reversed_edges = of_pairs(encoding, PackedGraphs.from_data_list([back]))[1]
    torch.testing.assert_close(reversed_edges[..., :3], found[..., :3], atol=1e-5, rtol=0)
    torch.testing.assert_close(reversed_edges[..., 3:], -found[..., 3:], atol=1e-5, rtol=0)
    assert float(found[..., 3:].abs().max()) > 0.01
    several = of_pairs(T.MagneticLaplacianPE(2, q=0.1, potentials=2), graphs)[1]
    assert several.shape == (8, 8, 8)


NUMBERS = [T.RandomWalkPE(3), T.DepthPE(), T.DegreePE(), T.HeatKernelPE(times=(0.5, 2.0)), T.CyclePE(5)]


@pytest.mark.parametrize("encoding", NUMBERS, ids=repr)
def test_numbers_of_nodes_are_the_encodings(encoding: T.Encoding) -> None:
    batch = Batch.from_data_list(random_graphs(12, 1))
    assert torch.equal(of_nodes(encoding, PackedGraphs.from_data(batch)), encoding(batch)[encoding.value_key].float())


PAIRS = [
    T.ShortestPathPE(undirected=False),
    T.ShortestPathPE(2),
    T.ResistancePE(),
    T.CommuteTimePE(),
    T.RelativeRandomWalkPE(3),
    T.ReachabilityPE(),
    T.TreeDistancePE(),
    T.DirectedRandomWalkPE(2, level="pair"),
    T.PersonalizedPageRankPE(0.2),
    T.DiffusionPE(level="pair"),
]


@pytest.mark.parametrize("encoding", PAIRS, ids=repr)
def test_numbers_of_pairs_are_the_encodings(encoding: T.Encoding, monkeypatch: pytest.MonkeyPatch) -> None:
    data_list = random_graphs(12, 2)
    partner, found = of_pairs(encoding, PackedGraphs.from_data_list(data_list))
    node = 0
    for data in data_list:
        n = data.num_nodes
        expected = encoding(data)[encoding.value_key].float().view(n, n, -1)
        mine = found[node : node + n, :n]
        unknown = expected < 0
        assert torch.equal(is_asked(mine), ~unknown)
        torch.testing.assert_close(mine[~unknown], expected[~unknown], atol=1e-6, rtol=1e-5)
        assert bool((partner[node : node + n, n:] == -1).all())
        assert not bool(is_asked(found[node : node + n, n:]).any())
        node += n
    if isinstance(encoding, T.LinkEncoding) and not isinstance(encoding, T.PersonalizedPageRankPE):
        monkeypatch.setattr(targets, "_MANY_PAIRS", 0)  # chosen pairs alone, as on large graphs
        chosen = of_pairs(encoding, PackedGraphs.from_data_list(data_list))[1]
        torch.testing.assert_close(chosen, found, atol=1e-6, rtol=1e-5)


def test_the_order_of_the_nodes_does_not_matter() -> None:
    data = random_graphs(12, 3)[5]
    order = torch.randperm(data.num_nodes)
    place = torch.argsort(order)
    other = Data(edge_index=place[data.edge_index], num_nodes=data.num_nodes)
    both = (PackedGraphs.from_data_list([each]) for each in (data, other))
    one, two = (of_nodes(T.LaplacianPE(4), graphs) for graphs in both)
    torch.testing.assert_close(two, one[order], atol=1e-5, rtol=1e-5)


def test_no_graphs_and_no_nodes() -> None:
    empty = PackedGraphs.from_data_list([Data(edge_index=torch.zeros(2, 0, dtype=torch.long), num_nodes=0)])
    assert of_nodes(T.LaplacianPE(2), empty).shape == (0, 2)
    partner, values = of_pairs(T.MagneticLaplacianPE(2), empty)
    assert len(partner) == 0
    assert values.shape[::2] == (0, 4)


@pytest.mark.parametrize(
    ("encoding", "what"),
    [
        (T.SVDPE(2), "SVDPE is not decided by the graph"),
        (T.SpectralCoordinates(2), "predict LaplacianPE"),
        (T.DiffusionPE(2), "DiffusionPE is not decided by the graph"),
        (T.WeisfeilerLehmanPE(2), "names of colours"),
        (T.ShortestPathPE(pairs="edge_label_index"), "leave that out"),
        (T.RandomWalkPE(2, attr_name=None), "writes into x"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_cannot_be_predicted_is_said(encoding: T.Encoding, what: str) -> None:
    with pytest.raises(GraphPEValueError, match=what) as caught:
        target_of(encoding)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("given", "asked"),
    [
        (T.RandomWalkPE(2), T.RandomWalkPE(8, attr_name="more")),
        (T.RelativeRandomWalkPE(4), T.RandomWalkPE(4)),
        (T.CommuteTimePE(), T.ResistancePE()),
        (T.SpectralCoordinates(3), T.LaplacianPE(3)),
        (T.DegreePE(attr_name="depth_pe"), T.DepthPE()),
    ],
    ids=repr,
)
def test_the_answer_is_no_input(given: T.Encoding, asked: T.Encoding) -> None:
    with pytest.raises(GraphPEValueError, match="holds the answer") as caught:
        check_no_answer([T.CyclePE(4), given], [asked])
    assert "\n" not in str(caught.value)
    check_no_answer([T.CyclePE(4)], [asked])
