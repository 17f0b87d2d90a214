"""The nodes of each graph in blocks of one size as a Triton kernel.

B graphs. A program takes one graph and counts the blocks and the pairs of the graphs before it; that of the last graph
writes the ends, and the blocks that are listed beyond them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from graphpe.compiled.kernel import Kernel

if TYPE_CHECKING:
    import triton.language as tl  # there when a kernel is launched


def blocks_of_graphs(ptr: Tensor, size: int, listed: int) -> tuple[Tensor, Tensor, Tensor]:
    """Graph of each block `[listed]`, first block `[B + 1]` and first pair `[B + 1]` of each graph. O(B^2).

    Args:
        ptr: First node of each graph and, last, their number: `[B + 1]`, B positive.
        size: Nodes of a block.
        listed: Blocks that are listed, at least as many as there are: those too many are of the last graph.
    """
    graphs = ptr.numel() - 1
    graph, first, pair = (ptr.new_empty(length) for length in (listed, graphs + 1, graphs + 1))
    _blocks(graphs, ptr, graph, first, pair, graphs, listed, size, SIZE=128, warps=1, stages=1)
    return graph, first, pair


@Kernel
def _blocks(
    start_ptr: tl.tensor,
    graph_ptr: tl.tensor,
    first_ptr: tl.tensor,
    pair_ptr: tl.tensor,
    B: tl.tensor,
    listed: tl.tensor,
    size: tl.tensor,
    SIZE: tl.constexpr,
) -> None:
    graph = tl.program_id(0)
    blocks = tl.zeros([SIZE], tl.int64)
    pairs = tl.zeros([SIZE], tl.int64)
    for g0 in range(0, graph, SIZE):
        g = g0 + tl.arange(0, SIZE)
        n = tl.load(start_ptr + g + 1, mask=g < graph, other=0) - tl.load(start_ptr + g, mask=g < graph, other=0)
        blocks += (n + (size - 1)) // size
        pairs += n * n
    n = tl.load(start_ptr + graph + 1) - tl.load(start_ptr + graph)
    first, pair = tl.sum(blocks, 0), tl.sum(pairs, 0)
    tl.store(first_ptr + graph, first)
    tl.store(pair_ptr + graph, pair)
    end = first + (n + (size - 1)) // size
    if graph == B - 1:
        tl.store(first_ptr + B, end)
        tl.store(pair_ptr + B, pair + n * n)
        end = tl.maximum(end, listed)
    for b0 in range(first, end, SIZE):
        b = b0 + tl.arange(0, SIZE)
        tl.store(graph_ptr + b, tl.zeros([SIZE], tl.int64) + graph, mask=(b < end) & (b < listed))
