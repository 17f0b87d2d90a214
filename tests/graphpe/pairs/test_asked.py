from __future__ import annotations

import re

import numpy as np
import pytest
import torch

from graphpe.compiled.jit import everything_compiled
from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.pairs.asked import asked_pairs, grouped, in_threads, sampled
from graphpe.pairs.pagerank import asked_pagerank
from graphpe.pairs.path_lengths import asked_distances
from graphpe.pairs.resistances import asked_resistances
from graphpe.pairs.walk_powers import asked_walk_powers


def test_pairs_are_found_once_each_and_put_back(two_graphs):
    graphs, pairs, _ = two_graphs(1)
    asked = asked_pairs(pairs, graphs)
    assert len(np.unique(asked.source * 1000 + asked.target)) == len(asked.source) < pairs.shape[1]
    assert torch.equal(torch.from_numpy(np.stack([asked.source, asked.target])[:, asked.place]), pairs)
    assert asked_pairs(asked, graphs) is asked
    groups = grouped(asked.source, asked.target)
    for number, node in enumerate(groups.node):
        inside = groups.order[groups.ptr[number] : groups.ptr[number + 1]]
        assert (asked.source[inside] == node).all()
        assert (asked.target[inside] == groups.other[groups.ptr[number] : groups.ptr[number + 1]]).all()
    assert groups.ptr[-1] == len(asked.source)


@pytest.mark.parametrize(
    ("pairs", "error", "message"),
    [
        ([[0], [1]], GraphPETypeError, "wanted must be a tensor of node ids [2, num_pairs], got list"),
        (torch.zeros(2, 3), GraphPETypeError, "got a tensor of float32"),
        (torch.zeros(2, 3, dtype=torch.bool), GraphPETypeError, "got a tensor of bool"),
        (torch.zeros(3, 2, dtype=torch.long), GraphPEValueError, "wanted must be node ids [2, num_pairs], got [3, 2]"),
        (torch.tensor([[0], [-1]]), GraphPEValueError, "wanted asks for node -1, but there are"),
        (torch.tensor([[0], [500]]), GraphPEValueError, "asks for node 500, but there are"),
    ],
)
def test_what_is_no_pair_is_one_line(two_graphs, pairs, error, message):
    graphs, _, _ = two_graphs(1)
    with pytest.raises(error, match=re.escape(message)) as caught:
        asked_pairs(pairs, graphs, "wanted")
    assert "\n" not in str(caught.value)


def test_pairs_are_of_one_graph(two_graphs):
    graphs, _, n = two_graphs(1)
    with pytest.raises(GraphPEValueError, match=rf"the pair \[0, {n}\], nodes of graphs 0 and 1"):
        asked_pairs(torch.tensor([[0, 0], [0, n]]), graphs)


def test_no_pairs(two_graphs):
    graphs, pairs, _ = two_graphs(1)
    asked = asked_pairs(pairs[:, :0], graphs)
    assert [len(each) for each in asked] == [0, 0, 0]


def test_threads_take_every_part_once():
    seen = np.zeros(100, dtype=int)

    def run(start: int, stop: int) -> None:
        seen[start:stop] += 1

    for seconds in (0.0, 10.0):
        in_threads(run, 100, seconds)
    assert (seen == 2).all()
    assert sampled(np.arange(100), 4).tolist() == [12, 37, 62, 87]
    assert sampled(np.arange(2), 4).tolist() == [0, 1]


def test_compiled_and_not_are_the_same(two_graphs):
    """Small work is Python's, from the same source."""
    calls = [
        lambda graphs, pairs: asked_walk_powers(graphs, pairs, 6),
        lambda graphs, pairs: asked_pagerank(graphs, pairs, 0.2),
        lambda graphs, pairs: asked_distances(graphs, pairs),
        lambda graphs, pairs: asked_distances(graphs, pairs, weighted=True),
        asked_resistances,
    ]
    graphs, pairs, _ = two_graphs(6, weighted=True)
    for call in calls:
        found = call(graphs, pairs)
        with everything_compiled():
            torch.testing.assert_close(call(graphs, pairs), found, rtol=1e-12, atol=1e-14)
