"""The structure of a batch on a device as it is on the host, for what is counted or built there without a wait."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch_geometric.data import Data

from graphpe.compiled.jit import compiled
from graphpe.graphs.packed import PackedGraphs
from graphpe.graphs.ragged import Ints
from graphpe.graphs.to_pyg import ON_HOST
from graphpe.models.batches.nodes import NodeToGraph, read_edges


def structure_on_host(batch: Data) -> PackedGraphs | None:
    """The graphs of a batch on a device, without values, on the host; None where the batch does not tell.

    Batches of `PackedLoader` tell, until other edges take the place of theirs.

    Args:
        batch: A `Batch`.
    """
    known = vars(batch.stores[0]).get(ON_HOST)
    if known is None or torch.compiler.is_compiling():
        return None
    before, version, edge_index, ptr, edge_ptr = known
    edges = getattr(batch, "edge_index", None)
    if before is not edges or version != edges._version:  # noqa: SLF001
        return None
    values: dict[str, Any] = {level: {} for level in ("node", "edge", "graph", "pair", "objects")}
    return PackedGraphs.trusted(edge_index=edge_index, ptr=ptr, edge_ptr=edge_ptr, edge_weight=None, **values)


@torch.compiler.disable
def structure_of(batch: Data, members: NodeToGraph) -> PackedGraphs:
    """The graphs of a batch without values: on the host where it tells that, else where the batch is.

    Args:
        batch: A `Batch`, or a `Data` as a batch of one graph.
        members: Its partition into graphs.
    """
    edge_index = read_edges(batch, members)
    known = structure_on_host(batch)
    if known is not None:
        return known
    owner = members.graph.index_select(0, edge_index[0])
    counts = torch.zeros_like(members.sizes).index_add(0, owner, torch.ones_like(owner))
    edge_ptr = torch.cat([counts.new_zeros(1), counts.cumsum(0)])
    order = torch.argsort(owner, stable=True)  # edges of a batch stand together; those of other input may not
    return PackedGraphs(edge_index.index_select(1, order), members.ptr, edge_ptr)


def joined_pairs(batch: Data) -> tuple[int, int] | None:
    """How many ordered pairs of nodes edges join, and how many of a node with itself; None where it is not known.

    Args:
        batch: A `Batch`.
    """
    known = structure_on_host(batch)
    return None if known is None else count_joined(known.host_edge_index, known.num_nodes)


def count_joined(edge_index: Ints, nodes: int) -> tuple[int, int]:
    """Ordered pairs (i, j) that at least one edge joins, and those with i = j among them. O(N + E).

    Args:
        edge_index: `[2, E]`.
        nodes: N.
    """
    pairs, loops = _count(np.ascontiguousarray(edge_index), nodes)
    return int(pairs), int(loops)


@compiled
def _count(edge_index: Any, nodes: Any) -> Any:
    begin = np.zeros(nodes + 1, np.int64)
    for head in edge_index[1]:
        begin[head + 1] += 1
    for node in range(nodes):
        begin[node + 1] += begin[node]
    place = begin[:-1].copy()
    tails = np.empty(edge_index.shape[1], np.int64)
    for edge in range(edge_index.shape[1]):
        head = edge_index[1, edge]
        tails[place[head]] = edge_index[0, edge]
        place[head] += 1
    last_head = np.full(nodes, -1, np.int64)  # the last node at which an edge from each ended
    pairs, loops = 0, 0
    for head in range(nodes):
        for number in range(begin[head], begin[head + 1]):
            tail = tails[number]
            if last_head[tail] != head:
                last_head[tail] = head
                pairs += 1
                loops += tail == head
    return pairs, loops
