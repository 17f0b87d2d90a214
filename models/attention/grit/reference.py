"""GRIT's attention over pairs of nodes (Ma et al. 2023, arXiv:2305.17589, section 3.2), formula by formula.

N nodes, P pairs (j -> i), D channels, H heads, C = D / H. The features of pairs come as rows `z` `[P, D]`, and every
linear map of them is one of z: what was normalised before need not be written out.

    s_ij    = rho((q_i + k_j) * (W_s z_ij + b_s)) + W_f z_ij + b_f        rho(t) = sign(t) sqrt(|t|)
    f_ij    = relu(s_ij)
    a_ij    = softmax over j of clamp(A . f_ij, -5, 5), for each head; then dropout
    m_i     = sum_j a_ij v_j                                             [N, D]
    n_i     = sum_j a_ij f_ij                                            [N, D]
    out_ij  = scale * z_ij + shift + W_o dropout(f_ij)                   [P, D]

and mean and variance of the rows of out, which their normalisation needs.

The derivative of rho is 1 / (2 sqrt(|t|)), which has no bound. Here |t| counts as at least `SMALLEST` in it, so that it
is at most 500; it is 0 at t = 0. The value is exact. Roots, exponentials, sums over pairs and statistics are in float32
(float64 for float64 input) under autocast.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from graphpe.models.attention.pairs import PairSet

CLAMP = 5.0
SMALLEST = 1e-6


@dataclass(frozen=True)
class PairUpdate:
    """The rows `out` = scale * z + shift + W_o f.

    Attributes:
        weight: W_o, `[D, D]`.
        scale: `[D]`.
        shift: `[D]`.
    """

    weight: Tensor
    scale: Tensor
    shift: Tensor


@dataclass(frozen=True)
class Dropped:
    """What dropout left.

    Attributes:
        keep: Whether each number stays, bool.
        scale: What it is multiplied with then.
    """

    keep: Tensor
    scale: float

    def apply(self, x: Tensor) -> Tensor:
        """`x` with dropout.

        Args:
            x: What is dropped from, of the mask's shape.
        """
        return torch.where(self.keep, x * self.scale, 0)


class PairAttention(NamedTuple):
    """What the attention computes: m `[N, D]`, n `[N, D]`, out `[P, D]` and its mean and (biased) variance `[D]`."""

    message: Tensor
    edge_message: Tensor
    out: Tensor | None
    mean: Tensor | None
    variance: Tensor | None


def grit_attention_reference(
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
) -> PairAttention:
    """The formulas of this module, one line each. Same arguments and result as `grit_attention`.

    Keeps about 11 D numbers a pair for the backward pass.

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
    """
    num_nodes, width = query.shape
    channels = width // heads
    exact = torch.promote_types(query.dtype, torch.float32)
    source, target = pairs.source, pairs.target

    feature, attention = features_and_weights(z, query, key, weight, bias, score, pairs, heads)
    if attention_dropout is not None:
        attention = attention_dropout.apply(attention)

    by_channel = attention.repeat_interleave(channels, 1)  # [P, D]
    empty = feature.new_zeros(num_nodes, width)
    message = empty.index_add(0, target, by_channel * value.to(exact).index_select(0, source)).to(query.dtype)
    edge_message = empty.index_add(0, target, by_channel * feature).to(query.dtype)
    if update is None:
        return PairAttention(message, edge_message, None, None, None)
    if feature_dropout is not None:
        feature = feature_dropout.apply(feature)
    out = (update.scale * z + update.shift + functional.linear(feature, update.weight)).to(z.dtype)
    variance, mean = torch.var_mean(out.to(exact), 0, correction=0)
    return PairAttention(message, edge_message, out, mean, variance)


def features_and_weights(
    z: Tensor, query: Tensor, key: Tensor, weight: Tensor, bias: Tensor, score: Tensor, pairs: PairSet, heads: int
) -> tuple[Tensor, Tensor]:
    """The features f of pairs `[P, D]`, and the weights a of heads `[P, H]`; arguments as in `grit_attention`."""
    (num_pairs, width), num_nodes = z.shape, query.shape[0]
    exact = torch.promote_types(query.dtype, torch.float32)
    scale, feature = functional.linear(z, weight, bias).to(exact).chunk(2, dim=1)
    joint = query.to(exact).index_select(0, pairs.target) + key.to(exact).index_select(0, pairs.source)
    feature = torch.relu(signed_root(joint * scale) + feature)  # [P, D]
    logit = (feature * score.to(exact)).view(num_pairs, heads, width // heads).sum(-1)  # [P, H]
    exponential = logit.clamp(-CLAMP, CLAMP).exp()
    total = exponential.new_zeros(num_nodes, heads).index_add(0, pairs.target, exponential)
    return feature, exponential / total.index_select(0, pairs.target)


def signed_root(x: Tensor) -> Tensor:
    """The function rho of this module, with its bounded derivative.

    Args:
        x: Numbers of any shape.
    """
    if torch.compiler.is_compiling():
        # The same derivative in operations that can be traced: that of x * slope, with the slope held constant.
        slope = _slope(x.detach())
        return x * slope + (x.sign() * x.abs().sqrt() - x * slope).detach()
    return _SignedRoot.apply(x)


class _SignedRoot(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor) -> Tensor:
        ctx.save_for_backward(x)
        return x.sign() * x.abs().sqrt()

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> Tensor:
        (x,) = ctx.saved_tensors
        return grad * _slope(x)


def _slope(x: Tensor) -> Tensor:
    return torch.where(x == 0, 0, 0.5 * x.abs().clamp(min=SMALLEST).rsqrt())
