"""The text of an architecture: the call that builds it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn


def call_text(model: nn.Module, names: Sequence[str]) -> str:
    """The call that builds `model`: its attributes `names` as keyword arguments, its layers as their number.

    Args:
        model: The architecture.
        names: Names of its arguments, in the order of the call.
    """
    values: list[tuple[str, Any]] = [(name, getattr(model, name)) for name in names]
    texts = [f"{name}={len(value) if isinstance(value, nn.ModuleList) else value!r}" for name, value in values]
    return f"{type(model).__name__}({', '.join(texts)})"
