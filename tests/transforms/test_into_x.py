"""`attr_name=None` and `attr_name="x"`, as in PyG's transforms."""

from __future__ import annotations

import pickle
import re

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch, Data
from torch_geometric.transforms import AddLaplacianEigenvectorPE, AddRandomWalkPE

import graphpe
from graphpe import transforms as T
from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.transforms.into_x import appended


def named(transform: T.Compose, name: str | None) -> T.Compose:
    """The same encoding with another `attr_name`."""
    return eval(re.sub(r"attr_name='[^']*'", f"attr_name={name!r}", repr(transform)), vars(T) | {"array": np.array})


@pytest.fixture
def graphs(random_graph):
    return [random_graph(seed, weighted=True) for seed in range(20, 26)]


@pytest.fixture
def transform(make_transform):
    built = make_transform()
    if isinstance(built, T.Compose):
        pytest.skip("encodings one by one")
    return built


def test_where_every_encoding_goes(transform, graphs):
    if transform.pair_keys or isinstance(transform, T.MagneticLaplacianPE):
        for name in (None, "x"):
            with pytest.raises(GraphPEValueError, match=rf"attr_name={name!r} means x, where .* have no place: give"):
                named(transform, name)
        return
    plain = [graph[transform.attr_name] for graph in transform(graphs)]
    extra = len(transform.graph_keys)
    for name in (None, "x"):
        one = named(transform, name)
        assert f"attr_name={name!r}" in repr(one)
        assert repr(pickle.loads(pickle.dumps(one))) == repr(named(one, name)) == repr(one)
        assert (one.keys, one.value_key, one.pair_keys) == (["x"], "x", [])
        assert len(one.graph_keys) == extra
        assert all(key.isidentifier() and not key.startswith(("x_", "None")) for key in one.graph_keys)
        expected = [
            value if name == "x" else torch.cat([graph.x, value.to(graph.x.dtype)], dim=1)
            for graph, value in zip(graphs, plain, strict=True)
        ]
        before = [graph.x.clone() for graph in graphs]
        listed = named(transform, name)(graphs)
        alone = [named(transform, name)(graphs[0])]
        composed = T.Compose([named(transform, name)])(graphs)
        batch = named(transform, name)(Batch.from_data_list(graphs))
        packed = named(transform, name)(PackedGraphs.from_data_list(graphs))
        for got in (listed, alone, composed, batch.to_data_list(), packed.to_data_list()):
            for graph, value in zip(got, expected, strict=False):
                assert graph.x.dtype == value.dtype
                torch.testing.assert_close(graph.x, value, rtol=1e-6, atol=1e-7)
                assert transform.attr_name not in graph
                assert set(one.graph_keys) <= set(graph.keys())
        for graph, old in zip(graphs, before, strict=True):
            assert torch.equal(graph.x, old)
        bare = Data(edge_index=graphs[0].edge_index, edge_weight=graphs[0].edge_weight, num_nodes=graphs[0].num_nodes)
        made = named(transform, name)(
            Data(edge_attr=graphs[0].edge_attr, **bare.to_dict()) if transform.edge_keys else bare
        )
        if not transform.node_keys:
            torch.testing.assert_close(made.x, plain[0], rtol=1e-6, atol=1e-7)  # an `x` where there was none


