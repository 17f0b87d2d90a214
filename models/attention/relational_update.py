"""The relational transformer's update of pairs: from a pair, its reverse and its two nodes.

Shape legend: N nodes, P pairs, D channels, F and G hidden channels. For every pair (j -> i)

    y_ij = LN(e_ij + drop(W_2 relu(A e_ij + B e_ji + s_j + t_i) + b_2))
    z_ij = LN(y_ij + drop(W_4 relu(W_3 y_ij + b_3) + b_4)),

e_ji = 0 where the reverse is not in the set (Diao & Loynd 2023). The paper's first map is of [e_ij, e_ji, n_j, n_i]:
four maps side by side, of which two are of nodes and cost next to nothing; s and t are these, with the bias.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils.checkpoint import checkpoint

from graphpe.models.attention.pairs import PairSet

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
) -> Tensor:
    """New vectors of the pairs, `[P, D]`.

    Args:
        pair: Vectors e_ij of the pairs, `[P, D]`.
        source_term: s_j of each node, `[N, F]`.
        target_term: t_i of each node, `[N, F]`.
        weights: Parameters.
        pairs: The pairs.
        dropout: Probability of dropout; 0 outside training.
    """
    if torch.compiler.is_compiling():
        return update_pairs_reference(pair, source_term, target_term, weights, pairs, dropout=dropout)
    return checkpoint(
        update_pairs_reference,
        *(pair, source_term, target_term, weights, pairs),
        dropout=dropout,
        use_reentrant=False,
        preserve_rng_state=dropout > 0,
    )
