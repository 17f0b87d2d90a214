"""One source file as flat arrays: the syntax nodes of its functions in depth-first order.

Each outermost function is walked once. A function inside it is a contiguous stretch of the same arrays, so methods
and nested functions cost nothing more. With `dataflow`, the edges of `graphpe.benchmarks.tasks.code.dataflow` are found
in the same pass.

The attribute of a node is the first of its `name`, `arg`, constant value, `id` and `attr` that is not None, as text.
That is what OGB's converter reads through `name, arg, s, n, id, attr` on Python 3.8 to 3.13, where `s` and `n` are
aliases of `Constant.value`: strings, bytes, numbers, `True`, `False` and `...` have an attribute, `None` has not.
(ogbg-code2 itself was made with an older Python, whose `NameConstant` and `Ellipsis` nodes had neither `s` nor `n`.)
Here `value` is read directly: the aliases are gone since Python 3.14.
"""

from __future__ import annotations

import ast
import gc
import hashlib
import warnings
from array import array
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from graphpe.benchmarks.tasks.code.dataflow.graph import function_edges

PARSER_VERSION = 2
"""Part of the key of everything kept on disk; to be raised with any change of what this file produces."""

LONGEST_ATTRIBUTE = 256
"""Longer attributes (documentation strings, mostly) are kept as their beginning and a digest: equal stays equal."""

TYPE_NAMES: tuple[str, ...] = tuple(
    sorted({cls.__name__ for cls in vars(ast).values() if isinstance(cls, type) and issubclass(cls, ast.AST)})
)
"""Names of the node types of the running Python; `ParsedFile.type` holds indices into it."""

FIELD_NAMES: tuple[str, ...] = tuple(
    """
    annotation arg args argtypes asname attr bases body bound cases cause cls comparators context_expr conversion ctx
    decorator_list default_value defaults elt elts exc finalbody format_spec func generators guard handlers ifs is_async
    items iter key keys keywords kind kw_defaults kwarg kwd_attrs kwd_patterns kwonlyargs left level lower module msg
    name names op operand ops optional_vars orelse pattern patterns posonlyargs rest returns right simple slice step
    str subject tag target targets test type type_comment type_ignores type_params upper value values vararg
    """.split()
)
"""Names of the fields of syntax nodes, Python 3.8 to 3.14: fixed, so that a model fits whatever Python reads source."""

FUNCTION_TYPES = ("FunctionDef", "AsyncFunctionDef")

_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
_BLOCKS = (ast.stmt, ast.ExceptHandler, ast.match_case)
_ATTRIBUTE_FIELDS = ("name", "arg", "id", "attr")
_DIGEST_CHARACTERS = 32
_FIELD_NUMBER = {name: index for index, name in enumerate(FIELD_NAMES)}


@dataclass(frozen=True, eq=False)
class ParsedFile:
    """The functions of one file: M nodes in depth-first order, F functions in order of their start.

    Attributes:
        type: Index into `TYPE_NAMES`, `[M]`.
        attribute: Index into `strings`, or -1, `[M]`.
        parent: Index of the parent, or -1 for an outermost function, `[M]`.
        field: Index into `FIELD_NAMES` of the parent's field that a node stands in (`body` for an outermost function),
            or -1 for a field without a name there, `[M]`.
        depth: Depth below the outermost function, which has 0, `[M]`.
        start: First node of a function: its definition, `[F]`.
        stop: One past the last node of a function, `[F]`.
        line: Line of a function's `def`, `[F]`.
        edge: Source and target of the edges of data flow, in order of the source, `[2, E]`; none unless asked for.
        edge_type: Index into `EDGE_TYPES`, `[E]`.
        strings: The attributes that occur.
    """

    type: NDArray[np.int16]
    attribute: NDArray[np.int32]
    parent: NDArray[np.int32]
    field: NDArray[np.int16]
    depth: NDArray[np.int32]
    start: NDArray[np.int32]
    stop: NDArray[np.int32]
    line: NDArray[np.int32]
    edge: NDArray[np.int32]
    edge_type: NDArray[np.int8]
    strings: list[str]


