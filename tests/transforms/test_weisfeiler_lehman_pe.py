from __future__ import annotations

import networkx as nx
import torch
from torch_geometric.data import Data

from graphpe import transforms as T
from graphpe.graphs.packed import PackedGraphs
from graphpe.structure.weisfeiler_lehman import refined_colours


def test_colours_are_hashes_modulo_their_number():
    packed = PackedGraphs.from_networkx([nx.path_graph(9), nx.star_graph(4)])
    hashes = refined_colours(packed, 3)
    for number in (2, 7, 1 << 31):
        out = T.WeisfeilerLehmanPE(3, num_colours=number)(packed).node["weisfeiler_lehman_pe"]
        expected = [[colour % number for colour in row] for row in hashes.tolist()]
        assert out.tolist() == expected


def test_the_same_node_in_two_graphs_has_one_colour():
    path = [[0, 1, 1, 2], [1, 0, 2, 1]]
    small = Data(edge_index=torch.tensor(path), num_nodes=3)
    more = Data(edge_index=torch.tensor([path[0] + [3, 4], path[1] + [4, 3]]), num_nodes=5)
    encode = T.WeisfeilerLehmanPE(2, num_colours=1 << 30)
    assert torch.equal(encode(small).weisfeiler_lehman_pe, encode(more).weisfeiler_lehman_pe[:3])
