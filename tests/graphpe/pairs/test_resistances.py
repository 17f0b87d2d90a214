from __future__ import annotations

import numpy as np
import pytest
import torch

import graphpe
from graphpe.errors import GraphPERuntimeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.pairs import resistances as module
from graphpe.pairs.resistances import asked_commute_times, asked_resistances
from graphpe.spectra.resistance import commute_times, effective_resistances


@pytest.mark.parametrize("seed", range(8))
def test_values_are_those_of_all_pairs_whatever_the_weights(two_graphs, at_pairs, seed):
    graphs, pairs, n = two_graphs(seed, weighted=seed % 2 == 1, spread=7.0)
    for asked, all_pairs in ((asked_resistances, effective_resistances), (asked_commute_times, commute_times)):
        torch.testing.assert_close(asked(graphs, pairs), at_pairs(all_pairs(graphs), pairs, n), rtol=1e-12, atol=0)


@pytest.mark.parametrize("seed", range(6))
def test_bounds_enclose_what_factors_give(two_graphs, at_pairs, monkeypatch, seed):
    graphs, pairs, n = two_graphs(seed, weighted=seed % 2 == 1, spread=1.0)
    monkeypatch.setattr(module._Part, "factors_are_sparse", lambda self: False)
    exact = at_pairs(effective_resistances(graphs), pairs, n)
    torch.testing.assert_close(asked_resistances(graphs, pairs), exact, rtol=0.6 * module.ACCURACY, atol=0)


def test_dense_oracle_on_a_grid():
    side = 12
    number = np.arange(side * side).reshape(side, side)
    edges = np.concatenate(
        [
            np.stack([number[:, :-1].ravel(), number[:, 1:].ravel()]),
            np.stack([number[:-1].ravel(), number[1:].ravel()]),
        ],
        axis=1,
    )
    size = side * side
    graphs = PackedGraphs(
        edge_index=torch.from_numpy(edges), ptr=torch.tensor([0, size]), edge_ptr=torch.tensor([0, edges.shape[1]])
    )
    laplacian = np.zeros((size, size))
    for u, v in edges.T:
        laplacian[[u, v, u, v], [u, v, v, u]] += [1, 1, -1, -1]
    inverse = np.linalg.pinv(laplacian)
    pairs = torch.from_numpy(np.random.default_rng(0).integers(0, size, (2, 50)))
    i, j = pairs.numpy()
    expected = inverse[i, i] + inverse[j, j] - 2 * inverse[i, j]
    np.testing.assert_allclose(asked_resistances(graphs, pairs).numpy(), expected, rtol=1e-9, atol=1e-12)


def test_nothing_asked_and_limits(two_graphs, monkeypatch):
    graphs, pairs, _ = two_graphs(4, weighted=True)
    assert asked_resistances(graphs, pairs[:, :0]).shape == (0,)
    with graphpe.limits(pair_limit=10), pytest.raises(GraphPEValueError, match=r"effective resistances of \d+ pairs"):
        asked_resistances(graphs, pairs)
    monkeypatch.setattr(module._Part, "factors_are_sparse", lambda self: False)
    monkeypatch.setattr(module, "_MOST_ITERATIONS", 1)
    with pytest.raises(GraphPERuntimeError, match="is not within 1e-06 after 1 iterations"):
        asked_resistances(graphs, pairs)
