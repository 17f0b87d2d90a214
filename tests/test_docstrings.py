"""Every public function, class and method says what it does, itself or through the class that asks for it.

What users call, the names that a package lists, says of every parameter what it is.
"""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from types import FunctionType, MethodType
from typing import Any

import pytest

from .test_house import modules

MODULES = sorted(name for name in modules() if name)


def told(owner: type, name: str) -> bool:
    """Whether the class or one that it follows documents a member."""
    return any(getattr(base.__dict__.get(name), "__doc__", None) for base in owner.__mro__)


def silent(module: Any) -> Iterator[str]:
    for name, thing in vars(module).items():
        if name.startswith("_") or getattr(thing, "__module__", None) != module.__name__:
            continue
        if isinstance(thing, FunctionType) and not thing.__doc__:
            yield name
        if inspect.isclass(thing):
            for member, value in vars(thing).items():
                if isinstance(value, FunctionType | property | classmethod | staticmethod):
                    if not member.startswith("_") and not told(thing, member):
                        yield f"{name}.{member}"


@pytest.mark.parametrize("room", sorted({name.split(".")[0] for name in MODULES}))
def test_nothing_public_is_silent(room: str) -> None:
    found = {
        name: list(silent(importlib.import_module(f"graphpe.{name}"))) for name in MODULES if name.split(".")[0] == room
    }
    assert {name: names for name, names in found.items() if names} == {}


ROOMS = (
    *("", "transforms", "models", "models.attention", "models.encoders"),
    *("eigen", "eigen.solvers", "trees", "benchmarks.tasks"),
)


def parameters(function: Any) -> list[str]:
    return [name for name in inspect.signature(function).parameters if name != "self" and not name.startswith("_")]


def listed(docs: list[str | None], names: list[str]) -> bool:
    """Whether one of the docstrings lists all the names under `Args`, or as attributes, fields of a dataclass."""
    for doc in docs:
        for head in ("Args", "Attributes"):
            _, _, rest = inspect.cleandoc(doc or "").partition(f"{head}:\n")
            lines = rest.partition("\n\n")[0].splitlines()
            if all(any(line.startswith(f"    {name}: ") for line in lines) for name in names):
                return True
    return False


def untold(thing: Any) -> Iterator[str]:
    """The constructor, the methods and the function whose parameters are not listed."""
    if isinstance(thing, FunctionType) and not listed([thing.__doc__], parameters(thing)):
        yield thing.__name__
    if not inspect.isclass(thing) or issubclass(thing, BaseException) or getattr(thing, "_is_protocol", False):
        return
    if "__init__" in vars(thing) and not listed([each.__doc__ for each in thing.__mro__], parameters(thing)):
        yield thing.__name__
    for name in vars(thing):
        method = inspect.unwrap(getattr(thing, name))
        if name.startswith("_") or not isinstance(method, FunctionType | MethodType):
            continue
        if not listed([getattr(vars(base).get(name), "__doc__", None) for base in thing.__mro__], parameters(method)):
            yield f"{thing.__name__}.{name}"


@pytest.mark.parametrize("room", ROOMS)
def test_what_users_call_lists_its_parameters(room: str) -> None:
    module = importlib.import_module(f"graphpe.{room}".rstrip("."))
    assert [text for name in module.__all__ for text in untold(getattr(module, name))] == []
