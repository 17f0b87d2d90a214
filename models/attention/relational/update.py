"""The relational transformer's update of pairs: from a pair, its reverse and its two nodes.

Shape legend: N nodes, P pairs, D channels, F and G hidden channels. For every pair (j -> i)

    y_ij = LN(e_ij + drop(W_2 relu(A e_ij + B e_ji + s_j + t_i) + b_2))
    z_ij = LN(y_ij + drop(W_4 relu(W_3 y_ij + b_3) + b_4)),

e_ji = 0 where the reverse is not in the set (Diao & Loynd 2023). The paper's first map is of [e_ij, e_ji, n_j, n_i]:
four maps side by side, of which two are of nodes and cost next to nothing; s and t are these, with the bias.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional
from torch.utils.checkpoint import checkpoint as recomputed

from graphpe.compiled.kernel import KINDS, has_kernels
from graphpe.models.attention.gpu.pair_update import updated_pairs
from graphpe.models.attention.pairs import PairSet
from graphpe.models.attention.relational.arrays import Ends, Rows, UpdateGradients, Weights
from graphpe.models.attention.relational.update_kernels import mix_back_rows, update_back_rows, update_rows
from graphpe.models.attention.shapes import check_shapes
from graphpe.models.attention.threads import (
    array,
    compiled_runs,
    flat,
    lanes_of,
    new_rows,
    pad_last,
    parts_of,
    run_parts,
)

EPSILON = 1e-5  # of the normalisations, added to the variance


class PairWeights(NamedTuple):
    """Parameters of the update; matrices are (out, in).

    Attributes:
        forward: A, `[F, D]`.
        reverse: B, `[F, D]`.
        out_1: W_2, `[D, F]`.
        out_bias_1: b_2, `[D]`.
        scale_1: Scale of the first LN, `[D]`.
        shift_1: Shift of it, `[D]`.
        hidden: W_3, `[G, D]`.
        hidden_bias: b_3, `[G]`.
        out_2: W_4, `[D, G]`.
        out_bias_2: b_4, `[D]`.
        scale_2: Scale of the second LN, `[D]`.
        shift_2: Shift of it, `[D]`.
    """

    forward: Tensor
    reverse: Tensor
    out_1: Tensor
    out_bias_1: Tensor
    scale_1: Tensor
    shift_1: Tensor
    hidden: Tensor
    hidden_bias: Tensor
    out_2: Tensor
    out_bias_2: Tensor
    scale_2: Tensor
    shift_2: Tensor


def update_pairs_reference(
    pair: Tensor,
    source_term: Tensor,
    target_term: Tensor,
    weights: PairWeights,
    pairs: PairSet,
    *,
    dropout: float = 0.0,
) -> Tensor:
    """The formulas of this module, one line each; the signature of `update_pairs`.

    Stores about six `[P, D]` tensors for the backward pass; can be differentiated twice and traced by `torch.compile`.

    Args:
        pair: Vectors e_ij of the pairs, `[P, D]`.
        source_term: s_j of each node, `[N, F]`.
        target_term: t_i of each node, `[N, F]`.
        weights: Parameters.
        pairs: The pairs.
        dropout: Probability of dropout; 0 outside training.
    """
    width, reverse = (pair.shape[1],), pairs.reverse
    back = pair.index_select(0, reverse.clamp(min=0)) * (reverse >= 0).unsqueeze(1)  # e_ji
    ends = source_term.index_select(0, pairs.source) + target_term.index_select(0, pairs.target)
    hidden = torch.relu(pair @ weights.forward.t() + back @ weights.reverse.t() + ends)
    change = functional.dropout(functional.linear(hidden, weights.out_1, weights.out_bias_1), dropout)
    pair = functional.layer_norm(pair + change, width, weights.scale_1, weights.shift_1, EPSILON)
    hidden = torch.relu(functional.linear(pair, weights.hidden, weights.hidden_bias))
    change = functional.dropout(functional.linear(hidden, weights.out_2, weights.out_bias_2), dropout)
    return functional.layer_norm(pair + change, width, weights.scale_2, weights.shift_2, EPSILON)


def update_pairs(
    pair: Tensor,
    source_term: Tensor,
    target_term: Tensor,
    weights: PairWeights,
    pairs: PairSet,
    *,
    dropout: float = 0.0,
    checkpoint: bool = False,
) -> Tensor:
    """New vectors of the pairs, `[P, D]`.

    Args:
        pair: Vectors e_ij of the pairs, `[P, D]`.
        source_term: s_j of each node, `[N, F]`.
        target_term: t_i of each node, `[N, F]`.
        weights: Parameters.
        pairs: The pairs.
        dropout: Probability of dropout; 0 outside training.
        checkpoint: Where the compiled passes do not run (dropout, other devices, half precision): compute everything
            again in the backward pass instead of keeping it. They always compute what they can; so do Triton's kernels
            on a GPU, with dropout, too.

    Raises:
        GraphPEValueError: A shape is another.
    """
    pairs.check()
    nodes, width = pairs.num_nodes, pair.shape[-1]
    narrow, narrower = weights.forward.shape[0], weights.hidden.shape[0]
    check_shapes(pair=(pair, (pairs.num_pairs, width)))
    check_shapes(source_term=(source_term, (nodes, narrow)), target_term=(target_term, (nodes, narrow)))
    square, other = (narrow, width), (narrower, width)
    shapes = (square, square, square[::-1], *[(width,)] * 3, other, (narrower,), other[::-1], *[(width,)] * 3)
    named = zip(PairWeights._fields, weights, shapes, strict=True)
    check_shapes(**{f"weights.{name}": (value, shape) for name, value, shape in named})
    if has_kernels(pair.device) and pair.dtype in KINDS and source_term.dtype in KINDS:
        keep, kept = None, 1.0
        if dropout:
            shape = (2, *pair.shape)
            keep = torch.empty(shape, dtype=torch.bool, device=pair.device).bernoulli_(1 - dropout)
            kept = 1 / (1 - dropout) if dropout < 1 else 0.0
        return updated_pairs(pair, source_term, target_term, weights, pairs, EPSILON, keep, kept)
    compiled = (
        not torch.compiler.is_compiling() and not dropout and compiled_runs(pair, source_term, target_term, *weights)
    )
    if torch.compiler.is_compiling() or not (compiled or checkpoint):
        return update_pairs_reference(pair, source_term, target_term, weights, pairs, dropout=dropout)
    if compiled:
        return _PairUpdate.apply(pair, source_term, target_term, pairs, *weights)
    return recomputed(
        update_pairs_reference,
        *(pair, source_term, target_term, weights, pairs),
        dropout=dropout,
        use_reentrant=False,
        preserve_rng_state=dropout > 0,
    )


class _PairUpdate(torch.autograd.Function):
    """The compiled passes and what they need; see `update_pairs`."""

    @staticmethod
    def forward(
        ctx: Any, pair: Tensor, source_term: Tensor, target_term: Tensor, pairs: PairSet, *parameters: Tensor
    ) -> Tensor:
        pair, weights = pair.contiguous(), PairWeights(*parameters)
        padded = _Padded(weights)
        number = array(pair).dtype.type
        hidden_1, hidden_2 = (new_rows(pairs.num_pairs, size, pair) for size in (padded.narrow, padded.narrower))
        out = new_rows(pair.shape[0], pair.shape[1], pair)
        parts = parts_of(pairs.ptr)
        ptr = array(pairs.ptr)

        ends = Ends(array(pairs.source), array(pairs.target), array(pairs.reverse))
        source, target = (flat(pad_last(x, padded.narrow)) for x in (source_term, target_term))
        written = Rows(array(hidden_1), array(hidden_2), array(out))
        share, eps = number(1 / pair.shape[1]), number(EPSILON)

        def run(part: int) -> None:
            first, last = (ptr[node] for node in parts[part])
            update_rows(
                first, last, ends, array(pair), source, target, padded.weights, share, eps, written, padded.lanes
            )

        run_parts(run, len(parts))
        ctx.save_for_backward(pair, hidden_1, hidden_2, *parameters)
        ctx.pairs, ctx.nodes = pairs, source_term.shape[0]
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        pair, hidden_1, hidden_2, *parameters = ctx.saved_tensors
        pairs, nodes, weights = ctx.pairs, ctx.nodes, PairWeights(*parameters)
        padded, width = _Padded(weights), pair.shape[1]
        number = array(pair).dtype.type
        grad = grad.contiguous()
        grad_pair, grad_hidden = (new_rows(pair.shape[0], size, pair) for size in (width, padded.narrow))
        parts = parts_of(pairs.ptr)
        count, ptr = len(parts), array(pairs.ptr)
        grad_nodes = pair.new_zeros(2, count, nodes, padded.narrow)
        grad_out_1, grad_out_2 = (pair.new_zeros(count, *x.shape) for x in (padded.out_1, padded.out_2))
        grad_vectors = pair.new_zeros(count, 6, width)
        grad_hidden_map = pair.new_zeros(count, padded.narrower, width)
        grad_hidden_bias = pair.new_zeros(count, padded.narrower)
        grad_mix = pair.new_zeros(count, 2 * padded.narrow, width)

        ends = Ends(array(pairs.source), array(pairs.target), array(pairs.reverse))
        share, eps = number(1 / width), number(EPSILON)
        kept_1, kept_2, upstream = (array(x) for x in (hidden_1, hidden_2, grad))

        def run(part: int) -> None:
            first, last = (ptr[node] for node in parts[part])
            gradients = UpdateGradients(
                pair=array(grad_pair),
                hidden=array(grad_hidden),
                source=flat(grad_nodes[0, part]),
                target=flat(grad_nodes[1, part]),
                out_1=array(grad_out_1[part]),
                vectors=array(grad_vectors[part]),
                hidden_map=array(grad_hidden_map[part]),
                hidden_bias=array(grad_hidden_bias[part]),
                out_2=array(grad_out_2[part]),
            )
            update_back_rows(
                *(first, last, ends, array(pair), padded.weights, share, eps),
                *(kept_1, kept_2, upstream, gradients, padded.lanes),
            )

        def mix(part: int) -> None:
            first, last = parts[part]
            arguments: tuple[Any, ...] = (
                ptr[first],
                ptr[last],
                *(array(x) for x in (pairs.reverse, pair, padded.mix_back(), grad_hidden, grad_pair, grad_mix[part])),
                padded.lanes,
            )
            mix_back_rows(*arguments)

        run_parts(run, count)
        run_parts(mix, count)
        narrow, narrower = weights.forward.shape[0], weights.hidden.shape[0]
        grad_source, grad_target = grad_nodes.sum(1)[..., :narrow]
        of_pair, of_reverse = (x[:narrow] for x in grad_mix.sum(0).chunk(2))
        scale_1, shift_1, bias_1, scale_2, shift_2, bias_2 = grad_vectors.sum(0)
        parameters_grad = PairWeights(
            *(of_pair, of_reverse, grad_out_1.sum(0)[:narrow].t(), bias_1, scale_1, shift_1),
            *(grad_hidden_map.sum(0)[:narrower], grad_hidden_bias.sum(0)[:narrower]),
            *(grad_out_2.sum(0)[:narrower].t(), bias_2, scale_2, shift_2),
        )
        return (grad_pair, grad_source, grad_target, None, *parameters_grad)


class _Padded:
    """The matrices (in, out) with hidden layers of whole registers; the added channels are zero."""

    def __init__(self, weights: PairWeights) -> None:
        self.lanes = lanes_of(weights.forward.shape[1])
        step = len(self.lanes)
        self.narrow, self.narrower = (-(-x.shape[0] // step) * step for x in (weights.forward, weights.hidden))
        self.sides = [pad_last(x.t(), self.narrow) for x in (weights.forward, weights.reverse)]
        self.out_1 = pad_last(weights.out_1, self.narrow).t().contiguous()
        self.hidden = pad_last(weights.hidden.t(), self.narrower).contiguous()
        self.out_2 = pad_last(weights.out_2, self.narrower).t().contiguous()
        of_pair, of_reverse = (array(x.contiguous()) for x in self.sides)
        self.weights = Weights(
            of_pair=of_pair,
            of_reverse=of_reverse,
            out_1=array(self.out_1),
            bias_1=flat(weights.out_bias_1),
            scale_1=flat(weights.scale_1),
            shift_1=flat(weights.shift_1),
            hidden=array(self.hidden),
            hidden_bias=flat(pad_last(weights.hidden_bias, self.narrower)),
            out_2=array(self.out_2),
            bias_2=flat(weights.out_bias_2),
            scale_2=flat(weights.scale_2),
            shift_2=flat(weights.shift_2),
        )

    def mix_back(self) -> Tensor:
        """A^T over B^T, `[2 F, D]`."""
        return torch.cat([x.t() for x in self.sides])
