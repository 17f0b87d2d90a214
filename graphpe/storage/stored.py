"""What a stored dataset says of its graphs, compared when it is opened.

Checksums say that bytes are those that were written, not that they are graphs.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from graphpe.errors import GraphPEError
from graphpe.graphs.checks import LEVELS, check_unique, check_values
from graphpe.graphs.packed import PackedGraphs
from graphpe.graphs.ragged import Ints
from graphpe.storage.format import EDGE_INDEX, EDGE_WEIGHT, NUM_EDGES, NUM_NODES, TEXT, TEXT_SIZES, Rows
from graphpe.storage.manifest import Manifest

_FIXED = {
    NUM_NODES: ("graph", torch.int64), NUM_EDGES: ("graph", torch.int64), EDGE_INDEX: ("edge", torch.int64),
    TEXT_SIZES: ("graph", torch.int64), TEXT: ("text", torch.uint8),
}  # fmt: skip


def wrong_columns(manifest: Manifest) -> str | None:
    """Why columns and shards are none of an encoded dataset; None if they may be. Reads nothing of the data.

    Args:
        manifest: What describes the dataset.
    """
    columns, rows = manifest.columns, manifest.rows
    if not isinstance(manifest.digests, dict):
        return "it has no checksums"
    found = {column.name: column for column in columns}
    needed = [NUM_NODES, NUM_EDGES, EDGE_INDEX, *([TEXT_SIZES, TEXT] if manifest.objects else [])]
    missing = next((name for name in needed if name not in found), None)
    if missing is not None or len(found) != len(columns):
        return f"it has no column {missing}" if missing else "it has two columns of one name"
    for column in columns:
        level = column.name.partition(".")[0]
        wanted = _FIXED.get(column.name, ("edge" if column.name == EDGE_WEIGHT else level, column.dtype))
        flat = column.name in _FIXED or column.name == EDGE_WEIGHT
        sizes = all(type(each) is int and each >= 0 for each in column.shape)
        if (column.rows, column.dtype) != wanted or not sizes or (flat and column.shape):
            return f"column {column.name} is {column.dtype} {list(column.shape)} by {column.rows}"
        if len(manifest.digests.get(column.name, [])) != len(rows.graph) - 1:
            return f"column {column.name} has no checksum of each shard"
    return None


def wrong_sizes(tensors: Mapping[str, Tensor], rows: Rows) -> str | None:
    """Why the sizes of graphs are not those of the shards; None if they are.

    Args:
        tensors: The sizes as they are stored, by column.
        rows: Rows of each level and shard.
    """
    nodes, edges = tensors[NUM_NODES].numpy(), tensors[NUM_EDGES].numpy()
    sizes = {"node": nodes, "edge": edges}
    if TEXT_SIZES in tensors:
        sizes["text"] = tensors[TEXT_SIZES].numpy()
    cuts = np.asarray(rows.graph)
    for name, each in sizes.items():
        ends = np.concatenate([np.zeros(1, np.int64), np.cumsum(each)])[cuts]
        if (each < 0).any() or ends.tolist() != getattr(rows, name):
            return f"its graphs have other {name} rows than its shards"
    pairs = np.concatenate([np.zeros(1, np.int64), np.cumsum(nodes * nodes)])[cuts]
    return None if pairs.tolist() == rows.pair else "its graphs have other pair rows than its shards"


def wrong_values(graphs: PackedGraphs) -> str | None:
    """Why the names or rows of values are none that `PackedGraphs` has; None if they are.

    Args:
        graphs: The graphs.
    """
    try:
        for level in LEVELS:
            check_values(graphs, level, getattr(graphs, level))
        check_unique(graphs)
    except GraphPEError as error:
        return str(error)
    return None


def wrong_edge(graphs: PackedGraphs, start: int, stop: int, edges: Ints) -> str | None:
    """Of graphs `start` to `stop`, an edge with an end outside its graph; None if there is none.

    Args:
        graphs: The graphs.
        start: First graph.
        stop: The graph after the last.
        edges: Their part of `edge_index`.
    """
    first = graphs.host_edge_ptr[start]
    counts = np.diff(graphs.host_edge_ptr[start : stop + 1])
    low, high = (np.repeat(graphs.host_ptr[start + i : stop + i], counts) for i in (0, 1))
    outside = ((edges < low) | (edges >= high)).any(axis=0)
    if not outside.any():
        return None
    edge = int(outside.argmax())
    return f"edge {first + edge}, {edges[:, edge].tolist()}, leaves its graph of nodes {low[edge]} to {high[edge] - 1}"
