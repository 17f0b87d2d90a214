"""Scalings of eigenvectors: unit length in one norm or another, or so that their slope is about one per hop.

With v an eigenvector of one graph and lambda its eigenvalue (1 in place of 0):

    "L2"                v / sqrt(sum |v|^2)
    "L1"                v / sum |v|
    "abs-max"           v / max |v|
    "wavelength"        (pi / 2) v / (max |v| sqrt(lambda))
    "wavelength-asin"   asin(v / max |v|) / sqrt(lambda)
    "wavelength-soft"   v / (sum softmax(|v|) |v| sqrt(lambda))

A wave that oscillates with eigenvalue lambda of D - S on a path has length 2 pi / sqrt(lambda) hops, so that the last
three have about the slope of the position along the wave. Names and formulas are those of GraphGPS (Rampášek et al.,
NeurIPS 2022), where zero columns become 0 / 1e-12; here they stay zero.
"""

from __future__ import annotations

from typing import Literal, get_args

import torch
from torch import Tensor

from graphpe.arguments import check_choice

Scaling = Literal["L2", "L1", "abs-max", "wavelength", "wavelength-asin", "wavelength-soft"]
_KNOWN = get_args(Scaling)

# Below, an eigenvalue counts as 0; in units of the Laplacian's entries, as in GraphGPS.
_ZERO = 1e-12


def scale_eigenvectors(vectors: Tensor, values: Tensor, batch: Tensor, scaling: Scaling) -> Tensor:
    """Eigenvectors in another scale; see the module's text.

    Args:
        vectors: `[N, k]` real, of unit L2 norm in each graph or zero.
        values: `[B, k]`: their eigenvalues.
        batch: Graph of each node `[N]`.
        scaling: One of the six names.

    Returns:
        `[N, k]`, a new tensor unless the scaling is `"L2"`.

    Raises:
        GraphPEValueError: The scaling is unknown.
    """
    check_scaling(scaling)
    if scaling == "L2":
        return vectors
    modulus = vectors.abs()
    frequency = torch.where(values > _ZERO, values, 1.0).sqrt()
    zeros = modulus.new_zeros(values.shape)
    if scaling == "L1":
        return vectors / _or_one(zeros.index_add(0, batch, modulus))[batch]
    if scaling == "wavelength-soft":
        # Moduli are at most 1, so that the exponentials need no shift.
        weight = modulus.exp()
        total = zeros.index_add(0, batch, weight)
        mean = zeros.index_add(0, batch, weight * modulus) / _or_one(total)
        return vectors / (_or_one(mean) * frequency)[batch]
    largest = _or_one(zeros.scatter_reduce(0, batch[:, None].expand_as(modulus), modulus, "amax"))
    if scaling == "abs-max":
        return vectors / largest[batch]
    if scaling == "wavelength":
        return vectors * (torch.pi / 2) / (largest * frequency)[batch]
    return torch.asin((vectors / largest[batch]).clamp(-1, 1)) / frequency[batch]


def check_scaling(scaling: str) -> None:
    """Raise unless `scaling` is one of the six names.

    Args:
        scaling: The argument.
    """
    check_choice("scaling", scaling, _KNOWN)


def _or_one(size: Tensor) -> Tensor:
    return torch.where(size > 0, size, 1.0)
