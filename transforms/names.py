"""Names under which values are written, and numbers of columns."""

from __future__ import annotations

from typing import Any

from graphpe.arguments import check_integer
from graphpe.errors import GraphPETypeError, GraphPEValueError

MAX_COLUMNS = 4096
"""The most eigenvectors or steps that an encoding accepts; a larger number is taken for a mistake."""

# PyG reads meaning into parts of a name: it shifts what is named *index* or *batch*, stacks *adj*, counts *node* and
# *edge*.
_MEANINGFUL = ("index", "batch", "adj", "node", "edge")
_TAKEN = ("x", "y", "pos", "face", "time", "ptr", "max_size", "num_pairs", "norm", "num_classes", "keys")


def check_count(name: str, value: Any) -> int:
    """A number of columns: an integer from 1 to `MAX_COLUMNS`.

    Args:
        name: What the message calls it.
        value: The argument.
    """
    return check_integer(name, value, least=1, most=MAX_COLUMNS)


def check_attr_name(attr_name: Any) -> str | None:
    """Where values of nodes go: a name under which PyG keeps a tensor as it is, `x`, or None for behind `x`.

    Args:
        attr_name: The argument.
    """
    return (
        attr_name if attr_name is None or (isinstance(attr_name, str) and attr_name == "x") else _check_name(attr_name)
    )


def check_own_name(attr_name: Any, what: str) -> str:
    """A name of its own for values that cannot stand in `x`.

    Args:
        attr_name: The argument.
        what: What they are.
    """
    if attr_name is None or (isinstance(attr_name, str) and attr_name == "x"):
        raise GraphPEValueError(f"attr_name={attr_name!r} means x, where {what} have no place: give another name")
    return _check_name(attr_name)


def stem_of(attr_name: str | None, default: str) -> str:
    """What the names of values beside an encoding begin with: its name, or the default where it stands in `x`.

    Args:
        attr_name: Where the encoding stands.
        default: What they begin with otherwise.
    """
    return default if attr_name is None or attr_name == "x" else attr_name


def _check_name(attr_name: Any) -> str:
    if not isinstance(attr_name, str):
        raise GraphPETypeError(f"attr_name must be a string, got {attr_name!r}")
    part = next((part for part in _MEANINGFUL if part in attr_name), None)
    if part is not None:
        raise GraphPEValueError(
            f"attr_name {attr_name!r} contains {part!r}, which PyG reads meaning into: choose another"
        )
    if not attr_name.isidentifier() or attr_name.startswith("_") or attr_name in _TAKEN:
        raise GraphPEValueError(f"attr_name {attr_name!r} is not a free name of an attribute: choose another")
    return attr_name
