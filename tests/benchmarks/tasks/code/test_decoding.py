from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
import torch
from torch.nn import functional

from graphpe.benchmarks.tasks.code.decoding import argmax_names, expected_f1_names

END, UNKNOWN = 7, 6


def expected_f1_of_all_sets(logits: torch.Tensor) -> dict[frozenset[int], float]:
    """By trying all, with the probabilities written out word by word."""
    p = torch.softmax(logits.double(), dim=-1).numpy()
    positions, classes = p.shape
    reached = [np.prod([1 - p[j, END] for j in range(i)]) for i in range(positions)]
    length = sum(reached[i] * (1 - p[i, END]) for i in range(positions))
    included = {t: 1 - np.prod([1 - reached[i] * p[i, t] for i in range(positions)]) for t in range(classes - 2)}
    sets = (frozenset(c) for size in range(1, positions + 1) for c in combinations(included, size))
    return {chosen: 2 * sum(included[t] for t in chosen) / (len(chosen) + length) for chosen in sets}


@pytest.mark.parametrize("scale", [0.5, 2.0, 6.0])
def test_the_set_is_the_best_of_all_sets(scale: float) -> None:
    logits = torch.randn(40, 5, 8) * scale
    for row, classes in zip(logits, expected_f1_names(logits).classes.tolist(), strict=True):
        stop = classes.index(END) if END in classes else 5
        assert all(word == END for word in classes[stop:])
        assert len(set(classes[:stop])) == stop
        scores = expected_f1_of_all_sets(row)
        assert scores[frozenset(classes[:stop])] >= max(scores.values()) - 1e-6  # equal but for rounding is as good


def test_a_sure_model_says_what_it_is_sure_of_in_order() -> None:
    names = torch.tensor([[2, 0, END, END, END], [5, 4, 3, 2, 1], [1, END, END, END, END]])
    logits = 50.0 * functional.one_hot(names, 8)
    for decoded in (argmax_names(logits), expected_f1_names(logits)):
        assert torch.equal(decoded.classes, names)
        assert torch.allclose(decoded.probability[names != END], torch.ones(()), atol=1e-5)


def test_an_unsure_model_hedges_instead_of_saying_nothing() -> None:
    probability = torch.full((1, 5, 8), 1e-6)
    probability[0, :, END] = 1.0
    probability[0, 0] = torch.tensor([0.2, 0.25, 1e-6, 1e-6, 1e-6, 1e-6, 1e-6, 0.5])
    logits = probability.log()
    assert argmax_names(logits).classes.tolist() == [[END] * 5]
    assert expected_f1_names(logits).classes[0, 0] == 1


def test_unknown_is_never_said() -> None:
    logits = torch.zeros(3, 5, 8)
    logits[..., UNKNOWN] = 30.0
    assert (expected_f1_names(logits).classes != UNKNOWN).all()


def test_what_follows_the_end_is_cut() -> None:
    picks = torch.tensor([[0, END, 3, 3, 3]])
    assert argmax_names(5.0 * functional.one_hot(picks, 8)).classes.tolist() == [[0, END, END, END, END]]


def test_scores_that_differ_less_than_probabilities_can() -> None:
    logits = torch.full((1, 5, 8), -1.0)
    logits[..., 2], logits[..., 3] = 0.0, 1e-9
    assert torch.softmax(logits, dim=-1)[0, 0, 2] == torch.softmax(logits, dim=-1)[0, 0, 3]
    assert argmax_names(logits).classes.tolist() == [[3] * 5]
    assert argmax_names(torch.zeros(1, 5, 8)).classes.tolist() == [[0] * 5]


def test_fewer_words_than_positions() -> None:
    decoded = expected_f1_names(torch.randn(4, 5, 4))
    assert decoded.classes.shape == (4, 5)
    assert (decoded.classes[:, 2:] == 3).all()
