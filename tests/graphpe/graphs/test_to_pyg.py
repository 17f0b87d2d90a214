from __future__ import annotations

import itertools
import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Batch, Data
from torch_geometric.transforms import ToUndirected

from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs

KINDS = {"x": "node", "mask": "node", "edge_attr": "edge", "y": "graph", "rrwp": "pair"}


def assert_same_batch(actual: Batch, expected: Batch) -> None:
    """Equal in every key (ours has `max_size` and `num_pairs` on top), and separated into equal graphs."""
    assert set(actual.keys()) == {*expected.keys(), "max_size", "num_pairs"}
    for key in expected.keys():
        if isinstance(expected[key], torch.Tensor):
            assert actual[key].dtype == expected[key].dtype, key
            assert torch.equal(actual[key], expected[key]), key
        else:
            assert actual[key] == expected[key], key
    assert type(actual) is type(expected)
    assert actual.num_graphs == len(actual) == expected.num_graphs
    assert actual.num_nodes == expected.num_nodes
    sizes = [data.num_nodes for data in expected.to_data_list()]
    assert actual.max_size == max(sizes, default=0)
    assert actual.num_pairs == sum(n * n for n in sizes)


@settings(deadline=None, max_examples=30)
@given(sizes=st.lists(st.integers(0, 5), min_size=1, max_size=6), seed=st.integers(0, 2**32 - 1), with_x=st.booleans())
def test_batch_equals_pyg_batch(make_graphs, assert_same_data, sizes, seed, with_x):
    graphs = make_graphs(sizes, seed, pairs=True, weights=True)
    levels = dict(KINDS)
    if not with_x:
        del levels["x"]
        for data in graphs:
            data.num_nodes = data.x.size(0)
            del data.x
    batch = PackedGraphs.from_data_list(graphs, levels=levels).to_batch()
    expected = Batch.from_data_list(graphs)
    assert_same_batch(batch, expected)
    for i, original in enumerate(graphs):
        assert_same_data(batch.get_example(i), original)
        assert_same_data(batch[i], expected[i])
    for mine, original in zip(batch.to_data_list(), graphs, strict=True):
        assert_same_data(mine, original)
    assert_same_batch(pickle.loads(pickle.dumps(batch)), expected)
    again = Batch.from_data_list(batch.to_data_list())
    assert torch.equal(again.edge_index, expected.edge_index)


@settings(deadline=None, max_examples=30)
@given(
    sizes=st.lists(st.integers(0, 5), max_size=8),
    cuts=st.lists(st.integers(0, 8), max_size=4),
    seed=st.integers(0, 999),
)
def test_many_batches_at_once_equal_one_by_one(make_graphs, assert_same_data, sizes, cuts, seed):
    graphs = make_graphs(sizes, seed, pairs=True, weights=True)
    packed = PackedGraphs.from_data_list(graphs, levels=KINDS if sizes else None)
    bounds = [0, *sorted(min(cut, len(sizes)) for cut in cuts), len(sizes)]
    counts = [b - a for a, b in itertools.pairwise(bounds)]
    for structure in (packed, packed.structure()):
        batches = structure.to_batches(counts)
        assert len(batches) == len(counts)
        for batch, a, b in zip(batches, bounds, bounds[1:], strict=False):
            assert_same_batch_as_ours(batch, structure[a:b].to_batch())
            for mine, original in zip(batch.to_data_list(), structure[a:b].to_data_list(), strict=True):
                assert_same_data(mine, original)


def assert_same_batch_as_ours(actual: Batch, expected: Batch) -> None:
    assert set(actual.keys()) == set(expected.keys())
    for key in expected.keys():
        if isinstance(expected[key], torch.Tensor):
            assert torch.equal(actual[key], expected[key]), key
        else:
            assert actual[key] == expected[key], key
    assert actual.num_graphs == expected.num_graphs


@pytest.mark.parametrize("counts", [[], [2], [2, 2], [4, -1]])
def test_counts_must_add_up(make_graphs, counts):
    with pytest.raises(GraphPEValueError, match=r"counts add up to .* there are 3"):
        PackedGraphs.from_data_list(make_graphs([1, 2, 3], 0)).to_batches(counts)


def test_number_of_graphs_does_not_hang_on_ptr(make_graphs):
    batch = PackedGraphs.from_data_list(make_graphs([2, 3, 0], 0)).to_batch()
    del batch.ptr
    assert batch.num_graphs == 3  # the batch vector alone tells 2


def test_no_graphs(make_graphs):
    batch = PackedGraphs.from_data_list(make_graphs([2, 3], 0)).select([]).to_batch()
    assert (batch.num_graphs, batch.num_nodes, batch.max_size, batch.num_pairs) == (0, 0, 0, 0)
    assert batch.x.shape == (0, 3)
    assert batch.to_data_list() == []
    assert PackedGraphs.from_data(batch).num_graphs == 0
    assert PackedGraphs.from_data_list([]).to_batches([]) == []


def test_batches_do_not_share_their_attributes(make_graphs):
    packed = PackedGraphs.from_data_list(make_graphs([2, 3], 0))
    first, second = packed.to_batch(), packed.to_batch()
    first.extra = torch.zeros(5)
    del first.x
    assert "extra" not in second
    assert "x" in second
    assert "extra" not in packed.node
    assert first.stores[0]._parent() is first


def test_batch_works_with_pyg_transforms(make_graphs):
    graphs = make_graphs([2, 3, 0, 4], 2)
    undirected = ToUndirected()(PackedGraphs.from_data_list(graphs, keys=["x"]).to_batch())
    expected = ToUndirected()(Batch.from_data_list([Data(x=data.x, edge_index=data.edge_index) for data in graphs]))
    assert torch.equal(undirected.edge_index, expected.edge_index)
    assert undirected.clone().to("cpu").num_graphs == 4


def test_separated_graphs_are_views(make_graphs):
    packed = PackedGraphs.from_data_list(make_graphs([2, 3], 0))
    assert packed.to_data_list()[1].x.data_ptr() == packed.node["x"][2:].data_ptr()
