"""Random walks along the edges of many graphs at once, drawn by compiled loops over packed adjacency lists.

A walk draws by the seed, the place of its first node in its graph and its number among the walks from there: it is the
same whatever is in the batch beside it, in whatever order edges stand, on however many threads.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from graphpe.arguments import check_flags, check_integer, check_seed
from graphpe.compiled.jit import compiled
from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.graphs.ragged import Ints
from graphpe.sampling.threads import in_parts

Words = NDArray[np.uint64]

MOST_STEPS = 65_536
"""Steps of a walk at the very most."""


class Roads(NamedTuple):
    """The edges that leave each node, sorted by where they lead.

    Attributes:
        ptr: First entry of each node and, last, the number of edges, `[N + 1]`.
        entries: `[E, 6]`, of each: where it leads, ascending among those of a node; the number of its edge, parallel
            ones in the order of their numbers; from which to before which entry edges leave there; and from which to
            before which they lead straight back.
    """

    ptr: Ints
    entries: Ints


class Walks(NamedTuple):
    """W walks of L steps.

    Attributes:
        nodes: Nodes of each walk, counted over all graphs, `[W, L + 1]`; -1 after the end of a walk. Integers of 32
            bits, of 64 where there are more than 2^31 nodes or edges.
        edges: Edges that it takes: `edges[w, t]` leads from `nodes[w, t]` to `nodes[w, t + 1]`, `[W, L]`; -1 likewise.
    """

    nodes: Ints
    edges: Ints


def roads(edge_index: Ints, nodes: int) -> Roads:
    """The edges of graphs by the node that they leave. O(E log E).

    Args:
        edge_index: Ends of the edges, `[2, E]`.
        nodes: Number of nodes.
    """
    tail, head = np.asarray(edge_index, dtype=np.int64)
    order = np.argsort(tail * nodes + head, kind="stable")
    ptr = np.zeros(nodes + 1, dtype=np.int64)
    np.cumsum(np.bincount(tail, minlength=nodes), out=ptr[1:])
    # A step on a large graph costs what it waits for memory: half the bytes, and all that the next step needs, too, in
    # one place.
    entries = np.empty((len(order), 6), dtype=np.int32 if max(len(order), nodes) < 2**31 else np.int64)
    head = head[order]
    entries[:, 0], entries[:, 1], entries[:, 2], entries[:, 3] = head, order, ptr[head], ptr[head + 1]
    _find_ways_back(ptr, entries)
    return Roads(ptr, entries)


def random_walks(
    graphs: PackedGraphs,
    length: int,
    *,
    starts: NDArray[Any] | None = None,
    backtracking: bool = True,
    seed: int = 0,
) -> Walks:
    """Walks of `length` steps, each along one of the edges that leave where it is, all equally probable.

    A step takes parallel edges as often as there are, and self-loops; weights of edges play no part. Edges are gone
    along their direction. A walk ends early where no edge leaves: at a sink, or at once at an isolated node.

    Without `backtracking` a step does not lead to the node that the walk came from one step before, unless every edge
    leads there (Tönshoff et al. 2023, section 3; Alon et al. 2007).

    The chance of an edge is off by at most 2^-32. O(E log E) for the edges, then O(length) a walk.

    Example:
        >>> from graphpe.graphs.packed import PackedGraphs
        >>> from graphpe.sampling.random_walks import random_walks
        >>> cycle = torch.tensor([[0, 1, 2, 0], [1, 2, 0, 0]])  # and a loop; node 3 is isolated
        >>> graphs = PackedGraphs(cycle, torch.tensor([0, 4]), torch.tensor([0, 4]))
        >>> walks = random_walks(graphs, 5, seed=1)
        >>> walks.nodes.shape, walks.nodes[3].tolist()
        ((4, 6), [3, -1, -1, -1, -1, -1])

    Args:
        graphs: The graphs.
        length: Number of steps L.
        starts: First node of each walk, counted over all graphs, `[W]`; None for one walk from every node.
        backtracking: Whether a step may lead straight back.
        seed: Seed of all walks, from 0 to 2^64 - 1.

    Raises:
        GraphPETypeError: An argument is of another type.
        GraphPEValueError: One is out of range, or a start is no node.
    """
    if not isinstance(graphs, PackedGraphs):
        raise GraphPETypeError(
            f"walks run over a PackedGraphs, got {type(graphs).__name__}: PackedGraphs.from_data makes one"
        )
    length = check_integer("length", length, least=0, most=MOST_STEPS)
    (backtracking,) = check_flags(backtracking=backtracking)
    keys = graph_keys(check_seed(seed), graphs.num_graphs)
    ptr, nodes = graphs.host_ptr, graphs.num_nodes
    first = np.arange(nodes) if starts is None else _checked_starts(starts, nodes)
    return walk(roads(graphs.host_edge_index, nodes), ptr, first, keys, length, backtracking=backtracking)


def walk(roads: Roads, ptr: Ints, starts: Ints, keys: Words, length: int, *, backtracking: bool) -> Walks:
    """`random_walks` with nothing checked.

    Args:
        roads: The edges.
        ptr: First node of each graph and, last, the number of nodes, `[B + 1]`.
        starts: First node of each walk, `[W]`.
        keys: What the walks of each graph draw by, `[B]` (`graph_keys`).
        length: Number of steps.
        backtracking: Whether a step may lead straight back.
    """
    state = _states(ptr, starts, keys)
    nodes = np.empty((len(starts), length + 1), dtype=roads.entries.dtype)
    edges = np.empty((len(starts), length), dtype=roads.entries.dtype)
    in_parts(len(starts), nodes.size, lambda a, b: _walk(*roads, starts, state, a, b, backtracking, nodes, edges))
    return Walks(nodes, edges)


def graph_keys(seed: int, graphs: int, *, alike: bool = True) -> Words:
    """What the walks of each graph draw by, `[B]`.

    Args:
        seed: The seed.
        graphs: Number of graphs.
        alike: Whether equal graphs have equal walks; otherwise those of a graph depend on its place in the batch.
    """
    number = np.zeros(graphs, dtype=np.uint64) if alike else np.arange(graphs, dtype=np.uint64)
    return _mixed(_mixed(np.full(graphs, seed, dtype=np.uint64) + _GOLDEN) + number + _GOLDEN)


def drawn_starts(ptr: Ints, keys: Words, rate: float) -> Ints:
    """Nodes, each of which is there with a probability of `rate`.

    Args:
        ptr: First node of each graph and, last, the number of nodes, `[B + 1]`.
        keys: What each graph draws by, `[B]`.
        rate: The probability.
    """
    nodes = np.arange(ptr[-1])
    if rate >= 1:
        return nodes
    words = _mixed(_states(ptr, nodes, keys) ^ _GOLDEN)
    return nodes[(words >> np.uint64(11)).astype(np.float64) * 2.0**-53 < rate]


_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_FIRST, _SECOND = np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB)
_AT_ONCE = 64
"""Walks that take each step together."""
_S30, _S27, _S31, _S32 = np.uint64(30), np.uint64(27), np.uint64(31), np.uint64(32)


def _mixed(state: Words) -> Words:
    """The output of SplitMix64 in a state."""
    state = (state ^ (state >> _S30)) * _FIRST
    state = (state ^ (state >> _S27)) * _SECOND
    return state ^ (state >> _S31)


def _states(ptr: Ints, starts: Ints, keys: Words) -> Words:
    """The state that each walk draws from: of its graph's key, its start's place there, and its number there."""
    graph = np.searchsorted(ptr, starts, side="right") - 1
    place = (starts - ptr[graph]).astype(np.uint64)
    number = _numbered(starts, np.zeros(ptr[-1], dtype=np.int64)).astype(np.uint64)
    return _mixed(_mixed(keys[graph] + place + _GOLDEN) + number + _GOLDEN)


def _checked_starts(starts: NDArray[Any], nodes: int) -> Ints:
    found = np.asarray(starts)
    if found.ndim != 1 or not np.issubdtype(found.dtype, np.integer):
        raise GraphPETypeError(f"starts must be a vector of nodes, got {found.dtype} {list(found.shape)}")
    if len(found) and not 0 <= found.min() <= found.max() < nodes:
        raise GraphPEValueError(f"starts go from {found.min()} to {found.max()}, but there are {nodes} nodes")
    return found.astype(np.int64)


@compiled
def _numbered(starts: Any, seen: Any) -> Any:
    """How many walks before each have the same start."""
    number = np.empty(len(starts), np.int64)
    for i in range(len(starts)):
        number[i] = seen[starts[i]]
        seen[starts[i]] += 1
    return number


@compiled
def _find_ways_back(ptr: Any, entries: Any) -> None:
    """Write the last two columns of `Roads.entries`."""
    for node in range(len(ptr) - 1):
        for place in range(ptr[node], ptr[node + 1]):
            other = entries[place, 0]
            low, high = ptr[other], ptr[other + 1]
            while low < high:
                middle = (low + high) // 2
                if entries[middle, 0] < node:
                    low = middle + 1
                else:
                    high = middle
            entries[place, 4] = low
            while low < ptr[other + 1] and entries[low, 0] == node:
                low += 1
            entries[place, 5] = low


@compiled
def _walk(
    ptr: Any, entries: Any, starts: Any, states: Any, first: Any, last: Any, backtracking: Any, nodes: Any, edges: Any
) -> None:
    """Walks `first` to `last` - 1, written into `nodes` and `edges`: some at once, which wait for memory together."""
    length = edges.shape[1]
    low, high, state = np.empty(_AT_ONCE, np.int64), np.empty(_AT_ONCE, np.int64), np.empty(_AT_ONCE, np.uint64)
    back, beyond, places = np.empty(_AT_ONCE, np.int64), np.empty(_AT_ONCE, np.int64), np.empty(_AT_ONCE, np.int64)
    for begin in range(first, last, _AT_ONCE):
        together = min(_AT_ONCE, last - begin)
        for i in range(together):
            start = starts[begin + i]
            low[i], high[i], state[i] = ptr[start], ptr[start + 1], states[begin + i]
            back[i], beyond[i] = 0, 0
            nodes[begin + i, 0] = start
        for step in range(length):
            for i in range(together):
                count = high[i] - low[i]
                if count == 0:
                    places[i] = -1
                    continue
                left_out = beyond[i] - back[i]
                if left_out == count:
                    left_out = 0
                word = state[i] + _GOLDEN
                state[i] = word
                word = (word ^ (word >> _S30)) * _FIRST
                word = (word ^ (word >> _S27)) * _SECOND
                word = word ^ (word >> _S31)
                place = low[i] + np.int64(((word >> _S32) * np.uint64(count - left_out)) >> _S32)
                if left_out > 0 and place >= back[i]:
                    place += left_out
                places[i] = place
            # A loop of its own: the processor looks so many instructions ahead, and waits for as many entries at once.
            for i in range(together):
                place = places[i]
                if place < 0:
                    nodes[begin + i, step + 1] = -1
                    edges[begin + i, step] = -1
                    continue
                nodes[begin + i, step + 1] = entries[place, 0]
                edges[begin + i, step] = entries[place, 1]
                low[i], high[i] = entries[place, 2], entries[place, 3]
                if not backtracking:
                    back[i], beyond[i] = entries[place, 4], entries[place, 5]
