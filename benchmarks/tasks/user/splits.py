"""Splits of users' own data: given, random, or by scaffold."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphpe.arguments import shown
from graphpe.benchmarks.tasks.user.files.rows import Rows
from graphpe.benchmarks.tasks.user.targets import Where
from graphpe.errors import GraphPERuntimeError, GraphPEValueError
from graphpe.files.reading import read_json

PARTS = ("train", "valid", "test")
PART_NAMES = {
    "train": "train",
    "training": "train",
    "valid": "valid",
    "val": "valid",
    "validation": "valid",
    "test": "test",
}
"""Words for the parts of a split."""


SPLIT = "split"
"""The name of a column or value that is taken for the split, where all it holds are words for parts."""


def names_parts(cells: Sequence[Any]) -> bool:
    """Whether cells hold words for parts of a split and nothing else, and one at least.

    Args:
        cells: The cells; None and empty ones say nothing.
    """
    words = {str(cell).strip().lower() for cell in cells if cell is not None}
    return bool(words - {""}) and words <= {*PART_NAMES, ""}


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


def named_split(cells: Sequence[Any], name: str, where: Where, known: Tensor | None = None) -> dict[str, Tensor]:
    """From a column of `train`, `valid` (`val`, `validation`) and `test`.

    Args:
        cells: The column.
        name: Its name.
        where: Names a row in messages.
        known: Which rows have a known target; others may have an empty cell. None for all.

    Raises:
        GraphPERuntimeError: For another word.
    """
    parts: dict[str, list[int]] = {part: [] for part in PARTS}
    for index, cell in enumerate(cells):
        part = PART_NAMES.get(str(cell).strip().lower())
        if part is None:
            if known is not None and not known[index] and (cell is None or not str(cell).strip()):
                continue
            raise GraphPERuntimeError(f"{where(index)}: {name} is {shown(cell)}, expected train, valid or test")
        parts[part].append(index)
    return {part: torch.tensor(ids, dtype=torch.long) for part, ids in parts.items()}


def read_split(path: Path, count: int, *, of: str = "graph") -> dict[str, Tensor]:
    """From a JSON file `{"train": [...], "valid": [...], "test": [...]}` of positions, counted from 0.

    Args:
        path: The file.
        count: How many there are to split.
        of: What they are, for messages.

    Raises:
        GraphPERuntimeError: If it is missing, holds something else, or names a graph twice or one that is not there.
    """
    content = read_json(path)
    if not isinstance(content, dict) or not set(content) <= set(PART_NAMES):
        raise GraphPERuntimeError(f"{path} must hold positions of {of}s under train, valid and test")
    split = {part: torch.zeros(0, dtype=torch.long) for part in PARTS}
    for name, ids in content.items():
        if not isinstance(ids, list) or not all(type(each) is int and 0 <= each < count for each in ids):
            raise GraphPERuntimeError(f"{path}: {name} must be a list of integers from 0 to {count - 1}")
        split[PART_NAMES[name]] = torch.tensor(ids, dtype=torch.long)
    everything = torch.cat(list(split.values()))
    if len(everything.unique()) < len(everything):
        twice = int(everything[(everything.bincount()[everything] > 1)][0])
        raise GraphPERuntimeError(f"{path}: {of} {twice} is named twice")
    return split


def check_several(count: int, what: str) -> None:
    """Reject one graph whose target is the graph's own: there is nothing to split.

    Args:
        count: How many graphs there are.
        what: Names the data in messages.

    Raises:
        GraphPERuntimeError: There is one.
    """
    if count == 1:
        raise GraphPERuntimeError(
            f"{what} holds one graph, and one target of it, but training, validation and test need one each; if "
            "targets are of its nodes, give one for each of them, and level='node' in the task's call"
        )


def choose_split(
    split: str,
    rows: Rows,
    known: Tensor,
    *,
    fractions: Sequence[float],
    seed: int,
    column: Callable[[str], Sequence[Any] | None],
    scaffolds: Callable[[], Sequence[str]] | None = None,
) -> dict[str, Tensor]:
    """The split that a user names, of the graphs that have a known target; the others are in no part.

    Args:
        split: `random`, `scaffold`, the path of a JSON file of positions, or the name of a column of part names.
        rows: The rows; where they are of several files, these are the parts, and one that is missing is cut from the
            training file, at random or by scaffolds.
        known: Which graphs have a known target, `[B]`.
        fractions: Shares of train, valid and test where they are not given.
        seed: Of a random split.
        column: The cells of a column, or None where there is none of that name.
        scaffolds: The scaffold of each graph, where they are molecules.

    Raises:
        GraphPERuntimeError: If there is no such split, or no graph of a part has a known target.
    """
    graphs = torch.tensor(rows.kept, dtype=torch.long)
    number = torch.full((rows.count,), -1).index_put((graphs,), torch.arange(len(graphs)))
    labelled = torch.zeros(rows.count, dtype=torch.bool).index_put((graphs,), known)

    def cut(ids: Tensor, shares: Sequence[float]) -> dict[str, Tensor]:
        if split == "scaffold" and scaffolds is not None:
            words = scaffolds()
            pieces = scaffold_split([words[graph] for graph in number[ids].tolist()], shares)
        else:
            pieces = random_split(len(ids), shares, seed)
        return {part: ids[piece] for part, piece in pieces.items()}

    if len(rows.counts) > 1:
        given = _split_of_files(rows, labelled, fractions, cut)
    elif split == "random" or (split == "scaffold" and scaffolds is not None):
        given = cut(labelled.nonzero().flatten(), fractions)
    elif split.endswith(".json"):
        given = read_split(Path(split).expanduser(), rows.count)
    else:
        cells = column(split)
        if cells is None:
            kinds = "'random', 'scaffold'" if scaffolds is not None else "'random'"
            raise GraphPERuntimeError(
                f"there is no split {split!r}: give {kinds}, the path of a JSON file, or what holds train, valid or "
                "test"
            )
        given = named_split(cells, split, rows.where, labelled)
    for part, ids in given.items():
        if len(ids) and not bool(labelled[ids].any()):
            raise GraphPERuntimeError(
                f"{rows.where(int(ids[0]))}: no graph of the {part} part of the split has a known target: give it some "
                "that have"
            )
    return {part: number[ids[labelled[ids]]] for part, ids in given.items()}


def _split_of_files(
    rows: Rows,
    labelled: Tensor,
    fractions: Sequence[float],
    cut: Callable[[Tensor, Sequence[float]], dict[str, Tensor]],
) -> dict[str, Tensor]:
    """A part for each file; one that no file is for is cut from the training file."""
    parts = dict(zip(rows.counts, torch.arange(rows.count).split(list(rows.counts.values())), strict=True))
    missing = next((number for number, part in enumerate(PARTS) if part not in parts), None)
    if missing is not None:
        share = round(fractions[0] / (fractions[0] + fractions[missing]), 12)  # 0.6 of 0.8 is 0.75
        pieces = cut(parts["train"][labelled[parts["train"]]], (share, 1 - share, 0))
        parts["train"] = pieces["train"]
        parts[PARTS[missing]] = torch.cat([pieces["valid"], pieces["test"]])
    return {part: parts[part] for part in PARTS}


def _cut(order: np.ndarray, fractions: Sequence[float]) -> dict[str, Tensor]:
    count = len(order)
    train, valid = round(fractions[0] * count), round(fractions[1] * count)
    pieces = np.split(order, [train, min(train + valid, count)])
    return {part: torch.from_numpy(np.sort(ids)) for part, ids in zip(PARTS, pieces, strict=True)}
