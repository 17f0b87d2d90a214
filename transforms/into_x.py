"""Values of nodes that have no key of their own: they go behind the columns of `x`, as PyG's transforms do it."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from graphpe.errors import GraphPETypeError, GraphPEValueError


def appended(x: Any, value: Tensor) -> Tensor:
    """`x` with the columns of values behind its own, in its type and on its device; the values where there is no `x`.

    Args:
        x: Features of nodes, `[N, F]`, or `[N]` for one column; or None.
        value: Values of nodes, `[N, ...]`.

    Raises:
        GraphPETypeError: `x` is no dense tensor.
        GraphPEValueError: It has other rows, more than two dimensions, or whole numbers where the values are none.
    """
    value = value.flatten(1)
    if x is None:
        return value
    if not isinstance(x, Tensor) or x.layout != torch.strided:
        kind = f"{x.layout} tensor" if isinstance(x, Tensor) else type(x).__name__
        raise GraphPETypeError(f"attr_name=None appends to x, a dense tensor (got {kind}): give attr_name a name")
    if x.dim() not in (1, 2) or len(x) != len(value):
        raise GraphPEValueError(
            f"attr_name=None appends to x, [{len(value)}, num_features] (got {list(x.shape)}): give attr_name a name"
        )
    if value.is_floating_point() and not (x.is_floating_point() or x.is_complex()):
        raise GraphPEValueError(
            f"attr_name=None appends to x, which is {str(x.dtype).removeprefix('torch.')}, and would round the "
            "encoding to whole numbers: make x floating point, or give attr_name a name"
        )
    return torch.cat([x if x.dim() == 2 else x[:, None], value.to(x.device, x.dtype)], dim=1)
