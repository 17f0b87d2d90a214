"""One graph cut into parts of about equal size, with few edges between them."""

from __future__ import annotations

from typing import Any

import numpy as np
from torch_geometric.data import Data

from graphpe.arguments import check_integer
from graphpe.compiled.jit import compiled_by_steps
from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.graphs.ragged import Ints
from graphpe.sampling.subgraph import check_one_graph

_SWEEPS = 8
_SLACK = 1.05  # nodes of the largest part, in units of their mean


def partition(graph: PackedGraphs, parts: int, *, seed: int = 0) -> Ints:
    """The part of each node, `[N]`, from 0 to `parts` - 1.

    Parts grow one after the other, breadth first, to n / parts nodes; then nodes move, in several sweeps, to the part
    in which most of their neighbours are, as long as no part has more than 1.05 n / parts nodes (rounded up) or is
    empty. Directions and weights of edges play no part. Takes O(n + m) time and memory.

    Args:
        graph: One graph.
        parts: Their number, from 1 to n.
        seed: Of the order in which nodes are looked at.

    Raises:
        GraphPEValueError: There are several graphs, or fewer nodes than parts.
    """
    check_parts(graph, parts)
    tail, head = graph.edge_index.numpy(force=True)
    ends, others = np.concatenate([tail, head]), np.concatenate([head, tail])
    order = np.argsort(ends, kind="stable")
    ptr = np.zeros(graph.num_nodes + 1, dtype=np.int64)
    np.cumsum(np.bincount(ends, minlength=graph.num_nodes), out=ptr[1:])
    neighbors = others[order]
    looked_at = np.random.default_rng(seed).permutation(graph.num_nodes)
    owner = _grow(ptr, neighbors, looked_at, parts)
    most = int(np.ceil(_SLACK * graph.num_nodes / parts))
    _refine(ptr, neighbors, looked_at, owner, np.bincount(owner, minlength=parts), most, _SWEEPS)
    return owner


def metis_partition(graph: PackedGraphs, parts: int) -> Ints | None:
    """The part of each node by METIS, through PyG's `ClusterData`; None without pyg-lib and torch-sparse.

    Args:
        graph: One graph.
        parts: Their number, from 1 to n.

    Raises:
        GraphPEValueError: There are several graphs, or fewer nodes than parts.
    """
    from torch_geometric.loader import ClusterData

    check_parts(graph, parts)
    data = Data(edge_index=graph.edge_index.cpu(), num_nodes=graph.num_nodes)
    try:
        found = ClusterData(data, num_parts=parts, log=False).partition
    except ImportError:
        return None
    owner = np.empty(graph.num_nodes, dtype=np.int64)
    owner[found.node_perm.numpy()] = np.repeat(np.arange(parts), found.partptr.diff().numpy())
    return owner


def check_parts(graph: PackedGraphs, parts: int) -> None:
    """Reject a number of parts that one graph cannot be cut into.

    Raises:
        GraphPETypeError: It is no integer.
        GraphPEValueError: There are several graphs, or fewer nodes than parts.
    """
    check_one_graph(graph)
    check_integer("parts", parts, least=1)
    if parts > graph.num_nodes:
        raise GraphPEValueError(f"parts is {parts}, but the graph has {graph.num_nodes} nodes: give fewer parts")


def _edges_of(ptr: Any, neighbors: Any, *_: Any) -> float:
    return 4.0 * (len(neighbors) + len(ptr))


@compiled_by_steps(_edges_of)
def _grow(ptr: Any, neighbors: Any, order: Any, parts: Any) -> Any:
    """Parts grown breadth first; sizes differ by one at most."""
    n = len(ptr) - 1
    owner = np.full(n, -1)
    queue = np.empty(n, np.int64)
    next_start = 0
    for part in range(parts):
        room = (n * (part + 1)) // parts - (n * part) // parts
        first, last = 0, 0
        while room > 0:
            if first == last:  # what is reached is used up: go on elsewhere
                while owner[order[next_start]] >= 0:
                    next_start += 1
                node = order[next_start]
                owner[node] = part
                first, last = 0, 1
                queue[0] = node
                room -= 1
            node = queue[first]
            first += 1
            for i in range(ptr[node], ptr[node + 1]):
                if room == 0:
                    break
                other = neighbors[i]
                if owner[other] < 0:
                    owner[other] = part
                    queue[last] = other
                    last += 1
                    room -= 1
    return owner


@compiled_by_steps(_edges_of)
def _refine(ptr: Any, neighbors: Any, order: Any, owner: Any, sizes: Any, most: Any, sweeps: Any) -> None:
    """Move nodes to the part that most of their neighbours are in, where there is room."""
    links = np.zeros(len(sizes), np.int64)
    for _ in range(sweeps):
        moved = 0
        for node in order:
            mine = owner[node]
            if sizes[mine] == 1:
                continue
            best = mine
            for i in range(ptr[node], ptr[node + 1]):
                links[owner[neighbors[i]]] += 1
            for i in range(ptr[node], ptr[node + 1]):
                part = owner[neighbors[i]]
                if sizes[part] < most and links[part] > links[best]:
                    best = part
            for i in range(ptr[node], ptr[node + 1]):
                links[owner[neighbors[i]]] = 0
            if best != mine:
                owner[node] = best
                sizes[mine] -= 1
                sizes[best] += 1
                moved += 1
        if moved * 1000 < len(order):
            break
