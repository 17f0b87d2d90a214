"""Products of the vectors of pairs that are made for the forward pass and again for the backward pass."""

from __future__ import annotations

import torch
from torch import Tensor


def pair_product(pair: Tensor, maps: Tensor, dtype: torch.dtype) -> Tensor:
    """Vectors of pairs through maps, `[P, rows]`, in the same precision forward and backward.

    Args:
        pair: Vectors of the pairs, `[P, D]`.
        maps: The maps, one over the other, `[rows, D]` (out, in).
        dtype: In which the product is taken, also under autocast, which a backward pass does not see.
    """
    with torch.autocast(pair.device.type, enabled=False):
        return pair.to(dtype) @ maps.to(dtype).t()
