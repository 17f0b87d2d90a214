from __future__ import annotations

import networkx as nx
import numpy as np
import torch
from torch_geometric.data import Data
from torch_geometric.utils import from_networkx

from graphpe.benchmarks.pretraining.pairs import asked_pairs, partners
from graphpe.graphs.packed import PackedGraphs


def packed(*graphs: nx.Graph) -> PackedGraphs:
    return PackedGraphs.from_data_list(
        [
            from_networkx(graph)
            if graph.number_of_edges()
            else Data(edge_index=torch.zeros(2, 0).long(), num_nodes=len(graph))
            for graph in graphs
        ]
    )


def test_small_graphs_are_asked_about_all_pairs() -> None:
    graphs = packed(nx.path_graph(3), nx.empty_graph(1), nx.cycle_graph(5))
    partner = partners(graphs, 5)
    assert [row[row >= 0].tolist() for row in partner] == [[0, 1, 2]] * 3 + [[0]] + [[0, 1, 2, 3, 4]] * 5
    pairs, place = asked_pairs(graphs, partner)
    assert torch.equal(pairs.row, torch.arange(graphs.num_pairs))
    assert torch.equal(partner.flatten()[place], pairs.target - graphs.ptr[graphs.batch[pairs.source]])


def test_large_graphs_are_asked_about_far_and_near_pairs() -> None:
    path = nx.DiGraph([(i, i + 1) for i in range(49)])  # one way: walks go both ways
    graphs = packed(nx.path_graph(2), path, nx.empty_graph(20))
    partner = partners(graphs, 8).numpy()
    assert torch.equal(torch.from_numpy(partner), partners(graphs, 8))
    assert partner[:2, 2:].tolist() == [[-1] * 6] * 2
    of_path = partner[2:52]
    assert of_path.min() >= 0
    assert of_path.max() < 50
    away = np.abs(of_path - np.arange(50)[:, None])
    assert away[:, 4:].max() <= 4
    assert (away[:, 4] == 1).all()  # one step
    assert len(np.unique(of_path[:, :4])) > 25
    alone = partner[52:]
    assert (alone[:, 4:] == np.arange(20)[:, None]).all()
    assert alone.max() < 20
