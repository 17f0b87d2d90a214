from __future__ import annotations

import pytest
import torch

import graphpe
from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.pairs import pagerank as module
from graphpe.pairs.pagerank import asked_pagerank
from graphpe.pairs.walkers import Estimate
from graphpe.walks.personalized_pagerank import personalized_pagerank


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("undirected", [False, True])
@pytest.mark.parametrize("alpha", [0.02, 0.15, 1.0])
def test_values_are_too_small_by_the_tolerance_at_most(two_graphs, at_pairs, seed, undirected, alpha):
    graphs, pairs, n = two_graphs(seed, weighted=seed % 2 == 1)
    exact = at_pairs(personalized_pagerank(graphs, alpha, undirected), pairs, n)
    for tolerance in (1e-9, 1e-6, 1e-2):
        missing = exact - asked_pagerank(graphs, pairs, alpha, undirected, tolerance)
        assert missing.min() > -1e-12
        assert missing.max() <= tolerance * (1 + 1e-6)


@pytest.mark.parametrize("by_source", [False, True])
@pytest.mark.parametrize("ahead", [1.0, 1e-2, 1e-5])
def test_either_end_may_push_as_far_as_it_likes(two_graphs, at_pairs, monkeypatch, by_source, ahead):
    graphs, pairs, n = two_graphs(3, weighted=True)
    split = module.Split(by_source, ahead, 1e-5 / ahead, 100.0)
    monkeypatch.setattr(module, "choose_split", lambda *_: split)
    missing = at_pairs(personalized_pagerank(graphs, 0.1), pairs, n) - asked_pagerank(graphs, pairs, 0.1, False, 1e-5)
    assert missing.min() > -1e-12
    assert missing.max() <= 1e-5 * (1 + 1e-6)


@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("alpha", [0.1, 0.5])
def test_walkers_come_near(two_graphs, at_pairs, monkeypatch, weighted, alpha):
    graphs, pairs, n = two_graphs(5, weighted=weighted)
    exact = at_pairs(personalized_pagerank(graphs, alpha), pairs, n)
    monkeypatch.setattr(module, "STEP_SECONDS", 1e-15)
    found = asked_pagerank(graphs, pairs, alpha, False, 1e-12, Estimate(4000, 1))
    assert (found - exact).abs().max() < 6 * (2 / 4000) ** 0.5 * exact.max()
    assert (found - exact).mean().abs() < 0.01
    assert torch.equal(asked_pagerank(graphs, pairs[:, 3:9], alpha, False, 1e-12, Estimate(4000, 1)), found[3:9])


def test_nothing_asked(two_graphs):
    graphs, pairs, _ = two_graphs(2)
    assert asked_pagerank(graphs, pairs[:, :0]).shape == (0,)


def test_arguments(two_graphs):
    graphs, pairs, _ = two_graphs(2)
    for wrong in (0.0, 1.0, 1e-13, -1):
        with pytest.raises(GraphPEValueError, match="tolerance must be from 1e-12 to below 1, got"):
            asked_pagerank(graphs, pairs, tolerance=wrong)
    with pytest.raises(GraphPETypeError, match="tolerance must be a number"):
        asked_pagerank(graphs, pairs, tolerance="small")
    with graphpe.limits(seconds=0), pytest.raises(GraphPEValueError, match=r"PageRank of \d+ pairs to within 1e-06"):
        asked_pagerank(graphs, pairs)
