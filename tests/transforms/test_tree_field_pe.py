from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from torch_geometric.data import Batch, Data
from torch_geometric.utils import from_networkx

import graphpe
from graphpe import transforms as T
from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.structure.plan import Plan
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


FEATURES = {"x": 2, "height": 1, "lit": 1}


def with_features(data: Data, seed: int = 0) -> Data:
    """A copy with floats, integers and bools as node values."""
    draw, out = torch.Generator().manual_seed(seed), data.clone()
    n = int(data.num_nodes)
    out.x = torch.randn(n, 2, generator=draw)
    out.height = torch.randint(-5, 5, (n,), generator=draw)
    out.lit = torch.rand(n, 1, generator=draw) < 0.5
    return out


@pytest.mark.parametrize("tree", ["minimum", "shortest", "random", "hierarchical"])
def test_features_are_fields(tree, random_graph) -> None:
    """f(D) X with the matrix, D from the distances of pairs."""
    functions = [Exponential(0.7), Gaussian(2.0) + 1.0]
    for seed in range(12):
        data = with_features(random_graph(seed, weighted=True), seed)
        n = data.num_nodes
        encoding = T.TreeFieldPE(functions, fields=["degree"], features=FEATURES, random_fields=1, tree=tree, seed=3)
        assert encoding.columns == 2 * (1 + 4 + 1)
        value = encoding(data).tree_field_pe.view(n, 2, 6)
        distance = T.TreeDistancePE(tree=tree, seed=3)(data).tree_distance.view(n, n).double()
        x = torch.cat([data.x, data.height[:, None], data.lit], dim=1).double()
        for column, f in enumerate(functions):
            matrix = torch.where(distance < 0, 0.0, f(distance.clamp(min=0)))
            torch.testing.assert_close(value[:, column, 1:5].double(), matrix @ x, rtol=1e-5, atol=1e-5)
        plain = T.TreeFieldPE(functions, fields=["degree"], random_fields=1, tree=tree, seed=3)(data).tree_field_pe
        torch.testing.assert_close(value[:, :, [0, 5]].flatten(1), plain)


def test_features_in_every_form_of_graphs(random_graph, tmp_path) -> None:
    graphs = [with_features(random_graph(seed), seed) for seed in range(12)]
    encoding = T.TreeFieldPE(features=FEATURES, fields=[])
    expected = [encoding(graph).tree_field_pe for graph in graphs]
    packed = PackedGraphs.from_data_list(graphs)
    for value in (
        encoding(Batch.from_data_list(graphs)).tree_field_pe,
        encoding(packed).node["tree_field_pe"],
        T.Compose([T.RandomWalkPE(2), encoding])(packed).node["tree_field_pe"],
        T.Compose([encoding, T.TreeDistancePE()])(Batch.from_data_list(graphs)).tree_field_pe,
    ):
        torch.testing.assert_close(value, torch.cat(expected))
    stored = graphpe.precompute(graphs, encoding, tmp_path / "encoded", progress=False)
    for data, value in zip(stored, expected, strict=True):
        torch.testing.assert_close(data.tree_field_pe, value)
    assert encoding.encode(Plan(packed)).node.keys() == {"tree_field_pe"}
    assert repr(encoding) == repr(eval(repr(encoding), {"TreeFieldPE": T.TreeFieldPE}))


def test_features_follow_their_nodes(random_graph) -> None:
    encoding = T.TreeFieldPE(features=FEATURES, weighted=True)  # lengths without ties: one tree
    for seed in range(12):
        data = with_features(random_graph(seed, weighted=True), seed)
        order = torch.randperm(data.num_nodes, generator=torch.Generator().manual_seed(seed))
        moved = Data(
            edge_index=order.argsort()[data.edge_index],
            edge_weight=data.edge_weight,
            **{key: data[key][order] for key in FEATURES},
        )
        torch.testing.assert_close(encoding(moved).tree_field_pe, encoding(data).tree_field_pe[order])


