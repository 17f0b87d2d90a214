from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch, Data

from graphpe import transforms as T
from graphpe.distances.edge_paths import edge_path_frequencies
from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.transforms.edge_path_pe import EdgePathPE


@pytest.fixture
def graphs(random_graph) -> list[Data]:
    out = [random_graph(seed) for seed in range(40, 52)]
    rng = np.random.default_rng(1)
    for graph in out:
        graph.edge_attr = torch.from_numpy(rng.integers(0, 4, graph.num_edges))
    return out


@pytest.mark.parametrize("undirected", [False, True])
def test_data_batch_and_packed_graphs(graphs, undirected):
    transform = EdgePathPE(3, num_types=4, undirected=undirected)
    packed = PackedGraphs.from_data_list(graphs)
    out = transform(packed)
    expected = edge_path_frequencies(packed, packed.edge["edge_attr"], [4], 3, undirected)
    assert expected.shape == (packed.num_pairs, transform.columns)
    assert torch.equal(out.pair["path_types"], expected)
    assert set(out.edge) == {"edge_attr"}
    assert set(out.node) == {"x"}
    batch = transform(Batch.from_data_list(graphs))
    assert torch.equal(batch.path_types, expected)
    singles = [transform(graph).path_types for graph in graphs]
    torch.testing.assert_close(torch.cat(singles), expected)
    torch.testing.assert_close(batch.to_data_list()[3].path_types, singles[3])


def test_batch_with_edges_out_of_order(graphs):
    batch = Batch.from_data_list(graphs)
    expected = EdgePathPE(2, num_types=4)(batch).path_types
    order = torch.randperm(batch.num_edges)
    batch.edge_index, batch.edge_attr = batch.edge_index[:, order], batch.edge_attr[order]
    torch.testing.assert_close(EdgePathPE(2, num_types=4)(batch).path_types, expected)


def test_permutation(graphs):
    for graph in graphs:
        n = graph.num_nodes
        rng = np.random.default_rng(1)
        new, order = torch.from_numpy(rng.permutation(n)), torch.from_numpy(rng.permutation(graph.num_edges))
        moved = Data(edge_index=new[graph.edge_index[:, order]], edge_attr=graph.edge_attr[order], num_nodes=n)
        was, now = (EdgePathPE(3, num_types=4)(data).path_types.view(n, n, -1) for data in (graph, moved))
        torch.testing.assert_close(now[new][:, new], was)


def test_compose(graphs):
    both = T.Compose([T.RandomWalkPE(3), EdgePathPE(2, num_types=4), EdgePathPE(1, num_types=(9,), attr_name="far")])
    for form in (graphs[0], Batch.from_data_list(graphs)):
        out = both(form)
        assert torch.equal(out.path_types, EdgePathPE(2, num_types=4)(form).path_types)
        assert torch.equal(out.random_walk_pe, T.RandomWalkPE(3)(form).random_walk_pe)
        assert out.far.shape[1] == 9
    packed = PackedGraphs.from_data_list(graphs)
    assert torch.equal(both(packed).pair["path_types"], EdgePathPE(2, num_types=4)(packed).pair["path_types"])
    with pytest.raises(GraphPEValueError, match=r"EdgePathPE.* reads the edge value 'kind', which"):
        T.Compose([T.RandomWalkPE(3), EdgePathPE(2, num_types=4, key="kind")])(graphs[0])


def test_molecules_have_several_columns():
    bonds = torch.tensor([[0, 0, 0], [0, 0, 0], [3, 5, 1], [3, 5, 1]])
    edges = torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]])
    out = EdgePathPE(2, num_types=(5, 6, 2))(Data(edge_index=edges, edge_attr=bonds, num_nodes=3))
    steps = out.path_types.view(3, 3, 2, 13)
    assert steps[0, 2].nonzero().tolist() == [[0, 0], [0, 5], [0, 11], [1, 3], [1, 10], [1, 12]]
    assert steps[2, 0].nonzero().tolist() == [[0, 3], [0, 10], [0, 12], [1, 0], [1, 5], [1, 11]]
    assert steps[0, 1, 1].sum() == steps[1, 1].sum() == 0


def test_missing_or_wrong_value(graphs):
    bare = Data(edge_index=torch.tensor([[0], [1]]), num_nodes=2)
    message = r"EdgePathPE.* reads the edge value 'edge_attr', which the graph does not have"
    for form in (bare, Batch.from_data_list([bare]), PackedGraphs.from_data_list([bare])):
        with pytest.raises(GraphPEValueError, match=message):
            EdgePathPE(2, num_types=4)(form)
    with pytest.raises(GraphPEValueError, match="holds 3, but has 3 types"):
        EdgePathPE(2, num_types=3)(Batch.from_data_list(graphs))
    bare.edge_attr = torch.tensor([[1, 2], [3, 4]])
    with pytest.raises(GraphPEValueError):
        EdgePathPE(2, num_types=9)(bare)


@pytest.mark.parametrize(
    ("build", "error", "message"),
    [
        (lambda: EdgePathPE(0, num_types=3), GraphPEValueError, "max_distance must be from 1 to 4096, got 0"),
        (lambda: EdgePathPE(2, num_types=0), GraphPEValueError, "num_types must be from 1 to 4096, got 0"),
        (lambda: EdgePathPE(2, num_types=()), GraphPEValueError, "num_types is empty"),
        (lambda: EdgePathPE(2, num_types="ab"), GraphPETypeError, "num_types must be an integer, got 'ab'"),
        (lambda: EdgePathPE(100, num_types=41), GraphPEValueError, "make 4100 channels"),
        (lambda: EdgePathPE(2, num_types=3, key=1), GraphPETypeError, "key must be a string, got 1"),
        (lambda: EdgePathPE(2, num_types=3, undirected=0), GraphPETypeError, "undirected must be True or False"),
        (lambda: EdgePathPE(2, num_types=3, attr_name="edge_path"), GraphPEValueError, "'edge_path' contains 'edge'"),
    ],
)
def test_parameters_are_checked(build, error, message):
    with pytest.raises(error, match=message):
        build()


def test_repr():
    transform = EdgePathPE(2, num_types=[3, 2])
    text = "EdgePathPE(max_distance=2, num_types=(3, 2), key='edge_attr', undirected=True, attr_name='path_types')"
    assert repr(transform) == repr(pickle.loads(pickle.dumps(transform))) == text
    assert repr(eval(text)) == text
