"""The text of an architecture: the call that builds it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from torch import nn

from graphpe.errors import GraphPERuntimeError


def call_text(model: nn.Module, names: Sequence[str], optional: Mapping[str, Any] | None = None) -> str:
    """The call that builds `model`: its attributes `names` as keyword arguments, its layers as their number.

    Args:
        model: The architecture.
        names: Names of its arguments, in the order of the call.
        optional: Further arguments and their defaults, left out where they have these: runs from before there was a
            choice are found by their text.

    Raises:
        GraphPERuntimeError: It stores one of them under no such name.
    """
    for name in names:
        if not hasattr(model, name):
            raise GraphPERuntimeError(
                f"{type(model).__name__} has an argument {name}, but no attribute of that name: store it, "
                f"self.{name} = {name}"
            )
    values: list[tuple[str, Any]] = [(name, getattr(model, name)) for name in names]
    for name, default in {**(optional or {}), "encodings_in": "first"}.items():
        if name not in names and getattr(model, name, default) != default:
            values.append((name, getattr(model, name)))
    texts = [f"{name}={len(value) if isinstance(value, nn.ModuleList) else value!r}" for name, value in values]
    return f"{type(model).__name__}({', '.join(texts)})"
