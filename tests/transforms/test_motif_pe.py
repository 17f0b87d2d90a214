from __future__ import annotations

import networkx as nx
import pytest
import torch

from graphpe import transforms as T
from graphpe.benchmarks.calls.build import build_encodings
from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.homomorphisms.subgraphs import subgraph_counts


@pytest.mark.parametrize("induced", [False, True])
def test_logarithms_of_the_numbers_or_the_numbers(induced):
    packed = PackedGraphs.from_networkx([nx.petersen_graph(), nx.grid_2d_graph(3, 3), nx.empty_graph(1)])
    expected = subgraph_counts(packed, "Connected(5)", induced=induced)
    out = T.MotifPE("Connected(5)", induced=induced)(packed).node["motif_pe"]
    assert out.dtype == torch.float32
    torch.testing.assert_close(out.double().expm1(), expected.double(), rtol=1e-5, atol=1e-5)
    plain = T.MotifPE("Connected(5)", induced=induced, scale="none")
    assert torch.equal(plain(packed).node["motif_pe"], expected.float())
    (read,) = build_encodings([repr(plain)])
    assert repr(read) == repr(plain)
    assert plain.columns == 73


def test_columns_have_names():
    assert T.MotifPE(["Star(4)", "Cycle(5)"]).column_names == ["Star(4) at 0", "Star(4) at 1", "Cycle(5) at 0"]


def test_rings_are_those_of_the_search():
    packed = PackedGraphs.from_networkx([nx.grid_2d_graph(4, 4), nx.circular_ladder_graph(5)])
    by_search = T.CyclePE(8)(packed).node["cycle_pe"]
    assert torch.equal(T.MotifPE("Cycles(8)")(packed).node["motif_pe"], by_search)


def test_what_is_no_motif():
    with pytest.raises(GraphPEValueError, match="must be from 2 to 6, got 7"):
        T.MotifPE("Path(7)", induced=True)
    with pytest.raises(GraphPEValueError, match="scale must be one of"):
        T.MotifPE("Path(4)", scale="sqrt")
