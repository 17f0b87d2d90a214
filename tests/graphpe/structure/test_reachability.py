from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from torch_geometric.data import Data

from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.structure.plan import Plan
from graphpe.structure.reachability import condensation, depths, reachability


def to_networkx(graph: Data) -> nx.DiGraph:
    out = nx.DiGraph()
    out.add_nodes_from(range(graph.num_nodes))
    weight = [1.0] * graph.num_edges if graph.edge_weight is None else graph.edge_weight.tolist()
    out.add_edges_from(edge for edge, w in zip(graph.edge_index.t().tolist(), weight, strict=True) if w)
    return out


def depths_by_definition(graph: nx.DiGraph, longest: bool) -> list[int]:
    """Over all paths of the condensation, one topological order at a time."""
    small = nx.condensation(graph)
    depth: dict[int, int] = {}
    for c in nx.topological_sort(small):
        before = [depth[p] + 1 for p in small.predecessors(c)]
        depth[c] = (max if longest else min)(before, default=0)
    return [depth[small.graph["mapping"][u]] for u in range(len(graph))]


@pytest.fixture
def graphs(make_graphs) -> list[Data]:
    graphs = make_graphs([0, 1, 2, 5, 12, 30, 63, 64, 65, 140, 3], 8, weights=True)
    for graph in graphs:
        graph.edge_weight = (graph.edge_weight > 0.2).double()
    dags = make_graphs([9, 40, 130], 9)
    for graph in dags:
        low, high = graph.edge_index.min(0).values, graph.edge_index.max(0).values
        graph.edge_index = torch.stack([low, high])[:, low < high]
        graph.edge_weight = torch.ones(graph.edge_index.size(1), dtype=torch.float64)
        del graph.edge_attr
    for graph in graphs:
        del graph.edge_attr
    return graphs + dags


def test_components(graphs):
    packed = PackedGraphs.from_data_list(graphs)
    label, order = Plan(packed).once(condensation)
    assert sorted(order.tolist()) == list(range(packed.num_nodes))
    assert (np.diff(label[order]) >= 0).all()
    ptr = packed.ptr.tolist()
    for b, graph in enumerate(graphs):
        mine = label[ptr[b] : ptr[b + 1]]
        theirs = {frozenset(c) for c in nx.strongly_connected_components(to_networkx(graph))}
        assert {frozenset(np.flatnonzero(mine == c).tolist()) for c in set(mine)} == theirs
        for u, v in to_networkx(graph).edges:
            assert mine[v] <= mine[u]
    assert len(set(label.tolist())) == label.max() + 1


def test_reachability(graphs):
    packed = PackedGraphs.from_data_list(graphs)
    ours = reachability(packed)
    assert ours.dtype == torch.int64
    for got, graph in zip(ours.split(packed.sizes.square().tolist()), graphs, strict=True):
        n = graph.num_nodes
        closure = nx.transitive_closure(to_networkx(graph), reflexive=True)
        assert torch.equal(
            got.view(n, n),
            torch.from_numpy(nx.to_numpy_array(closure, nodelist=range(n))).long() if n else got.view(0, 0),
        )


@pytest.mark.parametrize("path", ["longest", "shortest"])
def test_depths(graphs, path):
    packed = PackedGraphs.from_data_list(graphs)
    ours = depths(packed, path)
    expected = [depth for graph in graphs for depth in depths_by_definition(to_networkx(graph), path == "longest")]
    assert ours.tolist() == expected
    assert max(expected) > 3


def test_deep_graphs_need_no_stack():
    long = PackedGraphs.from_networkx([nx.path_graph(2500, create_using=nx.DiGraph)])
    assert depths(long).tolist() == list(range(2500))
    assert torch.equal(reachability(long).view(2500, 2500), torch.ones(2500, 2500, dtype=torch.int64).triu())


def test_cycles_share_a_place():
    # 0 -> (1 -> 2 -> 3 -> 1) -> 4, and the loop at 4.
    graph = PackedGraphs.from_networkx([nx.DiGraph([(0, 1), (1, 2), (2, 3), (3, 1), (3, 4), (4, 4)])])
    assert depths(graph).tolist() == [0, 1, 1, 1, 2]
    assert reachability(graph).view(5, 5).tolist() == [
        [1, 1, 1, 1, 1],
        [0, 1, 1, 1, 1],
        [0, 1, 1, 1, 1],
        [0, 1, 1, 1, 1],
        [0, 0, 0, 0, 1],
    ]


def test_wrong_arguments():
    graph = Data(edge_index=torch.tensor([[0], [1]]), edge_weight=torch.tensor([float("nan")]), num_nodes=2)
    packed = PackedGraphs.from_data_list([graph])
    with pytest.raises(GraphPEValueError, match="edge_weight holds nan"):
        depths(packed)
    with pytest.raises(GraphPEValueError, match="edge_weight holds nan"):
        reachability(packed)
    with pytest.raises(GraphPEValueError, match="path must be one of 'longest', 'shortest', got 'mean'"):
        depths(packed, "mean")
