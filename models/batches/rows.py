"""Values in a batch against what they are values of: as many rows as there are nodes, edges, graphs or pairs of nodes.

From shapes alone, and from what PyG keeps on the host of how many rows each graph had: no device is waited for.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphpe.errors import GraphPEValueError
from graphpe.graphs.from_pyg import TELL_NUM_NODES
from graphpe.graphs.levels import Level
from graphpe.models.batches.nodes import collated_ptr, count_pairs, node_to_graph, stated_edges

_WHOLE = {
    "node": "{} nodes: nodes were added or removed without it",
    "edge": "{} edges: edges were added or removed without it",
    "graph": "{} graphs: it takes one row a graph",
    "pair": "{} ordered pairs of nodes (the sum of squared sizes): it was computed before nodes were added or removed",
}


def count_nodes(batch: Data) -> int | None:
    """Number of nodes, from shapes; None where nothing tells it.

    Args:
        batch: A `Batch`, or a `Data` as a batch of one graph.
    """
    graph = getattr(batch, "batch", None)
    if isinstance(graph, Tensor):
        return graph.numel()
    told = "ptr" in batch or any(key in TELL_NUM_NODES or "node" in key for key in batch.keys())
    return node_to_graph(batch).num_nodes if told else None


def count_rows(batch: Data, level: Level) -> int | None:
    """The rows that values of a level have; None where nothing on the host tells it.

    Args:
        batch: A `Batch`, or a `Data` as a batch of one graph.
        level: What there is a row for.
    """
    match level:
        case "node":
            return count_nodes(batch)
        case "edge":
            edge_index = stated_edges(batch)
            return edge_index.shape[1] if edge_index is not None and edge_index.dim() == 2 else 0
        case "graph":
            return node_to_graph(batch).num_graphs
        case "pair":
            return node_to_graph(batch).num_pairs if torch.compiler.is_compiling() else count_pairs(batch)


def check_rows(batch: Data, key: str, level: Level, again: str, expected: int | None = None) -> None:
    """Raise unless `batch[key]` has a row for each node, edge, graph or pair of the batch.

    Args:
        batch: The batch.
        key: Name of a tensor in it.
        level: What it has values of.
        again: What to do.
        expected: The number of these where the caller knows it.

    Raises:
        GraphPEValueError: It has another number of rows, in the whole batch or in one of its graphs.
    """
    value: Tensor = batch[key]
    expected = count_rows(batch, level) if expected is None else expected
    rows = value.shape[0] if value.dim() else 1
    if torch.compiler.is_compiling() and level == "pair":  # a size may be a symbol
        return
    if expected is not None and rows != expected:
        reason = _WHOLE[level].format(expected)
        raise GraphPEValueError(f"batch.{key} has {rows} rows for {reason}; {again}")
    if level in ("node", "pair") and not torch.compiler.is_compiling():
        _check_each_graph(batch, key, rows, level, again)


def _check_each_graph(batch: Data, key: str, rows: int, level: str, again: str) -> None:
    """Rows that agree in sum only: what PyG noted of each graph when it made the batch, if that still describes it."""
    ptr = vars(batch.stores[0]).get("_slice_dict", {}).get(key)
    if not isinstance(ptr, Tensor) or ptr.device.type != "cpu" or ptr.dim() != 1 or not len(ptr):
        return
    nodes, cuts = rows if level == "node" else count_nodes(batch), ptr.numpy()
    if nodes is None or cuts[-1] != rows:
        return
    of_nodes = collated_ptr(batch, nodes, len(cuts) - 1)
    if of_nodes is None or (level == "node" and of_nodes.tobytes() == cuts.tobytes()):
        return
    sizes, given = np.diff(of_nodes), np.diff(cuts)
    wanted = sizes * sizes if level == "pair" else sizes
    if (given != wanted).any():
        graph = int(np.argmax(given != wanted))
        raise GraphPEValueError(
            f"batch.{key} has {given[graph]} rows in graph {graph} for {_WHOLE[level].format(wanted[graph])}; {again}"
        )
