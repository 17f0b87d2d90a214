"""Orthogonal matrices with free parameters, without a solver that waits for a device."""

from __future__ import annotations

import torch
from torch import Tensor

from graphpe.models.layers.precision import exactly


def cayley(parameter: Tensor) -> Tensor:
    """The rotations (I + S)^-1 (I - S) with S = P - P^T, `[..., b, b]`, in float32 or better.

    Every rotation without the eigenvalue -1; the identity where P is symmetric. For b = 2 the angle is
    2 arctan(P_01 - P_10).

    Args:
        parameter: P, `[..., b, b]`.
    """
    p = exactly(parameter)
    skew = p - p.transpose(-1, -2)
    one = torch.eye(p.shape[-1], dtype=p.dtype, device=p.device)
    with torch.autocast(p.device.type, enabled=False):
        # I + S has no eigenvalue of modulus below 1, so that nothing needs to be checked.
        return torch.linalg.solve_ex(one + skew, one - skew).result


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
