from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from torch_geometric.data import Batch, Data
from torch_geometric.utils import from_networkx

from graphpe import transforms as T
from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.packed import PackedGraphs
from graphpe.plan import Plan
from graphpe.trees import Exponential, Gaussian
from graphpe.trees.fields import tree_distances, tree_fields, tree_shape, trees_of


def tree_of(seed: int, size: int = 40) -> tuple[nx.Graph, Data]:
    graph = nx.random_labeled_tree(size, seed=seed)
    return graph, from_networkx(graph)


def test_decay_centrality_of_trees() -> None:
    graph, data = tree_of(1)
    value = T.TreeFieldPE(["Exponential(0.5)", "Table([0, 0, 1])"])(data).tree_field_pe
    for v, distance in nx.all_pairs_shortest_path_length(graph):
        assert float(value[v, 0]) == pytest.approx(sum(np.exp(-0.5 * d) for d in distance.values()), rel=1e-6)
        assert float(value[v, 1]) == sum(d == 2 for d in distance.values())


def test_shape_is_that_of_networkx() -> None:
    for seed in range(8):
        graph, data = tree_of(seed, 15 + seed)
        centroids = nx.barycenter(graph)  # of a tree: its centroids
        eccentricity = nx.eccentricity(graph)
        shape = T.TreeFieldPE([], shape=True)(data).tree_field_pe
        for v in graph:
            nearest = min(nx.shortest_path_length(graph, v, c) for c in centroids)
            assert shape[v].tolist() == [eccentricity[v], nearest]


def test_fields() -> None:
    graph, data = tree_of(3)
    data.edge_weight = torch.ones(data.num_edges)
    out = T.TreeFieldPE(["Table([1])"], fields=["degree", "ones"], random_fields=3, seed=4)(data).tree_field_pe
    # The identity: the fields themselves.
    assert out[:, 0].tolist() == [d for _, d in graph.degree()]
    assert out[:, 1].tolist() == [1.0] * 40
    assert out[:, 2:].std() == pytest.approx(1.0, abs=0.3)
    again = T.TreeFieldPE(["Table([1])"], random_fields=3, seed=5, fields=[])(data).tree_field_pe
    assert not torch.equal(out[:, 2:], again)


@pytest.mark.parametrize("tree", ["minimum", "shortest", "random", "hierarchical"])
def test_fields_of_pairs_of_distances(tree, random_graph) -> None:
    """What the integrator sums is what the distances of pairs say."""
    graphs = PackedGraphs.from_data_list([random_graph(seed, weighted=True) for seed in range(12)])
    distance = tree_distances(graphs, tree=tree, weighted=True, seed=3)
    f = Exponential(0.7)
    values = torch.where(distance < 0, 0.0, f(distance))
    row = torch.arange(graphs.num_nodes).repeat_interleave(graphs.sizes[graphs.batch])
    expected = torch.zeros(graphs.num_nodes, dtype=torch.float64).index_add(0, row, values)
    actual = tree_fields(graphs, [f], tree=tree, weighted=True, seed=3)[:, 0]
    torch.testing.assert_close(actual, expected)
    far = torch.zeros(graphs.num_nodes, dtype=torch.float64).scatter_reduce(0, row, distance, "amax")
    torch.testing.assert_close(tree_shape(graphs, tree=tree, weighted=True, seed=3)[:, 0], far)


def test_averages_over_draws() -> None:
    data = from_networkx(nx.cycle_graph(7))
    one, many = (T.TreeFieldPE(tree="random", num_trees=n, seed=2)(data).tree_field_pe for n in (1, 400))
    assert float(one.std(0).max()) > 0.05
    assert float(many.std(0).max()) < 0.05


def test_objects_and_texts_are_the_same_encoding() -> None:
    f = Exponential(0.5) * Gaussian(2.0) + 1.0
    by_object, by_text = T.TreeFieldPE([f]), T.TreeFieldPE([repr(f)])
    assert repr(by_object) == repr(by_text)
    _, data = tree_of(2)
    assert torch.equal(by_object(data).tree_field_pe, by_text(data).tree_field_pe)
    same = T.TreeFieldPE(["1.0 + Gaussian(2.0) * Exponential(rate=0.5)"])(data).tree_field_pe
    torch.testing.assert_close(same, by_text(data).tree_field_pe)