def test_features_that_another_encoding_writes() -> None:
    """As in PyG's Compose; also where the graph brings an older value of that name."""
    _, data = tree_of(5)
    steps = [T.TreeFieldPE(["Exponential(1.0)"]), T.TreeFieldPE(features={"tree_field_pe": 1}, attr_name="twice")]
    expected = steps[1](steps[0](data)).twice
    older = data.clone()
    older.tree_field_pe = torch.zeros(40, 1)
    for graph in (data, older, PackedGraphs.from_data(data), PackedGraphs.from_data(older)):
        out = T.Compose(steps)(graph)
        value = out.node["twice"] if isinstance(out, PackedGraphs) else out.twice
        torch.testing.assert_close(value, expected)


def test_wrong_features() -> None:
    _, data = tree_of(1)
    wrong = [
        (None, GraphPEValueError, "reads the node value 'z', which the graph does not have"),
        (torch.zeros(40, 3), GraphPEValueError, "features says that 'z' has 2 columns, but it has 3"),
        (torch.zeros(40, 2, 2), GraphPEValueError, r"node value 'z' must be \[40\] or \[40, D\], got \[40, 2, 2\]"),
        (torch.zeros(39, 2), GraphPEValueError, r"node value 'z' must be \[40, ...\], got torch.float32 \[39, 2\]"),
        (torch.zeros(40, 2).log(), GraphPEValueError, "must be finite in float32, got .* at node 0"),
        (torch.full((40, 2), 1e39, dtype=torch.float64), GraphPEValueError, "must be finite in float32"),
        (torch.zeros(40, 2, dtype=torch.complex64), GraphPETypeError, "must be a tensor of real numbers"),
        ([[0.0, 0.0]] * 40, GraphPETypeError, "node value 'z' must be a tensor, got list"),
    ]
    encoding = T.TreeFieldPE(features={"z": 2})
    for value, error, message in wrong:
        graph = data.clone()
        if value is not None:
            graph.z = value
        with pytest.raises(error, match=message) as caught:
            encoding(graph)
        assert "\n" not in str(caught.value)


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


def test_huge_values_are_refused() -> None:
    data = Data(edge_index=torch.tensor([[0], [1]]), edge_weight=torch.tensor([1e30]).double(), num_nodes=2)
    with pytest.raises(GraphPEValueError, match=r"graph 0: tree_field_pe reaches 1e\+60"):
        T.TreeFieldPE(["Polynomial([0, 0, -1])"], weighted=True)(data)


def test_functions_that_overflow() -> None:
    data = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), edge_weight=torch.tensor([1e38, 1e-38]), num_nodes=3)
    for function in ("Polynomial([" + "0, " * 10 + "1, -1])", "Exponential(-1.0) * Cosine(1.0)"):
        with pytest.raises(GraphPEValueError, match=r"is (-?inf|nan) at the largest distance, 1e\+38"):
            T.TreeFieldPE([function], weighted=True)(data)


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
        ({"features": ["x"]}, GraphPETypeError, "features must be keys of node values with their columns"),
        ({"features": {3: 1}}, GraphPETypeError, "features must be keys of node values with their columns"),
        ({"features": {"x": 0}}, GraphPEValueError, r"features\['x'\] must be from 1 to 4096, got 0"),
        ({"functions": []}, GraphPEValueError, "number of columns must be from 1"),
        ({"random_fields": -1}, GraphPEValueError, "random_fields must not be negative"),
        ({"tree": "oak"}, GraphPEValueError, "tree must be one of 'minimum'"),
        ({"num_trees": 0}, GraphPEValueError, "num_trees must be from 1"),
        ({"eigenvalues": -1}, GraphPEValueError, "eigenvalues must be from 0"),
        ({"eigenvalues": 1.0}, GraphPETypeError, "eigenvalues must be an integer"),
        ({"seed": -1}, GraphPEValueError, "seed must be from 0"),
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
