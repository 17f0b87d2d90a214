"""Splits of sets that were published without one: seeded, and the same on every machine."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor


def shuffled(count: int, seed: int) -> Tensor:
    """The numbers from 0 to `count` - 1 in an order that depends on nothing but the arguments.

    Args:
        count: How many.
        seed: Of the order.
    """
    # Of raw 64-bit numbers, which NumPy promises to keep: its shuffles have changed.
    drawn = np.random.PCG64(seed).random_raw(count)
    return torch.from_numpy(np.argsort(drawn, kind="stable"))


def cut(order: Tensor, train: int, valid: int) -> dict[str, Tensor]:
    """The first numbers for training, the next for validation, the rest for the test; each in order.

    Args:
        order: All numbers.
        train: How many for training.
        valid: How many for validation.
    """
    parts = order.split([train, valid, len(order) - train - valid])
    return {name: part.sort().values for name, part in zip(("train", "valid", "test"), parts, strict=True)}


def folds(classes: Tensor, count: int, seed: int) -> list[Tensor]:
    """Numbers of rows in folds, in each of which every class has its share.

    Args:
        classes: The class of each row.
        count: Number of folds.
        seed: Of the order in which rows of a class are dealt.
    """
    order = shuffled(len(classes), seed)
    dealt = order[torch.argsort(classes[order], stable=True)]
    fold = torch.empty(len(classes), dtype=torch.long)
    fold[dealt] = torch.arange(len(classes)) % count
    return [torch.nonzero(fold == number).flatten() for number in range(count)]