def test_eigenvalues() -> None:
    graph, data = tree_of(6, 12)
    encoding = T.TreeFieldPE(["Polynomial([0, 1])", "Exponential(1.0)"], eigenvalues=20)
    assert encoding.graph_keys == ["tree_field_eigenvalues"]
    out = encoding(Batch.from_data_list([data, Data(edge_index=data.edge_index[:, :0], num_nodes=1)]))
    distance = np.array(nx.floyd_warshall_numpy(graph))
    for matrix, found in zip((distance, np.exp(-distance)), out.tree_field_eigenvalues[0].split(20), strict=True):
        np.testing.assert_allclose(found[:12], np.linalg.eigvalsh(matrix)[::-1], rtol=1e-5, atol=1e-5)
        assert found[12:].tolist() == [0.0] * 8
    assert out.tree_field_eigenvalues[1].tolist() == [0.0] * 20 + [1.0] + [0.0] * 19
    assert T.TreeFieldPE(eigenvalues=2, attr_name="mine").graph_keys == ["mine_eigenvalues"]


def test_trees_are_shared() -> None:
    graphs = PackedGraphs.from_data(tree_of(2)[1])
    field, distance = T.TreeFieldPE(), T.TreeDistancePE()
    plan = Plan(graphs, field.needs + distance.needs)
    field.encode(plan)
    first = plan.once(trees_of, "minimum", False, 1, 0)
    distance.encode(plan)
    assert plan.once(trees_of, "minimum", False, 1, 0) is first


def test_huge_values_are_cut() -> None:
    data = Data(edge_index=torch.tensor([[0], [1]]), edge_weight=torch.tensor([1e30]).double(), num_nodes=2)
    value = T.TreeFieldPE(["Polynomial([0, 0, -1])"], weighted=True)(data).tree_field_pe
    assert value.flatten().tolist() == [torch.finfo(torch.float32).min] * 2


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"functions": "Exponential(1.0)"}, GraphPETypeError, "functions must be a list"),
        ({"functions": [3]}, GraphPETypeError, "must be a string"),
        ({"functions": ["Exponential("]}, GraphPEValueError, "cannot read the function"),
        ({"functions": ["Exp(1.0)"]}, GraphPEValueError, "known: Cosine, Exponential"),
        ({"functions": ["Exponential(rate=__import__('os'))"]}, GraphPEValueError, "cannot read the function"),
        ({"functions": ["Gaussian(-1.0)"]}, GraphPEValueError, "scale must be positive"),
        ({"fields": ["x"]}, GraphPEValueError, "fields must be of 'ones', 'degree'"),
        ({"fields": "ones"}, GraphPETypeError, "fields must be a list"),
        ({"functions": []}, GraphPEValueError, "number of columns must be from 1"),
        ({"random_fields": -1}, GraphPEValueError, "random_fields must not be negative"),
        ({"tree": "oak"}, GraphPEValueError, "tree must be one of 'minimum'"),
        ({"num_trees": 0}, GraphPEValueError, "num_trees must be from 1"),
        ({"eigenvalues": -1}, GraphPEValueError, "eigenvalues must be from 1"),
        ({"eigenvalues": 1.0}, GraphPETypeError, "eigenvalues must be an integer"),
        ({"seed": -1}, GraphPEValueError, "seed must not be negative"),
        ({"weighted": 1}, GraphPETypeError, "weighted must be True or False"),
    ],
)
def test_wrong_parameters(arguments, error, message) -> None:
    with pytest.raises(error, match=message):
        T.TreeFieldPE(**arguments)


def test_one_batch_is_its_graphs(random_graph) -> None:
    graphs = [random_graph(seed, weighted=True) for seed in range(10)]
    for make in (
        lambda: T.TreeFieldPE(tree="random", num_trees=2, random_fields=1),
        lambda: T.TreeFieldPE(tree="hierarchical", weighted=True),
    ):
        whole = make()(Batch.from_data_list(graphs)).tree_field_pe
        torch.testing.assert_close(whole, torch.cat([make()(graph).tree_field_pe for graph in graphs]))
