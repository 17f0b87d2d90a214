"""Rooted trees over the nodes of a batch, and products and sums along their paths from the root.

Parents are found on the host; products run where the maps are, by doubling: after s rounds a node has the product of
its last 2^s maps, and asks the ancestor 2^s steps above it for the ones before.

Shape legend: R rows that attend (the batch's N nodes and perhaps extra ones).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphpe.errors import GraphPEValueError
from graphpe.graphs.ragged import Ints
from graphpe.models.attention.positions.node_positions import Attending
from graphpe.models.batches.nodes import read_edges
from graphpe.models.batches.on_host import structure_of, structure_on_host
from graphpe.structure.plan import Plan
from graphpe.trees.fields import trees_of

TreeRoot = Literal["shortest", "edges"]

ALONG, AGAINST, BOTH = range(3)


@dataclass(frozen=True, eq=False)
class RootedTrees:
    """A tree of each connected component; extra nodes stand alone.

    Attributes:
        ancestors: For s = 0, 1, ...: the row 2^s steps above each row, R where the tree is not so deep, `[R]`.
        below: Whether a row has a parent, `[R]`.
        edge: The edge between parent and row, a column of `edge_index`; 0 of roots, `[R]`.
        direction: Whether that edge leads to the row (`ALONG`), to its parent (`AGAINST`), or there is one each way
            (`BOTH`), `[R]`.
        rank: Number of the row among its parent's children, in the order of their edges, `[R]`.
        depth: Steps from a root to the deepest row.
    """

    ancestors: tuple[Tensor, ...]
    below: Tensor
    edge: Tensor
    direction: Tensor
    rank: Tensor
    depth: int


@torch.compiler.disable
def root_trees(batch: Data, nodes: Attending, tree: TreeRoot) -> RootedTrees:
    """Rooted trees of a batch. O(N log depth + E log E), on the host.

    From the batch's structure there where the batch tells that (`structure_on_host`); other batches on a GPU wait.

    Args:
        batch: The batch.
        nodes: Its nodes as they attend.
        tree: `shortest`: shortest paths from a node of largest degree, as `shortest_path_trees` has them. `edges`: the
            parent of a node is where the first edge into it comes from (in the order of `edge_index`; of an edge and
            its reverse only the first counts, and self-loops do not): a syntax tree's own, whatever is added behind its
            edges.

    Raises:
        GraphPEValueError: `edges` lead round in a cycle.
    """
    members = nodes.members
    size, rows = members.num_nodes, nodes.num_nodes
    device = members.ptr.device
    known = structure_on_host(batch)
    edge_index = read_edges(batch, members) if known is None else known.edge_index
    tail, head = edge_index.numpy(force=True).astype(np.int64, copy=False)
    if tree == "edges":
        parent = _first_parents(tail, head, size)
    else:
        parent = np.full(size, -1)
        (spanning,) = Plan(structure_of(batch, members)).once(trees_of, "shortest", False, 1, 0)
        above_edge, below_edge = spanning.edge_index.numpy(force=True)
        parent[below_edge] = above_edge
    above, depth = _ancestors(parent)
    edge, direction = _tree_edges(tail, head, parent)
    table = np.stack([parent >= 0, edge, direction, _ranks(parent, edge), *above])
    found = torch.from_numpy(table).to(device, non_blocking=True)
    values, ancestors = found[:4], found[4:]
    if nodes.place is not None:
        values = values.new_zeros(4, rows).index_copy(1, nodes.place, values)
        above_rows = torch.where(ancestors < 0, rows, nodes.place[ancestors.clamp(min=0)])
        ancestors = ancestors.new_full((len(above), rows), rows).index_copy(1, nodes.place, above_rows)
    else:
        ancestors = torch.where(ancestors < 0, rows, ancestors)
    below, edge_rows, direction_rows, rank = values.unbind()
    return RootedTrees(ancestors.unbind(), below.bool(), edge_rows, direction_rows, rank, depth)


def products(maps: Tensor, trees: RootedTrees) -> Tensor:
    """T_v = T_parent(v) M_v, `[R, ..., b, b]`; T_v = M_v at roots. O(R b^2) memory and O(R b^3) time a round.

    Args:
        maps: M, `[R, ..., b, b]`; square, the identity at roots.
        trees: The trees.
    """
    one = torch.eye(maps.shape[-1], dtype=maps.dtype, device=maps.device).expand(1, *maps.shape[1:])
    with torch.autocast(maps.device.type, enabled=False):
        for above in trees.ancestors:
            maps = torch.matmul(torch.cat([maps, one]).index_select(0, above), maps)
    return maps


def sums(values: Tensor, trees: RootedTrees) -> Tensor:
    """S_v = S_parent(v) + V_v, `[R, ...]`.

    Args:
        values: V, `[R, ...]`; zero at roots.
        trees: The trees.
    """
    for above in trees.ancestors:
        values = values + torch.cat([values, torch.zeros_like(values[:1])]).index_select(0, above)
    return values


def _first_parents(tail: Ints, head: Ints, size: int) -> Ints:
    key, back = tail * size + head, head * size + tail
    first = _first_at(key, key)
    reverse = _first_at(key, back)
    kept = np.flatnonzero((tail != head) & ((reverse < 0) | (first < reverse)))
    parent = np.full(size, -1)
    child, at = np.unique(head[kept], return_index=True)
    parent[child] = tail[kept][at]
    return parent


def _first_at(keys: Ints, wanted: Ints) -> Ints:
    """Where each wanted key stands first among the keys; -1 where it does not."""
    known, first = np.unique(keys, return_index=True)
    if not len(known):
        return np.full(len(wanted), -1)
    place = np.searchsorted(known, wanted).clip(max=len(known) - 1)
    return np.where(known[place] == wanted, first[place], -1)


def _ancestors(parent: Ints) -> tuple[list[Ints], int]:
    """Ancestors by powers of two, and the largest depth."""
    above: list[Ints] = []
    here, depth = parent, (parent >= 0).astype(np.int64)
    while (here >= 0).any():
        if 1 << len(above) >= len(parent):
            node = int(np.flatnonzero(here >= 0)[0])
            raise GraphPEValueError(
                f"tree='edges' needs edges that lead away from roots, and those into node {node} come from a cycle: "
                "use tree='shortest'"
            )
        above.append(here)
        depth = depth + np.where(here >= 0, depth[here], 0)
        here = np.where(here >= 0, here[here], -1)
    return above, int(depth.max(initial=0))


def _tree_edges(tail: Ints, head: Ints, parent: Ints) -> tuple[Ints, Ints]:
    size = len(parent)
    node = np.arange(size)
    key = tail * size + head
    down = _first_at(key, np.where(parent >= 0, parent * size + node, -1))
    up = _first_at(key, np.where(parent >= 0, node * size + parent, -1))
    direction = np.where(up < 0, ALONG, np.where(down < 0, AGAINST, BOTH))
    return np.where(down >= 0, down, up).clip(min=0), np.where(parent >= 0, direction, ALONG)


def _ranks(parent: Ints, edge: Ints) -> Ints:
    order = np.lexsort((edge, parent))
    ordered = parent[order]
    start = np.searchsorted(ordered, ordered)
    rank = np.empty(len(parent), np.int64)
    rank[order] = np.arange(len(parent)) - start
    return np.where(parent >= 0, rank, 0)
