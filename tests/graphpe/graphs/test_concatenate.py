from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphpe.errors import GraphPEValueError
from graphpe.graphs.concatenate import concatenate
from graphpe.graphs.packed import PackedGraphs

CUTS = st.lists(st.integers(0, 4), min_size=1, max_size=4)


@settings(deadline=None, max_examples=30)
@given(cuts=CUTS, seed=st.integers(0, 1000), weights=st.booleans())
def test_cut_and_joined_are_the_whole(make_graphs, cuts, seed, weights):
    sizes = torch.randint(0, 6, (sum(cuts),), generator=torch.Generator().manual_seed(seed)).tolist()
    whole = PackedGraphs.from_data_list(make_graphs(sizes, seed=seed, pairs=True, weights=weights))
    if not len(whole):
        return
    starts = [sum(cuts[:i]) for i in range(len(cuts))]
    joined = concatenate([whole[start : start + cut] for start, cut in zip(starts, cuts, strict=True)])
    for name in ("edge_index", "ptr", "edge_ptr", "edge_weight"):
        mine, other = getattr(joined, name), getattr(whole, name)
        assert (mine is None and other is None) or torch.equal(mine, other), name
    for level in ("node", "edge", "graph", "pair"):
        mine, other = getattr(joined, level), getattr(whole, level)
        assert mine.keys() == other.keys()
        assert all(torch.equal(mine[key], other[key]) for key in mine)
    assert joined.objects == whole.objects


def test_parts_must_hold_the_same(make_graphs):
    plain = PackedGraphs.from_data_list(make_graphs([2, 3], seed=0))
    with pytest.raises(GraphPEValueError, match=r"part 0 has node values .* but part 1 has"):
        concatenate([plain, plain.structure()])
    with pytest.raises(GraphPEValueError, match="at least one"):
        concatenate([])
