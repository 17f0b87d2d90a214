from __future__ import annotations

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch, Data

from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.spectra.resistance import commute_times
from graphpe.transforms.commute_time_pe import CommuteTimePE


def test_values(random_graph):
    packed = PackedGraphs.from_data_list([random_graph(seed, weighted=True) for seed in range(9)])
    transform = CommuteTimePE()
    out = transform(packed).pair["commute_time"]
    assert out.dtype == torch.float32
    assert out.shape == (packed.num_pairs, transform.columns)
    torch.testing.assert_close(out[:, 0], commute_times(packed).float(), rtol=0, atol=0)


def test_batch(random_graph):
    graphs = [random_graph(seed) for seed in range(12)]
    whole = CommuteTimePE()(Batch.from_data_list(graphs))
    for got, graph in zip(whole.to_data_list(), graphs, strict=True):
        torch.testing.assert_close(got.commute_time, CommuteTimePE()(graph).commute_time, rtol=1e-6, atol=0)


def test_permutation(random_graph):
    for seed in range(10):
        graph = random_graph(seed, weighted=True)
        n = graph.num_nodes
        new = torch.from_numpy(np.random.default_rng(1).permutation(n))
        moved = Data(edge_index=new[graph.edge_index], edge_weight=graph.edge_weight, num_nodes=n)
        was, now = (CommuteTimePE()(data).commute_time.view(n, n) for data in (graph, moved))
        torch.testing.assert_close(now[new][:, new], was, rtol=1e-6, atol=0)


@pytest.mark.parametrize("weight", [1e-45, 1e-38, 1.0, 1e38])
def test_extreme_weights(weight):
    graph = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), edge_weight=torch.tensor([weight, weight]), num_nodes=4)
    out = CommuteTimePE()(graph).commute_time
    assert out.isfinite().all()
    assert (out[1:3] > 0).all() or weight == 1e38


def test_name():
    assert repr(CommuteTimePE()) == "CommuteTimePE(attr_name='commute_time')"
    with pytest.raises(GraphPEValueError, match="'y' is not a free name"):
        CommuteTimePE(attr_name="y")
