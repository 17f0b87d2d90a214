from __future__ import annotations

import ast
import contextlib
import random
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from graphpe.benchmarks.tasks.code.source.parse import outermost_functions

STDLIB = Path(sysconfig.get_paths()["stdlib"])
MODULES = ["asyncio/tasks.py", "argparse.py", "dataclasses.py", "tokenize.py"]
OPTIONS = {"deadline": None, "suppress_health_check": list(HealthCheck), "phases": [Phase.explicit, Phase.generate]}


def library() -> Iterator[ast.AST]:
    for name in MODULES:
        yield from outermost_functions(ast.parse((STDLIB / name).read_bytes()))


def blocks(function: ast.AST) -> Iterator[list[ast.stmt]]:
    for node in ast.walk(function):
        for field in ("body", "orelse", "finalbody"):
            block = getattr(node, field, None)
            if isinstance(block, list) and block:
                yield block


def independent(function: ast.AST, edges) -> list[tuple[list[ast.stmt], int]]:
    """Neighbours without an edge: with nothing between them, that is without a path."""
    ordered = {(source, target) for source, target, kind in edges if kind == "CFG_NEXT"}
    return [
        (block, index)
        for block in blocks(function)
        for index in range(len(block) - 1)
        if (id(block[index]), id(block[index + 1])) not in ordered
    ]


def swap(block: list[ast.stmt], index: int) -> None:
    block[index], block[index + 1] = block[index + 1], block[index]


def test_swapping_independent_statements_changes_no_edge_of_the_library(edges_of):
    choose, swaps = random.Random(0), 0
    for function in library():
        edges = before = edges_of(function)
        for _ in range(3):
            pairs = independent(function, edges)
            if not pairs:
                break
            swap(*choose.choice(pairs))
            edges = edges_of(function)
            assert edges == before, ast.unparse(function)
            swaps += 1
    assert swaps > 100


@settings(max_examples=100, **OPTIONS)
@given(data=st.data())
def test_swapping_independent_statements_changes_no_edge(edges_of, functions, data):
    function = ast.parse(data.draw(functions)).body[0]
    before = edges_of(function)
    for pair in independent(function, before):
        swap(*pair)
        assert edges_of(function) == before, ast.unparse(function)
        swap(*pair)


STATEMENTS = [
    "a = b + c",
    "b = a",
    "c += a",
    "a, b = b, a",
    "d = [a, b]",
    "d[0] = c",
    "c = d[0]",
    "d.append(a)",
    "e = d",
    "log(a)",
    "log(len(d))",
    "b = read()",
    "set_shared(c)",
    "c = shared",
    "shared = a",
    "if a > b: a = b",
    "if c: log(b)",
    "for i in range(3): a += i",
    "for i in list(d): b = i",
    "while b > 5:\n    b //= 2",
    "for i in (a, b):\n    if i > 3: break\n    c = i",
    "try:\n    c = e[1]\nexcept TypeError:\n    log(0)",
    "(c := a) and (b := c)",
    "e = (lambda: a)()",
    "assert a != 7",
    "if b == 9: return",
    "del e[:]",
    "with suppress(IndexError): c = e[2]",
    "c = sum(i for i in d)",
]


@settings(max_examples=150, **OPTIONS)
@given(st.lists(st.sampled_from(STATEMENTS), min_size=2, max_size=6))
def test_swapping_independent_statements_changes_no_result(edges_of, statements):
    """Programs are run, each order for itself; only which error comes first may differ."""
    source = [
        "def f(out, state):",
        " shared, i = 1, 0",
        " log = out.append",
        " def read():",
        "  out.append('read')",
        "  return len(out) + shared",
        " def set_shared(value):",
        "  nonlocal shared",
        "  shared = value",
        " a, b, c, d, e = 1, 2, 3, [1, 2], [4]",
        " try:",
        *(f"  {line}" for statement in statements for line in statement.splitlines()),
        " finally:",
        "  state.update(a=a, b=b, c=c, d=d, e=e, shared=shared)",
    ]
    module = ast.parse("\n".join(source))
    function = module.body[0]
    block = function.body[-1].body
    aliased = any("e = d" in statement or "d = [" in statement for statement in statements)
    expected = results(module)
    for pair in independent(function, edges_of(function)):
        if pair[0] is not block or aliased:  # a second name of an object is not followed
            continue
        swap(*pair)
        found = results(module)
        assert found == expected or None in (found[2], expected[2]), ast.unparse(function)
        swap(*pair)


def results(module: ast.Module) -> tuple[list, dict, bool | None]:
    scope: dict = {"suppress": contextlib.suppress}
    exec(compile(ast.fix_missing_locations(module), "<test>", "exec"), scope)
    out: list = []
    state: dict = {}
    try:
        scope["f"](out, state)
    except Exception:
        return out, state, None
    return out, state, True


class Rename(ast.NodeTransformer):
    """Other names for everything, in place."""

    def visit(self, node: ast.AST) -> ast.AST:
        for field in ("id", "arg", "name", "rest"):
            value = getattr(node, field, None)
            if isinstance(value, str) and not isinstance(node, ast.keyword | ast.alias):
                setattr(node, field, f"{value}_")
        if isinstance(node, ast.Global | ast.Nonlocal):
            node.names = [f"{name}_" for name in node.names]
        if isinstance(node, ast.alias) and node.name != "*":
            node.asname = (node.asname or node.name.partition(".")[0]) + "_"
        return self.generic_visit(node)


def test_names_do_not_matter(edges_of):
    functions = list(library())
    for function in functions:
        before = edges_of(function)
        assert edges_of(Rename().visit(function)) == before, ast.unparse(function)
    assert len(functions) > 200


def test_a_nested_function_is_a_part_of_the_outer_graph(edges_of):
    """Its edges are those that it has on its own."""
    found = 0
    for function in library():
        whole = edges_of(function)
        for holder in ast.walk(function):
            for nested in ast.iter_child_nodes(holder):
                if isinstance(nested, ast.FunctionDef | ast.AsyncFunctionDef) and nested is not function:
                    ids = {id(node) for node in ast.walk(nested)} - {id(node) for node in shared(function)}
                    inside = {edge for edge in whole if edge[0] in ids and edge[1] in ids}
                    assert edges_of(nested, is_method=isinstance(holder, ast.ClassDef)) == inside
                    found += 1
    assert found > 20


def shared(function: ast.AST) -> list[ast.AST]:
    """Contexts and operators: one node each for all of a kind."""
    levels = ast.expr_context | ast.operator | ast.unaryop | ast.boolop | ast.cmpop
    return [node for node in ast.walk(function) if isinstance(node, levels)]
