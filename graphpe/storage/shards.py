"""Graphs that are made a shard at a time, kept as a store: datasets that are larger than the memory."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from hashlib import blake2b
from importlib.metadata import version
from itertools import chain
from pathlib import Path
from typing import NamedTuple

import numpy as np
from torch import Tensor

from graphpe.errors import GraphPEError, GraphPERuntimeError
from graphpe.graphs.packed import PackedGraphs
from graphpe.graphs.ragged import Ints
from graphpe.progress import progress_bar
from graphpe.storage.format import Column, Rows, graph_columns
from graphpe.storage.manifest import Manifest
from graphpe.storage.store import Store, StoreWriter, read_manifest, writing

KEPT_GRAPHS = 1024
"""Graphs in a shard: what is in memory while the store is written."""


class Sizes(NamedTuple):
    """What is known of graphs before they are made.

    Attributes:
        nodes: Nodes of each graph, `[B]`.
        edges: Edges of each graph, `[B]`.
        about: Text that is kept with them, `Store.manifest.transform`.
    """

    nodes: Ints
    edges: Ints
    about: str = "none"


def keep_graphs(
    root: Path,
    source: str,
    sizes: Callable[[], Sizes],
    make: Callable[[list[int]], Iterator[PackedGraphs]],
    *,
    progress: bool,
) -> Store:
    """Graphs as a store, from the one at `root` if it is there already; killed meanwhile, the same call goes on.

    One shard is in memory at a time. Where the source turns out to be damaged, nothing is left.

    Args:
        root: Folder of the store.
        source: Identifies the graphs: all that they are made from.
        sizes: Gives the size of every graph.
        make: Gives the graphs `bounds[s]` to `bounds[s + 1]`, for each s in order; no Python objects.
        progress: Whether to show a bar.

    Raises:
        GraphPERuntimeError: The folder holds something else or cannot be written, or graphs are not as large as said.
    """
    if read_manifest(root) is None:
        with writing(root):
            if read_manifest(root) is None:  # by another process, since this one looked
                _write(root, source, sizes(), make, progress)
    store = Store(root)
    if store.manifest.fingerprint != source:
        raise GraphPERuntimeError(f"{root} holds other graphs: move it away")
    return store


def default_folder(cache: Path, name: str, source: str) -> Path:
    """Where a store of this version of graphpe stands in a cache folder.

    Args:
        cache: The cache folder.
        name: Of the dataset.
        source: Identifies the graphs.
    """
    text = f"{version('graphpe')}\n{source}"
    return cache / "graphs" / f"{name}-{blake2b(text.encode(), digest_size=16).hexdigest()}"


def _write(
    root: Path, source: str, sizes: Sizes, make: Callable[[list[int]], Iterator[PackedGraphs]], progress: bool
) -> None:
    bounds = [*range(0, len(sizes.nodes), KEPT_GRAPHS), len(sizes.nodes)]
    ptr, edge_ptr, pair_ptr = (_pointers(each) for each in (sizes.nodes, sizes.edges, sizes.nodes**2))
    cuts = np.asarray(bounds)
    rows = Rows(bounds, *(each[cuts].tolist() for each in (ptr, edge_ptr, pair_ptr, np.zeros_like(ptr))))
    made = _from_source(make(bounds))
    try:
        first = next(made, None)
    except _SourceError as error:
        raise error.error from None
    if first is None:
        raise GraphPERuntimeError(f"there are no graphs to keep in {root}")
    columns = list(graph_columns(first, None))
    manifest = Manifest(
        library=version("graphpe"),
        transform=sizes.about,
        device="cpu",
        shard_graphs=KEPT_GRAPHS,
        fingerprint=source,
        objects=[],
        columns=columns,
        rows=rows,
        digests={},
    )
    try:
        with (
            StoreWriter(root, manifest) as writer,
            progress_bar(total=len(sizes.nodes), desc="keep", unit="graph", leave=False, disable=not progress) as bar,
        ):
            missing = set(writer.missing)
            for shard, graphs in zip(range(len(bounds) - 1), chain([first], made), strict=True):
                start, stop = bounds[shard : shard + 2]
                if shard in missing:
                    _check(graphs, Sizes(sizes.nodes[start:stop], sizes.edges[start:stop]), columns, start)
                    writer.commit(shard, _shifted(graphs, int(ptr[start])))
                bar.update(stop - start)
            writer.finish()
    except _SourceError as error:
        shutil.rmtree(root, ignore_errors=True)
        raise error.error from None


class _SourceError(Exception):
    """The source of the graphs cannot be read."""

    def __init__(self, error: GraphPEError) -> None:
        super().__init__(str(error))
        self.error = error


def _from_source(made: Iterator[PackedGraphs]) -> Iterator[PackedGraphs]:
    """The graphs, with errors of their source told from those of writing."""
    try:
        yield from made
    except GraphPEError as error:
        raise _SourceError(error) from None


def _check(graphs: PackedGraphs, sizes: Sizes, columns: list[Column], start: int) -> None:
    """Raise unless graphs are those that were announced.

    Raises:
        _SourceError: They are others.
    """
    found = np.diff(graphs.host_ptr), np.diff(graphs.host_edge_ptr)
    if not all(map(np.array_equal, found, sizes[:2])):
        raise _SourceError(GraphPERuntimeError(f"the source of graphs changed while it was read, at graph {start}"))
    if set(graph_columns(graphs, None)) != set(columns):
        raise _SourceError(GraphPERuntimeError(f"graphs from number {start} on have other values than the first"))


def _shifted(graphs: PackedGraphs, nodes: int) -> dict[str, Tensor]:
    """Values of a shard by column; its edges number nodes from the first shard on."""
    return {
        column.name: value + nodes if column.is_edge_index else value
        for column, value in graph_columns(graphs, None).items()
    }


def _pointers(sizes: Ints) -> Ints:
    return np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(sizes)])
