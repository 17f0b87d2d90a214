"""Sums and products over neighbours as Triton kernels: the formulas of `graphpe.models.attention.neighbours.sums`.

N nodes, P pairs, D channels, H heads, C = D / H. A program of sums takes one node and up to 128 channels and goes over
the node's pairs, one of products a few pairs. Nothing of the size P D is stored, and every number is written by one
program, in one order: results are the same every time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from graphpe.compiled.kernel import Kernel, power_of_two
from graphpe.models.attention.neighbours.neighbours import Side

if TYPE_CHECKING:
    import triton.language as tl  # there when a kernel is launched

_COLUMNS = 128  # of a program of sums


def weighted_sums(weight: Tensor, x: Tensor, side: Side) -> Tensor:
    """The weighted sum of the rows at the other end of the pairs of each node, `[N, D]`.

    Args:
        weight: Weights, `[P, H]`, float32.
        x: Rows of the nodes, `[N, D]`, float32.
        side: The pairs by one end.
    """
    out, (nodes, width) = torch.empty_like(x), x.shape
    wide = min(_COLUMNS, power_of_two(width))
    parts = -(-width // wide)
    _sums(
        nodes * parts,
        *(weight, x, side.ptr, side.other, side.place, out),
        **{"H": weight.shape[1], "D": width, "WIDE": wide, "PARTS": parts, "PAIRS": max(4, 512 // wide)},
        **{"warps": 2, "stages": 2},
    )
    return out


def pair_products(a: Tensor, b: Tensor, side: Side, heads: int) -> Tensor:
    """The inner products of each node's row and its neighbours', head by head, `[P, H]`.

    Args:
        a: Rows of the nodes as targets, `[N, D]`, float32.
        b: Rows of the nodes as sources, `[N, D]`, float32.
        side: The pairs by the node that they enter.
        heads: H, which divides D.
    """
    pairs, channels = side.other.numel(), a.shape[1] // heads
    out = a.new_empty(pairs, heads)
    wide = min(_COLUMNS, power_of_two(channels))
    rows = max(1, 1024 // wide)
    _products(
        -(-pairs * heads // rows),
        *(a, b, side.own, side.other, out, pairs),
        **{"H": heads, "C": channels, "WIDE": wide, "ROWS": rows, "warps": 4, "stages": 2},
    )
    return out


@Kernel
def _sums(
    weight_ptr: tl.tensor,
    x_ptr: tl.tensor,
    first_ptr: tl.tensor,
    other_ptr: tl.tensor,
    place_ptr: tl.tensor,
    out_ptr: tl.tensor,
    H: tl.constexpr,
    D: tl.constexpr,
    WIDE: tl.constexpr,
    PARTS: tl.constexpr,
    PAIRS: tl.constexpr,
) -> None:
    i = (tl.program_id(0) // PARTS).to(tl.int64)
    c = tl.program_id(0) % PARTS * WIDE + tl.arange(0, WIDE)
    begin, end = tl.load(first_ptr + i), tl.load(first_ptr + i + 1)
    total = tl.zeros([WIDE], tl.float32)
    for p0 in range(begin, end, PAIRS):
        p = p0 + tl.arange(0, PAIRS)
        j = tl.load(other_ptr + p, mask=p < end, other=0)
        place = tl.load(place_ptr + p, mask=p < end, other=0)
        there = (p < end)[:, None] & (c < D)[None, :]
        weight = tl.load(weight_ptr + place[:, None] * H + (c // (D // H))[None, :], mask=there, other=0.0)
        total += tl.sum(weight * tl.load(x_ptr + j[:, None] * D + c[None, :], mask=there, other=0.0), 0)
    tl.store(out_ptr + i * D + c, total, mask=c < D)


@Kernel
def _products(
    a_ptr: tl.tensor,
    b_ptr: tl.tensor,
    own_ptr: tl.tensor,
    other_ptr: tl.tensor,
    out_ptr: tl.tensor,
    P: tl.tensor,
    H: tl.constexpr,
    C: tl.constexpr,
    WIDE: tl.constexpr,
    ROWS: tl.constexpr,
) -> None:
    r = tl.program_id(0).to(tl.int64) * ROWS + tl.arange(0, ROWS)  # a pair and a head each
    p, h = r // H, r % H
    i = tl.load(own_ptr + p, mask=p < P, other=0)
    j = tl.load(other_ptr + p, mask=p < P, other=0)
    total = tl.zeros([ROWS], tl.float32)
    for c0 in range(0, C, WIDE):
        c = c0 + tl.arange(0, WIDE)
        there = (p < P)[:, None] & (c < C)[None, :]
        at = (h * C)[:, None] + c[None, :]
        a = tl.load(a_ptr + i[:, None] * (H * C) + at, mask=there, other=0.0)
        total += tl.sum(a * tl.load(b_ptr + j[:, None] * (H * C) + at, mask=there, other=0.0), 1)
    tl.store(out_ptr + r, total, mask=p < P)
