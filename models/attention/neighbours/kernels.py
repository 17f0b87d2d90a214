"""Compiled passes over sorted pairs of nodes; `graphpe.models.attention.neighbours.sums` says what they compute.

A pass goes through the nodes of a part, and the pairs of each in segments: the rows of their other ends are asked for
some pairs ahead, and sums stay in registers. Arrays are flat: of nodes `[N D]`, of pairs `[P H]`. The tuple `chunk` is
as long as the registers that are worked on, whose length divides C = D / H.
"""

from __future__ import annotations

from typing import Any

from graphpe.compiled.jit import machine_code
from graphpe.compiled.simd import load, plus, prefetch, spread, store, times, total

_SEGMENT = 32  # pairs of one node: their rows stay in the first-level cache while it is gone through chunk by chunk
_AHEAD = 12  # pairs: about as long as a row takes from memory


@machine_code
def add_rows(
    first: Any, last: Any, ptr: Any, other: Any, place: Any, weight: Any, x: Any, out: Any, heads: Any, chunk: Any
) -> None:
    """Add w_p x_j to `out_i` for the pairs p of the nodes i from `first` to before `last`, j their other ends.

    Args:
        first: First node of the part.
        last: The node after its last.
        ptr: First pair of each node, `[N + 1]`.
        other: Other end of each pair, `[P]`.
        place: Number of each pair, `[P]`.
        weight: Weights by these numbers, `[P H]`.
        x: Rows of nodes, `[N D]`.
        out: Sums, `[N D]`.
        heads: H.
        chunk: A tuple as long as a register.
    """
    nodes, pairs, step = len(ptr) - 1, len(other), len(chunk)
    width = len(x) // nodes
    channels = width // heads
    for i in range(first, last):
        for p in range(ptr[i], ptr[i + 1], _SEGMENT):
            q = min(p + _SEGMENT, ptr[i + 1])
            for c in range(0, width, step):
                head = c // channels
                row = load(out, i * width + c, chunk)
                for pair in range(p, q):
                    prefetch(x, other[min(pair + _AHEAD, pairs - 1)] * width + c)
                    w = spread(weight[place[pair] * heads + head], chunk)
                    row = plus(row, times(w, load(x, other[pair] * width + c, chunk)))
                store(out, i * width + c, row)


@machine_code
def multiply_rows(
    first: Any, last: Any, ptr: Any, other: Any, a: Any, b: Any, out: Any, heads: Any, chunk: Any
) -> None:
    """The products of each head's channels of `a_i` and `b_j` into `out` `[P H]`, for the pairs of some nodes i.

    Args:
        first: First node of the part.
        last: The node after its last.
        ptr: First pair of each node, `[N + 1]`.
        other: Other end j of each pair, `[P]`.
        a: Rows of nodes, `[N D]`.
        b: Rows of nodes, `[N D]`.
        out: Products, `[P H]`.
        heads: H.
        chunk: A tuple as long as a register.
    """
    nodes, pairs, step = len(ptr) - 1, len(other), len(chunk)
    width = len(a) // nodes
    channels = width // heads
    for i in range(first, last):
        for p in range(ptr[i], ptr[i + 1], _SEGMENT):
            q = min(p + _SEGMENT, ptr[i + 1])
            for head in range(heads):
                start = head * channels
                for pair in range(p, q):
                    prefetch(b, other[min(pair + _AHEAD, pairs - 1)] * width + start)
                    j = other[pair] * width
                    product = times(load(a, i * width + start, chunk), load(b, j + start, chunk))
                    for c in range(start + step, start + channels, step):
                        product = plus(product, times(load(a, i * width + c, chunk), load(b, j + c, chunk)))
                    out[pair * heads + head] = total(product)


@machine_code
def add_pairs(first: Any, last: Any, ptr: Any, place: Any, weight: Any, out: Any, heads: Any) -> None:
    """Add the weights of the pairs of each node, `[P H]`, to `out` `[N H]`.

    Args:
        first: First node of the part.
        last: The node after its last.
        ptr: First pair of each node, `[N + 1]`.
        place: Number of each pair, `[P]`.
        weight: Weights by these numbers, `[P H]`.
        out: Sums, `[N H]`.
        heads: H.
    """
    for i in range(first, last):
        for pair in range(ptr[i], ptr[i + 1]):
            for head in range(heads):
                out[i * heads + head] += weight[place[pair] * heads + head]


@machine_code
def largest_rows(first: Any, last: Any, ptr: Any, other: Any, x: Any, out: Any, heads: Any) -> None:
    """The largest of the rows `x_j` `[N H]` of the other ends of each node's pairs into `out` `[N H]`.

    Args:
        first: First node of the part.
        last: The node after its last.
        ptr: First pair of each node, `[N + 1]`.
        other: Other end j of each pair, `[P]`.
        x: Rows of nodes, `[N H]`.
        out: The largest; what is there stays for nodes without pairs.
        heads: H.
    """
    for i in range(first, last):
        for pair in range(ptr[i], ptr[i + 1]):
            for head in range(heads):
                value = x[other[pair] * heads + head]
                if pair == ptr[i] or value > out[i * heads + head]:
                    out[i * heads + head] = value
