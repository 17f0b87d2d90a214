"""Coordinates of nodes from the lowest Laplacian eigenvectors, for rotary attention."""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.spectra.laplacian_eigenpairs import laplacian_eigenpairs
from graphpe.structure.plan import Plan

Scale = Literal["resistance", "hops"]


def spectral_coordinates(graphs: PackedGraphs | Plan, k: int, scale: Scale = "resistance") -> Tensor:
    """Coordinates of each node from the k lowest non-zero eigenpairs (lambda_j, u_j) of L = D - S.

        "resistance": r_ij = u_ij / sqrt(lambda_j)
        "hops":       r_ij = asin(u_ij / a) / (2 asin(sqrt(min(lambda_j, 4)) / 2)),  a = sqrt(2 / n)

    "resistance": squared distances are effective resistances R, from below: sum_j (r_ij - r_lj)^2 <= R_il, with
    equality for k = n - 1 on a connected graph. "hops": a wave of amplitude a is unrolled into positions along it. On a
    path of n nodes the first coordinate is the position in hops, (n - 1) / 2 - i or its negative, and the others are
    positions folded at the turning points of their waves; elsewhere u_ij / a is cut at +-1.

    Args:
        graphs: The graphs, or a plan that shares their work.
        k: Number of coordinates; a graph with fewer non-zero eigenvalues has zero columns.
        scale: `"resistance"` or `"hops"`.

    Returns:
        `[N, k]` float64, on the device of the graphs; the sign of each column is as the solver leaves it.

    Raises:
        GraphPEValueError: `k` < 1, an unknown scale, or weights that are negative or not finite.

    References:
        Reid et al.: Wavelet-Induced Rotary Encodings. 2025, arXiv:2509.22259 ("resistance").
    """
    check_scale(scale)
    plan = Plan.of(graphs)
    vectors, values, mask = laplacian_eigenpairs(plan, k, "comb")
    batch = plan.graphs.batch
    values = torch.where(mask & (values > 0), values, 1.0)
    if scale == "resistance":
        return vectors / values.sqrt()[batch]
    amplitude = (2 / plan.graphs.sizes.clamp(min=1).double()).sqrt()
    angle = torch.asin((vectors / amplitude[batch, None]).clamp(-1, 1))
    return angle / (2 * torch.asin(values.clamp(max=4).sqrt() / 2))[batch]


def check_scale(scale: str) -> None:
    """Raise unless `scale` is one of the two names."""
    known = get_args(Scale)
    if scale not in known:
        raise GraphPEValueError(f"scale must be one of {', '.join(map(repr, known))}, got {scale!r}")
