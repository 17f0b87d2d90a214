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

Columns = tuple[tuple[str, tuple[str, ...] | None], ...]
"""Names of columns of cells, and the words of each in the order of their categories, None for numbers."""


@dataclass(frozen=True)
class Features:
    """Features as a model's input encoder takes them.

    Attributes:
        values: `[rows, columns]`, int64 categories or float32 numbers; None for none.
        categories: Categories of each column; empty for numbers.
        channels: Columns of numbers; 0 for categories.
        columns: The columns of cells that they come from, so that others are read alike; empty where they were tensors.
        commas: Those of them whose numbers had a decimal comma.
    """

    values: Tensor | None
    categories: tuple[int, ...] = ()
    channels: int = 0
    columns: Columns = ()
    commas: tuple[str, ...] = ()


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
    flat = values.flatten(1) if values.dim() > 1 else values[:, None]  # also where there are no rows
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


def column_features(
    columns: Mapping[str, Sequence[Any]], owner: Sequence[int], where: Where, known: Columns | None = None
) -> Features:
    """Features from columns of cells: a column of numbers stays, one of texts becomes categories.

    Where both occur, categories are columns of 0 and 1 beside the numbers.

    Args:
        columns: The cells of each column, by name; empty for no features.
        owner: The graph of each row.
        where: Names a graph in messages.
        known: The columns of features that these are read like; None where their cells say what they are.

    Raises:
        GraphPERuntimeError: For a missing cell or column, a number that is not finite, or a word that is not known.
    """
    read: list[tuple[np.ndarray, tuple[str, ...] | None]] = []
    kinds = {name: () for name in columns} if known is None else dict(known)
    for name, words in kinds.items():
        cells = columns.get(name)
        if cells is None:
            there = ", ".join(columns) or "none"
            raise GraphPERuntimeError(
                f"{where(0)}: there is no feature {name!r}, which the run was trained with; there is {there}"
            )
        _check_cells(name, cells, owner, where)
        if known is None:
            words = _words_of(cells)
        if words is None:
            read.append((_numbers(name, cells, owner, where), None))
            continue
        index = {word: number for number, word in enumerate(words)}
        strange = next((row for row, cell in enumerate(cells) if str(cell) not in index), None)
        if strange is not None:
            raise GraphPERuntimeError(
                f"{where(owner[strange])}: {name} is {str(cells[strange])[:60]!r}, which was not there in training"
            )
        read.append((np.array([index[str(cell)] for cell in cells], dtype=np.int64), words))
    if not read:
        return Features(None)
    found = tuple((name, words) for name, (_, words) in zip(kinds, read, strict=True))
    sizes = [None if words is None else max(len(words), 1) for _, words in read]
    if all(size is not None for size in sizes):
        stacked = np.stack([values for values, _ in read], axis=1)
        return Features(torch.from_numpy(stacked), tuple(size or 1 for size in sizes), 0, found)
    wide = [
        values[:, None] if size is None else np.eye(size)[values] for (values, _), size in zip(read, sizes, strict=True)
    ]
    numbers = torch.from_numpy(np.concatenate(wide, axis=1)).float()
    return Features(numbers, (), numbers.shape[1], found)


def _check_cells(name: str, cells: Sequence[Any], owner: Sequence[int], where: Where) -> None:
    missing = next((row for row, cell in enumerate(cells) if cell is None or cell == ""), None)
    if missing is not None:
        raise GraphPERuntimeError(f"{where(owner[missing])}: {name} is missing somewhere; every row needs a value")
    odd = next((row for row, cell in enumerate(cells) if not is_plain(cell)), None)
    if odd is not None:
        raise GraphPERuntimeError(f"{where(owner[odd])}: {name} is {str(cells[odd])[:60]}, neither a number nor a word")


def _words_of(cells: Sequence[Any]) -> tuple[str, ...] | None:
    """The words of a column in order; None where all cells are numbers."""
    try:
        for cell in cells:
            as_float(cell)
    except (TypeError, ValueError):
        return tuple(sorted({str(cell) for cell in cells}))
    return None


def _numbers(name: str, cells: Sequence[Any], owner: Sequence[int], where: Where) -> np.ndarray:
    values = np.empty(len(cells))
    for row, cell in enumerate(cells):
        try:
            values[row] = as_float(cell)
        except (TypeError, ValueError):
            raise GraphPERuntimeError(
                f"{where(owner[row])}: {name} is {str(cell)[:40]!r}, but it was a number in training"
            ) from None
    wrong = np.flatnonzero(~in_float32(values))
    if len(wrong):
        raise GraphPERuntimeError(
            f"{where(owner[int(wrong[0])])}: {name} is {str(cells[wrong[0]])[:40]}, no finite number in float32"
        )
    return values
