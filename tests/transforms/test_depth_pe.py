from __future__ import annotations

import networkx as nx
import pytest
import torch
from torch_geometric.data import Batch, Data

from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.structure.reachability import depths
from graphpe.transforms.depth_pe import DepthPE


def test_values_are_the_depths(random_graph):
    packed = PackedGraphs.from_data_list([random_graph(seed) for seed in range(20)])
    for path in ("longest", "shortest"):
        out = DepthPE(path=path)(packed).node["depth_pe"]
        assert out.dtype == torch.int64
        assert torch.equal(out, depths(packed, path)[:, None])
        assert torch.equal(DepthPE(1, path=path)(packed).node["depth_pe"], out.clamp(max=1))


def test_tree_generations():
    tree = nx.balanced_tree(2, 4, create_using=nx.DiGraph)
    out = DepthPE()(PackedGraphs.from_networkx([tree])).node["depth_pe"]
    assert out.flatten().tolist() == [nx.shortest_path_length(tree, 0, v) for v in tree]
    assert DepthPE().columns == 1
    assert (DepthPE().vocabulary, DepthPE(9).vocabulary) == (None, 10)


def test_undirected_graph_has_one_depth(random_graph):
    out = DepthPE()(Batch.from_data_list([random_graph(seed, undirected=True) for seed in range(5)]))
    assert not out.depth_pe.any()


def longest_and_shortest_down(graph: nx.DiGraph) -> tuple[dict, dict]:
    """Heights of a graph's nodes by the recursion over its condensation: 0 at components that no edge leaves."""
    whole = nx.condensation(graph)
    longest, shortest = {}, {}
    for component in reversed(list(nx.topological_sort(whole))):
        below = list(whole.successors(component))
        longest[component] = 1 + max(longest[each] for each in below) if below else 0
        shortest[component] = 1 + min(shortest[each] for each in below) if below else 0
    place = whole.graph["mapping"]
    return {v: longest[place[v]] for v in graph}, {v: shortest[place[v]] for v in graph}


def test_heights_are_depths_from_the_leaves(random_graph):
    graphs = [random_graph(seed) for seed in range(20)]
    batch = Batch.from_data_list(graphs)
    longest = DepthPE(direction="leaves")(batch).depth_pe
    shortest = DepthPE(3, path="shortest", direction="leaves", attr_name="height")(batch).height
    expected = [
        longest_and_shortest_down(nx.DiGraph([*graph.edge_index.T.tolist(), *([v, v] for v in range(graph.num_nodes))]))
        for graph in graphs
    ]
    assert longest.flatten().tolist() == [one[v] for one, _ in expected for v in range(len(one))]
    assert shortest.flatten().tolist() == [min(one[v], 3) for _, one in expected for v in range(len(one))]
    assert (longest > 1).any()
    reverse = Batch.from_data_list(
        [Data(edge_index=graph.edge_index.flip(0), num_nodes=graph.num_nodes) for graph in graphs]
    )
    assert torch.equal(DepthPE()(reverse).depth_pe, longest)
    assert DepthPE(direction="leaves")(
        Data(edge_index=torch.zeros(2, 0, dtype=torch.long), num_nodes=0)
    ).depth_pe.shape == (0, 1)


def test_disjoint_union():
    graph = Data(edge_index=torch.tensor([[0, 1, 3], [1, 2, 4]]), num_nodes=6)
    assert DepthPE()(graph).depth_pe.flatten().tolist() == [0, 1, 2, 0, 1, 0]


def test_parameters():
    assert repr(DepthPE(3)) == "DepthPE(max_depth=3, path='longest', attr_name='depth_pe')"
    heights = "DepthPE(max_depth=3, path='longest', direction='leaves', attr_name='depth_pe')"
    assert repr(DepthPE(3, direction="leaves")) == heights
    with pytest.raises(GraphPEValueError, match="direction must be one of 'root', 'leaves', got 'up'"):
        DepthPE(direction="up")
    with pytest.raises(GraphPEValueError, match="path must be one of 'longest', 'shortest', got None"):
        DepthPE(path=None)
    with pytest.raises(GraphPEValueError, match="max_depth must be from 1 to 4096, got 0"):
        DepthPE(0)
    with pytest.raises(GraphPETypeError, match=r"max_depth must be an integer, got 2\.0"):
        DepthPE(2.0)
