"""Splits of nodes of users' own graphs: masks, lists of ids, words, a file of positions, or at random."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from graphpe.benchmarks.tasks.shared_graph import check_node_split
from graphpe.benchmarks.tasks.user.saved_graphs import ABSENT, SavedGraphs
from graphpe.benchmarks.tasks.user.splits import (
    PART_NAMES,
    PARTS,
    SPLIT,
    named_split,
    names_parts,
    random_split,
    read_split,
)
from graphpe.benchmarks.tasks.user.targets import OwnTargets, Where
from graphpe.errors import GraphPERuntimeError, GraphPEValueError
from graphpe.graphs.checks import describe

MASKS = "masks"
"""The word for a split by `train_mask`, `val_mask` and `test_mask`."""

_NAMED = {
    kind: [{"train": f"train_{kind}", "valid": f"{valid}_{kind}", "test": f"test_{kind}"} for valid in ("val", "valid")]
    for kind in ("mask", "idx", "index")
}
_NUMBERED = re.compile(rf"(?:{MASKS}\[)?(\d+)\]?")
_DICTIONARIES = ("split_idx", SPLIT)

Cells = Callable[[str], Sequence[Any] | None]
"""From a name to what each node has of it; None where there is nothing of that name."""


def given_split(graphs: SavedGraphs) -> str | None:
    """The split that a file's graphs bring: `masks`, or the name of a dictionary or of words; None for none.

    Args:
        graphs: The graphs.

    Raises:
        GraphPERuntimeError: One or two of three masks are all that there is: a random split would mix the parts that
            they hold apart.
    """
    if _complete(graphs, ("mask", "idx", "index")) is not None:
        return MASKS
    found = next((name for name in _DICTIONARIES if _dictionary(graphs, name) is not None), None)
    words = graphs.values(SPLIT)[0] if graphs.count == 1 and SPLIT in graphs.names else None
    if found is None and isinstance(words, list) and names_parts(words):
        return SPLIT
    if found is None:
        names = max((names for kinds in _NAMED.values() for names in kinds), key=lambda each: len(_there(graphs, each)))
        there = _there(graphs, names)
        if there:
            lacking = " and ".join(name for name in names.values() if name not in there)
            raise GraphPERuntimeError(
                f"the graph has {' and '.join(there)}, but no {lacking}: add what is missing, or take a random split "
                "with level='node' in the task's call"
            )
    return found


def saved_split(split: str, graphs: SavedGraphs, sizes: Tensor, where: Where) -> dict[str, Tensor] | None:
    """The split that a name stands for in a file's graphs; None where it stands for nothing there.

    Args:
        split: `masks`, `masks[3]` or `3` for masks of several columns, or the name of a dictionary.
        graphs: The graphs.
        sizes: Nodes of each graph.
        where: Names a graph in messages.

    Raises:
        GraphPERuntimeError: Masks are of another length, not bools, or do not have such a column.
    """
    numbered = _NUMBERED.fullmatch(split)
    if split == MASKS or numbered:
        names = _complete(graphs, ("mask", "idx", "index"))
        if names is None:
            raise GraphPERuntimeError(
                f"{where(0)}: split={split!r} needs train_mask, val_mask and test_mask (or train_idx, ...), and one "
                "is not there"
            )
        if not names["train"].endswith("_mask"):
            return {part: _ids(graphs.values(name)[0], name, where) for part, name in names.items()}
        column = int(numbered[1]) if numbered else 0
        masks = {part: _mask(graphs, name, sizes, where) for part, name in names.items()}
        several = max(mask.shape[1] for mask in masks.values())
        for part, mask in masks.items():
            if column >= mask.shape[1] and (mask.shape[1] > 1 or column >= several):
                raise GraphPERuntimeError(
                    f"{where(0)}: {names[part]} holds {mask.shape[1]} splits, counted from 0: there is no {column}"
                )
        # one mask beside several (WikiCS: of the test) is that of each
        return {part: mask[:, column % mask.shape[1]].nonzero().flatten() for part, mask in masks.items()}
    content = _dictionary(graphs, split)
    if content is None:
        return None
    return {PART_NAMES[part]: _ids(ids, f"{split}[{part!r}]", where) for part, ids in content.items()}


def mask_columns(graphs: SavedGraphs) -> int:
    """How many splits the masks of a file's graphs hold; 0 without masks."""
    names = _complete(graphs, ("mask",))
    if names is None:
        return 0
    values = (graphs.values(name)[0] for name in names.values())
    return max(int(value.shape[1]) if isinstance(value, Tensor) and value.dim() == 2 else 1 for value in values)


def split_values(graphs: SavedGraphs) -> set[str]:
    """Names of values that say which part of a split a node is in."""
    known = {name for kinds in _NAMED.values() for names in kinds for name in names.values()} | {*_DICTIONARIES}
    return known & set(graphs.names)


