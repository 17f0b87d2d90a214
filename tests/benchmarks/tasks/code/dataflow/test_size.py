from __future__ import annotations

import ast
import sys
import sysconfig
from pathlib import Path

import pytest

from graphpe.benchmarks.tasks.code.dataflow.edge_types import EDGE_TYPES
from graphpe.benchmarks.tasks.code.dataflow.graph import function_edges
from graphpe.benchmarks.tasks.code.source.parse import ParsedFile, outermost_functions
from graphpe.benchmarks.tasks.code.source.read import parse_file

STDLIB = Path(sysconfig.get_paths()["stdlib"])

LONG = {
    "a chain": "x = x + {i}",
    "independent": "x{i} = a",
    "calls": "a.b({i})",
    "attributes": "a.b{i} = x",
    "conditions": "if a: x = {i}\n y = x",
    "returns": "if a: return x",
    "names that meet": "if a: x{i} = a\n else: y{i} = x",
    "objects of all names": "a{i}.b = x",
    "nested functions": "def g{i}(): return a, x\n g{i}()",
    "one function, many calls": "def g(): return a\n g()",
    "comprehensions": "x = [i for i in x if (y := i)]",
    "handlers": "try: x = {i}\n except a: y = x",
}


def cost_of(body: str, statements: int, before: str = "") -> tuple[int, int, int]:
    """Calls of functions, edges and nodes."""
    count = body.count("\n") + body.count(":") + 1
    lines = [body.format(i=i) for i in range(statements // count)]
    text = "\n".join(["def f(a, x):", *(f" {line}" for line in ([before] if before else []) + lines)])
    if before:
        text = text.replace("\n ", "\n  ").replace(f"\n  {before}", f"\n {before}")
    function = ast.parse(text).body[0]
    nodes = list(ast.walk(function))
    number = {id(node): index for index, node in enumerate(nodes)}
    calls = 0

    def count_calls(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event.endswith("call")

    before_this = sys.getprofile()
    sys.setprofile(count_calls)
    try:
        edges = function_edges(function, number, is_method=False)
    finally:
        sys.setprofile(before_this)
    return calls, len(set(edges)), len(nodes)


@pytest.mark.parametrize("before", ["", "while a:"])
@pytest.mark.parametrize("name", LONG)
def test_five_thousand_statements_cost_what_they_should(name, before):
    calls, edges, nodes = cost_of(LONG[name], 5_000, before)
    fewer, few, _ = cost_of(LONG[name], 625, before)
    assert edges < 10 * few
    assert edges < 8 * nodes
    assert calls < 10 * fewer


def test_a_chain_of_elif_and_deep_nesting():
    chain = "def f(x):\n if x: a = 1\n" + "".join(f" elif x: a{i} = x\n" for i in range(900)) + " else: b = 1\n"
    function = ast.parse(chain).body[0]
    number = {id(node): index for index, node in enumerate(ast.walk(function))}
    found = {kind for _, _, kind in function_edges(function, number, is_method=False)}
    assert EDGE_TYPES.index("LAST_WRITE") in found
    for deep in ("x" + ".a()" * 900, "[" * 90 + "x" + "]" * 90, "not " * 500 + "x", "lambda: " * 90 + "x"):
        function = ast.parse(f"def f(x):\n return {deep}").body[0]
        number = {id(node): index for index, node in enumerate(ast.walk(function))}
        assert len(function_edges(function, number, is_method=False)) >= 2


def check(paths: list[Path]) -> int:
    functions = 0
    for path in paths:
        plain, flow = parse_file(path), parse_file(path, dataflow=True)
        if isinstance(plain, str):
            assert plain == flow
            continue
        assert isinstance(flow, ParsedFile)
        assert flow.strings == plain.strings
        assert (flow.type == plain.type).all()
        assert (flow.edge >= 0).all()
        assert (flow.edge < len(flow.type)).all()
        assert (flow.edge[0, 1:] >= flow.edge[0, :-1]).all()
        functions += len(flow.start)
    return functions


def test_a_sample_of_the_standard_library():
    assert check(sorted(STDLIB.glob("*.py"))[::8]) > 500


@pytest.mark.slow
def test_the_standard_library_with_its_tests():
    files = [path for path in STDLIB.rglob("*.py") if "site-packages" not in path.parts]
    assert check(sorted(files)) > 30_000


def test_outermost_functions_are_those_that_were_walked():
    source = "def f():\n def g(): pass\nclass C:\n if x:\n  def h(): h()\ndef k(): k()\n"
    assert [function.name for function in outermost_functions(ast.parse(source))] == ["f", "h", "k"]
