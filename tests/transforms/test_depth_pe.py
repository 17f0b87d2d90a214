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


def test_disjoint_union():
    graph = Data(edge_index=torch.tensor([[0, 1, 3], [1, 2, 4]]), num_nodes=6)
    assert DepthPE()(graph).depth_pe.flatten().tolist() == [0, 1, 2, 0, 1, 0]


def test_parameters():
    assert repr(DepthPE(3)) == "DepthPE(max_depth=3, path='longest', attr_name='depth_pe')"
    with pytest.raises(GraphPEValueError, match="path must be one of 'longest', 'shortest', got None"):
        DepthPE(path=None)
    with pytest.raises(GraphPEValueError, match="max_depth must be from 1 to 4096, got 0"):
        DepthPE(0)
    with pytest.raises(GraphPETypeError, match=r"max_depth must be an integer, got 2\.0"):
        DepthPE(2.0)
