"""Gradients of the weights and biases of linear layers over the same few rows as one Triton kernel.

R rows, K columns of a layer's result, D of its input; G = d loss / d result. A program takes a tile of the weights of
one layer and goes over all rows:

    d W = G^T x  [K, D],      d b = sum over rows of G  [K]

Every number is written by one program, in one order: results are the same every time.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from graphpe.compiled.kernel import KINDS, Kernel, dot_options

if TYPE_CHECKING:
    import triton.language as tl  # there when a kernel is launched

MOST_ROWS = 1 << 12
"""Beyond, few programs that go over all rows take longer than products of their own are launched in."""

_TILE = 32

Layer = tuple[Tensor, Tensor]
"""Gradient of a layer's result `[R, K]`, and its input `[R, D]`."""


def weight_gradients(first: Layer, second: Layer | None = None, *, dtype: torch.dtype) -> list[tuple[Tensor, Tensor]]:
    """Gradients of the weight `[K, D]` and the bias `[K]` of one layer, or of two.

    Args:
        first: Gradient of the result, and input, of one dtype.
        second: The same of the other layer, of the same dtype; None for none.
        dtype: Of the results.
    """
    layers = [first] if second is None else [first, second]
    if first[0].shape[0] > MOST_ROWS or first[0].dtype not in KINDS:
        kind = torch.promote_types(first[0].dtype, torch.float32)
        return [((g.t() @ x).to(dtype), g.sum(0, dtype=kind).to(dtype)) for g, x in layers]
    layers = [(g.contiguous(), x.contiguous()) for g, x in layers]
    out = [(g.new_empty(g.shape[1], x.shape[1], dtype=dtype), g.new_empty(g.shape[1], dtype=dtype)) for g, x in layers]
    tiles = [-(-g.shape[1] // _TILE) * -(-x.shape[1] // _TILE) for g, x in layers]
    shapes = [(g.shape[1], x.shape[1]) for g, x in layers]
    _products(
        sum(tiles),
        *(*layers[0], *out[0], *layers[-1], *out[-1], first[0].shape[0]),
        **{"K_0": shapes[0][0], "D_0": shapes[0][1], "K_1": shapes[-1][0], "D_1": shapes[-1][1], "TILES": tiles[0]},
        **{"TILE": _TILE, "ROWS": 32, **dot_options(first[0]), "warps": 4, "stages": 3},
    )
    return out


@Kernel
def _products(
    grad_ptr: tl.tensor,
    x_ptr: tl.tensor,
    weight_ptr: tl.tensor,
    bias_ptr: tl.tensor,
    grad_1_ptr: tl.tensor,
    x_1_ptr: tl.tensor,
    weight_1_ptr: tl.tensor,
    bias_1_ptr: tl.tensor,
    R: tl.tensor,
    K_0: tl.constexpr,
    D_0: tl.constexpr,
    K_1: tl.constexpr,
    D_1: tl.constexpr,
    TILES: tl.constexpr,
    TILE: tl.constexpr,
    ROWS: tl.constexpr,
    KIND: tl.constexpr,
    PRECISION: tl.constexpr,
) -> None:
    tile = tl.program_id(0)
    other = tile >= TILES
    if other:
        grad_ptr, x_ptr, weight_ptr, bias_ptr = grad_1_ptr, x_1_ptr, weight_1_ptr, bias_1_ptr
    tile -= tl.where(other, TILES, 0)
    K, D = tl.where(other, K_1, K_0), tl.where(other, D_1, D_0)
    across = (D + TILE - 1) // TILE
    k, d = tile // across * TILE + tl.arange(0, TILE), tile % across * TILE + tl.arange(0, TILE)
    weight = tl.zeros([TILE, TILE], tl.float32)
    bias = tl.zeros([TILE], tl.float32)
    for r0 in range(0, R, ROWS):
        r = r0 + tl.arange(0, ROWS)
        here = (r < R)[:, None]
        grad = tl.load(grad_ptr + r[:, None] * K + k[None, :], mask=here & (k < K)[None, :], other=0.0)
        x = tl.load(x_ptr + r[:, None] * D + d[None, :], mask=here & (d < D)[None, :], other=0.0)
        bias += tl.sum(grad.to(tl.float32), 0)
        weight += tl.dot(tl.trans(grad.to(KIND)), x.to(KIND), input_precision=PRECISION)
    real = (k < K)[:, None] & (d < D)[None, :]
    tl.store(weight_ptr + k[:, None] * D + d[None, :], weight.to(weight_ptr.dtype.element_ty), mask=real)
    if tile % across == 0:
        tl.store(bias_ptr + k, bias.to(bias_ptr.dtype.element_ty), mask=k < K)
