"""The text of an architecture: the call that builds it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from graphpe.errors import GraphPERuntimeError


def call_text(model: nn.Module, names: Sequence[str]) -> str:
    """The call that builds `model`: its attributes `names` as keyword arguments, its layers as their number.

    Args:
        model: The architecture.
        names: Names of its arguments, in the order of the call.

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
    if getattr(model, "encodings_in", "first") != "first" and "encodings_in" not in names:
        # Left out where it is the default: runs from before there was a choice are found by their text.
        values.append(("encodings_in", model.encodings_in))
    texts = [f"{name}={len(value) if isinstance(value, nn.ModuleList) else value!r}" for name, value in values]
    return f"{type(model).__name__}({', '.join(texts)})"
