"""Features of users' own data: numbers and categories of nodes and edges, from tensors or from columns of cells."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphpe.benchmarks.tasks.user.targets import Where, as_float, in_float32, is_plain
from graphpe.errors import GraphPERuntimeError

MAX_CATEGORIES = 100_000


@dataclass(frozen=True)
class Features:
    """Features as a model's input encoder takes them.

    Attributes:
        values: `[rows, columns]`, int64 categories or float32 numbers; None for none.
        categories: Categories of each column; empty for numbers.
        channels: Columns of numbers; 0 for categories.
    """

    values: Tensor | None
    categories: tuple[int, ...] = ()
    channels: int = 0


def constant_features(rows: int) -> Features:
    """What stands for the features of nodes that have none."""
    return Features(torch.zeros(rows, 1, dtype=torch.long), (1,))


def tensor_features(values: Tensor, name: str, owner: Tensor, where: Where) -> Features:
    """Features from a tensor: categories where it holds integers, numbers otherwise.

    Args:
        values: `[rows, ...]`.
        name: Its name in messages.
        owner: The graph of each row.
        where: Names a graph in messages.

    Raises:
        GraphPERuntimeError: For a number that is not finite, or integers that are no categories.
    """
    flat = values.reshape(len(values), -1)
    if not flat.shape[1]:
        return Features(None)
    if flat.is_complex():
        raise GraphPERuntimeError(f"{name} is complex: give its real and imaginary parts as columns")
    if flat.is_floating_point():
        single = flat.float()
        wrong = (~single.isfinite()).nonzero()
        if len(wrong):
            row, column = wrong[0].tolist()
            raise GraphPERuntimeError(
                f"{where(int(owner[row]))}: {name} has {float(flat[row, column])} in column {column}, no finite number "
                "in float32"
            )
        return Features(single, (), flat.shape[1])
    flat = flat.long()
    wrong = ((flat < 0) | (flat >= MAX_CATEGORIES)).nonzero()
    if len(wrong):
        row, column = wrong[0].tolist()
        raise GraphPERuntimeError(
            f"{where(int(owner[row]))}: {name} is {int(flat[row, column])} in column {column}; integers are categories "
            f"from 0 to {MAX_CATEGORIES - 1}; save numbers as floats"
        )
    return Features(flat, tuple((flat.max(0).values + 1).tolist()) if len(flat) else (1,) * flat.shape[1])


def column_features(columns: Mapping[str, Sequence[Any]], owner: Sequence[int], where: Where) -> Features:
    """Features from columns of cells: a column of numbers stays, one of texts becomes categories.

    Where both occur, categories are columns of 0 and 1 beside the numbers.

    Args:
        columns: The cells of each column, by name; empty for no features.
        owner: The graph of each row.
        where: Names a graph in messages.

    Raises:
        GraphPERuntimeError: For a missing cell, or a number that is not finite.
    """
    read: list[tuple[np.ndarray, int]] = []  # values, and their number of categories or 0
    for name, cells in columns.items():
        missing = next((row for row, cell in enumerate(cells) if cell is None or cell == ""), None)
        if missing is not None:
            raise GraphPERuntimeError(f"{where(owner[missing])}: {name} is missing somewhere; every row needs a value")
        odd = next((row for row, cell in enumerate(cells) if not is_plain(cell)), None)
        if odd is not None:
            raise GraphPERuntimeError(
                f"{where(owner[odd])}: {name} is {str(cells[odd])[:60]}, neither a number nor a word"
            )
        try:
            values = np.array([as_float(cell) for cell in cells])
        except (TypeError, ValueError):
            words = sorted({str(cell) for cell in cells})
            index = {word: number for number, word in enumerate(words)}
            read.append((np.array([index[str(cell)] for cell in cells], dtype=np.int64), max(len(words), 1)))
            continue
        wrong = np.flatnonzero(~in_float32(values))
        if len(wrong):
            raise GraphPERuntimeError(
                f"{where(owner[int(wrong[0])])}: {name} is {str(cells[wrong[0]])[:40]}, no finite number in float32"
            )
        read.append((values, 0))
    if not read:
        return Features(None)
    if all(sizes for _, sizes in read):
        stacked = np.stack([values for values, _ in read], axis=1)
        return Features(torch.from_numpy(stacked), tuple(sizes for _, sizes in read))
    wide = [np.eye(sizes)[values] if sizes else values[:, None] for values, sizes in read]
    numbers = torch.from_numpy(np.concatenate(wide, axis=1)).float()
    return Features(numbers, (), numbers.shape[1])
