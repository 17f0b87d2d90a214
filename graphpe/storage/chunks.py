"""Encoding many graphs in chunks of similar size: the solvers' batches are full, and memory does not grow."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from graphpe.errors import GraphPETypeError, GraphPEValueError, GraphRangeError
from graphpe.graphs.checks import describe
from graphpe.graphs.levels import Level
from graphpe.graphs.packed import PackedGraphs
from graphpe.graphs.ragged import Segments

CHUNK_GRAPHS = 512
"""Graphs encoded at once: enough to fill batched solvers, few enough for a bar that moves."""

CHUNK_PAIRS = 2**20
"""Entries of a chunk's padded `[graphs, n, n]` stack: 8 MiB for each dense float64 matrix that a solver keeps."""

LEVELS: tuple[tuple[Level, str], ...] = (("node", "keys"), ("graph", "graph_keys"), ("pair", "pair_keys"))
"""Rooms that an encoding writes to, and the attribute in which it says under which keys."""


def encode_in_chunks(
    graphs: PackedGraphs,
    transform: Callable[[PackedGraphs], PackedGraphs],
    *,
    device: torch.device | str | None = None,
    progress: Callable[[int], object] | None = None,
) -> PackedGraphs:
    """The graphs with an encoding, computed chunk by chunk in order of size; the order of the graphs stays.

    Memory beside the result is that of one chunk. The result is that of `transform(graphs)`, except that random signs
    are drawn in order of size.

    Args:
        graphs: The graphs.
        transform: An encoding of `PackedGraphs`, which says by `keys`, `graph_keys` and `pair_keys` what it writes.
        device: Where chunks are encoded; None: where the graphs are. The values come back to the graphs.
        progress: Called after each chunk with the number of its graphs.

    Raises:
        GraphPETypeError: `transform` does not say what it writes.
        GraphPEValueError: It does not write it, or not in the same shape and dtype for all graphs.
    """
    levels = written_keys(transform)
    features = graphs._replace(objects={})
    chunks = features.buckets(ratio=float(2**62), max_graphs=CHUNK_GRAPHS, max_pairs=CHUNK_PAIRS)
    values: dict[Level, dict[str, Tensor]] = {"node": {}, "graph": {}, "pair": {}}
    for chunk in chunks or [torch.zeros(0, dtype=torch.long)]:
        try:
            encoded = transform(features.select(chunk).to(device or graphs.device))
        except GraphRangeError as error:
            raise error.at(int(chunk[error.graph])) from None
        for level, keys in levels.items():
            if not keys:
                continue
            rows = _rows(graphs, level, chunk)
            for key in keys:
                _place(values[level], key, _read(encoded, level, key, transform), rows, _num_rows(graphs, level))
        if progress is not None:
            progress(len(chunk))
    return graphs.with_values(node=values["node"], graph=values["graph"], pair=values["pair"])


def written_keys(transform: Any) -> dict[Level, list[str]]:
    """The keys that an encoding says it writes, by level.

    Args:
        transform: The encoding, or a `Compose` of some.

    Raises:
        GraphPETypeError: It cannot be called, or does not say.
        GraphPEValueError: It is of chosen pairs, which a store has no rows for.
    """
    if (
        isinstance(transform, type)
        or not callable(transform)
        or not all(hasattr(transform, name) for _, name in LEVELS)
    ):
        raise GraphPETypeError(
            f"expected an encoding such as graphpe.transforms.LaplacianPE(k=8), or a Compose of them, got {transform!r}"
        )
    if getattr(transform, "asked_keys", ()):
        raise GraphPEValueError(f"{transform!r} is of chosen pairs, which are not stored: apply it to the graph")
    return {level: list(getattr(transform, name)) for level, name in LEVELS}


def _rows(graphs: PackedGraphs, level: Level, chunk: Tensor) -> Tensor:
    """Where the values of the graphs of a chunk belong among those of all graphs."""
    if level == "graph":
        return chunk.to(graphs.device)
    ptr = graphs.host_ptr if level == "node" else graphs.host_pair_ptr
    return torch.as_tensor(Segments.pick(ptr, chunk.numpy()).rows(graphs.device))


def _num_rows(graphs: PackedGraphs, level: Level) -> int:
    return {"node": graphs.num_nodes, "graph": graphs.num_graphs, "pair": graphs.num_pairs}[level]


def _read(encoded: Any, level: Level, key: str, transform: Any) -> Tensor:
    value = getattr(encoded, level).get(key) if isinstance(encoded, PackedGraphs) else None
    if value is None:
        raise GraphPEValueError(f"{transform!r} says that it writes the {level} value {key!r}, but does not write it")
    return value


def _place(values: dict[str, Tensor], key: str, value: Tensor, rows: Tensor, num_rows: int) -> None:
    if key not in values:
        values[key] = torch.empty(num_rows, *value.shape[1:], dtype=value.dtype, device=rows.device)
    out = values[key]
    if value.shape != (len(rows), *out.shape[1:]) or value.dtype != out.dtype:
        expected = f"{out.dtype} {[len(rows), *out.shape[1:]]}"
        raise GraphPEValueError(f"{key!r} must be {expected} for all graphs, got {describe(value)} for some of them")
    out[rows] = value.to(out.device)
