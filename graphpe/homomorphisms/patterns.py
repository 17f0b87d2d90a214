"""Patterns: small connected graphs whose homomorphisms are counted, from texts, lists of edges and networkx graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import combinations
from typing import Any

import networkx as nx
import numpy as np

from graphpe.arguments import check_integer, shown
from graphpe.calls import parse_call
from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.homomorphisms.canonical import Edges, canonical, orbits

MOST_NODES = 32
"""Of one pattern."""


@dataclass(frozen=True)
class Pattern:
    """A small connected graph without loops, and one of its nodes.

    Attributes:
        name: What messages and columns call it.
        num_nodes: Its nodes, 0 to num_nodes - 1.
        edges: Pairs (a, b) with a < b, ascending.
        root: The node that is mapped to the node of the graph for which homomorphisms are counted; None: each orbit of
            nodes has its own.
    """

    name: str
    num_nodes: int
    edges: Edges
    root: int | None = None

    def roots(self) -> list[int]:
        """The root, or the first node of each orbit (nodes that automorphisms map to each other)."""
        return [self.root] if self.root is not None else [orbit[0] for orbit in orbits(self.num_nodes, self.edges)]


def path(n: int) -> Edges:
    """The path of n nodes, in the order of their numbers.

    Args:
        n: Nodes.
    """
    return tuple((i, i + 1) for i in range(n - 1))


def star(n: int) -> Edges:
    """The star of n nodes: node 0 and n - 1 leaves.

    Args:
        n: Nodes.
    """
    return tuple((0, i) for i in range(1, n))


def cycle(n: int) -> Edges:
    """The cycle of n nodes, in the order of their numbers.

    Args:
        n: Nodes.
    """
    return tuple(sorted([*path(n), (0, n - 1)]))


def clique(n: int) -> Edges:
    """The complete graph of n nodes.

    Args:
        n: Nodes.
    """
    return tuple(combinations(range(n), 2))


_SHAPES: dict[str, tuple[Callable[[int], Edges], int, int]] = {
    "Path": (path, 2, MOST_NODES),
    "Star": (star, 2, MOST_NODES),
    "Cycle": (cycle, 3, MOST_NODES),
    "Clique": (clique, 2, MOST_NODES),
}
_FAMILIES = {"Paths": "Path", "Stars": "Star", "Cycles": "Cycle", "Cliques": "Clique"}
_SEARCHED = {"Trees": 10, "Connected": 6}  # and the most nodes: 201 trees, 142 graphs
NAMES = (*_SHAPES, *_FAMILIES, *_SEARCHED)
"""What texts may name: one pattern, and families of all from the smallest to one of so many nodes."""


@cache
def connected_graphs(num_nodes: int, trees: bool = False) -> tuple[Edges, ...]:
    """All connected graphs of so many nodes, one of each kind: those with fewer edges first.

    Every one has a node without which it is connected, too: a node more, joined to some of the others, makes them all.

    Args:
        num_nodes: Nodes of each.
        trees: Trees only.
    """
    if num_nodes == 1:
        return ((),)
    found: set[Edges] = set()
    for edges in connected_graphs(num_nodes - 1, trees):
        for degree in range(1, 2 if trees else num_nodes):
            for near in combinations(range(num_nodes - 1), degree):
                more = (*edges, *((other, num_nodes - 1) for other in near))
                found.add(canonical(num_nodes, more, (0,) * num_nodes)[1])
    return tuple(sorted(found, key=lambda edges: (len(edges), edges)))


def read_patterns(patterns: Any, most: int = MOST_NODES) -> list[Pattern]:
    """The patterns of an argument, families written out.

    Args:
        patterns: What `as_literals` takes.
        most: Nodes that a pattern has at most.

    Raises:
        GraphPETypeError: One is no text, list of edges or networkx graph.
        GraphPEValueError: One is unknown, not connected, has a self-loop, or too many nodes.
    """
    out: list[Pattern] = []
    for each in as_literals(patterns):
        found = _of_text(each) if isinstance(each, str) else (_of_edges(each),)
        for one in found:
            check_integer(f"the number of nodes of {one.name}", one.num_nodes, least=2, most=most)
        out += found
    return out


def as_literals(patterns: Any) -> tuple[Any, ...]:
    """Patterns as literals of Python, which a call in a text can hold: each a text, or its edges and perhaps its root.

    Args:
        patterns: One pattern or a list of them. A pattern is a text, `"Cycle(6)"`, `"Path(3, root=1)"` or a family such
            as `"Cycles(8)"`; a list of edges `[(0, 1), (1, 2)]`, or `{"edges": [...], "root": 0}`; or an undirected
            networkx graph, whose node with a true attribute `root`, if there is one, is its root.
    """
    if isinstance(patterns, str | nx.Graph | dict):
        patterns = [patterns]
    if not isinstance(patterns, Sequence) or not patterns:
        raise GraphPETypeError(
            f'patterns must be texts such as "Cycle(6)", lists of edges or networkx graphs, got {shown(patterns)}'
        )
    if all(_is_edge(each) for each in patterns):  # one list of edges
        patterns = [patterns]
    return tuple(_literal(each) for each in patterns)


def _literal(pattern: Any) -> Any:
    if isinstance(pattern, str):
        return pattern
    if isinstance(pattern, nx.Graph):
        if pattern.is_directed():
            raise GraphPEValueError(f"a pattern must be undirected, got {shown(pattern)}: take pattern.to_undirected()")
        number = {node: i for i, node in enumerate(pattern)}
        roots = [number[node] for node, value in pattern.nodes(data="root") if value]
        if len(roots) > 1:
            raise GraphPEValueError(f"a pattern has one root or none, got {len(roots)} nodes with root=True")
        if lonely := [node for node, degree in pattern.degree if not degree]:
            raise GraphPEValueError(f"a pattern must be connected, got one in which {lonely[0]!r} has no edges")
        named = [(number[a], number[b]) for a, b in pattern.edges()]
        return {"edges": named, "root": roots[0]} if roots else named
    edges: Any = pattern.get("edges") if isinstance(pattern, dict) else pattern
    if not isinstance(edges, list | tuple) or not edges or not all(_is_edge(each) for each in edges):
        raise GraphPETypeError(
            f'a pattern must be a text such as "Cycle(6)", a list of edges such as [(0, 1), (1, 2)] or a networkx '
            f"graph, got {shown(pattern)}"
        )
    plain = [(int(a), int(b)) for a, b in edges]
    if not isinstance(pattern, dict):
        return plain
    if pattern.keys() != {"edges", "root"}:
        raise GraphPEValueError(f"a pattern with a root is {{'edges': [...], 'root': 0}}, got {shown(pattern)}")
    return {"edges": plain, "root": check_integer("root", pattern["root"], least=0)}


def _is_edge(value: Any) -> bool:
    return (
        isinstance(value, list | tuple)
        and len(value) == 2
        and all(isinstance(end, int | np.integer) and not isinstance(end, bool) for end in value)
    )


@lru_cache(maxsize=1 << 10)
def _of_text(text: str) -> tuple[Pattern, ...]:
    call = parse_call(text)
    if call.name not in NAMES:
        raise GraphPEValueError(f"there is no pattern {call.name}: there are {', '.join(NAMES)}")
    known = ("n", "root") if call.name in _SHAPES else ("n",)
    given = dict(zip(known, call.args, strict=False)) | call.kwargs
    if "n" not in given or len(call.args) + len(call.kwargs) != len(given) or not given.keys() <= set(known):
        more = ", root=0" if call.name in _SHAPES else ""
        raise GraphPEValueError(f"cannot read the pattern {text!r}: write {call.name}(4{more})")
    name = _FAMILIES.get(call.name, call.name)
    if call.name in _SEARCHED:
        n = check_integer(f"n of {call.name}", given["n"], least=2, most=_SEARCHED[call.name])
        trees = call.name == "Trees"
        return tuple(_found(size, edges) for size in range(2, n + 1) for edges in connected_graphs(size, trees))
    make, least, most = _SHAPES[name]
    n = check_integer(f"n of {call.name}", given["n"], least=least, most=most)
    if call.name in _FAMILIES:
        return tuple(Pattern(f"{name}({size})", size, make(size)) for size in range(least, n + 1))
    root = given.get("root")
    if root is not None:
        check_integer(f"root of {call.name}", root, least=0, most=n - 1)
    return (Pattern(f"{name}({n})", n, make(n), root),)


def _found(num_nodes: int, edges: Edges) -> Pattern:
    """One of the connected graphs, by its name where it has one."""
    for name, (make, least, _) in _SHAPES.items():
        if num_nodes >= least and canonical(num_nodes, make(num_nodes), (0,) * num_nodes)[1] == edges:
            return Pattern(f"{name}({num_nodes})", num_nodes, make(num_nodes))
    return Pattern(str(list(edges)), num_nodes, edges)


def _of_edges(literal: Any) -> Pattern:
    edges, root = (literal["edges"], literal["root"]) if isinstance(literal, dict) else (literal, None)
    unique = tuple(sorted({(min(edge), max(edge)) for edge in edges}))
    name = str(list(unique))
    nodes = sorted({node for edge in unique for node in edge})
    if len(nodes) > MOST_NODES:
        raise GraphPEValueError(f"a pattern has at most {MOST_NODES} nodes, got one of {len(nodes)}")
    if nodes != list(range(len(nodes))):
        raise GraphPEValueError(
            f"the nodes of a pattern are 0, 1, ..., n - 1, each with an edge, got {shown(list(edges))}"
        )
    if any(a == b for a, b in unique):
        raise GraphPEValueError(f"a pattern has no self-loops, got {shown(list(edges))}")
    if not _connected(len(nodes), unique):
        raise GraphPEValueError(f"a pattern must be connected, got {shown(list(edges))}: count its parts")
    if root is not None:
        check_integer("root", root, least=0, most=len(nodes) - 1)
    return Pattern(name, len(nodes), unique, root)


def _connected(num_nodes: int, edges: Iterable[tuple[int, int]]) -> bool:
    graph = nx.Graph(edges)
    return len(graph) == num_nodes and nx.is_connected(graph)
