"""The text form of encodings, models and tasks: the Python call that builds them.

`"LaplacianPE(k=8)"` is parsed as a name and literals (`ast.literal_eval`), never evaluated. Names are looked up in a
package's public classes; capitals, `-` and `_` do not matter, so that `python-source` finds `PythonSource`.
"""

from __future__ import annotations

import ast
import difflib
import inspect
import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Any

from graphpe.errors import GraphPEValueError

NONE = "none"
"""What stands for no encoding."""

PUBLISHED = "published"
"""What stands for the encodings that a model is published with, else those that suit the task."""

_NAME_AND_ARGUMENTS = re.compile(r"\s*([A-Za-z][\w-]*)\s*(\(.*\))?\s*", re.DOTALL)


LARGEST = 2**63 - 1
"""The largest whole number that arrays and generators of random numbers take."""


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
    """Parse `Name`, `Name()` or `Name(literal, key=literal)`.

    Raises:
        GraphPEValueError: If the text is not of that form.
    """
    match = _NAME_AND_ARGUMENTS.fullmatch(text)
    if match is None:
        raise GraphPEValueError(f'cannot read {text!r}: write a name with arguments, such as "LaplacianPE(k=8)"')
    name, arguments = match.groups()
    try:
        call = ast.parse(f"_{arguments or '()'}", mode="eval").body
        if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
            raise ValueError("not a call")
        if any(isinstance(value, ast.Starred) for value in call.args):
            raise ValueError("starred arguments")
        args = tuple(ast.literal_eval(value) for value in call.args)
        kwargs = {}
        for keyword in call.keywords:
            if keyword.arg is None or keyword.arg in kwargs:
                raise ValueError("repeated or starred arguments")
            kwargs[keyword.arg] = ast.literal_eval(keyword.value)
    except (SyntaxError, ValueError, TypeError, MemoryError, RecursionError):
        raise GraphPEValueError(
            f"cannot read the arguments of {text!r}: they must be literals, such as (k=8, sign='none')"
        ) from None
    for value in (*args, *kwargs.values()):
        if isinstance(value, int) and abs(value) > LARGEST:
            raise GraphPEValueError(f"{name} has the argument {value}; it must be at most {LARGEST}")
    return Call(name, args, kwargs)


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
        if word in map(_plain, parts):
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


def _plain(name: str) -> str:
    return re.sub(r"[-_]", "", name).lower()


def find_class(name: str, classes: Mapping[str, type], what: str) -> type:
    """The class of that name; capitals, `-` and `_` do not matter.

    Raises:
        GraphPEValueError: If there is none; the message lists those there are.
    """
    by_plain_name = {_plain(key): value for key, value in classes.items()}
    found = by_plain_name.get(_plain(name))
    if found is None:
        close = difflib.get_close_matches(_plain(name), list(by_plain_name), n=1)
        hint = next((f"; did you mean {key}?" for key in classes if close and _plain(key) == close[0]), "")
        raise GraphPEValueError(f"unknown {what} {name!r}; known: {', '.join(classes)}{hint}")
    return found


def bind(call: Call, constructor: type, *, without: Collection[str] = ()) -> dict[str, Any]:
    """The keyword arguments with which `call` builds `constructor`.

    Args:
        call: The parsed text.
        constructor: The class whose signature the arguments must fit.
        without: Parameters that are supplied from elsewhere, and not to be given in the text.

    Raises:
        GraphPEValueError: For an unknown, missing or repeated argument; the message lists the known ones.
    """
    signature = inspect.signature(constructor)
    known = {key: value for key, value in signature.parameters.items() if key not in without}
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
        bound = signature.replace(parameters=list(known.values())).bind(*call.args, **call.kwargs)
    except TypeError as error:
        raise GraphPEValueError(f"{name}: {error}; it takes {allowed or 'none'}") from None
    return dict(bound.arguments)


def build(text: str, classes: Mapping[str, type], what: str) -> Any:
    """Build the object a text names: `build("LaplacianPE(k=8)", encodings, "encoding")`."""
    call = parse_call(text)
    constructor = find_class(call.name, classes, what)
    return constructor(**bind(call, constructor))


def public_classes(package: ModuleType, base: type) -> dict[str, type]:
    """The public classes of a package (its `__all__`) that derive from `base`, by name, in alphabetical order."""
    members = ((name, getattr(package, name)) for name in sorted(package.__all__, key=str.lower))
    return {
        name: member
        for name, member in members
        if isinstance(member, type) and issubclass(member, base) and not inspect.isabstract(member)
    }
