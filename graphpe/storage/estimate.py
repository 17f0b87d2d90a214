"""What encoding a dataset will take, before it starts: bytes exactly, time from a sample."""

from __future__ import annotations

import math
import time
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from graphpe.errors import GraphPEError, GraphPERuntimeError, GraphPEValueError, GraphRangeError
from graphpe.graphs.packed import PackedGraphs
from graphpe.limits import format_bytes, limits
from graphpe.storage.chunks import encode_in_chunks, written_keys
from graphpe.storage.format import Column
from graphpe.storage.workers import for_shard, one_thread, raise_interrupt

_SAMPLES = (1, 8, 64, 512)
_ENOUGH_SECONDS = 0.5
_LONG_SECONDS = 5.0


def encoded_columns(graphs: PackedGraphs, transform: Any) -> list[Column]:
    """The columns that an encoding will write: shapes and dtypes, from encoding the smallest graph that has nodes.

    Args:
        graphs: The graphs.
        transform: The encoding, or a `Compose` of some.

    Raises:
        GraphPEError: The encoding fails, or changes more than the values it says it writes.
    """
    sizes = np.diff(graphs.host_ptr)
    smallest = np.flatnonzero(sizes > 0)
    if len(smallest):
        smallest = smallest[[np.argmin(sizes[smallest])]]
    encoded = _encode(graphs, smallest, transform, torch.device("cpu"))
    return [
        Column(f"{level}.{key}", level, value.dtype, tuple(value.shape[1:]))
        for level, keys in written_keys(transform).items()
        for key in keys
        for value in [getattr(encoded, level)[key]]
    ]


def check_pair_limit(graphs: PackedGraphs, columns: list[Column], pair_limit: int) -> None:
    """Refuse to store pair encodings that take more than `pair_limit` bytes.

    Args:
        graphs: The graphs.
        columns: The columns that the encoding writes.
        pair_limit: Bytes.

    Raises:
        GraphPEValueError: They would; the message has the numbers, and what to do instead.
    """
    pairs = [column for column in columns if column.rows == "pair"]
    size = graphs.num_pairs * sum(column.row_bytes for column in pairs)
    if size > pair_limit:
        keys = ", ".join(column.name.partition(".")[2] for column in pairs)
        raise GraphPEValueError(
            f"pair encodings ({keys}) would take {format_bytes(size)}, {graphs.num_pairs:,} pairs (sum of n^2) "
            f"of {sum(column.row_bytes for column in pairs)} bytes: more than pair_limit={pair_limit} "
            f"({format_bytes(pair_limit)}); compute them on the fly, batch by batch on the model's device "
            f"(batch = transform(batch), or EncodedDataset(root, transform=...)), or raise pair_limit"
        )


def graphs_per_second(graphs: PackedGraphs, transform: Any, device: torch.device) -> float:
    """Speed of one process on random graphs; more of them until it takes long enough to be measured.

    A sample is encoded twice, unless that takes long: the first time may have to load compiled code, or to compile it.

    Args:
        graphs: The graphs, of whose sizes the random ones are.
        transform: The encoding, or a `Compose` of some.
        device: Where it runs.
    """
    chosen = np.random.default_rng(0).permutation(graphs.num_graphs)
    speed = 0.0
    for count in _SAMPLES:
        sample = chosen[:count]
        seconds = _seconds(graphs, sample, transform, device)
        if count == 1 or seconds < _LONG_SECONDS:
            seconds = min(seconds, _seconds(graphs, sample, transform, device))
        speed = len(sample) / max(seconds, 1e-9)
        if count >= graphs.num_graphs or seconds > _ENOUGH_SECONDS:
            break
    return speed


def _seconds(graphs: PackedGraphs, chosen: NDArray[np.int64], transform: Any, device: torch.device) -> float:
    start = time.perf_counter()
    _encode(graphs, chosen, transform, device)
    return time.perf_counter() - start


def describe(graphs: PackedGraphs, before: list[Column], after: list[Column]) -> list[str]:
    """Lines about size: the graphs, and what each key adds.

    Args:
        graphs: The graphs.
        before: Columns of the graphs themselves.
        after: Columns of their encodings.
    """
    rows = {"graph": graphs.num_graphs, "node": graphs.num_nodes, "edge": graphs.num_edges, "pair": graphs.num_pairs}
    lines = [f"{graphs.num_graphs:,} graphs, {graphs.num_nodes:,} nodes, {graphs.num_edges:,} edges"]
    sizes = [("graphs and their values", sum(column_bytes(column, graphs) for column in before))]
    for column in after:
        dtype = str(column.dtype).removeprefix("torch.")
        shape = [rows[column.rows], *column.shape]
        sizes.append((f"{column.name.partition('.')[2]} {shape} {dtype}", column_bytes(column, graphs)))
    return lines + [f"  {format_bytes(size):>9}  {what}" for what, size in sizes]


def column_bytes(column: Column, graphs: PackedGraphs) -> int:
    """Bytes of a column of these graphs; Python objects are not counted.

    Args:
        column: The column.
        graphs: The graphs.
    """
    rows = {"graph": graphs.num_graphs, "node": graphs.num_nodes, "edge": graphs.num_edges, "pair": graphs.num_pairs}
    return rows.get(column.rows, 0) * column.row_bytes * (2 if column.is_edge_index else 1)


def _encode(graphs: PackedGraphs, chosen: NDArray[np.int64], transform: Any, device: torch.device) -> PackedGraphs:
    """Some of the graphs with the encoding."""
    sample = graphs._replace(objects={}).select(chosen)
    try:
        with one_thread(), limits(pair_limit=math.inf):  # of the whole dataset, which is checked as such
            return encode_in_chunks(sample, for_shard(transform, 0), device=device)
    except GraphRangeError as error:
        raise error.at(int(chosen[error.graph])) from None
    except GraphPEError:
        raise
    except Exception as error:
        raise_interrupt(error)
        text = " ".join(str(error).split())[:300]
        raise GraphPERuntimeError(f"{transform!r} failed on a sample ({type(error).__name__}: {text})") from error
