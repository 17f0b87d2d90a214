from __future__ import annotations

import numpy as np
import pytest

from graphpe.benchmarks.tasks.links.negatives import Negatives
from graphpe.errors import GraphPEValueError


def test_no_known_edge_and_no_node_with_itself_is_drawn():
    rng = np.random.default_rng(0)
    edges = rng.integers(0, 20, (2, 120))
    negatives = Negatives(edges, 20)
    drawn = negatives.draw(5000, np.random.default_rng(1))
    assert drawn.shape == (2, 5000)
    known = {frozenset(edge) for edge in edges.T.tolist()}
    found = {tuple(pair) for pair in drawn.T.tolist()}
    assert all(frozenset(pair) not in known and pair[0] != pair[1] for pair in found)
    free = [(u, v) for u in range(20) for v in range(20) if u != v and frozenset((u, v)) not in known]
    assert found == set(free)  # every other pair is drawn
    assert np.array_equal(drawn, negatives.draw(5000, np.random.default_rng(1)))


def test_a_graph_without_edges_and_one_without_other_pairs():
    assert Negatives(np.zeros((2, 0), dtype=np.int64), 5).draw(30, np.random.default_rng(0)).shape == (2, 30)
    tail, head = np.triu_indices(6, 1)
    with pytest.raises(GraphPEValueError, match="edges join 30 of 30 pairs of nodes"):
        Negatives(np.stack([tail, head]), 6)
    almost = Negatives(np.stack([tail, head])[:, 1:], 6).draw(3, np.random.default_rng(0))
    assert {frozenset(pair) for pair in almost.T.tolist()} == {frozenset((0, 1))}
