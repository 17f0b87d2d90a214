from __future__ import annotations

import ast
import importlib
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

import graphpe
import graphpe.limits
from graphpe.lazy import stub_imports

LAZY = ("graphpe", "graphpe.transforms", "graphpe.models")


@pytest.mark.parametrize("package", LAZY)
def test_every_name_of_the_stub_is_there(package: str) -> None:
    module = importlib.import_module(package)
    sources = stub_imports(Path(str(module.__file__)).with_suffix(".pyi"))
    assert sources
    assert module.__all__ == list(sources)
    for name, source in sources.items():
        assert getattr(module, name) is getattr(importlib.import_module(source), name), name
        assert name in dir(module)


@pytest.mark.parametrize("package", LAZY)
def test_the_stub_reexports_every_name(package: str) -> None:
    # `import name as name` is what makes a name of a stub public to type checkers.
    stub = Path(str(importlib.import_module(package).__file__)).with_suffix(".pyi")
    imports = [node for node in ast.parse(stub.read_text()).body if isinstance(node, ast.ImportFrom)]
    assert all(alias.asname == alias.name for node in imports for alias in node.names)


def test_a_module_never_hides_a_function_of_its_name() -> None:
    assert "graphpe.limits" in sys.modules
    assert not isinstance(graphpe.limits, ModuleType)


def test_modules_of_a_package_are_its_attributes() -> None:
    assert graphpe.trees.Exponential.__module__ == "graphpe.trees.functions.closed_form"


def test_an_unknown_name() -> None:
    with pytest.raises(AttributeError, match=r"module 'graphpe' has no attribute 'laplacain'"):
        _ = graphpe.laplacain  # type: ignore[attr-defined]


def test_importing_the_packages_imports_nothing_heavy() -> None:
    code = (
        "import sys, graphpe, graphpe.transforms, graphpe.models; "
        "print([name for name in ('torch', 'torch_geometric', 'numba', 'scipy', 'matplotlib') if name in sys.modules])"
    )
    printed = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert printed == "[]\n"
