from __future__ import annotations

import pickle

import torch

from graphpe.graphs.packed import PackedGraphs
from graphpe.storage.pickling import deserialize, deserialize_graphs, serialize, serialize_graphs


def test_graphs_travel_unchanged(make_graphs, assert_same_data) -> None:
    data = make_graphs([3, 0, 5], seed=1, pairs=True, weights=True)
    for graph in data:
        graph.half = torch.rand(graph.num_nodes).bfloat16()
        del graph.name, graph.tokens
    packed = PackedGraphs.from_data_list(data)
    travelled = deserialize_graphs(pickle.loads(pickle.dumps(serialize_graphs(packed))))
    for found, expected in zip(travelled.to_data_list(), packed.to_data_list(), strict=True):
        assert_same_data(found, expected)


def test_arrays_that_cannot_be_written_to_are_copied() -> None:
    frozen = serialize({"x": torch.arange(6).reshape(2, 3)})
    frozen["x"].content.flags.writeable = False
    thawed = deserialize(frozen)["x"]
    thawed += 1
    assert thawed.tolist() == [[1, 2, 3], [4, 5, 6]]
    assert deserialize(frozen)["x"].tolist() == [[0, 1, 2], [3, 4, 5]]
