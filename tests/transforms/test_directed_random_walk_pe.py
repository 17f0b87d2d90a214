from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data

from graphpe import transforms as T
from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.transforms.directed_random_walk_pe import DirectedRandomWalkPE
from graphpe.transforms.relative_random_walk_pe import RelativeRandomWalkPE
from graphpe.walks import loops
from graphpe.walks.directed_walks import directed_walk_pairs, directed_walk_visits


def test_values_are_those_of_the_functions(random_graph):
    graphs = [random_graph(seed, weighted=True) for seed in range(9)]
    packed = PackedGraphs.from_data_list(graphs)
    nodes = DirectedRandomWalkPE(2)(packed).node["directed_random_walk_pe"]
    assert nodes.dtype == torch.float32
    torch.testing.assert_close(nodes, directed_walk_visits(packed, 2, 0.05).float())
    pairs = DirectedRandomWalkPE(2, ppr=None, level="pair")(packed).pair["directed_random_walk_pe"]
    assert torch.equal(pairs, directed_walk_pairs(packed, 2, None))


def test_channels_in_order():
    # 0 -> 1 -> 2
    path = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), num_nodes=3)
    pairs = DirectedRandomWalkPE(2, ppr=0.5, level="pair")(path).directed_random_walk_pe.view(3, 3, 6)
    assert pairs[0].T.tolist() == [[0, 1, 0], [0, 0, 1], [0.5, 0.25, 0.25], [1, 0, 0], [1, 0, 0], [1, 0, 0]]
    assert pairs[2].T.tolist() == [[0, 0, 1], [0, 0, 1], [0, 0, 1], [0, 1, 0], [1, 0, 0], [0.25, 0.25, 0.5]]


def test_nodes_of_a_directed_acyclic_graph_are_told_apart():
    tree = Data(edge_index=torch.tensor([[0, 0, 1, 1, 2], [1, 2, 3, 4, 5]]), num_nodes=6)
    nodes = DirectedRandomWalkPE(3)(tree).directed_random_walk_pe
    distinct = torch.unique(nodes.mul(1e5).round(), dim=0)
    assert len(distinct) == 5  # all but the two leaves that are alike
    assert torch.equal(nodes[3], nodes[4])


def test_powers_are_shared(random_graph, monkeypatch):
    calls = []
    loop = loops.powers
    monkeypatch.setattr(loops, "powers", lambda *args: (calls.append(1), loop(*args))[1])
    encodings = [RelativeRandomWalkPE(9), DirectedRandomWalkPE(3, level="pair")]
    out = T.Compose(encodings)(random_graph(2))
    assert len(calls) == 2  # forward and reverse
    for encoding in encodings:
        assert torch.equal(out[encoding.attr_name], encoding(random_graph(2))[encoding.attr_name])


def test_parameters():
    transform = DirectedRandomWalkPE()
    text = "DirectedRandomWalkPE(walk_length=3, ppr=0.05, level='node', attr_name='directed_random_walk_pe')"
    assert repr(transform) == text
    assert (transform.keys, transform.pair_keys) == (["directed_random_walk_pe"], [])
    assert DirectedRandomWalkPE(level="pair").pair_keys == ["directed_random_walk_pe"]
    assert DirectedRandomWalkPE(2, ppr=None).columns == 4
    with pytest.raises(GraphPEValueError, match="level must be one of 'node', 'pair', got 'graph'"):
        DirectedRandomWalkPE(level="graph")
    with pytest.raises(GraphPEValueError, match="ppr must be a probability above 0 and at most 1, got 0"):
        DirectedRandomWalkPE(ppr=0)
    with pytest.raises(GraphPETypeError, match="ppr must be a number, got True"):
        DirectedRandomWalkPE(ppr=True)
