"""Sets of node pairs that a model attends over: all pairs of each graph, or its edges."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from graphpe.compiled.kernel import has_kernels
from graphpe.errors import GraphPEValueError
from graphpe.models.attention.shapes import check_shapes
from graphpe.models.batches.gpu.complete_pairs import complete_pairs
from graphpe.models.batches.nodes import NodeToGraph, check_edges


@dataclass(frozen=True, eq=False)
class PairSet:
    """Ordered pairs (j -> i) of nodes of one graph, each once: query (target) i, key (source) j.

    Pairs are sorted by target, then source: those that end in node i stand at `ptr[i]` to `ptr[i + 1]`. If they are
    all pairs of each graph, this is the row-major order in which encodings of pairs are stored.

    N nodes, P pairs, E edges of the batch.

    Attributes:
        source: Node j of each pair, `[P]`.
        target: Node i of each pair, `[P]`.
        ptr: First pair that ends in each node and, last, P: `[N + 1]`.
        slot: The pair that each edge of the batch joins, `[E]`; parallel edges share one.
        row: Row of each pair among all pairs of each graph, `[P]`; None if the set is all pairs.
        total: Number of all pairs of each graph, the rows that encodings of pairs have; None if it is not known.
        itself: The pair of each node with itself, `[N]`; None where it was not made with the others.
    """

    source: Tensor
    target: Tensor
    ptr: Tensor
    slot: Tensor
    row: Tensor | None
    total: int | None = None
    itself: Tensor | None = None

    @property
    def num_nodes(self) -> int:
        """N."""
        return self.ptr.numel() - 1

    @property
    def num_pairs(self) -> int:
        """Number of pairs P."""
        return self.source.numel()

    @property
    def complete(self) -> bool:
        """Whether the set is all pairs of each graph."""
        return self.row is None

    def take(self, values: Tensor) -> Tensor:
        """Of values of all pairs `[sum n^2, ...]`, those of this set `[P, ...]`.

        Args:
            values: Values of all pairs of each graph, `[sum n^2, ...]`, row-major.
        """
        return values if self.row is None else values.index_select(0, self.row)

    def scatter(self, edge: Tensor, absent: Tensor | None = None) -> Tensor:
        """Values of edges `[E, D]` as values of pairs `[P, D]`.

        Parallel edges are summed; a pair without an edge gets `absent` `[D]`, or zero.

        Args:
            edge: Values of the batch's edges, `[E, D]`.
            absent: The value of a pair without an edge, `[D]`; None for zero.
        """
        if absent is None:
            return edge.new_zeros(self.num_pairs, *edge.shape[1:]).index_add(0, self.slot, edge)
        empty = torch.ones(self.num_pairs, 1, dtype=edge.dtype, device=edge.device).index_fill(0, self.slot, 0)
        return (empty * absent).to(edge.dtype).index_add(0, self.slot, edge)

    def check(self) -> None:
        """Raise unless this is what it says; on a CPU numbers, too. Once, and not for what functions here have made.

        Raises:
            GraphPEValueError: Lengths disagree, pairs are not in order, a node does not exist, or a set without `row`
                is not all pairs of each graph.
        """
        if torch.compiler.is_compiling() or "_checked" in vars(self):
            return
        pairs = (self.num_pairs,)
        check_shapes(target=(self.target, pairs), row=(self.row, pairs), ptr=(self.ptr, (self.num_nodes + 1,)))
        if self.source.device.type == "cpu":
            _check_numbers(self)
        _mark(self)

    @cached_property
    def reverse(self) -> Tensor:
        """The pair (i -> j) of each pair (j -> i), `[P]`; -1 where it is not in the set. Computed once."""
        if self.complete:  # row by row: (i, j) stands where row j begins, at the place of i in its graph
            first = self.source.index_select(0, self.ptr.index_select(0, self.target))
            return self.ptr.index_select(0, self.source) + self.target - first
        key, mirrored = self.target * self.num_nodes + self.source, self.source * self.num_nodes + self.target
        found = torch.searchsorted(key, mirrored).clamp(max=max(self.num_pairs - 1, 0))
        return torch.where(key[found] == mirrored, found, -1) if self.num_pairs else found

    @cached_property
    def leaving(self) -> tuple[Tensor, Tensor]:
        """Numbers of the pairs by source `[P]`, and where those of each node begin and, last, P `[N + 1]`. Once."""
        if self.complete:
            return self.reverse, self.ptr
        source, order = self.source.sort(stable=True)
        return order, torch.searchsorted(source, torch.arange(self.num_nodes + 1, device=source.device))


def all_pairs(members: NodeToGraph, edge_index: Tensor) -> PairSet:
    """All ordered pairs of nodes of each graph, self-pairs included. O(P) time and memory.

    Waits for a GPU only if the batch does not say how many pairs it has (`NodeToGraph.num_pairs`).

    Args:
        members: The partition of the nodes into graphs.
        edge_index: The batch's edges, `[2, E]`.
    """
    check_edges(edge_index, members)
    if has_kernels(members.graph.device) and members.num_pairs is not None and members.num_nodes:
        made = complete_pairs(members.graph, members.ptr, members.num_pairs)
        slot = edge_index[0] - made.shift.index_select(0, edge_index[1])
        pairs = PairSet(made.source, made.target, made.ptr, slot, None, members.num_pairs, made.itself)
        vars(pairs)["reverse"] = made.reverse
        return _mark(pairs)
    sizes = members.sizes
    length = sizes.index_select(0, members.graph)  # pairs that end in each node
    count = members.num_pairs if members.num_pairs is not None else int(length.sum())
    ptr = torch.cat([length.new_zeros(1), length.cumsum(0)])
    target = torch.arange(length.numel(), device=length.device).repeat_interleave(length, output_size=count)
    shift = members.ptr.index_select(0, members.graph) - ptr[:-1]  # from a pair's number to its source
    source = torch.arange(count, device=length.device) + shift.index_select(0, target)
    slot = edge_index[0] - shift.index_select(0, edge_index[1])
    return _mark(PairSet(source, target, ptr, slot, None, count))


def edge_pairs(
    members: NodeToGraph, edge_index: Tensor, *, self_pairs: bool = True, joined: tuple[int, int] | None = None
) -> PairSet:
    """The pairs that edges join and, if asked for, each node with itself. O(E log E) time.

    Waits for a GPU once if nobody tells how many pairs there are, since edges may be parallel.

    Args:
        members: The partition of the nodes into graphs.
        edge_index: The batch's edges, `[2, E]`.
        self_pairs: Whether each node's pair with itself is in the set.
        joined: How many pairs edges join, and how many of them are of a node with itself, if that is known.
    """
    check_edges(edge_index, members)
    nodes = members.graph.numel()
    edges = edge_index[1] * nodes + edge_index[0]
    loops = torch.arange(nodes if self_pairs else 0, device=edge_index.device) * (nodes + 1)
    keys = torch.cat([edges, loops])
    if joined is None:
        key, inverse = keys.unique(return_inverse=True)
    else:
        pairs, own = joined
        key, inverse = _unique(keys, pairs - own + nodes if self_pairs else pairs)
    return pairs_of_keys(members, key, inverse[: edges.numel()])


def _unique(keys: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """`keys.unique(return_inverse=True)` of which it is known how many there are: nothing waits for a device."""
    in_order, order = keys.sort(stable=True)
    rank = torch.cat([in_order.new_zeros(1), (in_order[1:] != in_order[:-1]).long()])[: len(keys)].cumsum(0)
    unique = in_order.new_empty(count).scatter(0, rank, in_order)  # equal numbers meet in one place
    return unique, torch.empty_like(order).scatter(0, order, rank)


def pairs_of_keys(members: NodeToGraph, key: Tensor, slot: Tensor) -> PairSet:
    """The set of the pairs with numbers `key` = target * N + source, sorted and each once; `slot` as in `PairSet`.

    Args:
        members: The partition of the nodes into graphs.
        key: target * N + source of each pair, ascending and each once, `[P]`.
        slot: The pair that each edge joins, `[E]`.
    """
    nodes = members.graph.numel()
    target, source = key.div(max(nodes, 1), rounding_mode="floor"), key.remainder(max(nodes, 1))
    ptr = torch.searchsorted(target, torch.arange(nodes + 1, device=key.device))
    sizes = members.sizes
    pair_ptr = torch.cat([sizes.new_zeros(1), (sizes * sizes).cumsum(0)])
    total = members.num_pairs if members.num_pairs is not None else int(pair_ptr[-1])
    graph = members.graph.index_select(0, target)
    first = members.ptr.index_select(0, graph)
    row = (target - first) * sizes.index_select(0, graph) + source - first + pair_ptr.index_select(0, graph)
    return _mark(PairSet(source, target, ptr, slot, row, total))


def _mark(pairs: PairSet) -> PairSet:
    if not torch.compiler.is_compiling():
        vars(pairs)["_checked"] = True
    return pairs


def _check_numbers(pairs: PairSet) -> None:
    """The compiled passes follow these numbers wherever they lead."""
    lengths, nodes = pairs.ptr.diff(), torch.arange(pairs.num_nodes)
    if not pairs.ptr.numel() or int(pairs.ptr[0]) != 0 or int(pairs.ptr[-1]) != pairs.num_pairs or (lengths < 0).any():
        raise GraphPEValueError(f"ptr of pairs must begin with 0, never decrease and end with {pairs.num_pairs}")
    if not torch.equal(pairs.target, nodes.repeat_interleave(lengths)):
        raise GraphPEValueError("target must hold each node as often as ptr says that pairs end in it, in order")
    if pairs.num_pairs and not 0 <= int(pairs.source.min()) <= int(pairs.source.max()) < pairs.num_nodes:
        raise GraphPEValueError(f"source holds a node that is not one of {pairs.num_nodes}")
    if pairs.row is None and pairs.num_pairs:
        back = pairs.reverse
        inside = bool(((back >= 0) & (back < pairs.num_pairs)).all())
        if not inside or not torch.equal(pairs.source[back], pairs.target):
            raise GraphPEValueError("pairs without row must be all pairs of each graph, sorted by target, then source")
