"""A split by module: functions of one module are never on both sides.

Functions of one module share names, helpers and style; a split by function would test what was seen in training.
OGB splits ogbg-code2 by project for the same reason. The unit here is an entry of the root folder: a package with
everything in it, or a module. Where that is too coarse (fewer than three units, or one unit larger than the training
part) the largest folder is opened and its entries take its place.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphpe.errors import GraphPEValueError

PARTS = {"train": 0.8, "valid": 0.1, "test": 0.1}


@dataclass(frozen=True)
class ModuleSplit:
    """A split and what it was made of.

    Attributes:
        functions: Function ids by part, ascending.
        units: Names of packages and modules by part, sorted.
    """

    functions: dict[str, Tensor]
    units: dict[str, list[str]]


def split_by_module(files: Sequence[str], file_of: NDArray[np.integer]) -> ModuleSplit:
    """Split functions 80/10/10 by the package or module they stand in.

    Units are taken in an order that depends on their names only (those larger than a tenth of all functions first:
    they fit nowhere but in training), and each goes to the part that lacks most functions.

    Args:
        files: Relative paths of files, with `/`.
        file_of: Index of every function's file, `[F]`.

    Raises:
        GraphPEValueError: If there are fewer than three units.
    """
    counts = np.bincount(file_of, minlength=len(files))
    sizes = {path: int(count) for path, count in zip(files, counts.tolist(), strict=True) if count}
    unit_of = _units(sizes)
    unit_sizes: Counter[str] = Counter()
    for path, size in sizes.items():
        unit_sizes[unit_of[path]] += size
    part_of = _assign(unit_sizes)
    names = list(PARTS)
    part_of_file = np.array([names.index(part_of[unit_of[path]]) if path in sizes else -1 for path in files])
    part_of_function = torch.from_numpy(part_of_file[file_of])
    return ModuleSplit(
        functions={name: torch.nonzero(part_of_function == index).flatten() for index, name in enumerate(names)},
        units={name: sorted(unit for unit, part in part_of.items() if part == name) for name in names},
    )


def _units(sizes: dict[str, int]) -> dict[str, str]:
    """Unit of every file."""
    total = sum(sizes.values())
    opened = {""}
    while True:
        unit_of = {path: _unit(path, opened) for path in sizes}
        unit_sizes: Counter[str] = Counter()
        for path, size in sizes.items():
            unit_sizes[unit_of[path]] += size
        folders = {unit for path, unit in unit_of.items() if unit != _module(path)}
        largest = max(folders, key=lambda unit: (unit_sizes[unit], unit), default=None)
        enough = len(unit_sizes) >= len(PARTS)
        if largest is None or (enough and unit_sizes[largest] <= PARTS["train"] * total):
            break
        opened.add(largest)
    if not enough:
        raise GraphPEValueError(
            f"{len(unit_sizes)} module{'s' if len(unit_sizes) != 1 else ''} with functions cannot be split by module "
            f"into {', '.join(PARTS)}: give a folder with at least {len(PARTS)}"
        )
    return unit_of


def _unit(path: str, opened: set[str]) -> str:
    """The first folder on the way to a file that is not opened, or the module itself."""
    for folder in reversed(PurePosixPath(path).parents):
        name = "" if str(folder) == "." else str(folder)
        if name not in opened:
            return name
    return _module(path)


def _module(path: str) -> str:
    return path.removesuffix(".py")


def _assign(sizes: Counter[str]) -> dict[str, str]:
    """Part of every unit."""
    total = sum(sizes.values())
    missing = {part: share * total for part, share in PARTS.items()}
    empty = set(PARTS)
    part_of = {}
    order = sorted(sizes, key=lambda unit: (sizes[unit] <= PARTS["test"] * total, _hash(unit)))
    for position, unit in enumerate(order):
        # The last units go to parts that have none yet: no part may stay empty.
        open_parts = empty if len(order) - position <= len(empty) else set(PARTS)
        part = max((part for part in PARTS if part in open_parts), key=missing.__getitem__)
        part_of[unit] = part
        missing[part] -= sizes[unit]
        empty.discard(part)
    return part_of


def _hash(text: str) -> bytes:
    return hashlib.blake2b(text.encode(), digest_size=16).digest()
