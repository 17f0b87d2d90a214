from __future__ import annotations

import networkx as nx
import pytest
import torch
from torch_geometric.data import Data

from graphpe import transforms as T
from graphpe.graphs.packed import PackedGraphs


@pytest.mark.parametrize("sign", ["random", "canonical", "none"])
def test_all_columns_give_back_the_edges(sign):
    graph = nx.gnp_random_graph(9, 0.3, seed=5, directed=True)
    out = T.SVDPE(9, sign=sign)(PackedGraphs.from_networkx(graph))
    tails, heads = out.node["svd_pe"].double().chunk(2, dim=1)
    torch.testing.assert_close(tails @ heads.T, torch.from_numpy(nx.to_numpy_array(graph, range(9))), atol=1e-5, rtol=0)
    assert (out.graph["svd_pe_singular_values"].diff() <= 0).all()


def test_canonical_signs_under_permutation():
    graph = nx.gnp_random_graph(11, 0.3, seed=2, directed=True)
    edges = torch.tensor(list(graph.edges)).T
    shuffled = torch.randperm(11, generator=torch.Generator().manual_seed(0))
    encode = T.SVDPE(3, sign="canonical")
    out = encode(Data(edge_index=edges, num_nodes=11)).svd_pe
    moved = encode(Data(edge_index=shuffled[edges], num_nodes=11)).svd_pe
    torch.testing.assert_close(moved[shuffled], out, atol=1e-5, rtol=0)


def test_reversing_edges_exchanges_the_halves():
    edges = torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 1, 3]])
    weight = torch.tensor([1.0, 0.7, 1.5, 0.4, 2.0])  # all singular values differ
    encode = T.SVDPE(2, sign="canonical")
    tails, heads = encode(Data(edge_index=edges, edge_weight=weight, num_nodes=4)).svd_pe.chunk(2, dim=1)
    back = encode(Data(edge_index=edges.flip(0), edge_weight=weight, num_nodes=4)).svd_pe
    torch.testing.assert_close(back.abs(), torch.cat([heads, tails], dim=1).abs(), atol=1e-5, rtol=0)
