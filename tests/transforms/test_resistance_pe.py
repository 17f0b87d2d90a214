from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data

from graphpe.graphs.packed import PackedGraphs
from graphpe.spectra.resistance import effective_resistances
from graphpe.transforms.resistance_pe import ResistancePE


def test_values(random_graph):
    packed = PackedGraphs.from_data_list([random_graph(seed, weighted=True) for seed in range(9)])
    transform = ResistancePE()
    out = transform(packed).pair["resistance"]
    assert out.dtype == torch.float32
    assert out.shape == (packed.num_pairs, transform.columns)
    torch.testing.assert_close(out[:, 0], effective_resistances(packed).float(), rtol=0, atol=0)


@pytest.mark.parametrize("weight", [1e-38, 1.0, 1e38])
def test_extreme_weights(weight):
    graph = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), edge_weight=torch.tensor([weight, weight]), num_nodes=4)
    out = ResistancePE()(graph).resistance
    # 1 / w a step; what float32 cannot hold is its largest number.
    exact = torch.tensor([0, 1 / weight, 2 / weight, -1], dtype=torch.float64).clamp(max=torch.finfo(torch.float32).max)
    torch.testing.assert_close(out[:4].flatten(), exact.float(), rtol=1e-5, atol=0)
