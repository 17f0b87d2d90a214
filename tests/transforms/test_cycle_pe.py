from __future__ import annotations

import networkx as nx
import torch

from graphpe import transforms as T
from graphpe.graphs.packed import PackedGraphs
from graphpe.walks.cycles import closed_walk_counts, cycle_counts


def test_logarithms_of_the_counts():
    packed = PackedGraphs.from_networkx([nx.petersen_graph(), nx.grid_2d_graph(3, 3)])
    for kind, count in (("cycles", cycle_counts), ("walks", closed_walk_counts)):
        out = T.CyclePE(8, kind=kind)(packed).node["cycle_pe"]
        assert out.dtype == torch.float32
        torch.testing.assert_close(out.double().expm1(), count(packed, 8), rtol=1e-5, atol=1e-5)


def test_long_walks_stay_finite():
    out = T.CyclePE(600, kind="walks")(PackedGraphs.from_networkx(nx.complete_graph(30)))
    assert out.node["cycle_pe"].isfinite().all()
