from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Callable

import pytest
from hypothesis import strategies as st

from graphpe.benchmarks.tasks.code.dataflow.edge_types import EDGE_TYPES
from graphpe.benchmarks.tasks.code.dataflow.graph import function_edges

Edges = set[tuple[int, int, str]]


def _pre_order(node: ast.AST) -> list[ast.AST]:
    return [node] + [below for child in ast.iter_child_nodes(node) for below in _pre_order(child)]


def _edges(function: ast.AST, *, is_method: bool = False) -> Edges:
    nodes = _pre_order(function)
    number = {id(node): index for index, node in enumerate(nodes)}
    found = function_edges(function, number, is_method=is_method)
    return {(id(nodes[source]), id(nodes[target]), EDGE_TYPES[kind]) for source, target, kind in found}


@pytest.fixture
def edges_of() -> Callable[..., Edges]:
    """The edges of a function, between the `id`s of its nodes."""
    return _edges


def _word(node: ast.AST) -> str:
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        return f"def {node.name}"
    if isinstance(node, ast.expr):
        return ast.unparse(node)
    if isinstance(node, ast.alias):
        return node.asname or node.name
    for key in ("arg", "name", "rest"):
        if isinstance(getattr(node, key, None), str):
            return getattr(node, key)
    return type(node).__name__.lower()


def _readable(source: str, kind: str, *, is_method: bool = False) -> set[str]:
    """Edges of one type as `word:line -> word:line`; the second of the same words in a line has a prime, and so on."""
    function = ast.parse(source).body[0]
    labels, seen = {}, Counter()
    for node in _pre_order(function):
        text = f"{_word(node)}:{getattr(node, 'lineno', '')}"
        if isinstance(node, ast.match_case):
            text = f"case:{node.pattern.lineno}"
        labels[id(node)] = text + "'" * seen[text]
        seen[text] += 1
    found = _edges(function, is_method=is_method)
    return {f"{labels[source]} -> {labels[target]}" for source, target, its in found if its == kind}


@pytest.fixture
def readable() -> Callable[..., set[str]]:
    return _readable


# Random small functions as source.

_NAMES = ("a", "b", "c")


@st.composite
def _expressions(draw, depth: int = 0) -> str:
    name, other = draw(st.sampled_from(_NAMES)), draw(st.sampled_from(_NAMES))
    if depth > 1:
        return name
    inner = _expressions(depth + 1)
    kind = draw(st.integers(0, 9))
    if kind == 0:
        return f"({name} := {draw(inner)})"
    if kind == 1:
        return f"({draw(inner)} and {draw(inner)} or {draw(inner)})"
    if kind == 2:
        return f"({draw(inner)} if {draw(inner)} else {draw(inner)})"
    if kind == 3:
        return f"[{draw(inner)} for i in ({name}, {other}) if {draw(inner)}]"
    return f"{name} + {other}" if kind < 7 else name


@st.composite
def _blocks(draw, depth: int = 0, in_loop: bool = False) -> list[str]:
    lines: list[str] = []
    for _ in range(draw(st.integers(1, 4 - depth))):
        name, value = draw(st.sampled_from(_NAMES)), draw(_expressions())
        choice = draw(st.integers(0, 19 if depth < 2 else 8))

        def inside(*, loop: bool = in_loop) -> list[str]:
            return ["    " + line for line in draw(_blocks(depth + 1, loop))]

        if choice <= 2:
            lines.append(f"{name} = {value}")
        elif choice == 3:
            lines.append(f"{name} += {value}")
        elif choice == 4:
            lines.append(f"{name}.x = {value}")
        elif choice == 5:
            lines.append(f"{value}")
        elif choice == 6:
            lines.append(f"del {name}")
        elif choice == 7 and not in_loop:
            lines.append("return")
        elif choice == 7:
            lines += [f"if {value}:", f"    {draw(st.sampled_from(['break', 'continue']))}"]
        elif choice == 8:
            lines.append(draw(st.sampled_from(["return", "raise"])))
        elif choice <= 11:
            lines += [f"if {value}:", *inside()]
            if draw(st.booleans()):
                lines += [f"elif {draw(_expressions())}:", *inside()]
            if draw(st.booleans()):
                lines += ["else:", *inside()]
        elif choice <= 13:
            lines += [f"while {draw(st.sampled_from([value, 'True']))}:", *inside(loop=True)]
            if draw(st.booleans()):
                lines += ["else:", *inside()]
        elif choice <= 15:
            lines += [f"for {name} in {value}:", *inside(loop=True)]
            if draw(st.booleans()):
                lines += ["else:", *inside()]
        elif choice <= 17:
            final = draw(st.booleans())
            # What jumps out of a `try` with `finally` shares what exceptions see there: loops inside may jump.
            lines += ["try:", *inside(loop=in_loop and not final)]
            if draw(st.booleans()) or not final:
                lines += [f"except E as {name}:", *inside(loop=in_loop and not final)]
                if draw(st.booleans()):
                    lines += ["else:", *inside(loop=in_loop and not final)]
            if final:
                lines += ["finally:", *inside()]
        elif choice == 18:
            lines += [f"with {value} as {name}:", *inside()]
        else:
            lines += [f"match {value}:", f"    case [{name}]:", *("    " + line for line in inside())]
            if draw(st.booleans()):
                lines += [f"    case {draw(st.sampled_from(['_', 'b', '[c] if c']))}:", "        a"]
    return lines


@st.composite
def _functions(draw) -> str:
    return "\n".join(["def f(a, b):", *("    " + line for line in draw(_blocks()))])


@pytest.fixture
def functions() -> st.SearchStrategy[str]:
    """Source of functions with every kind of statement, without jumps through `finally`."""
    return _functions()
