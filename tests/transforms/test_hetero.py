"""Encodings of graphs with several types of nodes: those of the homogeneous view, in each type."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch_geometric import EdgeIndex
from torch_geometric.data import Batch, HeteroData
from torch_geometric.transforms import ToSparseTensor

from graphpe import transforms as T
from graphpe.errors import GraphPETypeError, GraphPEValueError

KINDS = {("user", "likes", "item"): 9, ("item", "of", "shop"): 6, ("user", "knows", "user"): 7}


def hetero_graph(seed: int, *, weighted: bool = False) -> HeteroData:
    rng = np.random.default_rng(seed)
    data = HeteroData()
    data["user"].x = torch.from_numpy(rng.standard_normal((int(rng.integers(1, 6)), 2)))
    data["item"].x = torch.from_numpy(rng.standard_normal((int(rng.integers(1, 5)), 2)))
    data["shop"].num_nodes = int(rng.integers(1, 4))
    for (first, relation, last), count in KINDS.items():
        ends = [rng.integers(0, data[end].num_nodes, count) for end in (first, last)]
        data[first, relation, last].edge_index = torch.from_numpy(np.stack(ends)).unique(dim=1).contiguous()
        if weighted:
            number = data[first, relation, last].num_edges
            data[first, relation, last].edge_weight = torch.from_numpy(rng.uniform(0.5, 2, number))
    return data


def node_values(data: HeteroData, key: str) -> torch.Tensor:
    return torch.cat([data[kind][key] for kind in data.node_types])


def close(a: HeteroData, b: HeteroData, keys: list[str], graph_keys: list[str]) -> None:
    for key in keys:
        torch.testing.assert_close(node_values(a, key), node_values(b, key), rtol=1e-5, atol=1e-6)
    for key in graph_keys:
        torch.testing.assert_close(a[key], b[key], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("weighted", [False, True])
def test_values_are_those_of_the_homogeneous_graph(make_transform, weighted):
    graphs = [hetero_graph(seed, weighted=weighted) for seed in range(4)]
    one = make_transform()
    if one.pair_keys:
        with pytest.raises(GraphPEValueError, match=r"values of pairs .* apply it to data\.to_homogeneous\(\)"):
            one(graphs[0])
        return
    before = [str(graph) for graph in graphs]
    for graph in graphs:
        got, flat = make_transform()(graph), make_transform()(graph.to_homogeneous())
        for key in one.keys:
            torch.testing.assert_close(node_values(got, key), flat[key], rtol=1e-5, atol=1e-6)
        for key in one.graph_keys:
            torch.testing.assert_close(got[key], flat[key], rtol=1e-5, atol=1e-6)
    assert [str(graph) for graph in graphs] == before
    one = make_transform()
    expected = [one(graph) for graph in graphs]
    batch = make_transform()(Batch.from_data_list(graphs))
    for got in (make_transform()(graphs), batch.to_data_list()):
        for graph, other in zip(got, expected, strict=True):
            close(graph, other, one.keys, one.graph_keys)
    whole = Batch.from_data_list(expected)
    close(batch, whole, one.keys, one.graph_keys)
    for kind in graphs[0].node_types:
        for key in one.keys:
            assert torch.equal(batch._slice_dict[kind][key], whole._slice_dict[kind][key])
    for key in one.graph_keys:
        assert torch.equal(batch._slice_dict[key], whole._slice_dict[key])
    composed = T.Compose([make_transform(), T.RandomWalkPE(2, attr_name="second")])(graphs[0])
    close(composed, expected[0], one.keys, one.graph_keys)


def test_into_the_features_of_each_type():
    graph = hetero_graph(5)
    plain = T.RandomWalkPE(3)(graph)
    for form in (T.RandomWalkPE(3, attr_name=None)(graph), T.RandomWalkPE(3, attr_name=None)([graph])[0]):
        for kind in ("user", "item"):
            expected = torch.cat([graph[kind].x, plain[kind].random_walk_pe.double()], dim=1)
            assert torch.equal(form[kind].x, expected)
        assert torch.equal(form["shop"].x, plain["shop"].random_walk_pe)  # which had none
        assert "random_walk_pe" not in form["user"]
    assert torch.equal(T.RandomWalkPE(3, attr_name="x")(graph)["user"].x, plain["user"].random_walk_pe)


def test_values_of_all_types_are_read():
    graph = hetero_graph(6)
    with pytest.raises(GraphPEValueError, match="reads 'x', which some types have and shop has not: give it to all"):
        T.TreeFieldPE(features={"x": 2})(graph)
    graph["shop"].x = torch.ones(graph["shop"].num_nodes, 2, dtype=torch.float64)
    flat = T.TreeFieldPE(features={"x": 2})(graph.to_homogeneous()).tree_field_pe
    assert torch.equal(node_values(T.TreeFieldPE(features={"x": 2})(graph), "tree_field_pe"), flat)
    graph["shop"].x = torch.ones(graph["shop"].num_nodes, 3)
    with pytest.raises(GraphPEValueError, match=r"'x' of all types, but it is \[3, 2\] in user and \[3, 3\] in"):
        T.TreeFieldPE(features={"x": 2})(graph)


@pytest.mark.filterwarnings("ignore:Sparse")
@pytest.mark.parametrize("weighted", [False, True])
def test_edges_in_another_form(weighted):
    graph = hetero_graph(7, weighted=weighted)
    expected = T.LaplacianPE(3, sign="canonical")(graph)
    matrix = ToSparseTensor(layout=torch.sparse_csr)(graph.clone())
    indexed = graph.clone()
    for kind in indexed.edge_types:
        indexed[kind].edge_index = EdgeIndex(indexed[kind].edge_index)
    for form in (matrix, indexed):
        close(T.LaplacianPE(3, sign="canonical")(form), expected, [], ["laplacian_eigenvalues", "laplacian_mask"])
        assert torch.equal(node_values(T.DegreePE()(form), "degree_pe"), T.DegreePE()(graph.to_homogeneous()).degree_pe)


def test_what_cannot_be_read():
    graph = hetero_graph(8, weighted=True)
    del graph["user", "knows", "user"].edge_weight
    with pytest.raises(GraphPEValueError, match=r"'edge_weight', which some types have and .*'knows'.* has not"):
        T.DegreePE()(graph)
    graph = hetero_graph(8)
    del graph["shop"].num_nodes
    graph["shop"].foo = 1
    graph["item", "of", "shop"].edge_index = None
    with pytest.raises(GraphPEValueError, match="has to know how many nodes 'shop' has"):
        T.DegreePE()(graph)
    graph["shop"].num_nodes = 2
    with pytest.raises(GraphPEValueError, match=r"needs edge_index \[2, num_edges\] of whole numbers in \('item"):
        T.DegreePE()(graph)
    graph["item", "of", "shop"].edge_index = torch.tensor([[0], [2]])
    with pytest.raises(GraphPEValueError, match=r"holds node 2, but 'shop' has 2 nodes"):
        T.DegreePE()(graph)
    bare = HeteroData()
    bare["a"].x = torch.zeros(2, 1)
    with pytest.raises(GraphPEValueError, match="needs edges, but the HeteroData has no type of edges"):
        T.DegreePE()(bare)
    bare["a", "to", "b"].edge_index = torch.tensor([[0], [0]])
    with pytest.raises(GraphPEValueError, match="with edges of 'b', which has no nodes"):
        T.DegreePE()(bare)
    with pytest.raises(GraphPETypeError, match="takes lists of Data, got HeteroDataBatch at 0"):
        T.DegreePE()([Batch.from_data_list([hetero_graph(1)])])


def test_some_types_of_edges():
    graph = hetero_graph(9, weighted=True)
    chosen = [("user", "knows", "user"), ("user", "likes", "item")]
    part = HeteroData()
    for kind in graph.node_types:
        part[kind].num_nodes = graph[kind].num_nodes
    for kind in chosen:
        part[kind].edge_index, part[kind].edge_weight = graph[kind].edge_index, graph[kind].edge_weight
    expected = T.LaplacianPE(3, sign="canonical")(part)
    transform = T.OfEdgeTypes(T.LaplacianPE(3, sign="canonical"), chosen)
    assert repr(eval(repr(transform), vars(T))) == repr(transform)
    for form in (transform(graph), transform([graph])[0], transform(Batch.from_data_list([graph])).to_data_list()[0]):
        close(form, expected, ["laplacian_eigenvector_pe"], transform.encoding.graph_keys)
    assert "laplacian_mask" not in graph
    for build, error, message in [
        (
            lambda: T.OfEdgeTypes(T.ResistancePE(), chosen),
            GraphPEValueError,
            "takes encodings of nodes, got",
        ),
        (lambda: T.OfEdgeTypes("DegreePE()", chosen), GraphPETypeError, "takes an encoding such as LaplacianPE"),
        (lambda: T.OfEdgeTypes(T.DegreePE(), "likes"), GraphPETypeError, "must be a list of .source, relation"),
        (lambda: T.OfEdgeTypes(T.DegreePE(), ["likes"]), GraphPETypeError, "got 'likes' in it"),
        (lambda: T.OfEdgeTypes(T.DegreePE(), []), GraphPEValueError, "edge_types is empty"),
        (lambda: transform(graph.to_homogeneous()), GraphPETypeError, "OfEdgeTypes takes a HeteroData, got Data"),
        (
            lambda: T.OfEdgeTypes(T.DegreePE(), [("a", "b", "c")])(graph),
            GraphPEValueError,
            r"takes edges of \('a', 'b', 'c'\), but the HeteroData has",
        ),
    ]:
        with pytest.raises(error, match=message):
            build()
