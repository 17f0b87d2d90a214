"""Sums of terms p(d) exp(lambda d) over a centroid decomposition, by torch: any device and dtype, twice differentiable.

Within a group (and a branch)

    exp(lambda (x + y)) (x + y)^k = sum_i binomial(k, i) x^i exp(lambda x) y^(k - i) exp(lambda y)

that is, moments over the group, read out at each of its nodes. O(N log N) for a term, in O(log N) steps one after the
other.
"""

from __future__ import annotations

import math

import torch
from torch import Tensor

from graphpe.trees.decomposition import Level
from graphpe.trees.functions.closed_form import Term


def sum_terms_by_levels(levels: list[Level], field: Tensor, terms: list[Term]) -> Tensor:
    """Y_i = sum_j f(d(i, j)) X_j, f being the sum of the terms; see `graphpe.trees.sweeps.sum_terms`.

    Branches are subtracted from groups: with growing terms, rounding is relative to the largest sums.

    Args:
        levels: The decomposition, on the device of the field.
        field: X `[N, C]`, float32 or float64.
        terms: The terms.

    Returns:
        `[N, C]`, of the dtype of the field.
    """
    out = torch.zeros_like(field)
    for level in levels:
        for term in terms:
            out = out.index_add(0, level.node, _sum_level(level, field, term))
    return out


def _sum_level(level: Level, field: Tensor, term: Term) -> Tensor:
    """What a level adds at each of its entries."""
    exponent, coefficients = (part.to(field.device) for part in term)
    count = len(coefficients)
    powers = level.distance.unsqueeze(1) ** torch.arange(count, device=field.device)  # [M, K]
    dtype = torch.promote_types(field.dtype, torch.complex64) if exponent.is_complex() else field.dtype
    weight = (powers * torch.exp(exponent * level.distance).unsqueeze(1)).to(dtype)
    x = field.index_select(0, level.node)
    # Value at y of the moment i: exp(lambda y) sum_k c_k binomial(k, i) y^(k - i).
    shift = coefficients.new_zeros(count, count)
    for k in range(count):
        for i in range(k + 1):
            shift[k - i, i] = coefficients[k] * math.comb(k, i)
    read = weight @ shift.to(dtype)  # [M, K]
    total = torch.zeros_like(x)
    for i in range(count):
        moved = weight[:, i, None] * x
        group = moved.new_zeros(level.num_groups, x.size(1)).index_add(0, level.group, moved)
        branch = moved.new_zeros(level.num_branches + 1, x.size(1)).index_add(0, level.branch, moved)
        branch = torch.cat([branch[:-1], torch.zeros_like(branch[-1:])])  # of centroids: nothing
        part = read[:, i, None] * (group.index_select(0, level.group) - branch.index_select(0, level.branch))
        total = total + (part.real if part.is_complex() else part)
    return total