def parse_source(source: bytes, *, dataflow: bool = False) -> ParsedFile:
    """Parse one file.

    Args:
        source: The bytes of the file; a byte order mark and a coding line are honoured.
        dataflow: Whether to find the edges of data flow.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: Whatever `ast.parse` raises for source that is not
        Python.
    """
    with _quiet(), _no_collection():
        walk = _Walk()
        for function, is_method in _outermost_functions(ast.parse(source)):
            walk.add(function)
            if dataflow:
                walk.add_flow(function, is_method)
        return walk.result()


def parse_function(source: str) -> ParsedFile:
    """Parse text that is one function and nothing else, with the edges of data flow.

    Whether it stands in a class, the text does not say: a function whose first parameter is `self` or `cls` is taken
    for a method, whose name is not seen in it.

    Args:
        source: The text; a coding line means nothing.

    Raises:
        SyntaxError, ValueError, RecursionError, MemoryError: Whatever `ast.parse` raises for text that is not Python,
        or is not one function.
    """
    with _quiet(), _no_collection():
        body = ast.parse(source).body
        function = body[0] if len(body) == 1 else None
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            raise SyntaxError("it is not one function")
        parameters = [*function.args.posonlyargs, *function.args.args]
        walk = _Walk()
        walk.add(function)
        walk.add_flow(function, bool(parameters) and parameters[0].arg in ("self", "cls"))
        return walk.result()


def outermost_functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    """Functions that are in no other function, in source order.

    Only statements hold functions: expressions are not looked into.
    """
    return (function for function, _ in _outermost_functions(tree))


def _outermost_functions(tree: ast.AST) -> Iterator[tuple[ast.FunctionDef | ast.AsyncFunctionDef, bool]]:
    """Outermost functions, and whether they stand in a class."""
    stack = [(tree, False)]
    while stack:
        node, in_class = stack.pop()
        if isinstance(node, _FUNCTIONS):
            yield node, in_class
        else:
            in_class = in_class or isinstance(node, ast.ClassDef)
            children = [(child, in_class) for child in ast.iter_child_nodes(node) if isinstance(child, _BLOCKS)]
            stack.extend(reversed(children))


@dataclass(frozen=True, slots=True)
class _Plan:
    """How to read nodes of one class."""

    type_index: int
    attribute: str | None
    children: tuple[tuple[str, int], ...]
    """Fields that may hold nodes, and their indices, last first: the order in which a stack takes them."""
    is_function: bool


class _Plans(dict[type, _Plan]):
    """Plans by class, made when a class is first met."""

    def __missing__(self, cls: type[ast.AST]) -> _Plan:
        fields = cls._fields
        attribute = next((field for field in _ATTRIBUTE_FIELDS if field in fields), None)
        children = tuple(reversed([field for field in fields if field != attribute]))
        if cls is ast.Constant:
            attribute, children = "value", ()
        elif cls.__name__ == "TypeAlias":  # its `name` is a node (Python 3.12)
            attribute, children = None, tuple(reversed(fields))
        numbered = tuple((field, _FIELD_NUMBER.get(field, -1)) for field in children)
        plan = _Plan(TYPE_NAMES.index(cls.__name__), attribute, numbered, issubclass(cls, _FUNCTIONS))
        self[cls] = plan
        return plan


_plans = _Plans()


