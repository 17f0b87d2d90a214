from __future__ import annotations

import ast
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import networkx as nx
import pytest

Tree = Callable[[dict[str, str | bytes]], Path]

MODULE = '''
import os


def parse_{0}(text, *, limit=10):
    """Parse {0}."""
    if not text:
        return parse_{0}(text.strip())
    return [int(part) for part in text.split({0!r})][:limit]


class {1}:
    @property
    def first_{0}(self):
        return self._items[0]

    @first_{0}.setter
    def first_{0}(self, value):
        self._items[0] = value

    def __init__(self, items):
        super().__init__()
        self._items = list(items)

        def add_{0}(item):
            self._items.append(item)

        self.add = add_{0}

    async def fetch_{0}(self):
        async for item in self:
            yield await item
'''


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    """Writes files below a folder, which it returns."""

    def write(files: dict[str, str | bytes]) -> Path:
        root = tmp_path / "source"
        for name, content in files.items():
            path = root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)
        return root

    return write


@pytest.fixture
def modules() -> dict[str, str]:
    """Ten modules of six functions each."""
    words = ("alpha", "beta", "gamma", "delta", "omega", "kappa", "sigma", "theta", "zeta", "iota")
    return {f"{word}.py": MODULE.format(word, word.title()) for word in words}


class ReferenceGraph(NamedTuple):
    types: list[str]
    attributes: list[str | None]
    depths: list[int]
    edges: list[tuple[int, int]]


def _attribute(node: ast.AST) -> str | None:
    """The first of six fields that is not None; two of them are aliases that Python 3.14 dropped."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        aliases = ("s", "n") if hasattr(ast.Constant, "s") else ("value",) * isinstance(node, ast.Constant)
        found = [getattr(node, key, None) for key in ("name", "arg", *aliases, "id", "attr")]
    return next((str(value) for value in found if value is not None), None)


def _reference(function: ast.AST, mask: str | None) -> ReferenceGraph:
    """A function's graph from the written description of OGB's format, node by node, with networkx."""
    graph, types, attributes, depths = nx.Graph(), [], [], []

    def visit(node: ast.AST, parent: int | None, depth: int) -> None:
        number = len(types)
        graph.add_node(number)
        if parent is not None:
            graph.add_edge(parent, number)
        types.append(type(node).__name__)
        attributes.append(_attribute(node))
        depths.append(depth)
        for child in ast.iter_child_nodes(node):
            visit(child, number, depth + 1)

    visit(ast.Module(body=[function], type_ignores=[]), None, 0)
    name = attributes[1]
    for number, (kind, attribute) in enumerate(zip(types, attributes, strict=True)):
        if attribute == name and (mask == "everywhere" or (mask == "definition" and "FunctionDef" in kind)):
            attributes[number] = "_mask_"
    return ReferenceGraph(types, attributes, depths, list(graph.edges()))


@pytest.fixture
def reference() -> Callable[[ast.AST, str | None], ReferenceGraph]:
    return _reference
