"""Checks of arguments, one for each kind, with the same messages and types of errors everywhere.

What is of a wrong type (`4.0`, `"4"` or `True` for a count) is a `GraphPETypeError`; what is of the right type and out
of range a `GraphPEValueError`. NumPy's numbers count as Python's, and are returned as Python's.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from graphpe.errors import GraphPETypeError, GraphPEValueError


def check_integer(name: str, value: Any, *, least: int | None = None, most: int | None = None) -> int:
    """An integer of Python or NumPy, but no bool.

    Args:
        name: What the message calls it.
        value: The argument.
        least: The smallest that is accepted.
        most: The largest.

    Raises:
        GraphPETypeError: It is not an integer.
        GraphPEValueError: It is out of range.
    """
    if not isinstance(value, int | np.integer) or isinstance(value, bool):
        raise GraphPETypeError(f"{name} must be an integer, got {shown(value)}")
    number = int(value)
    if (least is not None and number < least) or (most is not None and number > most):
        raise GraphPEValueError(f"{name} must be {_range(least, most)}, got {shown(number)}")
    return number


def check_counts(**values: Any) -> tuple[int, ...]:
    """Positive integers, each by its name; errors as in `check_integer`.

    Args:
        **values: The arguments, by the names that messages use.
    """
    return tuple(check_integer(name, value, least=1) for name, value in values.items())


def check_seed(seed: Any) -> int:
    """A seed: an integer from 0 to 2^64 - 1, as NumPy and torch take; errors as in `check_integer`.

    Args:
        seed: The argument.
    """
    return check_integer("seed", seed, least=0, most=2**64 - 1)


def check_number(name: str, value: Any, *, least: float | None = None, most: float | None = None) -> float:
    """A finite real number of Python or NumPy, but no bool.

    Args:
        name: What the message calls it.
        value: The argument.
        least: The smallest that is accepted.
        most: The largest.

    Raises:
        GraphPETypeError: It is not a number.
        GraphPEValueError: It is not finite, or out of range.
    """
    if not isinstance(value, int | float | np.integer | np.floating) or isinstance(value, bool):
        raise GraphPETypeError(f"{name} must be a number, got {shown(value)}")
    try:
        number = float(value)
    except OverflowError:
        number = math.inf
    if not math.isfinite(number):
        raise GraphPEValueError(f"{name} must be finite, got {shown(value)}")
    if (least is not None and number < least) or (most is not None and number > most):
        raise GraphPEValueError(f"{name} must be {_range(least, most)}, got {shown(value)}")
    return number


def check_not_negative(**values: Any) -> tuple[float, ...]:
    """Finite numbers from 0 on, each by its name; errors as in `check_number`.

    Args:
        **values: The arguments, by the names that messages use.
    """
    return tuple(check_number(name, value, least=0) for name, value in values.items())


def check_positive(**values: Any) -> tuple[float, ...]:
    """Finite numbers above 0, each by its name; errors as in `check_number`."""
    for name, value in values.items():
        if check_number(name, value) <= 0:
            raise GraphPEValueError(f"{name} must be positive, got {shown(value)}")
    return tuple(float(value) for value in values.values())


def check_probabilities(**values: Any) -> tuple[float, ...]:
    """Numbers in [0, 1), each by its name, such as of dropout; errors as in `check_number`.

    Args:
        **values: The arguments, by the names that messages use.
    """
    for name, value in values.items():
        if check_number(name, value) < 0 or value >= 1:
            raise GraphPEValueError(f"{name} must be a number in [0, 1), got {shown(value)}")
    return tuple(float(value) for value in values.values())


def check_flags(**values: Any) -> tuple[bool, ...]:
    """Truth values of Python or NumPy, each by its name.

    Args:
        **values: The arguments, by the names that messages use.

    Raises:
        GraphPETypeError: One is neither True nor False.
    """
    for name, value in values.items():
        if not isinstance(value, bool | np.bool_):
            raise GraphPETypeError(f"{name} must be True or False, got {shown(value)}")
    return tuple(bool(value) for value in values.values())


def check_choice(name: str, value: Any, known: Sequence[Any]) -> Any:
    """One of the known values.

    Args:
        name: What the message calls it.
        value: The argument.
        known: The values that are accepted.

    Raises:
        GraphPEValueError: It is none of them.
    """
    if not any(value is each or (isinstance(value, type(each)) and value == each) for each in known):
        raise GraphPEValueError(f"{name} must be one of {', '.join(map(repr, known))}, got {shown(value)}")
    return value


def check_fanouts(fanouts: Any) -> tuple[int, ...]:
    """Numbers of neighbours that are drawn in each hop: positive integers, or -1 for all.

    Args:
        fanouts: The numbers, in a list or tuple.

    Raises:
        GraphPETypeError: One is no integer.
        GraphPEValueError: There are none, or one is neither positive nor -1.
    """
    if not isinstance(fanouts, list | tuple) or not fanouts:
        raise GraphPEValueError(
            f"fanout must be one number of neighbours for each hop, such as (15, 10, 5), got {shown(fanouts)}"
        )
    found = tuple(check_integer("fanout", each, least=-1) for each in fanouts)
    if 0 in found:
        raise GraphPEValueError(f"fanout must be positive, or -1 for all neighbours, got {list(found)}")
    return found


def check_divides(heads: int, width: int) -> None:
    """Heads of equal width: `heads` divides `width`.

    Args:
        heads: Number of heads.
        width: Width of all heads together.

    Raises:
        GraphPEValueError: It does not.
    """
    if width % heads:
        raise GraphPEValueError(f"width must be a multiple of heads, got width={width}, heads={heads}")


def _range(least: float | None, most: float | None) -> str:
    if most is None:
        return f"from {least} on"
    return f"at most {most}" if least is None else f"from {least} to {most}"


def shown(value: Any) -> str:
    """A value in a message, on one line and not too long."""
    text = " ".join(repr(value).split())
    return text if len(text) <= 80 else f"{text[:77]}..."
