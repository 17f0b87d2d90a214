"""Powers of the step matrices of graphs of any sizes, as a Triton kernel on a GPU.

P^k = P P^(k-1): row i is the sum of the rows of P^(k-1) of those nodes that a step from i leads to. A program takes one
node, and its row is read and written along its columns; nothing is padded. float64 inside, and every number is written
by one program, in one order: results are the same every time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from graphpe.compiled.kernel import Kernel, power_of_two
from graphpe.graphs.packed import PackedGraphs
from graphpe.structure.adjacency import Adjacency

if TYPE_CHECKING:
    import triton.language as tl  # there when a kernel is launched


def ragged_powers(graphs: PackedGraphs, step: Adjacency, count: int) -> Tensor:
    """[I, P, ..., P^(count-1)] of all pairs: `[sum n_b^2, count]` float32, on the device of the graphs.

    O(count |E_b| n_b) time a graph. P goes to the device in two copies; `count` launches, and nothing waits for them.

    Args:
        graphs: The graphs.
        step: P, whose entries join nodes of one graph.
        count: Number of powers, P^0 included.
    """
    sizes = np.diff(graphs.ptr.numpy(force=True))
    lengths = np.repeat(sizes, sizes)
    nodes, edges = len(lengths), len(step.indices)
    first = np.concatenate([[0], np.cumsum(lengths)])  # of the pairs of each node
    own = first[:-1] + np.arange(nodes) - np.repeat(np.cumsum(sizes) - sizes, sizes)
    whole = torch.from_numpy(np.concatenate([step.indptr, step.indices, first, own])).to(graphs.device)
    indptr, indices, row, diagonal = whole.split([nodes + 1, edges, nodes + 1, nodes])
    weight = torch.from_numpy(step.weight).to(graphs.device)
    out = torch.empty(graphs.num_pairs, count, device=graphs.device)
    power, other = torch.zeros(2, graphs.num_pairs, dtype=torch.float64, device=graphs.device)
    power.index_fill_(0, diagonal, 1.0)
    out[:, 0] = power
    wide = min(256, power_of_two(int(sizes.max(initial=0)), 16))
    for k in range(1, count):
        _step(
            nodes,
            *(power, other, out[:, k], weight, indptr, indices, row),
            **{"COUNT": count, "WIDE": wide, "warps": 1 if wide <= 64 else 4, "stages": 2},
        )
        power, other = other, power
    return out


@Kernel
def _step(
    power_ptr: tl.tensor,
    next_ptr: tl.tensor,
    out_ptr: tl.tensor,
    weight_ptr: tl.tensor,
    indptr_ptr: tl.tensor,
    indices_ptr: tl.tensor,
    row_ptr: tl.tensor,
    COUNT: tl.constexpr,
    WIDE: tl.constexpr,
) -> None:
    i = tl.program_id(0).to(tl.int64)
    row = tl.load(row_ptr + i)
    n = tl.load(row_ptr + i + 1) - row
    begin, end = tl.load(indptr_ptr + i), tl.load(indptr_ptr + i + 1)
    for j0 in range(0, n, WIDE):
        j = j0 + tl.arange(0, WIDE)
        total = tl.zeros([WIDE], tl.float64)
        for e in range(begin, end):
            there = tl.load(row_ptr + tl.load(indices_ptr + e))
            total += tl.load(weight_ptr + e) * tl.load(power_ptr + there + j, mask=j < n, other=0.0)
        tl.store(next_ptr + row + j, total, mask=j < n)
        tl.store(out_ptr + (row + j) * COUNT, total.to(tl.float32), mask=j < n)