class _Walk:
    """Pre-order walks, one outermost function after the other, with an explicit stack: depth has no limit."""

    def __init__(self) -> None:
        self.type = array("h")
        self.attribute = array("i")
        self.parent = array("i")
        self.field = array("h")
        self.depth = array("i")
        self.start = array("i")
        self.stop = array("i")
        self.line = array("i")
        self.nodes: list[ast.AST] = []
        """The nodes of the function that was added last."""
        self.edges: list[tuple[int, int, int]] = []
        self.strings: dict[str, int] = {}

    def add(self, function: ast.AST) -> None:
        plans, strings, node_class = _plans, self.strings, ast.AST
        add_type, add_attribute = self.type.append, self.attribute.append
        add_parent, add_depth, add_field = self.parent.append, self.depth.append, self.field.append
        self.nodes = []
        add_node = self.nodes.append
        index = len(self.type)
        stack: list[tuple[Any, int, int, int]] = [(function, -1, 0, _FIELD_NUMBER["body"])]
        push, pop = stack.append, stack.pop
        while stack:
            node, parent, depth, field = pop()
            if node is None:  # everything below a function has been taken: `parent` is its number
                self.stop[parent] = index
                continue
            plan = plans[node.__class__]
            add_type(plan.type_index)
            add_parent(parent)
            add_depth(depth)
            add_field(field)
            add_node(node)
            value = None if plan.attribute is None else getattr(node, plan.attribute, None)
            if value is None:
                add_attribute(-1)
            else:
                add_attribute(strings.setdefault(value if value.__class__ is str else _text(value), len(strings)))
            if plan.is_function:
                push((None, len(self.start), 0, 0))
                self.start.append(index)
                self.stop.append(-1)
                self.line.append(node.lineno)
            depth += 1
            for name, field in plan.children:
                child = getattr(node, name, None)
                if child.__class__ is list:
                    for item in reversed(child):
                        if isinstance(item, node_class):
                            push((item, index, depth, field))
                elif isinstance(child, node_class):
                    push((child, index, depth, field))
            index += 1

    def add_flow(self, function: ast.FunctionDef | ast.AsyncFunctionDef, is_method: bool) -> None:
        """The edges of the function that was added last."""
        first = len(self.type) - len(self.nodes)
        number = dict(zip(map(id, self.nodes), range(first, len(self.type)), strict=True))
        self.edges += sorted(set(function_edges(function, number, is_method=is_method)))

    def result(self) -> ParsedFile:
        edges = np.array(self.edges, dtype=np.int32).reshape(-1, 3)
        return ParsedFile(
            type=np.array(self.type, dtype=np.int16),
            attribute=np.array(self.attribute, dtype=np.int32),
            parent=np.array(self.parent, dtype=np.int32),
            field=np.array(self.field, dtype=np.int16),
            depth=np.array(self.depth, dtype=np.int32),
            start=np.array(self.start, dtype=np.int32),
            stop=np.array(self.stop, dtype=np.int32),
            line=np.array(self.line, dtype=np.int32),
            edge=edges[:, :2].T,
            edge_type=edges[:, 2].astype(np.int8),
            strings=[_storable(text) for text in self.strings],
        )


def _text(value: object) -> str:
    try:
        return str(value)
    except ValueError:  # an integer with more decimal digits than Python converts; it was written in hexadecimal
        return hex(value) if isinstance(value, int) else repr(value)


def _storable(text: str) -> str:
    """The text as it is kept: encodable (a lone surrogate is written out) and not long."""
    try:
        encoded = text.encode()
    except UnicodeEncodeError:
        encoded = text.encode(errors="backslashreplace")
        text = encoded.decode()
    if len(text) <= LONGEST_ATTRIBUTE:
        return text
    digest = hashlib.blake2b(encoded, digest_size=_DIGEST_CHARACTERS // 2).hexdigest()
    return f"{text[: LONGEST_ATTRIBUTE - len(digest) - 1]}#{digest}"


@contextmanager
def _quiet() -> Iterator[None]:
    """Without the warnings that the parser has for other people's source (invalid escapes, `is` with a literal)."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


@contextmanager
def _no_collection() -> Iterator[None]:
    """Without garbage collection: a syntax tree is a burst of allocations without cycles."""
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
