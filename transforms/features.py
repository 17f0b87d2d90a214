"""Node values that an encoding takes as numbers, by key and number of columns: `{"x": 9}`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from graphpe.arguments import check_integer
from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.structure.plan import Plan
from graphpe.trees.fields import feature_fields


def check_features(features: Any, most: int | None = None) -> dict[str, int] | None:
    """Keys of node values with their columns, or None.

    Args:
        features: The argument.
        most: The most columns of one.

    Raises:
        GraphPETypeError: They are not.
        GraphPEValueError: A number of columns is out of range.
    """
    if features is None:
        return None
    if not isinstance(features, Mapping) or not all(isinstance(key, str) for key in features):
        raise GraphPETypeError(f"features must be keys of node values with their columns, {{'x': 9}}, got {features!r}")
    return {key: check_integer(f"features[{key!r}]", width, least=1, most=most) for key, width in features.items()}


def read_features(plan: Plan, features: Mapping[str, int] | None) -> Tensor | None:
    """The node values side by side, `[N, F]` float64 on the CPU; None where there are none.

    Args:
        plan: The graphs.
        features: Keys and columns.

    Raises:
        GraphPETypeError: A node value holds no real numbers.
        GraphPEValueError: One has another number of columns, or is not finite.
    """
    parts = []
    for key, width in (features or {}).items():
        part = feature_fields(f"node value {key!r}", plan.graphs.node[key], plan.graphs.num_nodes)
        if part.shape[1] != width:
            raise GraphPEValueError(f"features says that {key!r} has {width} columns, but it has {part.shape[1]}")
        parts.append(part)
    return torch.cat(parts, dim=1) if parts else None
