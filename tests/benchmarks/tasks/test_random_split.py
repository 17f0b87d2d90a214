from __future__ import annotations

import torch

from graphpe.benchmarks.tasks.random_split import cut, folds, shuffled


def test_an_order_is_a_function_of_its_seed() -> None:
    assert shuffled(8, 0).tolist() == [3, 2, 1, 6, 0, 7, 4, 5]  # whatever the version of NumPy
    assert sorted(shuffled(1_000, 7).tolist()) == list(range(1_000))
    assert not torch.equal(shuffled(1_000, 7), shuffled(1_000, 8))


def test_parts_share_nothing() -> None:
    parts = cut(shuffled(50, 3), 30, 5)
    assert [len(ids) for ids in parts.values()] == [30, 5, 15]
    assert sorted(torch.cat(list(parts.values())).tolist()) == list(range(50))


def test_folds_hold_a_share_of_every_class() -> None:
    classes = torch.tensor([0] * 33 + [1] * 57 + [2] * 10)
    parts = folds(classes, 10, 4)
    assert sorted(torch.cat(parts).tolist()) == list(range(100))
    for part in parts:
        counts = classes[part].bincount(minlength=3)
        assert counts[0] in (3, 4)
        assert counts[1] in (5, 6)
        assert counts[2] == 1
