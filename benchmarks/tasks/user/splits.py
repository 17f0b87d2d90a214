"""Splits of users' own data: given, random, or by scaffold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphpe.arguments import shown
from graphpe.benchmarks.tasks.user.targets import Where
from graphpe.errors import GraphPERuntimeError, GraphPEValueError
from graphpe.files.reading import read_json

PARTS = ("train", "valid", "test")
_NAMES = {
    "train": "train",
    "training": "train",
    "valid": "valid",
    "val": "valid",
    "validation": "valid",
    "test": "test",
}


def check_fractions(fractions: object) -> None:
    """Reject anything but three positive numbers that add up to 1.

    Raises:
        GraphPEValueError: They are not.
    """
    good = (
        isinstance(fractions, tuple | list)
        and len(fractions) == 3
        and all(isinstance(each, int | float) and not isinstance(each, bool) and each > 0 for each in fractions)
        and abs(sum(fractions) - 1) < 1e-6
    )
    if not good:
        raise GraphPEValueError(
            f"fractions must be three positive numbers that add up to 1, for train, valid and test, got {fractions!r}"
        )


def random_split(count: int, fractions: Sequence[float], seed: int) -> dict[str, Tensor]:
    """A random order cut in three."""
    return _cut(np.random.default_rng(seed).permutation(count), fractions)


def scaffold_split(scaffolds: Sequence[str], fractions: Sequence[float]) -> dict[str, Tensor]:
    """Molecules of one scaffold stay together: the largest groups are for training, the smallest for the test.

    As DeepChem and OGB do: groups by size, then by their first molecule, each into the first part with room for it.
    """
    groups: dict[str, list[int]] = {}
    for index, scaffold in enumerate(scaffolds):
        groups.setdefault(scaffold, []).append(index)
    train_size, valid_size = fractions[0] * len(scaffolds), (fractions[0] + fractions[1]) * len(scaffolds)
    parts: dict[str, list[int]] = {part: [] for part in PARTS}
    for group in sorted(groups.values(), key=lambda group: (-len(group), group[0])):
        if len(parts["train"]) + len(group) <= train_size:
            parts["train"] += group
        elif len(parts["train"]) + len(parts["valid"]) + len(group) <= valid_size:
            parts["valid"] += group
        else:
            parts["test"] += group
    return {part: torch.tensor(sorted(ids), dtype=torch.long) for part, ids in parts.items()}


def named_split(cells: Sequence[Any], name: str, where: Where) -> dict[str, Tensor]:
    """From a column of `train`, `valid` (`val`, `validation`) and `test`.

    Raises:
        GraphPERuntimeError: For another word.
    """
    parts: dict[str, list[int]] = {part: [] for part in PARTS}
    for index, cell in enumerate(cells):
        part = _NAMES.get(str(cell).strip().lower())
        if part is None:
            raise GraphPERuntimeError(f"{where(index)}: {name} is {shown(cell)}, expected train, valid or test")
        parts[part].append(index)
    return {part: torch.tensor(ids, dtype=torch.long) for part, ids in parts.items()}


def read_split(path: Path, count: int) -> dict[str, Tensor]:
    """From a JSON file `{"train": [...], "valid": [...], "test": [...]}` of positions, counted from 0.

    Raises:
        GraphPERuntimeError: If it is missing, holds something else, or names a graph twice or one that is not there.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not set(content) <= set(_NAMES):
        raise GraphPERuntimeError(f"{path} must hold positions of graphs under train, valid and test")
    split = {part: torch.zeros(0, dtype=torch.long) for part in PARTS}
    for name, ids in content.items():
        if not isinstance(ids, list) or not all(type(each) is int and 0 <= each < count for each in ids):
            raise GraphPERuntimeError(f"{path}: {name} must be a list of integers from 0 to {count - 1}")
        split[_NAMES[name]] = torch.tensor(ids, dtype=torch.long)
    everything = torch.cat(list(split.values()))
    if len(everything.unique()) < len(everything):
        twice = int(everything[(everything.bincount()[everything] > 1)][0])
        raise GraphPERuntimeError(f"{path}: graph {twice} is named twice")
    return split


def choose_split(
    split: str,
    count: int,
    *,
    fractions: Sequence[float],
    seed: int,
    column: Callable[[str], Sequence[Any] | None],
    where: Where,
    scaffolds: Callable[[], Sequence[str]] | None = None,
) -> dict[str, Tensor]:
    """The split that a user names.

    Args:
        split: `random`, `scaffold`, the path of a JSON file of positions, or the name of a column of part names.
        count: Number of graphs.
        fractions: Shares of train, valid and test where they are not given.
        seed: Of a random split.
        column: The cells of a column, or None where there is none of that name.
        where: Names a graph in messages.
        scaffolds: The scaffold of each graph, where they are molecules.

    Raises:
        GraphPERuntimeError: If there is no such split.
    """
    if split == "random":
        return random_split(count, fractions, seed)
    if split == "scaffold" and scaffolds is not None:
        return scaffold_split(scaffolds(), fractions)
    if split.endswith(".json"):
        return read_split(Path(split).expanduser(), count)
    cells = column(split)
    if cells is None:
        known = "'random', 'scaffold'" if scaffolds is not None else "'random'"
        raise GraphPERuntimeError(
            f"there is no split {split!r}: give {known}, the path of a JSON file, or what holds train, valid or test"
        )
    return named_split(cells, split, where)


def _cut(order: np.ndarray, fractions: Sequence[float]) -> dict[str, Tensor]:
    count = len(order)
    train, valid = round(fractions[0] * count), round(fractions[1] * count)
    pieces = np.split(order, [train, min(train + valid, count)])
    return {part: torch.from_numpy(np.sort(ids)) for part, ids in zip(PARTS, pieces, strict=True)}
