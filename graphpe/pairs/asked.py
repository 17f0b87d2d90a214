"""The pairs that are asked for: what they may be, groups of those that share an end, and threads over the groups."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.structure.adjacency import Ints

# Parts for each thread, so that one of costly pairs keeps nobody waiting.
_PARTS = 8


class Asked(NamedTuple):
    """Different pairs of nodes, ids counted over all graphs, and where each pair that was asked for is among them.

    Attributes:
        source: Where walks and paths start, `[U]`.
        target: Where they end, `[U]`.
        place: `[P]`: the row of each pair that was asked for; one may be asked for again and again.
    """

    source: Ints
    target: Ints
    place: Ints


class Groups(NamedTuple):
    """Pairs by one of their ends.

    Attributes:
        node: The different nodes at that end, `[D]`.
        ptr: `[D + 1]`: node d has the pairs `order[ptr[d]:ptr[d + 1]]`.
        order: `[U]`.
        other: The other end of each, in that order.
    """

    node: Ints
    ptr: Ints
    order: Ints
    other: Ints


def asked_pairs(pairs: Tensor | Asked, graphs: PackedGraphs, name: str = "pairs") -> Asked:
    """Check pairs, and find those that are different.

    Args:
        pairs: `[2, P]` node ids, counted over all graphs; or what this function has returned for them.
        graphs: The graphs.
        name: What messages call them.

    Raises:
        GraphPETypeError: They are no tensor of integers.
        GraphPEValueError: They are not two rows, hold a node that is not there, or join two graphs.
    """
    if isinstance(pairs, Asked):
        return pairs
    check_pairs(pairs, graphs.num_nodes, name)
    source, target = pairs.long().numpy(force=True)
    size = graphs.num_nodes
    first, second = (np.searchsorted(graphs.host_ptr, end, side="right") - 1 for end in (source, target))
    if (first != second).any():
        p = int(np.argmax(first != second))
        raise GraphPEValueError(
            f"{name} asks for the pair {[int(source[p]), int(target[p])]}, nodes of graphs {first[p]} and "
            f"{second[p]}: pairs are of nodes of one graph"
        )
    code, place = np.unique(source * size + target, return_inverse=True)
    return Asked(code // max(size, 1), code % max(size, 1), place.reshape(-1))


def check_pairs(pairs: Any, size: int, name: str) -> None:
    """Check that pairs are of nodes that are there.

    Args:
        pairs: The pairs.
        size: Number of nodes.
        name: What messages call the pairs.

    Raises:
        GraphPETypeError: They are no tensor of integers.
        GraphPEValueError: They are not two rows, or hold a node that is not there.
    """
    whole = isinstance(pairs, Tensor) and not (pairs.is_floating_point() or pairs.is_complex())
    if not whole or pairs.dtype == torch.bool:
        got = f"a tensor of {str(pairs.dtype)[6:]}" if isinstance(pairs, Tensor) else type(pairs).__name__
        raise GraphPETypeError(f"{name} must be a tensor of node ids [2, num_pairs], got {got}")
    if pairs.dim() != 2 or len(pairs) != 2:
        raise GraphPEValueError(f"{name} must be node ids [2, num_pairs], got {list(pairs.shape)}")
    wrong = (pairs < 0) | (pairs >= size)
    if bool(wrong.any()):
        raise GraphPEValueError(
            f"{name} asks for node {int(pairs[wrong][0])}, but there are {size} nodes: ids run from 0 to {size - 1}"
        )


def grouped(own: Ints, other: Ints) -> Groups:
    """Pairs by one of their ends.

    Args:
        own: That end of each.
        other: The other one.
    """
    order = np.argsort(own, kind="stable")
    node, first = np.unique(own[order], return_index=True)
    return Groups(node, np.append(first, len(own)).astype(np.int64), order, other[order])


def sampled(nodes: Ints, most: int) -> Ints:
    """Some of the nodes, evenly spaced.

    Args:
        nodes: The nodes.
        most: How many.
    """
    count = min(most, len(nodes))
    return nodes[(2 * np.arange(count) + 1) * len(nodes) // max(2 * count, 1)]


def in_threads(run: Callable[[int, int], object], count: int, seconds: float) -> None:
    """Call `run(start, stop)` for parts of a range, on torch's threads where that is worth it.

    Args:
        run: Works on a part; releases the GIL.
        count: Length of the range.
        seconds: About what all of it takes.
    """
    threads = min(torch.get_num_threads(), count)
    if threads < 2 or seconds < 0.02:
        run(0, count)
        return
    cuts = np.linspace(0, count, min(_PARTS * threads, count) + 1).astype(int).tolist()
    with ThreadPoolExecutor(threads) as pool:
        for done in [pool.submit(run, *part) for part in pairwise(cuts)]:
            done.result()


def thread_count(count: int) -> int:
    """How many threads `in_threads` may take.

    Args:
        count: Length of the range.
    """
    return max(1, min(torch.get_num_threads(), count))
