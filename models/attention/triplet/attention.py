"""Triplet attention: every pair of nodes attends to the ways of two pairs that join its ends.

Shape legend: P pairs, all ordered pairs of nodes of each graph, n nodes of a graph, D channels, H heads, C = D / H.
For every pair (i, j) and head

    weight_ilj = softmax over the nodes l of q_il k_lj / sqrt(C)
    out_ij     = sum over l of weight_ilj (u_il * v_lj),                * channel by channel

the triangular attention of Bergen, O'Donnell & Bahdanau (NeurIPS 2021, section 2, arXiv:2112.00578). A graph has n^3
weights a head, and as many products u * v, of D numbers: none of them is stored here.

Costs of a graph, in multiply-adds: logits n^3 D, values 2 n^3 D, exponentials n^3 H; backward twice 5 n^3 D and the
exponentials: logits, and the slope of each weight, are computed once for the gradients of k and v, which are sums over
i, and once for those of q and u, sums over j. Kept for the backward pass are the inputs, the result and a logarithm a
head and pair.
"""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from graphpe.errors import GraphPEValueError
from graphpe.models.attention.recording import note_pairs, recording
from graphpe.models.attention.shapes import check_shapes
from graphpe.models.attention.threads import array, enough_pairs, flat, run_parts
from graphpe.models.attention.triplet.blocked import attend_in_blocks, noted_weights
from graphpe.models.attention.triplet.kernels import Work, backward_units, forward_units
from graphpe.models.attention.triplet.triplets import Triplets

_BOUND = 80.0  # exp(-80) is no part of a softmax in float64, and exp(80) no infinity in float32
_TRIPLETS_PER_THREAD = 1 << 15


def triplet_attention(
    query: Tensor, key: Tensor, left: Tensor, right: Tensor, triplets: Triplets, *, heads: int, dropout: float = 0.0
) -> Tensor:
    """Triplet attention of each pair, `[P, D]`.

    In float32 and float64 on a CPU compiled passes run; elsewhere rows of each graph in blocks. Inside
    `record_attention` the weights that are noted are the means over j, which sum to 1 over l for each i.

    Args:
        query: q of the pairs, `[P, D]`.
        key: k, `[P, D]`.
        left: u, the left factor of values, `[P, D]`.
        right: v, the right one, `[P, D]`.
        triplets: The triplets.
        heads: Number of heads; divides D.
        dropout: Probability of dropout on weights.

    Raises:
        GraphPEValueError: A shape is another.
    """
    triplets.pairs.check()
    width = query.shape[-1]
    if heads < 1 or query.dim() != 2 or not width or width % heads:
        raise GraphPEValueError(
            f"query must be [{triplets.pairs.num_pairs}, D] with D a multiple of heads, "
            f"got {list(query.shape)} and heads={heads}"
        )
    shape = (triplets.pairs.num_pairs, width)
    check_shapes(query=(query, shape), key=(key, shape), left=(left, shape), right=(right, shape))
    if recording():
        pairs = triplets.pairs
        note_pairs(pairs.source, pairs.target, noted_weights(query, key, triplets, heads), pairs.num_nodes)
    if torch.compiler.is_compiling() or not _compiled_runs(query, key, left, right):
        return attend_in_blocks(query, key, left, right, triplets, heads=heads, dropout=dropout)
    return _TripletAttention.apply(query, key, left, right, triplets, heads, dropout)


def _compiled_runs(*tensors: Tensor) -> bool:
    kind = tensors[0].dtype
    return (
        kind in (torch.float32, torch.float64)
        and enough_pairs(len(tensors[0]))
        and all(x.device.type == "cpu" and x.dtype == kind for x in tensors)
    )


