"""Python calls in texts, parsed and never evaluated: a name and its arguments."""

from __future__ import annotations

import ast
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from graphpe.errors import GraphPEValueError

LARGEST = 2**63 - 1
"""The largest whole number that arrays and generators of random numbers take."""

UNREADABLE = (SyntaxError, ValueError, TypeError, MemoryError, RecursionError)
"""What Python raises for texts that it cannot parse."""

_NAME_AND_ARGUMENTS = re.compile(r"\s*([A-Za-z][\w-]*)\s*(\(.*\))?\s*", re.DOTALL)


@dataclass(frozen=True)
class Call:
    """A name with literal arguments."""

    name: str
    args: tuple[Any, ...]
    kwargs: dict[str, Any]

    def __str__(self) -> str:
        parts = [repr(value) for value in self.args] + [f"{key}={value!r}" for key, value in self.kwargs.items()]
        return f"{self.name}({', '.join(parts)})"


def parse_call(text: str) -> Call:
    """Parse `Name`, `Name()` or `Name(literal, key=literal)`; a name may hold `-`.

    Raises:
        GraphPEValueError: If the text is not of that form.
    """
    match = _NAME_AND_ARGUMENTS.fullmatch(text)
    if match is None:
        raise GraphPEValueError(f'cannot read {text!r}: write a name with arguments, such as "LaplacianPE(k=8)"')
    name, arguments = match.groups()
    try:
        node = ast.parse(f"_{arguments or '()'}", mode="eval").body
        if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
            raise ValueError("not a call")
        args, kwargs = read_arguments(node, ast.literal_eval)
    except UNREADABLE:
        raise GraphPEValueError(
            f"cannot read the arguments of {text!r}: they must be literals, such as (k=8, sign='none')"
        ) from None
    for value in (*args, *kwargs.values()):
        if isinstance(value, int) and abs(value) > LARGEST:
            raise GraphPEValueError(f"{name} has the argument {value}; it must be at most {LARGEST}")
    return Call(name, args, kwargs)


def read_arguments(call: ast.Call, read: Callable[[ast.expr], Any]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """The arguments of a call without and with names.

    Args:
        call: The parsed call.
        read: Gives the value of one argument.

    Raises:
        ValueError: An argument is starred, or one with a name is there twice.
    """
    if any(isinstance(value, ast.Starred) for value in call.args):
        raise ValueError("starred arguments")
    kwargs: dict[str, Any] = {}
    for keyword in call.keywords:
        if keyword.arg is None or keyword.arg in kwargs:
            raise ValueError("repeated or starred arguments")
        kwargs[keyword.arg] = read(keyword.value)
    return tuple(map(read, call.args)), kwargs


def parameters_of(constructor: type) -> dict[str, inspect.Parameter]:
    """The parameters of a class by name; where it passes `**others` on, those of the class that it derives from, too.

    Args:
        constructor: The class.
    """
    parameters = inspect.signature(constructor).parameters.values()
    starred = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
    found = {each.name: each for each in parameters if each.kind not in starred}
    if any(each.kind is inspect.Parameter.VAR_KEYWORD for each in parameters):
        _, *others = (base for base in constructor.__mro__ if "__init__" in vars(base))
        for each in parameters_of(others[0]).values() if others else ():
            found.setdefault(each.name, each.replace(kind=inspect.Parameter.KEYWORD_ONLY))
    return found
