"""Packages whose names are imported when they are first used.

`graphpe`, `graphpe.transforms` and `graphpe.models` import nothing by themselves: torch, PyG and numba take seconds,
which `graphpe --help` has no use for. What such a package offers is written once, as imports, in the `__init__.pyi`
beside its `__init__.py`: type checkers and editors read that, and so does this module.
"""

from __future__ import annotations

import ast
import importlib
import importlib.util
import sys
from pathlib import Path
from types import ModuleType
from typing import Any


class LazyPackage(ModuleType):
    """A package that imports a name of its stub, or a module of its own, when it is first asked for it."""

    def __getattr__(self, name: str) -> Any:
        source = self.__dict__["_sources"].get(name)
        if source is not None:
            value = getattr(importlib.import_module(source), name)
            setattr(self, name, value)
            return value
        if not name.startswith("_") and importlib.util.find_spec(f"{self.__name__}.{name}") is not None:
            return importlib.import_module(f"{self.__name__}.{name}")
        raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")

    def __setattr__(self, name: str, value: Any) -> None:
        # Python sets every imported module on its package: one that is named like what it offers must not hide that.
        if isinstance(value, ModuleType) and name in self.__dict__["_sources"]:
            return
        super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*self.__dict__, *self.__dict__["_sources"]})


def make_lazy(package: str) -> list[str]:
    """Let a package import the names of its `__init__.pyi` when they are used; returns those names, its `__all__`.

    Args:
        package: Name of the package.
    """
    module = sys.modules[package]
    sources = stub_imports(Path(str(module.__file__)).with_suffix(".pyi"))
    module.__dict__["_sources"] = sources
    module.__class__ = LazyPackage
    return list(sources)


def stub_imports(stub: Path) -> dict[str, str]:
    """The names that a stub (or a module) imports from others, and the module of each.

    Args:
        stub: The stub, or the module.
    """
    return {
        alias.asname or alias.name: str(node.module)
        for node in ast.parse(stub.read_text(encoding="utf-8")).body
        if isinstance(node, ast.ImportFrom)
        for alias in node.names
    }