def test_values_are_those_of_pyg(random_graph):
    ring = torch.tensor([[0, 1, 2, 3, 4, 1, 2, 3, 4, 0], [1, 2, 3, 4, 0, 0, 1, 2, 3, 4]])
    for x in (torch.randn(5, 3), torch.randn(5), torch.randn(5, 2, dtype=torch.float64), None):
        for name in (None, "x"):
            data = Data(x=x, edge_index=ring, num_nodes=5)
            ours, theirs = T.RandomWalkPE(4, attr_name=name)(data), AddRandomWalkPE(4, attr_name=name)(data.clone())
            assert (ours.x.dtype, set(ours.keys())) == (theirs.x.dtype, set(theirs.keys()))
            torch.testing.assert_close(ours.x, theirs.x)
    path = Data(x=torch.randn(6, 2), edge_index=torch.tensor([[0, 1, 2, 3, 4], [1, 2, 3, 4, 5]]))
    path.edge_index = torch.cat([path.edge_index, path.edge_index.flip(0)], dim=1)
    ours = T.LaplacianPE(3, attr_name=None)(path)
    theirs = AddLaplacianEigenvectorPE(3, attr_name=None, is_undirected=True)(path.clone())
    torch.testing.assert_close(ours.x[:, :2], theirs.x[:, :2])
    torch.testing.assert_close(ours.x[:, 2:].abs(), theirs.x[:, 2:].abs(), rtol=1e-4, atol=1e-5)  # simple eigenvalues


def test_several_append_in_order(graphs):
    one, two = T.DegreePE(attr_name=None), T.RandomWalkPE(3, attr_name=None)
    both = T.Compose([one, two])(graphs[0])
    torch.testing.assert_close(both.x, two(one(graphs[0])).x)
    assert both.x.shape[1] == 2 + 2 + 3
    after = T.Compose([T.DegreePE(attr_name="x"), T.RandomWalkPE(3, attr_name=None)])(graphs[0])
    assert after.x.shape[1] == 2 + 3
    with pytest.raises(GraphPEValueError, match="both write 'x'"):
        T.Compose([one, T.RandomWalkPE(3, attr_name="x")])  # what was appended would be lost
    with pytest.raises(GraphPEValueError, match="both write 'laplacian_eigenvalues'"):
        T.Compose([T.LaplacianPE(2, attr_name=None), T.LaplacianPE(3, attr_name=None)])
    reads = T.Compose([T.DegreePE(attr_name=None), T.TreeFieldPE(features={"x": 4})])(graphs[0])
    assert torch.equal(reads.tree_field_pe, T.TreeFieldPE(features={"x": 4})(one(graphs[0])).tree_field_pe)


def test_precomputed(graphs, tmp_path):
    transform = T.Compose([T.LaplacianPE(3, sign="canonical", attr_name=None), T.RandomWalkPE(2, attr_name=None)])
    stored = graphpe.precompute(graphs, transform, tmp_path, progress=False)
    for got, graph in zip(stored, graphs, strict=True):
        expected = transform(graph)
        torch.testing.assert_close(got.x, expected.x, rtol=1e-5, atol=1e-6)
        assert torch.equal(got.laplacian_mask, expected.laplacian_mask)


def test_what_does_not_fit():
    value = torch.ones(3, 2)
    with pytest.raises(GraphPEValueError, match="x, which is int64, and would round the encoding to whole numbers"):
        appended(torch.zeros(3, 1, dtype=torch.long), value)
    assert appended(torch.zeros(3, 1, dtype=torch.long), value.long()).dtype == torch.long
    with pytest.raises(GraphPEValueError, match=r"x, \[3, num_features\] \(got \[4, 1\]\): give attr_name a name"):
        appended(torch.zeros(4, 1), value)
    with pytest.raises(GraphPEValueError, match=r"\(got \[3, 1, 1\]\)"):
        appended(torch.zeros(3, 1, 1), value)
    with pytest.raises(GraphPETypeError, match=r"a dense tensor \(got list\)"):
        appended([1, 2, 3], value)
    with pytest.raises(GraphPETypeError, match=r"got torch\.sparse_coo tensor"):
        appended(torch.eye(3).to_sparse(), value)
    assert appended(torch.zeros(3), torch.ones(3, 2, 2)).shape == (3, 5)


def test_a_graph_without_nodes_keeps_its_columns():
    empty = Data(x=torch.zeros(0, 3), edge_index=torch.zeros(2, 0, dtype=torch.long))
    assert T.DegreePE(attr_name=None)(empty).x.shape == (0, 3 + T.DegreePE().columns)