class _TripletAttention(torch.autograd.Function):
    """The compiled passes and what they need; see `triplet_attention`."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        left: Tensor,
        right: Tensor,
        triplets: Triplets,
        heads: int,
        dropout: float,
    ) -> Tensor:
        q, k, u, v = (_by_head(x, heads) for x in (query, key, left, right))
        work, parts = _work(triplets, q, dropout), _parts(triplets, heads, q.dtype)
        out = query.new_empty(query.shape)
        top, sums = (q.new_empty(q.shape[:2]) for _ in range(2))
        arrays = [flat(x) for x in (q, k, u, v, out, top, sums)]

        def run(part: int) -> None:
            arguments: tuple[Any, ...] = (*parts[part], work, *arrays, _lanes(q.dtype))
            forward_units(*arguments)

        run_parts(run, len(parts))
        ctx.save_for_backward(query, key, left, right, out, top.add_(sums.log_()))
        ctx.triplets, ctx.work, ctx.parts, ctx.heads = triplets, work, parts, heads
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        query, key, left, right, out, peak = ctx.saved_tensors
        heads, parts = ctx.heads, ctx.parts
        back, grad = ctx.triplets.pairs.reverse, grad.contiguous()
        k, v = (_by_head(x, heads) for x in (key, right))
        q, u = (x.unflatten(1, (heads, -1)).transpose(0, 1).index_select(1, back) for x in (query, left))
        mean = (out * grad).unflatten(1, (heads, -1)).sum(-1).t().contiguous()  # [H, P]
        common = [flat(x) for x in (grad, peak, mean)]
        grads = [torch.empty_like(grad) for _ in range(4)]
        grad_query, grad_key, grad_left, grad_right = grads
        for across, (read, written) in enumerate(
            (((q, u, k, v), (grad_key, grad_right)), ((k, v, q, u), (grad_query, grad_left)))
        ):
            given = [flat(x) for x in read], [flat(x) for x in written]

            def run(part: int, across: int = across, given: Any = given) -> None:
                (read, written), lanes = given, _lanes(grad.dtype)
                arguments: tuple[Any, ...] = (*parts[part], ctx.work, *read, *common, across, *written, lanes)
                backward_units(*arguments)

            run_parts(run, len(parts))
        return *grads, None, None, None


def _by_head(x: Tensor, heads: int) -> Tensor:
    """Rows `[P, H C]` as `[H, P, C]`."""
    return x.unflatten(1, (heads, -1)).transpose(0, 1).contiguous()


def _lanes(kind: torch.dtype) -> tuple[int, ...]:
    """A tuple as long as the widest registers."""
    return (0,) * (16 if kind == torch.float32 else 8)


def _work(triplets: Triplets, by_head: Tensor, dropout: float) -> Work:
    (heads, pairs, channels), number = by_head.shape, array(by_head).dtype.type
    first, size = triplets.on_host
    units = heads * -(-size // len(_lanes(by_head.dtype)))
    return Work(
        first=first,
        size=size,
        before=np.concatenate([np.zeros(1, np.int64), np.cumsum(units)]),
        pairs=pairs,
        width=heads * channels,
        channels=channels,
        scale=number(channels**-0.5),
        bound=number(_BOUND),
        seed=int(torch.randint(1 << 32, ())) if dropout else 0,
        dropped=min(round(dropout * (1 << 32)), (1 << 32) - 1),
        kept=number(1 / (1 - dropout) if dropout < 1 else 0),
    )


def _parts(triplets: Triplets, heads: int, kind: torch.dtype) -> list[tuple[int, int]]:
    """First and last unit of each thread's part; of about equally many triplets."""
    size = triplets.on_host[1]
    units = heads * -(-size // len(_lanes(kind)))
    done = np.repeat(size**3 / np.maximum(units, 1), units).cumsum()
    total = float(done[-1]) if len(done) else 0.0
    threads = int(max(1, min(torch.get_num_threads(), total // _TRIPLETS_PER_THREAD, len(done))))
    cuts = [0, *np.searchsorted(done, np.linspace(0, total, threads + 1)[1:-1]).tolist(), len(done)]
    return list(pairwise(cuts))
