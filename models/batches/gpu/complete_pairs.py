"""All ordered pairs of nodes of each graph as a Triton kernel.

N nodes, B graphs, P pairs, sorted by target, then source. A program takes one node i of a graph that begins with node s
and has n nodes and, before it, the pairs of the graphs before: it writes the n pairs that end in i.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from torch import Tensor

from graphpe.compiled.kernel import Kernel

if TYPE_CHECKING:
    import triton.language as tl  # there when a kernel is launched


class CompletePairs(NamedTuple):
    """All pairs (j -> i).

    Attributes:
        source: Node j of each, `[P]`.
        target: Node i of each, `[P]`.
        reverse: The pair (i -> j) of each, `[P]`.
        ptr: First pair that ends in each node and, last, P: `[N + 1]`.
        itself: The pair (i -> i) of each node, `[N]`.
        shift: From the number of a pair to its source, by target, `[N]`.
    """

    source: Tensor
    target: Tensor
    reverse: Tensor
    ptr: Tensor
    itself: Tensor
    shift: Tensor


def complete_pairs(graph: Tensor, ptr: Tensor, count: int) -> CompletePairs:
    """The pairs of graphs on a device; O(P + N B) for B graphs.

    Args:
        graph: Graph of each node, `[N]`, ascending; N is positive.
        ptr: First node of each graph and, last, N: `[B + 1]`.
        count: Number P of pairs.
    """
    graph, nodes = graph.contiguous(), graph.numel()
    out = CompletePairs(*(graph.new_empty(size) for size in (count, count, count, nodes + 1, nodes, nodes)))
    _pairs(nodes, graph, ptr, *out, nodes, count, SIZE=128, warps=1, stages=1)
    return out


@Kernel
def _pairs(
    graph_ptr: tl.tensor,
    start_ptr: tl.tensor,
    source_ptr: tl.tensor,
    target_ptr: tl.tensor,
    reverse_ptr: tl.tensor,
    first_ptr: tl.tensor,
    itself_ptr: tl.tensor,
    shift_ptr: tl.tensor,
    N: tl.tensor,
    P: tl.tensor,
    SIZE: tl.constexpr,
) -> None:
    i = tl.program_id(0).to(tl.int64)
    graph = tl.load(graph_ptr + i)
    start = tl.load(start_ptr + graph)
    n = tl.load(start_ptr + graph + 1) - start
    before = tl.zeros([SIZE], tl.int64)
    for g0 in range(0, graph, SIZE):
        g = g0 + tl.arange(0, SIZE)
        size = tl.load(start_ptr + g + 1, mask=g < graph, other=0) - tl.load(start_ptr + g, mask=g < graph, other=0)
        before += size * size
    base = tl.sum(before, 0)
    own = i - start
    first = base + own * n
    tl.store(first_ptr + i, first)
    if i == N - 1:
        tl.store(first_ptr + N, first + n)
    tl.store(itself_ptr + i, first + own)
    tl.store(shift_ptr + i, start - first)
    for j0 in range(0, n, SIZE):
        j = j0 + tl.arange(0, SIZE)
        here = (j < n) & (first + j < P)
        tl.store(source_ptr + first + j, start + j, mask=here)
        tl.store(target_ptr + first + j, tl.zeros([SIZE], tl.int64) + i, mask=here)
        tl.store(reverse_ptr + first + j, base + j * n + own, mask=here)
