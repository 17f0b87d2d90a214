"""Rooms of a packed structure: does a named value belong to nodes, edges, graphs or pairs of nodes?"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from graphpe.errors import GraphPEValueError

Level = Literal["node", "edge", "graph", "pair"]
LevelOrObject = Literal["node", "edge", "graph", "pair", "object"]

# Names with a place of their own in a `PackedGraphs` or in a PyG `Batch`.
RESERVED = frozenset({"edge_index", "edge_weight", "num_nodes", "ptr", "batch", "max_size", "num_pairs"})

# Only consulted for a key whose lengths fit several levels (a directed cycle has as many edges as nodes).
_PAIR_NAMES = (
    "pair",
    "rrwp",
    "shortest_path",
    "path_types",
    "resistance",
    "commute_time",
    "personalized_page_rank",
    "reachability",
    "relative_",
)
_GRAPH_NAMES = ("graph", "laplacian_mask", "magnetic_mask")


def check_name(key: str, level: LevelOrObject) -> None:
    """Reject names that are taken, and names whose tensors PyG would change on its way into a `Batch`.

    Args:
        key: The name.
        level: What it is a value of.

    Raises:
        GraphPEValueError: The name is reserved, or PyG reads an index, a face list or a batch vector into it.
    """
    if key in RESERVED or key.startswith("_"):
        raise GraphPEValueError(f"{level} value {key!r} has a reserved name: rename it")
    if level != "object" and ("index" in key or "batch" in key or key == "face"):
        raise GraphPEValueError(
            f"{level} value {key!r}: PyG shifts values whose name contains 'index' or 'batch', or is 'face'; "
            f"rename it, or keep it as it is, one Python value per graph, with levels={{{key!r}: 'object'}}"
        )


def check_levels(levels: Mapping[str, LevelOrObject] | None, keys: Iterable[str]) -> Mapping[str, LevelOrObject]:
    """`levels` as a mapping, each of its values a known kind and each of its keys one of `keys`.

    Args:
        levels: The argument; None for no levels.
        keys: Keys that may have one.
    """
    known = set(keys)
    for key, kind in (levels or {}).items():
        if kind not in get_args(LevelOrObject):
            raise GraphPEValueError(
                f"levels[{key!r}] is {kind!r}: expected one of {', '.join(get_args(LevelOrObject))}"
            )
        if key not in known:
            raise GraphPEValueError(f"levels names {key!r}, which the data does not have (it has {sorted(known)})")
    return levels or {}


def choose_level(
    key: str,
    lengths: NDArray[np.int64],
    expected: Mapping[Level, NDArray[np.int64]],
    kind: LevelOrObject | None = None,
) -> Level:
    """The level of a value from its lengths.

    Args:
        key: The name of the value; it breaks ties by PyG's naming habits.
        lengths: Rows of the value in each graph `[B]`, or in all of them together `[1]`.
        expected: Rows that each level asks for, in the same form.
        kind: A level named by the caller.

    Raises:
        GraphPEValueError: The lengths fit no level, or not the one that was named.
    """
    if kind is not None and kind != "object":
        # A vector of c values per graph is one row [c] of that graph once the caller says so.
        rows = lengths // np.maximum(expected[kind], 1) if kind == "graph" else np.ones_like(lengths)
        if np.array_equal(lengths, rows * expected[kind]) and (rows == rows[:1]).all():
            return kind
        raise GraphPEValueError(f"{key!r} is not a {kind} value: {_mismatch(lengths, expected[kind])}")
    fits = [level for level, rows in expected.items() if np.array_equal(lengths, rows)]
    if not fits:
        raise GraphPEValueError(
            f"{key!r} fits no level: its first dimension is neither nodes, edges, one, nor nodes squared "
            f"({_mismatch(lengths, expected['node'])} for nodes); "
            f"name its level with levels={{{key!r}: 'graph'}} (or 'object'), or reshape it to [1, ...] per graph"
        )
    return next(level for level in _habits(key) if level in fits)


def _habits(key: str) -> tuple[Level, ...]:
    if "edge" in key:
        return "edge", "node", "graph", "pair"
    if key == "y" or key.startswith(_GRAPH_NAMES) or key.endswith("eigenvalues"):
        return "graph", "node", "edge", "pair"
    if key.startswith(_PAIR_NAMES):
        return "pair", "node", "edge", "graph"
    return "node", "edge", "graph", "pair"


def _mismatch(lengths: NDArray[np.int64], rows: NDArray[np.int64]) -> str:
    if len(lengths) != len(rows):
        return f"got lengths for {len(lengths)} graphs, expected {len(rows)}"
    graph = int(np.argmax(lengths != rows))
    return f"graph {graph} has {lengths[graph]} rows, expected {rows[graph]}"
