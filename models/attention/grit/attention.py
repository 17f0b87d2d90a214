"""GRIT's attention over pairs of nodes, fast and with little memory.

The formulas, their arguments and the derivative of the signed root are those of
`graphpe.models.attention.grit.reference`.

On a CPU, in float32 and float64, compiled loops over blocks of pairs do all that is not a product of matrices
(`graphpe.models.attention.grit.kernels`). The pairs are divided among torch's threads at nodes. Softmax needs no
maximum (the clamp bounds it), and so the forward pass and the backward pass are one pass over memory each.

Costs of a pair, with D channels and H heads:

    multiply-adds     3 D^2 forward, 6 D^2 backward; with `checkpoint` 2 D^2 more. D^2 and 2 D^2 fewer without `update`
    kept for the backward pass
                      z, the scale W_s z + b_s, f and logits: 3 D + H numbers; z and logits, D + H, with `checkpoint`;
                      a byte for every number with dropout. `out` is the z of the next layer and is counted there
    read and written  z, scale, f, out forward: 4 D numbers; the same, and the gradients of out and z backward: 6 D

On a GPU, Triton kernels do the same (`graphpe.models.attention.gpu.grit`) and keep z, the maps of z and
f: 4 D numbers a pair. Here (other devices, half precision on a CPU) the reference runs; with `checkpoint` again in
the backward pass, which then keeps z alone: D numbers a pair. `torch.compile` traces the reference.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint as recomputed

from graphpe.models.attention.grit.arrays import Gradients, Layer, Products, Sums, Update, Upstream
from graphpe.models.attention.grit.kernels import backward_rows, block_rows, forward_rows
from graphpe.models.attention.grit.reference import (
    CLAMP,
    SMALLEST,
    Dropped,
    PairAttention,
    PairUpdate,
    features_and_weights,
    grit_attention_reference,
)
from graphpe.models.attention.pairs import PairSet
from graphpe.models.attention.recording import note_pairs, recording
from graphpe.models.attention.shapes import check_attention, check_shapes
from graphpe.models.attention.threads import enough_pairs, flat, parts_of, run_parts


def grit_attention(
    z: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    weight: Tensor,
    bias: Tensor,
    score: Tensor,
    pairs: PairSet,
    *,
    heads: int,
    update: PairUpdate | None = None,
    attention_dropout: Dropped | None = None,
    feature_dropout: Dropped | None = None,
    checkpoint: bool = False,
) -> PairAttention:
    """Attention of each node over the pairs that end in it, and the update of the pairs.

    A node in which no pair ends receives zero.

    Args:
        z: Rows of pairs, `[P, D]`.
        query: `[N, D]`.
        key: `[N, D]`.
        value: `[N, D]`.
        weight: W_s over W_f, `[2 D, D]`.
        bias: b_s and b_f, `[2 D]`.
        score: The vectors A of all heads, `[D]`.
        pairs: The pairs.
        heads: Number of heads; divides D.
        update: How `out` is made; None for none.
        attention_dropout: Dropout of weights, `[P, H]`.
        feature_dropout: Dropout of f in the update, `[P, D]`.
        checkpoint: Compute the products with z again in the backward pass instead of keeping them. Where the compiled
            passes do not run (other devices, half precision), that is everything.

    Raises:
        GraphPEValueError: A shape is another.
    """
    pairs.check()
    width, pair_rows = check_attention(query, key, value, pairs.num_nodes, heads), (pairs.num_pairs, query.shape[-1])
    check_shapes(
        z=(z, pair_rows),
        weight=(weight, (2 * width, width)),
        bias=(bias, (2 * width,)),
        score=(score, (width,)),
        attention_dropout=(None if attention_dropout is None else attention_dropout.keep, (pairs.num_pairs, heads)),
        feature_dropout=(None if feature_dropout is None else feature_dropout.keep, pair_rows),
    )
    if update is not None:
        vectors = {"update.scale": (update.scale, (width,)), "update.shift": (update.shift, (width,))}
        check_shapes(**{"update.weight": (update.weight, (width, width)), **vectors})
    if recording():
        _, attended = features_and_weights(z, query, key, weight, bias, score, pairs, heads)
        note_pairs(pairs.source, pairs.target, attended, pairs.num_nodes)
    tensors = [z, query, key, value, weight, bias, score]
    tensors += [] if update is None else [update.weight, update.scale, update.shift]
    compiled = not torch.compiler.is_compiling() and _compiled_runs(*tensors)
    if torch.compiler.is_compiling() or not (compiled or checkpoint):
        return grit_attention_reference(
            z,
            query,
            key,
            value,
            weight,
            bias,
            score,
            pairs,
            heads=heads,
            update=update,
            attention_dropout=attention_dropout,
            feature_dropout=feature_dropout,
        )
    if not compiled:
        return _recomputed_reference(
            z, query, key, value, weight, bias, score, pairs, heads, update, attention_dropout, feature_dropout
        )
    stored = torch.is_grad_enabled() and not checkpoint
    parts = (None, None, None) if update is None else (update.weight, update.scale, update.shift)
    message, edge_message, out, mean, variance = _PairAttention.apply(
        z, query, key, value, weight, bias, score, *parts, pairs, heads, attention_dropout, feature_dropout, stored
    )
    return PairAttention(message, edge_message, out, mean, variance)


def _compiled_runs(z: Tensor, *others: Tensor) -> bool:
    return (
        z.dtype in (torch.float32, torch.float64)
        and all(x.device.type == "cpu" and x.dtype == z.dtype for x in (z, *others))
        and not torch.is_autocast_enabled("cpu")
        and enough_pairs(z.shape[0])
    )


def _recomputed_reference(
    z: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    weight: Tensor,
    bias: Tensor,
    score: Tensor,
    pairs: PairSet,
    heads: int,
    update: PairUpdate | None,
    attention_dropout: Dropped | None,
    feature_dropout: Dropped | None,
) -> PairAttention:
    def run(
        z: Tensor,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        weight: Tensor,
        bias: Tensor,
        score: Tensor,
        *parts: Tensor,
    ) -> PairAttention:
        return grit_attention_reference(
            z,
            query,
            key,
            value,
            weight,
            bias,
            score,
            pairs,
            heads=heads,
            update=PairUpdate(*parts) if parts else None,
            attention_dropout=attention_dropout,
            feature_dropout=feature_dropout,
        )

    parts = () if update is None else (update.weight, update.scale, update.shift)
    # Masks of dropout are arguments: no random state to restore.
    return recomputed(
        run, z, query, key, value, weight, bias, score, *parts, use_reentrant=False, preserve_rng_state=False
    )


class _PairAttention(torch.autograd.Function):
    """The compiled passes and what they need; see `grit_attention`."""

    @staticmethod
    def forward(
        ctx: Any,
        z: Tensor,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        weight: Tensor,
        bias: Tensor,
        score: Tensor,
        out_weight: Tensor | None,
        out_scale: Tensor | None,
        out_shift: Tensor | None,
        pairs: PairSet,
        heads: int,
        attention_dropout: Dropped | None,
        feature_dropout: Dropped | None,
        stored: bool,
    ) -> tuple[Tensor | None, ...]:
        z, query, key, value = (x.contiguous() for x in (z, query, key, value))
        (num_pairs, width), num_nodes = z.shape, query.shape[0]
        block_size = block_rows(width)
        parts = parts_of(pairs.ptr)
        w_out = z.new_empty(0, 0) if out_weight is None else out_weight.t().contiguous()
        updates = out_weight is not None

        scale, feature = (z.new_empty(num_pairs if stored else 0, width) for _ in range(2))
        out = z.new_empty(num_pairs if updates else 0, width)
        logit = z.new_empty(num_pairs * heads + width // heads)
        message, edge_message = z.new_zeros(num_nodes, width), z.new_zeros(num_nodes, width)
        total = z.new_zeros(num_nodes, heads)
        means, squares = (np.zeros((len(parts), width)) for _ in range(2))

        update = _update(w_out, out_scale, out_shift, feature_dropout)
        layer = _layer(pairs, z, query, key, value, weight, bias, score, attention_dropout)
        head = (0,) * (width // heads)

        def run(part: int) -> None:
            sums = Sums(
                logit=logit.numpy(),
                weight_sum=flat(total),
                message=flat(message),
                edge_message=flat(edge_message),
                out=out.numpy(),
                mean=means[part],
                square=squares[part],
            )
            products = _products(scale, feature, stored, block_size)
            forward_rows(*parts[part], layer, update, products, sums, head)

        run_parts(run, len(parts))
        inverse = torch.where(total == 0, 0, total.reciprocal())
        for x in (message, edge_message):
            x.view(num_nodes, heads, width // heads).mul_(inverse.unsqueeze(-1))
        mean, variance = (torch.from_numpy(x).to(z.dtype) for x in _joined(means, squares, parts, pairs))

        ctx.save_for_backward(
            z,
            query,
            key,
            value,
            weight,
            bias,
            score,
            out_weight,
            out_scale,
            attention_dropout.keep if attention_dropout is not None else None,
            feature_dropout.keep if feature_dropout is not None else None,
            scale,
            feature,
            logit,
            inverse,
            message,
            edge_message,
            out if updates else None,
            mean if updates else None,
        )
        ctx.pairs, ctx.heads, ctx.stored = pairs, heads, stored
        ctx.dropout_scales = [None if x is None else x.scale for x in (attention_dropout, feature_dropout)]
        if not updates:
            return message, edge_message, None, None, None
        return message, edge_message, out, mean, variance

    @staticmethod
    @once_differentiable
    def backward(
        ctx: Any,
        grad_message: Tensor,
        grad_edge_message: Tensor,
        grad_out: Tensor | None,
        grad_mean: Tensor | None,
        grad_variance: Tensor | None,
    ) -> tuple[Tensor | None, ...]:
        z, query, key, value, weight, bias, score, out_weight, out_scale, *rest = ctx.saved_tensors
        attention_keep, feature_keep, scale, feature, logit, inverse, message, edge_message, out, mean = rest
        pairs, heads, stored = ctx.pairs, ctx.heads, ctx.stored
        attention_dropout, feature_dropout = (
            None if keep is None else Dropped(keep, factor)
            for keep, factor in zip((attention_keep, feature_keep), ctx.dropout_scales, strict=True)
        )
        (num_pairs, width), num_nodes = z.shape, query.shape[0]
        number, block_size = z.numpy().dtype.type, block_rows(width)
        parts = parts_of(pairs.ptr)
        empty, no_rows = z.new_empty(0), z.new_empty(0, 0)
        slope, offset = empty, empty
        if out_weight is not None:
            assert grad_mean is not None, "autograd fills in zeros"
            assert grad_variance is not None, "autograd fills in zeros"
            slope = grad_variance * (2 / max(num_pairs, 1))
            offset = grad_mean / max(num_pairs, 1) - slope * mean
        grad_message, grad_edge_message = grad_message.contiguous(), grad_edge_message.contiguous()
        mean_grad = (
            (grad_message * message + grad_edge_message * edge_message).view(num_nodes, heads, width // heads).sum(-1)
        )
        grad_z = torch.empty_like(z)
        grad_out = grad_out.contiguous() if grad_out is not None else no_rows
        grad_query = torch.zeros_like(query)
        count = len(parts)
        grad_key, grad_value = (z.new_zeros(count, num_nodes, width) for _ in range(2))
        grad_weight = z.new_zeros(count, 2 * width, width)
        grad_out_weight = z.new_zeros(count, width, width) if out_weight is not None else z.new_zeros(count, 0, 0)
        grad_bias, grad_score, grad_scale, grad_shift = (
            np.zeros((count, size)) for size in (2 * width, width, width, width)
        )

        layer = _layer(pairs, z, query, key, value, weight, bias, score, attention_dropout)
        update = _update(no_rows if out_weight is None else out_weight.contiguous(), out_scale, None, feature_dropout)
        upstream = Upstream(
            logit=logit.numpy(),
            sum_inverse=flat(inverse),
            grad_message=flat(grad_message),
            grad_edge_message=flat(grad_edge_message),
            mean_grad=flat(mean_grad),
            grad_out=grad_out.numpy(),
            out=(no_rows if out is None else out).numpy(),
            out_slope=flat(slope),
            out_offset=flat(offset),
        )
        both, head = weight.contiguous().numpy(), (0,) * (width // heads)

        def run(part: int) -> None:
            products = _products(scale, feature, stored, block_size)
            gradients = Gradients(
                z=grad_z.numpy(),
                query=flat(grad_query),
                key=flat(grad_key[part]),
                value=flat(grad_value[part]),
                weight=grad_weight[part].numpy(),
                w_out=grad_out_weight[part].numpy(),
                bias=grad_bias[part],
                score=grad_score[part],
                scale=grad_scale[part],
                shift=grad_shift[part],
            )
            smallest = number(SMALLEST)
            backward_rows(*parts[part], layer, both, smallest, update, products, upstream, gradients, head)

        run_parts(run, count)
        vectors = (torch.from_numpy(x.sum(0)).to(z.dtype) for x in (grad_bias, grad_score, grad_scale, grad_shift))
        bias_grad, score_grad, scale_grad, shift_grad = vectors
        updates = (grad_out_weight.sum(0), scale_grad, shift_grad) if out_weight is not None else (None,) * 3
        nodes = (grad_query, grad_key.sum(0), grad_value.sum(0))
        return (grad_z, *nodes, grad_weight.sum(0), bias_grad, score_grad, *updates, *(None,) * 5)


def _layer(
    pairs: PairSet,
    z: Tensor,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    weight: Tensor,
    bias: Tensor,
    score: Tensor,
    dropout: Dropped | None,
) -> Layer:
    number = z.numpy().dtype.type
    w_scale, w_feature = (part.t().contiguous().numpy() for part in weight.chunk(2))
    keep, keep_scale = _mask(dropout, number)
    return Layer(
        source=pairs.source.numpy(),
        ptr=pairs.ptr.numpy(),
        z=z.numpy(),
        query=flat(query),
        key=flat(key),
        value=flat(value),
        w_scale=w_scale,
        w_feature=w_feature,
        bias=flat(bias),
        score=flat(score),
        keep=keep,
        keep_scale=keep_scale,
        bound=number(CLAMP),
    )


def _update(weight: Tensor, scale: Tensor | None, shift: Tensor | None, dropout: Dropped | None) -> Update:
    empty = weight.new_empty(0)
    drop, drop_scale = _mask(dropout, weight.numpy().dtype.type)
    return Update(
        weight=weight.numpy(),
        scale=flat(empty if scale is None else scale),
        shift=flat(empty if shift is None else shift),
        drop=drop,
        drop_scale=drop_scale,
    )


def _products(scale: Tensor, feature: Tensor, stored: bool, block_size: int) -> Products:
    """The products that are stored, or room for those of a block."""
    if not stored:
        scale, feature = (x.new_empty(block_size, x.shape[1]) for x in (scale, feature))
    return Products(scale.numpy(), feature.numpy(), stored, block_size)


def _mask(dropped: Dropped | None, number: Any) -> tuple[np.ndarray, Any]:
    if dropped is None:
        return np.empty(0, np.bool_), number(1)
    return flat(dropped.keep), number(dropped.scale)


def _joined(
    means: np.ndarray, squares: np.ndarray, parts: list[tuple[int, int]], pairs: PairSet
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and biased variance of all rows, from those of the parts."""
    ptr = pairs.ptr.numpy()
    counts = np.array([ptr[last] - ptr[first] for first, last in parts], np.float64)[:, None]
    number = max(counts.sum(), 1.0)
    mean = (counts * means).sum(0) / number
    return mean, (squares + counts * (means - mean) ** 2).sum(0) / number
