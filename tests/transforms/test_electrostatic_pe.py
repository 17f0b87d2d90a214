from __future__ import annotations

import numpy as np
import pytest
import torch
from torch_geometric.data import Batch, Data

from graphpe import transforms as T
from graphpe.errors import GraphPEValueError
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


def of_graphgps(edges: np.ndarray, n: int) -> np.ndarray:
    """What GraphGPS's code writes for a connected undirected graph: statistics of the columns and rows of L+ - diag."""
    adjacency = np.zeros((n, n))
    adjacency[edges[0], edges[1]] = adjacency[edges[1], edges[0]] = 1
    np.fill_diagonal(adjacency, 0)
    degree = adjacency.sum(1)
    inverse = np.linalg.pinv(np.diag(degree) - adjacency)
    value = inverse - np.diag(inverse)[None, :]
    columns = [
        part for axis in (0, 1) for part in (value.min(axis), value.max(0), value.mean(axis), value.std(axis, ddof=1))
    ]
    walk = adjacency / degree[:, None] * value
    return np.stack([*columns, walk.sum(0), walk.sum(1)], axis=1)


@pytest.mark.parametrize("n", [2, 3, 7, 12])
def test_statistics_of_graphgps(n):
    random = np.random.default_rng(n)
    tree = np.stack([random.integers(0, np.arange(1, n)), np.arange(1, n)])
    edges = np.concatenate([tree, random.integers(0, n, (2, n))], axis=1)
    graph = Data(edge_index=torch.from_numpy(edges), num_nodes=n)
    expected = of_graphgps(edges, n)
    out = ElectrostaticPE(statistics="graphgps")(graph).electrostatic_pe
    np.testing.assert_allclose(out, expected, atol=1e-6)
    own = ElectrostaticPE()(graph).electrostatic_pe
    np.testing.assert_allclose(own[:, [0, 4, 8, 9]], expected[:, [0, 4, 8, 9]], atol=1e-6)
    if n > 2:
        assert not np.allclose(own[:, [2, 3, 6, 7]], expected[:, [2, 3, 6, 7]], atol=1e-3)
    several = Data(edge_index=torch.cat([graph.edge_index, graph.edge_index + n + 1], dim=1), num_nodes=2 * n + 1)
    twice = ElectrostaticPE(statistics="graphgps")(several).electrostatic_pe  # components apart, a node alone between
    np.testing.assert_allclose(twice, np.concatenate([expected, np.zeros((1, 10)), expected]), atol=1e-6)


def test_isolated_nodes_have_zeros():
    graph = Data(edge_index=torch.tensor([[0, 1, 3], [1, 0, 3]]), num_nodes=4)
    out = ElectrostaticPE()(graph).electrostatic_pe
    assert not out[2:].any()
    assert out[:2].tolist() == [[-0.5, -0.5, -0.5, 0, -0.5, -0.5, -0.5, 0, -0.5, -0.5]] * 2


@pytest.mark.parametrize("weight", [1e-38, 1e38])
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


def test_name():
    assert repr(ElectrostaticPE()) == "ElectrostaticPE(statistics='others', attr_name='electrostatic_pe')"
    with pytest.raises(GraphPEValueError, match="statistics must be one of 'others', 'graphgps', got 'mean'"):
        ElectrostaticPE(statistics="mean")
