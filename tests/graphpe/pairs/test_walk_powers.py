from __future__ import annotations

import numpy as np
import pytest
import torch

import graphpe
from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.pairs import walk_powers as module
from graphpe.pairs.asked import asked_pairs
from graphpe.pairs.walk_powers import Reach, asked_walk_powers
from graphpe.pairs.walkers import Estimate
from graphpe.structure.plan import Plan
from graphpe.walks.steps import reverse_steps, steps, walk_powers


def dense_powers(graphs: PackedGraphs, undirected: bool, count: int) -> np.ndarray:
    """[I, P, P^2, ...] over all nodes, by products of dense matrices."""
    step = steps(Plan(graphs), "both" if undirected else "forward")
    matrix = np.zeros((graphs.num_nodes,) * 2)
    matrix[np.repeat(np.arange(len(matrix)), np.diff(step.indptr)), step.indices] = step.weight
    return np.stack([np.linalg.matrix_power(matrix, k) for k in range(count)], axis=-1)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("undirected", [False, True])
def test_values_are_those_of_dense_powers_and_of_all_pairs(two_graphs, at_pairs, seed, undirected):
    graphs, pairs, n = two_graphs(seed, weighted=seed % 2 == 1)
    found = asked_walk_powers(graphs, pairs, 7, undirected)
    assert found.dtype == torch.float64
    expected = dense_powers(graphs, undirected, 7)[pairs[0], pairs[1]]
    np.testing.assert_allclose(found.numpy(), expected, atol=1e-14)
    torch.testing.assert_close(found.float(), at_pairs(walk_powers(graphs, 7, undirected), pairs, n), atol=1e-7, rtol=0)


@pytest.mark.parametrize("own", range(7))
@pytest.mark.parametrize("by_source", [False, True])
def test_either_end_may_take_any_number_of_steps(two_graphs, monkeypatch, own, by_source):
    graphs, pairs, _ = two_graphs(3, weighted=True)
    expected = asked_walk_powers(graphs, pairs, 7)
    monkeypatch.setattr(Reach, "choose_split", lambda self: module.Split(by_source, own, 100.0))
    torch.testing.assert_close(asked_walk_powers(graphs, pairs, 7), expected, atol=1e-14, rtol=0)


def test_few_ends_take_the_steps():
    """From one hub to all leaves, the hub walks; from all leaves to it, it does so backwards."""
    size = 400
    leaves = torch.arange(1, size)
    graphs = PackedGraphs(
        edge_index=torch.stack([torch.zeros_like(leaves), leaves]).repeat(1, 2)[:, : size - 1],
        ptr=torch.tensor([0, size]),
        edge_ptr=torch.tensor([0, size - 1]),
    )
    plan = Plan(graphs)
    pairs = torch.stack([torch.zeros_like(leaves), leaves])
    for there, by_source in ((pairs, True), (pairs.flip(0), False)):
        matrices = plan.once(steps, "both"), plan.once(reverse_steps, "both")
        split = Reach.of(asked_pairs(there, graphs), *matrices, 4).choose_split()
        assert split.by_source == by_source
        assert split.own >= 2


def test_nothing_asked_and_one_channel(two_graphs):
    graphs, pairs, _ = two_graphs(2)
    assert asked_walk_powers(graphs, pairs[:, :0], 5).shape == (0, 5)
    assert torch.equal(asked_walk_powers(graphs, pairs, 1)[:, 0], (pairs[0] == pairs[1]).double())


@pytest.mark.parametrize("weighted", [False, True])
def test_walkers_come_near(monkeypatch, two_graphs, weighted):
    graphs, pairs, _ = two_graphs(5, weighted=weighted)
    expected = asked_walk_powers(graphs, pairs, 6)
    monkeypatch.setattr(module, "STEP_SECONDS", 1e-15)  # cheaper than anything that is exact
    found = asked_walk_powers(graphs, pairs, 6, estimate=Estimate(4000, 1))
    assert torch.equal(found[:, 0], expected[:, 0])
    # Six standard errors of a mean of numbers in [0, 1].
    bound = 6 * (expected * (1 - expected) / 4000).sqrt() + 1e-3
    assert ((found - expected).abs() <= bound).all()
    assert not torch.equal(found, expected)
    few = asked_walk_powers(graphs, pairs[:, 7:9], 6, estimate=Estimate(4000, 1))
    assert torch.equal(few, found[7:9])  # whatever is asked beside it
    assert not torch.equal(asked_walk_powers(graphs, pairs, 6, estimate=Estimate(4000, 2)), found)


def test_walkers_only_where_they_are_cheaper(two_graphs):
    graphs, pairs, _ = two_graphs(5)
    exact = asked_walk_powers(graphs, pairs, 6)
    assert torch.equal(asked_walk_powers(graphs, pairs, 6, estimate=Estimate(10**6, 1)), exact)


def test_what_takes_too_long_is_refused_with_its_numbers(two_graphs):
    graphs, pairs, _ = two_graphs(4)
    with graphpe.limits(seconds=0), pytest.raises(GraphPEValueError, match=r"walks of up to 3 steps between \d+ pairs"):
        asked_walk_powers(graphs, pairs, 4)
    with graphpe.limits(pair_limit=100), pytest.raises(GraphPEValueError, match=r"kB.*estimate=1000"):
        asked_walk_powers(graphs, pairs, 4)
