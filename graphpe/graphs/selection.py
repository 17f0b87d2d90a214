"""Choosing graphs of a PackedGraphs: what an index means, gathers and views, buckets of similar size."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphpe.arguments import check_integer, check_number
from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.graphs.fields import Fields
from graphpe.graphs.ragged import Ints, Segments, spread, take

Index = Tensor | NDArray[Any] | slice | Sequence[int]


def gather(graphs: Fields, ids: Ints) -> dict[str, Any]:
    """Fields (and some cached properties) of the graphs `ids`, copied.

    Args:
        graphs: The fields of the graphs.
        ids: Non-negative ids, in the order of the result.
    """
    device = graphs.device
    nodes, edges = Segments.pick(graphs.host_ptr, ids), Segments.pick(graphs.host_edge_ptr, ids)
    edge_rows = edges.rows(device)
    edge_index = take(graphs.edge_index, edge_rows, dim=1)
    edge_index -= spread(nodes.shift, edges.sizes, device)
    node_rows = nodes.rows(device) if graphs.node else ids
    graph_rows = ids if device.type == "cpu" else torch.from_numpy(ids).to(device, non_blocking=True)
    pair_rows = Segments.pick(graphs.host_pair_ptr, ids).rows(device) if graphs.pair else ids
    return dict(
        edge_index=edge_index,
        ptr=torch.from_numpy(nodes.ptr).to(device, non_blocking=True),
        edge_ptr=torch.from_numpy(edges.ptr).to(device, non_blocking=True),
        edge_weight=None if graphs.edge_weight is None else take(graphs.edge_weight, edge_rows),
        node={key: take(value, node_rows) for key, value in graphs.node.items()},
        edge={key: take(value, edge_rows) for key, value in graphs.edge.items()},
        graph={key: take(value, graph_rows) for key, value in graphs.graph.items()},
        pair={key: take(value, pair_rows) for key, value in graphs.pair.items()},
        objects={key: [values[i] for i in ids.tolist()] for key, values in graphs.objects.items()},
        batch=spread(np.arange(len(ids)), nodes.sizes, device),
        host_ptr=nodes.ptr,
        host_edge_ptr=edges.ptr,
        **_edges_on_host(graphs, nodes, edges),
    )


def narrow(graphs: Fields, start: int, stop: int) -> dict[str, Any]:
    """Fields (and some cached properties) of the graphs from `start` to `stop`: views, but for the edge ids.

    Args:
        graphs: The fields of the graphs.
        start: First graph.
        stop: The graph after the last.
    """
    ptr, edge_ptr, pair_ptr = graphs.host_ptr, graphs.host_edge_ptr, graphs.host_pair_ptr if graphs.pair else None
    nodes, edges = slice(ptr[start], ptr[stop]), slice(edge_ptr[start], edge_ptr[stop])
    pairs = slice(0, 0) if pair_ptr is None else slice(pair_ptr[start], pair_ptr[stop])
    return dict(
        edge_index=graphs.edge_index[:, edges] - int(ptr[start]),
        ptr=graphs.ptr[start : stop + 1] - int(ptr[start]),
        edge_ptr=graphs.edge_ptr[start : stop + 1] - int(edge_ptr[start]),
        edge_weight=None if graphs.edge_weight is None else graphs.edge_weight[edges],
        node={key: value[nodes] for key, value in graphs.node.items()},
        edge={key: value[edges] for key, value in graphs.edge.items()},
        graph={key: value[start:stop] for key, value in graphs.graph.items()},
        pair={key: value[pairs] for key, value in graphs.pair.items()},
        objects={key: values[start:stop] for key, values in graphs.objects.items()},
        host_ptr=ptr[start : stop + 1] - ptr[start],
        host_edge_ptr=edge_ptr[start : stop + 1] - edge_ptr[start],
        **({"host_edge_index": graphs.host_edge_index[:, edges] - ptr[start]} if _are_on_host(graphs) else {}),
    )


def _edges_on_host(graphs: Fields, nodes: Segments, edges: Segments) -> dict[str, Ints]:
    """The chosen edges of graphs on a device on the host, too, where these have all of theirs there."""
    if not _are_on_host(graphs):
        return {}
    chosen = graphs.host_edge_index[:, edges.rows(torch.device("cpu"))]
    return {"host_edge_index": chosen - np.repeat(nodes.shift, edges.sizes)}


def _are_on_host(graphs: Fields) -> bool:
    return graphs.device.type != "cpu" and "host_edge_index" in vars(graphs)


def as_ids(index: Index, num_graphs: int) -> Ints:
    """An index over graphs as non-negative int64 ids.

    Args:
        index: An id, a slice, a list, an array or tensor of ids, or a mask.
        num_graphs: Number of graphs there are.

    Raises:
        GraphPETypeError: The index is of another type, or of another dtype.
        GraphPEValueError: An id is out of range, or a mask is not one entry per graph.
    """
    if isinstance(index, slice):
        return np.arange(*index.indices(num_graphs), dtype=np.int64)
    if isinstance(index, Tensor):
        index = index.numpy(force=True)
    elif not isinstance(index, np.ndarray):
        if not isinstance(index, Sequence) or isinstance(index, str):
            raise GraphPETypeError(f"graphs are selected by ids, a mask or a slice, got {type(index).__name__}")
        index = np.asarray(index) if len(index) else np.zeros(0, dtype=np.int64)
    if index.ndim != 1 or index.dtype.kind not in "iub":
        raise GraphPETypeError(
            f"an index over graphs is 1-dimensional, of integers or bools, got {index.dtype} {list(index.shape)}"
        )
    if index.dtype.kind == "b":
        if len(index) != num_graphs:
            raise GraphPEValueError(f"a mask over {num_graphs} graphs has {num_graphs} entries, got {len(index)}")
        return np.flatnonzero(index)
    ids = index.astype(np.int64, copy=False)
    if len(ids):
        lowest, highest = ids.min(), ids.max()
        if lowest < -num_graphs or highest >= num_graphs:
            wrong = lowest if lowest < -num_graphs else highest
            raise GraphPEValueError(f"there is no graph {wrong}: ids of {num_graphs} graphs end with {num_graphs - 1}")
        if lowest < 0:
            ids = np.where(ids < 0, ids + num_graphs, ids)
    return ids


def size_buckets(sizes: Ints, *, ratio: float, max_graphs: int | None, max_pairs: int | None) -> list[Tensor]:
    """Ids of graphs of similar size; see `PackedGraphs.buckets`.

    Args:
        sizes: Nodes of each graph.
        ratio: Largest size of a bucket in units of its smallest, at least 1.
        max_graphs: Most graphs of a bucket; None for no limit.
        max_pairs: Most pairs of nodes of a bucket, padding included; None for no limit.
    """
    check_number("ratio", ratio, least=1)
    for name, limit in (("max_graphs", max_graphs), ("max_pairs", max_pairs)):
        if limit is not None:
            check_integer(name, limit, least=1)
    order = np.argsort(sizes, kind="stable")
    ordered = sizes[order]
    buckets: list[Tensor] = []
    start = 0
    while start < len(ordered):  # once a bucket, not once a graph
        stop = int(np.searchsorted(ordered, ordered[start] * ratio, side="right"))
        if max_graphs is not None:
            stop = min(stop, start + max_graphs)
        if max_pairs is not None:
            # Graphs are in order of size: the padded stack of the first c of them has c * (size of the c-th)^2 entries.
            padded = np.arange(1, stop - start + 1) * ordered[start:stop] ** 2
            stop = start + max(1, int(np.searchsorted(padded, max_pairs, side="right")))
        buckets.append(torch.from_numpy(order[start:stop]))
        start = stop
    return buckets
