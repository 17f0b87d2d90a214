"""The edges of data-flow graphs of functions, apart from those of the syntax tree."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from graphpe.benchmarks.tasks.code.dataflow.edge_types import (
    CALLS,
    CFG_NEXT,
    COMPUTED_FROM,
    LAST_WRITE,
    RETURNS_TO,
    last_sources,
)
from graphpe.benchmarks.tasks.code.dataflow.flow import Flow
from graphpe.benchmarks.tasks.code.dataflow.statements import Function, Statements

_FRAMES = 60_000
"""Frames of Python for the deepest nesting that the parser takes, 6,000 levels."""


def function_edges(function: Function, number: dict[int, int], *, is_method: bool) -> list[tuple[int, int, int]]:
    """Edges of an outermost function and everything in it, as source, target and type; some may be there twice.

    Cost: linear in the number of nodes, but for what `order_block` says and branches of branches that write many names.

    Args:
        function: The function.
        number: Node number by `id` of a syntax node; shared nodes (`ast.Load()`, operators) are not looked up.
        is_method: Whether it stands in a class, so that its name is not seen in it.
    """
    lowered = Statements(number)
    flow = Flow()
    with _deep_recursion():
        flow.run(lowered.lower(function, is_method=is_method))
    edges = [(source, target, CFG_NEXT) for source, target in _pairs(lowered.following)]
    edges += [(source, target, COMPUTED_FROM) for source, target in _pairs(lowered.computed)]
    functions, callee = lowered.functions, lowered.callee
    back: dict[int, set[int]] = {}
    for writer, reader in flow.sources():
        edges.append((writer, reader, LAST_WRITE))
        if reader in callee and writer in functions:
            call = callee[reader]
            edges.append((call, writer, CALLS))
            back.setdefault(call, set()).update(last_sources(set(functions[writer])))
    edges += [(source, call, RETURNS_TO) for call, sources in back.items() for source in last_sources(sources)]
    return edges


def _pairs(numbers: list[int]) -> Iterator[tuple[int, int]]:
    return zip(numbers[::2], numbers[1::2], strict=True)


@contextmanager
def _deep_recursion() -> Iterator[None]:
    """Python functions may call each other as deeply as source is nested: that takes memory, not the C stack."""
    limit = sys.getrecursionlimit()
    sys.setrecursionlimit(max(limit, _FRAMES))
    try:
        yield
    finally:
        sys.setrecursionlimit(limit)
