"""Checks of an architecture's literal arguments, and the text that shows them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from torch import nn

from graphpe.errors import GraphPEValueError


def check_counts(**numbers: object) -> None:
    """Raise unless every number is a positive integer."""
    for name, number in numbers.items():
        if not isinstance(number, int) or isinstance(number, bool) or number < 1:
            raise GraphPEValueError(f"{name} must be a positive integer (got {number!r})")


def check_heads(width: int, heads: int) -> None:
    """Raise unless `heads` divides `width`."""
    if width % heads:
        raise GraphPEValueError(f"width must be a multiple of heads (got width={width}, heads={heads})")


def check_probabilities(**numbers: object) -> None:
    """Raise unless every number is in [0, 1)."""
    for name, number in numbers.items():
        if not isinstance(number, int | float) or isinstance(number, bool) or not 0.0 <= number < 1.0:
            raise GraphPEValueError(f"{name} must be a number in [0, 1) (got {number!r})")


def check_bools(**values: object) -> None:
    """Raise unless every value is True or False."""
    for name, value in values.items():
        if not isinstance(value, bool):
            raise GraphPEValueError(f"{name} must be True or False (got {value!r})")


def check_choice(name: str, value: object, known: Sequence[object]) -> None:
    """Raise unless `value` is one of `known`."""
    if value not in known:
        raise GraphPEValueError(f"{name} must be one of {', '.join(map(repr, known))} (got {value!r})")


def call_text(model: nn.Module, names: Sequence[str]) -> str:
    """The call that builds `model`: its attributes `names` as keyword arguments, its layers as their number."""
    values: list[tuple[str, Any]] = [(name, getattr(model, name)) for name in names]
    texts = [f"{name}={len(value) if isinstance(value, nn.ModuleList) else value!r}" for name, value in values]
    return f"{type(model).__name__}({', '.join(texts)})"
