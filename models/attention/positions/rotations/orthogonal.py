"""Rotations with free parameters, without a function that waits for a device."""

from __future__ import annotations

import torch
from torch import Tensor

from graphpe.models.layers.precision import exactly

_HALVINGS = 8


def rotation(parameter: Tensor) -> Tensor:
    """The rotations exp(S), S = P - P^T, `[..., b, b]`, in float32 or better: every one of determinant 1.

    By scaling and squaring in float64, always with the same products: orthogonal to rounding for norms of S up to 100,
    and nothing that looks at numbers. For b = 2 the angle is P_10 - P_01.

    Args:
        parameter: P, `[..., b, b]`.
    """
    p = parameter.double()
    skew = (p - p.transpose(-1, -2)) * 0.5**_HALVINGS
    one = torch.eye(p.shape[-1], dtype=p.dtype, device=p.device)
    with torch.autocast(p.device.type, enabled=False):
        square = skew @ skew
        cube, fourth = square @ skew, square @ square
        high = one / 24 + skew / 120 + square / 720 + cube / 5040 + fourth / 40320
        out = one + skew + square / 2 + cube / 6 + fourth @ high
        for _ in range(_HALVINGS):
            out = out @ out
    return out.to(exactly(parameter).dtype)


def apply_blocks(x: Tensor, maps: Tensor) -> Tensor:
    """Maps of the blocks of channels of each head, `[N, D]`.

    Args:
        x: Rows, `[N, D]`.
        maps: `[N, H, blocks, b, b]`, or without N where all rows have the same.
    """
    parts = x.view(x.shape[0], *maps.shape[-4:-2], maps.shape[-1])
    dtype = torch.promote_types(x.dtype, torch.float32)
    formula = "hkij,nhkj->nhki" if maps.dim() == 4 else "nhkij,nhkj->nhki"
    with torch.autocast(x.device.type, enabled=False):
        out = torch.einsum(formula, maps.to(dtype), parts.to(dtype))
    return out.to(x.dtype).reshape(x.shape)
