from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data

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


@pytest.mark.parametrize("weight", [1e-45, 1e-38, 1.0, 1e38])
def test_extreme_weights(weight):
    graph = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), edge_weight=torch.tensor([weight, weight]), num_nodes=4)
    out = CommuteTimePE()(graph).commute_time
    # The path's volume times its resistances, 4 w / w, at every scale.
    torch.testing.assert_close(out[:4].flatten(), torch.tensor([0.0, 4.0, 8.0, -1.0]), rtol=1e-5, atol=0)
