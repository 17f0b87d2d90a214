"""Which datasets are kept in a memory-mapped store instead of in memory, and OGB's raw files as such a store."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from graphpe.benchmarks.console.memory import memory_limit
from graphpe.errors import GraphPERuntimeError
from graphpe.files.atomic import user_cache
from graphpe.files.ogb_raw import RawGraphs, RawTable
from graphpe.graphs.packed import PackedGraphs
from graphpe.graphs.ragged import Ints
from graphpe.limits import format_bytes
from graphpe.storage.shards import Sizes, default_folder, keep_graphs
from graphpe.storage.store import Store

COPIES = 3
"""Of all arrays, that OGB's loader has in memory at once: as read, a graph at a time, and put together again."""

GRAPH_BYTES = 8_000
"""Of one graph's Python objects meanwhile."""

EDGE = RawTable("edge", "edge", 2)

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class RawLayout:
    """What a dataset's raw files hold, and what becomes of it.

    Attributes:
        name: OGB's name.
        tables: The files beside `edge`.
        build: Gives the values of some graphs: from edges (ids counted over these graphs), pointers of nodes and of
            edges, and the tables.
        extra_edges: Edges of each graph beside those of the file, from the tables that are named; None for none.
    """

    name: str
    tables: tuple[RawTable, ...]
    build: Callable[[PackedGraphs, Arrays], PackedGraphs]
    extra_edges: Callable[[RawGraphs, list[int]], Iterator[Ints]] | None = None


def raw_graphs(folder: Path, *, both_directions: bool) -> RawGraphs | None:
    """OGB's raw files of a dataset; None where only what OGB made of them is complete.

    Args:
        folder: OGB's folder of the dataset.
        both_directions: As in `RawGraphs`.
    """
    raw = folder / "raw"
    there = all((raw / f"{name}.csv.gz").exists() for name in ("num-node-list", "num-edge-list"))
    return RawGraphs(raw, both_directions) if there else None


def fits_in_memory(raw: RawGraphs, *, node_bytes: int, edge_bytes: int) -> bool:
    """Whether OGB's loader may read a dataset: whether it takes at most half of the memory there is.

    Args:
        raw: The raw files.
        node_bytes: Bytes of a node's values.
        edge_bytes: Bytes of an edge's values, its two ends aside.
    """
    limit = memory_limit()
    arrays = int(raw.nodes.sum()) * node_bytes + int(raw.edges.sum()) * (edge_bytes + 16)
    return limit is None or COPIES * arrays + GRAPH_BYTES * len(raw.nodes) <= limit // 2


def store_folder(cache: Path | None, name: str, source: str) -> Path:
    """Where the store of a dataset is kept.

    Args:
        cache: Folder for what is worth keeping; None for the user's cache folder.
        name: Of the dataset.
        source: Identifies the graphs.

    Raises:
        GraphPERuntimeError: The user has no home.
    """
    folder = cache or user_cache()
    if folder is None:
        raise GraphPERuntimeError(f"{name} is kept in a cache folder, but there is none: name one with --cache")
    return default_folder(folder, name, source)


def stored_raw(
    raw: RawGraphs, layout: RawLayout, *, cache: Path | None, progress: bool, say: Callable[[str], object] = print
) -> Store:
    """OGB's raw files as a store, some graphs in memory at a time; made once.

    Args:
        raw: The files.
        layout: What they hold.
        cache: Folder for what is worth keeping; None for the user's cache folder.
        progress: Whether to show a bar and where the store is.
        say: Prints a line.

    Raises:
        GraphPERuntimeError: They are damaged, or the store cannot be written.
    """
    source = f"{layout.name} 1: {raw.digest([EDGE, *layout.tables])}"
    folder = store_folder(cache, layout.name, source)

    def sizes() -> Sizes:
        edges = raw.edges
        if layout.extra_edges is not None:
            bounds = _steps(len(raw.nodes))
            edges = edges + np.concatenate([np.zeros(0, np.int64), *layout.extra_edges(raw, bounds)])
        if progress:
            say(
                f"{layout.name} is larger than half of the memory: {len(raw.nodes):,} graphs, {raw.nodes.sum():,} "
                f"nodes and {edges.sum():,} edges are kept in {folder}; about {format_bytes(WRITING_BYTES)} of memory "
                "meanwhile"
            )
        return Sizes(raw.nodes, edges)

    def make(bounds: list[int]) -> Iterator[PackedGraphs]:
        parts = raw.read(bounds, [EDGE, *layout.tables])
        for start, stop, arrays in zip(bounds[:-1], bounds[1:], parts, strict=True):
            yield layout.build(structure(raw, start, stop, arrays["edge"], layout.name), arrays)

    store = keep_graphs(folder, source, sizes, make, progress=progress)
    store.verify()
    return store


WRITING_BYTES = 1_500_000_000
"""What making a store takes at most: torch, OGB and pandas, and a shard."""


def structure(raw: RawGraphs, start: int, stop: int, edge: NDArray[np.int64], name: str) -> PackedGraphs:
    """The edges of some graphs.

    Args:
        raw: The raw files.
        start: First graph.
        stop: One past the last.
        edge: Their rows of `edge`, `[E, 2]`.
        name: OGB's name, for the message.

    Raises:
        GraphPERuntimeError: An edge leads to no node.
    """
    nodes, edges = raw.nodes[start:stop], raw.edges[start:stop]
    ptr, edge_ptr = (np.concatenate([np.zeros(1, np.int64), np.cumsum(each)]) for each in (nodes, edges))
    outside = ((edge < 0) | (edge >= np.repeat(nodes, edges)[:, None])).any(axis=1)
    if outside.any():
        graph = start + int(np.searchsorted(edge_ptr, outside.argmax(), side="right")) - 1
        raise GraphPERuntimeError(f"graph {graph} of {name} in {raw.folder} has an edge to no node: get it again")
    index = (edge + np.repeat(ptr[:-1], edges)[:, None]).T
    return PackedGraphs(
        edge_index=torch.from_numpy(np.ascontiguousarray(index)),
        ptr=torch.from_numpy(ptr),
        edge_ptr=torch.from_numpy(edge_ptr),
    )


def _steps(count: int, step: int = 1024) -> list[int]:
    return [*range(0, count, step), count]
