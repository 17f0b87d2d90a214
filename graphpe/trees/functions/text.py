"""The text form of functions: the Python expression that builds them, parsed and never evaluated."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable
from typing import Any

from graphpe.calls import UNREADABLE, read_arguments
from graphpe.errors import GraphPEError, GraphPETypeError, GraphPEValueError
from graphpe.trees.functions.closed_form import (
    Cosine,
    Exponential,
    Polynomial,
    Product,
    Sum,
    Table,
    TreeFunction,
    as_function,
)
from graphpe.trees.functions.smooth import Gaussian, InversePower, Rational

_CLASSES: dict[str, type[TreeFunction]] = {
    kind.__name__: kind
    for kind in (Cosine, Exponential, Gaussian, InversePower, Polynomial, Product, Rational, Sum, Table)
}
_OPERATORS: dict[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
}


def parse_function(text: str) -> TreeFunction:
    """The function of `"Exponential(0.5) * Cosine(1.0) + 2.0"`: names of `graphpe.trees`, literals, `+`, `-` and `*`.

    Args:
        text: The expression.

    Raises:
        GraphPETypeError: `text` is no string.
        GraphPEValueError: It is not of that form, or a parameter is not one that is accepted.
    """
    if not isinstance(text, str):
        raise GraphPETypeError(f"a function must be a string, got {text!r}")
    try:
        return as_function(_build(ast.parse(text.strip(), mode="eval").body))
    except GraphPEError as error:
        raise GraphPEValueError(f"cannot read the function {text!r}: {error}") from None
    except UNREADABLE:
        raise GraphPEValueError(
            f"cannot read the function {text!r}: write names with numbers, such as 'Exponential(0.5) * Cosine(1.0)'; "
            f"known: {', '.join(_CLASSES)}"
        ) from None


def _build(node: ast.expr) -> Any:
    """A function, or a literal."""
    if isinstance(node, ast.BinOp) and type(node.op) in _OPERATORS:
        return _OPERATORS[type(node.op)](_build(node.left), _build(node.right))
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in _CLASSES:
        args, kwargs = read_arguments(node, _build)
        return _CLASSES[node.func.id](*args, **kwargs)
    if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub) and isinstance(node.operand, ast.Call):
        return -_build(node.operand)
    return ast.literal_eval(node)