def choose_node_split(
    split: str,
    targets: OwnTargets,
    *,
    saved: Callable[[str], dict[str, Tensor] | None],
    cells: Cells,
    fractions: Sequence[float],
    seed: int,
    what: str,
    where: Where,
) -> dict[str, Tensor]:
    """The split of nodes that a user names, of those that have a known target; the others are in no part.

    Args:
        split: `random`, a JSON file of positions, what `saved` knows, or the name of words of nodes.
        targets: The targets.
        saved: From a name to the split that a file has under it.
        cells: From a name to a word of each node.
        fractions: Shares of train, valid and test of a random split.
        seed: Of a random split.
        what: Names the data in messages.
        where: Names a node in messages.

    Raises:
        GraphPERuntimeError: There is no such split, parts overlap or name a node that is not there, one has no node
            with a known target, or one has a class that no node of the training part has.
    """
    known = targets.known
    if split == "random":
        labelled = known.nonzero().flatten()
        parts = {part: labelled[ids] for part, ids in random_split(len(labelled), fractions, seed).items()}
    elif split.endswith(".json"):
        parts = read_split(Path(split).expanduser(), len(known), of="node")
    else:
        found = saved(split)
        if found is None:
            words = cells(split)
            if words is None:
                raise GraphPERuntimeError(
                    f"{what}: there is no split {split!r}: give 'random', 'masks', the path of a JSON file, or what "
                    "holds train, valid or test for each node"
                )
            found = named_split(words, split, where, known)
        parts = {part: found.get(part, torch.zeros(0, dtype=torch.long)) for part in PARTS}
    try:
        check_node_split(parts, len(known))
    except GraphPEValueError as error:
        raise GraphPERuntimeError(f"{what}: {error}") from None
    for part, ids in parts.items():
        if not bool(known[ids].any()):
            raise GraphPERuntimeError(
                f"{what}: none of the {len(ids):,} nodes of the {part} part of the split has a known target: give it "
                "some that have"
            )
    parts = {part: ids[known[ids]] for part, ids in parts.items()}
    if split != "random":
        _check_classes(targets, parts, what)
    return parts


def _check_classes(targets: OwnTargets, parts: Mapping[str, Tensor], what: str) -> None:
    """Reject a part with a class that training never sees.

    Raises:
        GraphPERuntimeError: There is one.
    """
    if not targets.classes:
        return
    seen = targets.values[parts["train"]].flatten().unique()
    for part in ("valid", "test"):
        there = targets.values[parts[part]].flatten()
        new = there[~torch.isin(there, seen)]
        if len(new):
            word = targets.classes[int(new[0])]
            count = int((new == new[0]).sum())
            raise GraphPERuntimeError(
                f"{what}: class {word} is that of {count} nodes of the {part} part, and of none of the train part: no "
                "model can learn it; give training some, or make those nodes' targets unknown"
            )


def _complete(graphs: SavedGraphs, kinds: Sequence[str]) -> dict[str, str] | None:
    """Names of the three parts' values of one kind, where all are there."""
    several = (names for kind in kinds for names in _NAMED[kind])
    return next((names for names in several if set(names.values()) <= set(graphs.names)), None)


def _there(graphs: SavedGraphs, names: Mapping[str, str]) -> list[str]:
    """Which of the three parts' values are there."""
    return [name for name in names.values() if name in graphs.names]


def _dictionary(graphs: SavedGraphs, name: str) -> Mapping[str, Any] | None:
    """A dictionary of ids under the names of parts, which one graph has."""
    if graphs.count != 1 or name not in graphs.names:
        return None
    value = graphs.values(name)[0]
    named = isinstance(value, Mapping) and len(value) == len(PARTS) and set(value) <= set(PART_NAMES)
    return value if named and {PART_NAMES[part] for part in value} == set(PARTS) else None


def _ids(value: Any, name: str, where: Where) -> Tensor:
    """Ids of nodes of one graph, from ids or a mask."""
    tensor = torch.as_tensor(value) if isinstance(value, Tensor | list) else None
    if tensor is not None and tensor.dim() == 1 and tensor.dtype == torch.bool:
        return tensor.nonzero().flatten()
    whole = tensor is not None and not tensor.is_floating_point() and not tensor.is_complex()
    if tensor is None or tensor.dim() != 1 or not whole:
        raise GraphPERuntimeError(f"{where(0)}: {name} is {describe(value)}, expected ids of nodes, or a mask of them")
    return tensor.long()


def _mask(graphs: SavedGraphs, name: str, sizes: Tensor, where: Where) -> Tensor:
    """A mask over all nodes, or several: `[N, masks]`."""
    values = graphs.values(name)
    for graph, (value, n) in enumerate(zip(values, sizes.tolist(), strict=True)):
        if value is ABSENT or not isinstance(value, Tensor) or not value.dim() or len(value) != n:
            is_there = "is missing" if value is ABSENT else f"is {describe(value)}"
            raise GraphPERuntimeError(f"{where(graph)}: {name} {is_there}, expected one entry for each of {n} nodes")
    mask = torch.cat(list(values))
    if mask.is_floating_point() or mask.is_complex() or not bool(((mask == 0) | (mask == 1)).all()) or mask.dim() > 2:
        raise GraphPERuntimeError(f"{where(0)}: {name} is {describe(values[0])}, expected True and False")
    if mask.dim() == 2 and not mask.shape[1]:
        raise GraphPERuntimeError(f"{where(0)}: {name} is {describe(values[0])}, expected True and False")
    return mask.reshape(len(mask), -1).bool()
