from __future__ import annotations

import ast
import sysconfig
import warnings
from pathlib import Path

import numpy as np
import pytest

from graphpe.benchmarks.tasks.code.source.corpus import merge_files
from graphpe.benchmarks.tasks.code.source.graphs import function_nodes
from graphpe.benchmarks.tasks.code.source.parse import (
    FIELD_NAMES,
    LONGEST_ATTRIBUTE,
    ParsedFile,
    outermost_functions,
    parse_source,
)

STDLIB = Path(sysconfig.get_paths()["stdlib"])
MODULES = [
    "functools.py",
    "typing.py",
    "dataclasses.py",
    "asyncio/tasks.py",
    "json/decoder.py",
    "tokenize.py",
    "ast.py",
]


def attributes(parsed: ParsedFile) -> list[str | None]:
    return [None if index < 0 else parsed.strings[index] for index in parsed.attribute]


def all_functions(tree: ast.AST) -> list[ast.AST]:
    """Every function in source order of its definition: pre-order, unlike `ast.walk`."""
    found = [tree] if isinstance(tree, ast.FunctionDef | ast.AsyncFunctionDef) else []
    return found + [function for child in ast.iter_child_nodes(tree) for function in all_functions(child)]


def beginning(text: str | None) -> str | None:
    """What long attributes keep."""
    return text if text is None else text[:200]


def random_modules() -> list[str]:
    """Fresh ones every time: the format has to be right for all of them."""
    paths = sorted(path.relative_to(STDLIB).as_posix() for path in STDLIB.glob("*.py"))
    return np.random.default_rng().choice(paths, 5, replace=False).tolist()


@pytest.mark.parametrize("mask", ["everywhere", "definition"])
def test_graphs_equal_the_reference(reference, mask):
    functions = 0
    for name in MODULES + random_modules():
        source = (STDLIB / name).read_bytes()
        corpus = merge_files([(name, parse_source(source))], [], "key")
        if not corpus.num_functions:
            continue
        nodes = function_nodes(corpus, np.arange(corpus.num_functions)).masked(mask)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            expected = all_functions(ast.parse(source))
        assert corpus.num_functions == len(expected), name
        for number, function in enumerate(expected):
            graph = reference(function, mask)
            part = slice(nodes.ptr[number], nodes.ptr[number + 1])
            where = f"{name}:{function.lineno}"
            assert corpus.line[number] == function.lineno, where
            assert [nodes.type_names[index] for index in nodes.type[part]] == graph.types, where
            assert nodes.depth[part].tolist() == graph.depths, where
            got = [None if index < 0 else nodes.strings[index] for index in nodes.attribute[part]]
            assert list(map(beginning, got)) == list(map(beginning, graph.attributes)), where
            parent = nodes.parent[part] - nodes.ptr[number]
            child = np.arange(len(parent))[1:]
            order = child[np.argsort(parent[1:], kind="stable")]
            assert list(zip(parent[order].tolist(), order.tolist(), strict=True)) == graph.edges, where
            functions += 1
    assert functions > 300


def test_a_nested_function_is_a_stretch_of_its_outer_one():
    parsed = parse_source(b"def f(a):\n    def g(b):\n        return b\n    return g\ndef h(): pass\n")
    assert [parsed.strings[index] for index in parsed.attribute[parsed.start]] == ["f", "g", "h"]
    f, g, h = zip(parsed.start.tolist(), parsed.stop.tolist(), strict=True)
    assert f[0] < g[0] < g[1] < f[1] == h[0]
    assert h[1] == len(parsed.type)


def test_functions_are_found_in_every_kind_of_block():
    source = """
if x:
    def a(): pass
else:
    def b(): pass
try:
    def c(): pass
except E:
    def d(): pass
finally:
    def e(): pass
with x: 
    class C:
        def f(self): pass
match x:
    case 1:
        def g(): pass
for i in x:
    async def h(): pass
while x:
    def i(): pass
lambda: 0
"""
    names = [function.name for function in outermost_functions(ast.parse(source))]
    assert names == list("abcdefghi")


@pytest.mark.parametrize(
    ("constant", "expected"),
    [
        ("None", None),
        ("True", "True"),
        ("...", "Ellipsis"),
        ("1.50", "1.5"),
        ("2j", "2j"),
        ("b'x'", "b'x'"),
        ("'None'", "None"),
        ("''", ""),
    ],
)
def test_constants_have_the_attribute_their_value_reads(constant, expected):
    parsed = parse_source(f"def f():\n    return {constant}\n".encode())
    assert attributes(parsed)[-1] == expected


def test_one_and_true_and_one_point_zero_stay_apart():
    parsed = parse_source(b"def f():\n    return 1, True, 1.0\n")
    assert [text for text in attributes(parsed) if text] == ["f", "1", "True", "1.0"]


def test_a_huge_integer_is_written_in_hexadecimal():
    digits = "f" * 5000
    parsed = parse_source(f"def f():\n    return 0x{digits}\n".encode())
    assert attributes(parsed)[-1].startswith("0xfff")


def test_long_attributes_are_shortened_and_stay_distinct():
    one, other = "x" * 5000, "x" * 5000 + "y"
    parsed = parse_source(f"def f():\n    {one!r}, {other!r}, {one!r}, {'z' * LONGEST_ATTRIBUTE!r}\n".encode())
    found = attributes(parsed)
    texts = [text for text in found if text and text[0] in "xz"]
    assert [len(text) for text in texts] == [LONGEST_ATTRIBUTE] * 4
    assert texts[0] == texts[2] != texts[1]
    assert texts[3] == "z" * LONGEST_ATTRIBUTE


def test_a_lone_surrogate_is_written_out():
    parsed = parse_source(rb"""def f(): return '\ud800a'""")
    assert attributes(parsed)[-1] == r"\ud800a"


def test_the_coding_line_is_honoured():
    parsed = parse_source("# -*- coding: latin-1 -*-\ndef f(): return 'é'\n".encode("latin-1"))
    assert attributes(parsed)[-1] == "é"


def test_depth_has_no_limit_of_its_own():
    source = "def f(x):\n    return " + "x" + ".a" * 900
    assert parse_source(source.encode()).depth.max() > 900


def test_every_field_has_a_name_in_the_list():
    classes = [cls for cls in vars(ast).values() if isinstance(cls, type) and issubclass(cls, ast.AST)]
    fields = {field for cls in classes for field in cls._fields}
    # What is never a node: names and numbers, which are attributes here.
    assert fields - set(FIELD_NAMES) <= {"id", "lineno", "n", "s", "tag"}
    assert len(set(FIELD_NAMES)) == len(FIELD_NAMES)


def test_nodes_know_the_field_they_stand_in():
    parsed = parse_source(b"def f(a, b=1):\n    if a: return b\n    else: x.y = a < b\n")
    fields = [FIELD_NAMES[index] for index in parsed.field]
    function = ast.parse("def f(a, b=1):\n    if a: return b\n    else: x.y = a < b\n").body[0]

    def expected(node: ast.AST, field: str) -> list[str]:
        found = [field]
        for name, value in ast.iter_fields(node):
            for child in value if isinstance(value, list) else [value]:
                if isinstance(child, ast.AST):
                    found += expected(child, name)
        return found

    assert fields == expected(function, "body")
    assert parsed.edge.shape == (2, 0)
