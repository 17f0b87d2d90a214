from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Batch, Data

from graphpe import transforms as T
from graphpe.graphs.packed import PackedGraphs
from graphpe.spectra import resistance
from graphpe.spectra.electrostatics import potential_statistics
from graphpe.transforms.commute_time_pe import CommuteTimePE
from graphpe.transforms.electrostatic_pe import ElectrostaticPE
from graphpe.transforms.resistance_pe import ResistancePE


def test_values(random_graph):
    graphs = [random_graph(seed, weighted=True) for seed in range(12)]
    packed = PackedGraphs.from_data_list(graphs)
    out = ElectrostaticPE()(packed).node["electrostatic_pe"]
    assert out.dtype == torch.float32
    assert out.shape == (packed.num_nodes, ElectrostaticPE().columns)
    assert torch.equal(out, potential_statistics(packed).float())
    batch = ElectrostaticPE()(Batch.from_data_list(graphs))
    assert torch.equal(batch.electrostatic_pe, out)
    torch.testing.assert_close(torch.cat([ElectrostaticPE()(graph).electrostatic_pe for graph in graphs]), out)


def test_isolated_nodes_have_zeros():
    graph = Data(edge_index=torch.tensor([[0, 1, 3], [1, 0, 3]]), num_nodes=4)
    out = ElectrostaticPE()(graph).electrostatic_pe
    assert not out[2:].any()
    assert out[:2].tolist() == [[-0.5, -0.5, -0.5, 0, -0.5, -0.5, -0.5, 0, -0.5, -0.5]] * 2


@pytest.mark.parametrize("weight", [1e-45, 1e-38, 1e38])
def test_extreme_weights(weight):
    graph = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), edge_weight=torch.tensor([weight, 1.0]), num_nodes=4)
    assert ElectrostaticPE()(graph).electrostatic_pe.isfinite().all()


def test_compose_solves_once(random_graph, monkeypatch):
    graph = random_graph(4)
    alone = [transform(graph) for transform in (ResistancePE(), CommuteTimePE(), ElectrostaticPE())]
    solved = []
    real = resistance._resistances
    monkeypatch.setattr(resistance, "_resistances", lambda *args: solved.append(1) or real(*args))
    out = T.Compose([ResistancePE(), CommuteTimePE(), ElectrostaticPE()])(graph)
    assert len(solved) == 1
    assert torch.equal(out.resistance, alone[0].resistance)
    assert torch.equal(out.commute_time, alone[1].commute_time)
    assert torch.equal(out.electrostatic_pe, alone[2].electrostatic_pe)
