"""Every public function, class and method says what it does, itself or through the class that asks for it."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from types import FunctionType
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
