"""The text form of encodings, models and tasks: the Python call that builds them.

`"LaplacianPE(k=8)"` is a name and literals (`graphpe.calls`). Names are looked up in a package's public classes, and
among the user's own (`graphpe.benchmarks.calls.own`); capitals, `-` and `_` do not matter, so that `python-source`
finds `PythonSource`.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from graphpe.benchmarks.calls.own import plain_name, why_not
from graphpe.calls import Call, parameters_of, parse_call
from graphpe.errors import GraphPEValueError

NONE = "none"
"""What stands for no encoding."""

PUBLISHED = "published"
"""What stands for the encodings that a model is published with, else those that suit the task."""


def encoding_calls(texts: Sequence[str]) -> tuple[str, ...] | None:
    """The encodings that texts name, one or several joined by " + " in each.

    Returns:
        Their calls; () for "none", None for "published".

    Raises:
        GraphPEValueError: One of these two words stands beside another encoding, or a text names an encoder or a bias,
            as columns of a grid do.
    """
    parts = tuple(part.strip() for text in texts for part in text.split(" + "))
    for word, meaning in ((NONE, ()), (PUBLISHED, None)):
        if word in map(plain_name, parts):
            if len(parts) > 1:
                raise GraphPEValueError(f"encodings are {', '.join(parts)}: {word!r} stands alone, without the others")
            return meaning
    for part in parts:
        if " with " in part or " as " in part:
            raise GraphPEValueError(
                f"cannot read {part!r}: only columns of `graphpe grid` name an encoder or a bias; elsewhere they are "
                "options, --encoder and --bias"
            )
    return parts


def find_class(name: str, classes: Mapping[str, type], what: str) -> type:
    """The class of that name; capitals, `-` and `_` do not matter.

    Raises:
        GraphPEValueError: If there is none; the message lists those there are.
    """
    by_plain_name = {plain_name(key): key for key in classes}
    found = by_plain_name.get(plain_name(name))
    if found is None:
        if (why := why_not(name, what)) is not None:
            raise GraphPEValueError(why)
        close = difflib.get_close_matches(plain_name(name), list(by_plain_name), n=1)
        hint = f"; did you mean {by_plain_name[close[0]]}?" if close else ""
        raise GraphPEValueError(f"unknown {what} {name!r}; known: {', '.join(classes)}{hint}")
    return classes[found]


def bind(call: Call, constructor: type, *, without: Collection[str] = ()) -> dict[str, Any]:
    """The keyword arguments with which `call` builds `constructor`.

    Args:
        call: The parsed text.
        constructor: The class whose signature the arguments must fit.
        without: Parameters that are supplied from elsewhere, and not to be given in the text.

    Raises:
        GraphPEValueError: For an unknown, missing or repeated argument; the message lists the known ones.
    """
    known = {key: value for key, value in parameters_of(constructor).items() if key not in without}
    allowed = ", ".join(
        key if value.default is inspect.Parameter.empty else f"{key}={value.default!r}" for key, value in known.items()
    )
    name = constructor.__name__
    for key in call.kwargs:
        if key not in known:
            raise GraphPEValueError(f"{name} has no argument {key!r}; it takes {allowed or 'none'}")
    free = sum(value.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD for value in known.values())
    if len(call.args) > free and len(call.args) <= len(known):
        named = Call(name, (), {**dict(zip(known, call.args, strict=False)), **call.kwargs})
        raise GraphPEValueError(
            f"{call} gives {len(call.args)} arguments without a name, and {name} takes {free} so: name them, {named}"
        )
    try:
        bound = inspect.Signature(list(known.values())).bind(*call.args, **call.kwargs)
    except TypeError as error:
        raise GraphPEValueError(f"{name}: {error}; it takes {allowed or 'none'}") from None
    return dict(bound.arguments)


def build(text: str, classes: Mapping[str, type], what: str) -> Any:
    """Build the object a text names: `build("LaplacianPE(k=8)", encodings, "encoding")`."""
    call = parse_call(text)
    constructor = find_class(call.name, classes, what)
    return constructor(**bind(call, constructor))
