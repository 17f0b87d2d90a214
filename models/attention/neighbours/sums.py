"""Sums and products over the neighbours of each node that store nothing of the size of edges times channels.

N nodes, P pairs (j -> i), D channels, H heads, C = D / H channels a head. Values of pairs are in the order of
`Neighbours.entering`.

    sums_i    = sum_p w_p x_j          a weight for each pair and head, [N, D]
    products_p = a_i . b_j             over the channels of each head, [P, H]
    totals_i  = sum_p w_p              [N, H]

The gradient of each is made of the others, along the pairs or against them. On a CPU, many pairs are gone through by
compiled passes; on a GPU, float32 by Triton kernels; few pairs, and all elsewhere, in blocks of rows by PyTorch's own
functions.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from graphpe.compiled.kernel import has_kernels
from graphpe.compiled.standing_back import stands_back
from graphpe.errors import GraphPEValueError
from graphpe.models.attention.gpu.neighbours import pair_products, weighted_sums
from graphpe.models.attention.gpu.sums import sums_by_group
from graphpe.models.attention.neighbours.kernels import add_pairs, add_rows, largest_rows, multiply_rows
from graphpe.models.attention.neighbours.neighbours import Neighbours, Side
from graphpe.models.attention.shapes import check_shapes
from graphpe.models.attention.threads import flat, parts_of, run_parts

# Pairs from which on the compiled passes run. Below, PyTorch's functions take a few milliseconds, and nothing has to be
# compiled or sorted. The number of pairs alone decides, so that the same step gives the same bits everywhere.
MANY_PAIRS = 20_000

_BLOCK_BYTES = {"cpu": 1 << 20, "cuda": 1 << 26}  # of rows of pairs that are held at once
_CHUNKS = (16, 8, 4)  # numbers of a register


def neighbour_sums(weight: Tensor | None, x: Tensor, pairs: Neighbours) -> Tensor:
    """The weighted sum of the rows of each node's neighbours, `[N, D]`; zero without neighbours.

    In float32 or better, O(P D) time and no more memory than arguments and result.

    Args:
        weight: Weights `[P, H]`; H divides D. None for 1.
        x: Rows of the nodes, `[N, D]`.
        pairs: The neighbours.
    """
    exact = torch.promote_types(x.dtype, torch.float32)
    if weight is None:
        weight = torch.ones(pairs.num_pairs, 1, dtype=exact, device=x.device)
    weight, x = weight.to(exact), x.to(exact)
    _check(pairs, x=x, weight=weight)
    if torch.compiler.is_compiling():
        side = pairs.entering
        rows = x.index_select(0, side.other).unflatten(1, (weight.shape[1], -1)) * weight.unsqueeze(-1)
        return torch.zeros_like(x).index_add(0, side.own, rows.flatten(1))
    return _Sums.apply(weight, x, pairs)


def neighbour_products(a: Tensor, b: Tensor, pairs: Neighbours, heads: int) -> Tensor:
    """The inner products of each node's row and its neighbours', head by head, `[P, H]`, in float32 or better.

    Args:
        a: Rows of the nodes as targets, `[N, D]`.
        b: Rows of the nodes as sources, `[N, D]`.
        pairs: The neighbours.
        heads: H, which divides D.
    """
    exact = torch.promote_types(a.dtype, torch.float32)
    a, b = a.to(exact), b.to(exact)
    _check(pairs, a=a, b=b)
    if torch.compiler.is_compiling():
        side = pairs.entering
        rows = a.index_select(0, side.own) * b.index_select(0, side.other)
        return rows.unflatten(1, (heads, -1)).sum(-1)
    return _Products.apply(a, b, pairs, heads)


def neighbour_totals(weight: Tensor, pairs: Neighbours) -> Tensor:
    """The sum of the weights of the pairs that enter each node, `[N, H]`.

    Args:
        weight: Weights, `[P, H]`.
        pairs: The neighbours.
    """
    _check(pairs, weight=weight)
    if torch.compiler.is_compiling():
        return weight.new_zeros(pairs.num_nodes, weight.shape[1]).index_add(0, pairs.entering.own, weight)
    return _Totals.apply(weight, pairs)


def of_sources(x: Tensor, pairs: Neighbours) -> Tensor:
    """The row of each pair's source, `[P, H]`, of rows `[N, H]` of nodes.

    Args:
        x: Rows of the nodes.
        pairs: The neighbours.
    """
    if torch.compiler.is_compiling():
        return x.index_select(0, pairs.entering.other)
    return _OfSources.apply(x, pairs)


def of_targets(x: Tensor, pairs: Neighbours) -> Tensor:
    """The row of each pair's target, `[P, H]`, of rows `[N, H]` of nodes.

    Args:
        x: Rows of the nodes.
        pairs: The neighbours.
    """
    if torch.compiler.is_compiling():
        return x.index_select(0, pairs.entering.own)
    return _OfTargets.apply(x, pairs)


@torch.no_grad()
def largest_of_sources(x: Tensor, pairs: Neighbours) -> Tensor:
    """The largest of the rows `[N, H]` of each node's neighbours, number by number; zero without neighbours.

    A number to subtract before exponentials: it has no gradient.

    Args:
        x: Rows of the nodes.
        pairs: The neighbours.
    """
    x, side = x.detach(), pairs.entering
    if _compiled_runs(x, pairs):
        out = torch.zeros_like(x)
        arrays = side.ptr.numpy(), side.other.numpy(), flat(x.contiguous()), flat(out), x.shape[1]
        _in_parts(side, lambda first, last: largest_rows(first, last, *arrays))
        return out
    row = side.own.unsqueeze(1).expand(-1, x.shape[1])
    return torch.zeros_like(x).scatter_reduce(0, row, x.index_select(0, side.other), "amax", include_self=False)


def _check(pairs: Neighbours, *, weight: Tensor | None = None, **rows: Tensor) -> None:
    """Compiled passes read as far as these say."""
    width = next(iter(rows.values())).shape[-1] if rows else 0
    check_shapes(**{name: (value, (pairs.num_nodes, width)) for name, value in rows.items()})
    if weight is not None:
        heads = weight.shape[-1]
        check_shapes(weight=(weight, (pairs.num_pairs, heads)))
        if rows and width % max(heads, 1):
            raise GraphPEValueError(f"rows of {width} numbers cannot be split into {heads} heads of weights")


class _Sums(torch.autograd.Function):
    """`neighbour_sums`."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, x: Tensor, pairs: Neighbours) -> Tensor:
        ctx.save_for_backward(weight, x)
        ctx.pairs = pairs
        return sums_along(weight, x, pairs, pairs.entering)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        weight, x = ctx.saved_tensors
        of_weight = products_along(grad, x, ctx.pairs, weight.shape[1]) if ctx.needs_input_grad[0] else None
        of_x = sums_along(weight, grad, ctx.pairs, ctx.pairs.leaving) if ctx.needs_input_grad[1] else None
        return of_weight, of_x, None


