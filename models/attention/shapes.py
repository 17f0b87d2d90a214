"""Shapes of what attention is computed from, compared: compiled loops read memory as far as one of them says."""

from __future__ import annotations

import torch
from torch import Tensor

from graphpe.errors import GraphPEValueError


def check_shapes(**given: tuple[Tensor | None, tuple[int, ...]]) -> None:
    """Raise unless every tensor (None: not given) has its shape.

    Args:
        **given: A tensor, or None, and its shape, by the name that the message uses.

    Raises:
        GraphPEValueError: One has another; the message names it.
    """
    if torch.compiler.is_compiling():  # formulas are traced, no loops run, and a size may be a symbol
        return
    for name, (value, shape) in given.items():
        if value is not None and value.shape != shape:
            raise GraphPEValueError(f"{name} must have the shape {list(shape)}, got {list(value.shape)}")


def check_attention(query: Tensor, key: Tensor, value: Tensor, nodes: int, heads: int) -> int:
    """The width D of queries, keys and values, each `[nodes, D]`.

    Args:
        query: The argument.
        key: The argument.
        value: The argument.
        nodes: Number N of nodes.
        heads: Number of heads, which has to divide D.

    Raises:
        GraphPEValueError: They are not, or the number of heads does not divide D.
    """
    width = query.shape[1] if query.dim() == 2 else 0
    if heads < 1 or not width or width % heads:
        raise GraphPEValueError(
            f"query must be [{nodes}, D] with D a multiple of heads, got {list(query.shape)} and heads={heads}"
        )
    check_shapes(query=(query, (nodes, width)), key=(key, (nodes, width)), value=(value, (nodes, width)))
    return width


def check_wide_attention(query: Tensor, key: Tensor, value: Tensor, nodes: int, heads: int) -> int:
    """The width D of values `[nodes, D]`; queries and keys have one width, which may be another.

    Args:
        query: The argument.
        key: The argument.
        value: The argument.
        nodes: Number N of nodes.
        heads: Number of heads, which has to divide both widths.

    Raises:
        GraphPEValueError: They have other shapes, or the number of heads does not divide a width.
    """
    check_attention(query, key, query, nodes, heads)
    check_shapes(value=(value, (nodes, value.shape[-1])))
    if not value.shape[1] or value.shape[1] % heads:
        raise GraphPEValueError(
            f"value must be [{nodes}, D] with D a multiple of heads, got {list(value.shape)} and heads={heads}"
        )
    return value.shape[1]
