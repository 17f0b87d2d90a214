from __future__ import annotations

import math

import networkx as nx
import pytest
import torch

from graphpe import transforms as T
from graphpe.errors import GraphPEValueError, GraphRangeError
from graphpe.graphs.packed import PackedGraphs
from graphpe.walks.cycles import closed_walk_counts, cycle_counts


def test_logarithms_of_the_counts():
    packed = PackedGraphs.from_networkx([nx.petersen_graph(), nx.grid_2d_graph(3, 3)])
    for kind, count in (("cycles", cycle_counts), ("walks", closed_walk_counts)):
        out = T.CyclePE(8, kind=kind)(packed).node["cycle_pe"]
        assert out.dtype == torch.float32
        torch.testing.assert_close(out.double().expm1(), count(packed, 8), rtol=1e-5, atol=1e-5)


def test_more_closed_walks_than_floats_hold_are_an_error():
    # of K_30, and of K_40,40, where an infinity meets a zero on the way to each odd power
    for graph, most, last in (
        (nx.complete_graph(30), 211, math.log((29**211 - 29) // 30)),
        (nx.complete_bipartite_graph(40, 40), 193, 0.0),
    ):
        packed = PackedGraphs.from_networkx([nx.path_graph(3), graph])
        found = T.CyclePE(most, kind="walks")(packed).node["cycle_pe"]
        torch.testing.assert_close(found[3:, -1], torch.full((len(graph),), last))
        for length in (most + 1, 600):
            with pytest.raises(GraphRangeError, match=f"graph 1: closed walks of {most + 1} steps are more than"):
                T.CyclePE(length, kind="walks")(packed)


@pytest.mark.parametrize("kind", ["cycles", "walks"])
def test_lengths_have_an_end(kind):
    assert T.CyclePE(4096, kind=kind).columns == 4094
    with pytest.raises(GraphPEValueError, match="max_length must be from 3 to 4096, got 4097"):
        T.CyclePE(4097, kind=kind)