class _Products(torch.autograd.Function):
    """`neighbour_products`."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, pairs: Neighbours, heads: int) -> Tensor:
        ctx.save_for_backward(a, b)
        ctx.pairs = pairs
        return products_along(a, b, pairs, heads)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        a, b = ctx.saved_tensors
        of_a = sums_along(grad, b, ctx.pairs, ctx.pairs.entering) if ctx.needs_input_grad[0] else None
        of_b = sums_along(grad, a, ctx.pairs, ctx.pairs.leaving) if ctx.needs_input_grad[1] else None
        return of_a, of_b, None, None


class _Totals(torch.autograd.Function):
    """`neighbour_totals`."""

    @staticmethod
    def forward(ctx: Any, weight: Tensor, pairs: Neighbours) -> Tensor:
        ctx.pairs = pairs
        return totals_along(weight, pairs, pairs.entering)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return grad.index_select(0, ctx.pairs.entering.own), None


class _OfSources(torch.autograd.Function):
    """`of_sources`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, pairs: Neighbours) -> Tensor:
        ctx.pairs = pairs
        return x.index_select(0, pairs.entering.other)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return totals_along(grad, ctx.pairs, ctx.pairs.leaving), None


class _OfTargets(torch.autograd.Function):
    """`of_targets`."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, pairs: Neighbours) -> Tensor:
        ctx.pairs = pairs
        return x.index_select(0, pairs.entering.own)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        return totals_along(grad, ctx.pairs, ctx.pairs.entering), None


def sums_along(weight: Tensor, x: Tensor, pairs: Neighbours, side: Side) -> Tensor:
    """The weighted sum of the rows at the other end of the pairs of each node, `[N, D]`, without a gradient.

    Args:
        weight: Weights, `[P, H]`.
        x: Rows of the nodes, `[N, D]`, of the same type.
        pairs: The neighbours.
        side: `pairs.entering` for sums at targets, `pairs.leaving` for sums at sources.
    """
    weight, x = weight.contiguous(), x.contiguous()
    if _on_gpu(x, weight):
        return weighted_sums(weight, x, side)
    heads, out = weight.shape[1], torch.zeros_like(x)
    chunk = _chunk(x.shape[1] // heads)
    if chunk and _compiled_runs(x, pairs):
        arrays = side.ptr.numpy(), side.other.numpy(), side.place.numpy(), flat(weight), flat(x), flat(out), heads
        _in_parts(side, lambda first, last: add_rows(first, last, *arrays, chunk))
        return out
    for part in _blocks(x, pairs):
        rows = x.index_select(0, side.other[part])
        rows.unflatten(1, (heads, -1)).mul_(weight.index_select(0, side.place[part]).unsqueeze(-1))
        out.index_add_(0, side.own[part], rows)
    return out


def products_along(a: Tensor, b: Tensor, pairs: Neighbours, heads: int) -> Tensor:
    """As `neighbour_products`, of rows of one type, float32 or float64, without a gradient.

    Args:
        a: Rows of the nodes as targets, `[N, D]`.
        b: Rows of the nodes as sources, `[N, D]`.
        pairs: The neighbours.
        heads: H, which divides D.
    """
    a, b, side = a.contiguous(), b.contiguous(), pairs.entering
    if _on_gpu(a, b):
        return pair_products(a, b, side, heads)
    out = a.new_empty(pairs.num_pairs, heads)
    chunk = _chunk(a.shape[1] // heads)
    if chunk and _compiled_runs(a, pairs):
        arrays = side.ptr.numpy(), side.other.numpy(), flat(a), flat(b), flat(out), heads
        _in_parts(side, lambda first, last: multiply_rows(first, last, *arrays, chunk))
        return out
    for part in _blocks(a, pairs):
        rows = a.index_select(0, side.own[part]).mul_(b.index_select(0, side.other[part]))
        out[part] = rows.unflatten(1, (heads, -1)).sum(-1)
    return out


def totals_along(weight: Tensor, pairs: Neighbours, side: Side) -> Tensor:
    """The sum of the weights of the pairs of each node, `[N, H]`, without a gradient.

    Args:
        weight: Weights, `[P, H]`.
        pairs: The neighbours.
        side: `pairs.entering` for sums at targets, `pairs.leaving` for sums at sources.
    """
    weight = weight.contiguous()
    if _on_gpu(weight):
        return sums_by_group(weight, side.place, side.ptr, weight.dtype)
    heads, out = weight.shape[1], weight.new_zeros(pairs.num_nodes, weight.shape[1])
    if _compiled_runs(weight, pairs):
        arrays = side.ptr.numpy(), side.place.numpy(), flat(weight), flat(out), heads
        _in_parts(side, lambda first, last: add_pairs(first, last, *arrays))
        return out
    return out.index_add_(0, side.own, weight.index_select(0, side.place))


def _compiled_runs(x: Tensor, pairs: Neighbours) -> bool:
    exact = x.dtype in (torch.float32, torch.float64) and not stands_back()
    return exact and x.device.type == "cpu" and pairs.num_pairs >= MANY_PAIRS and x.numel() > 0


def _on_gpu(*values: Tensor) -> bool:
    return has_kernels(values[0].device) and all(x.dtype == torch.float32 for x in values)


def _chunk(channels: int) -> tuple[int, ...]:
    """A tuple as long as the registers that rows of so many channels fill; empty if none is filled."""
    return (0,) * next((size for size in _CHUNKS if channels % size == 0), 0)


def _in_parts(side: Side, run: Any) -> None:
    parts = parts_of(side.ptr)
    run_parts(lambda part: run(*parts[part]), len(parts))


def _blocks(x: Tensor, pairs: Neighbours) -> list[slice]:
    step = max(1, _BLOCK_BYTES.get(x.device.type, 1 << 26) // max(1, x.shape[1] * x.element_size()))
    return [slice(start, start + step) for start in range(0, pairs.num_pairs, step)]
