"""How the homomorphisms from a pattern are counted: what is done with vectors over nodes and tables of pairs.

The nodes of a pattern are eliminated, one after another, until the root alone is left. A node w with one neighbour u
becomes a factor of u: the sum over the neighbours of what w counts. A node with two neighbours u and v becomes a table
of the pairs (u, v), a sum over w of two tables, and is multiplied into what there is for (u, v). Each step is a bag of
a tree decomposition of the pattern: those of width 1 and 2 are taken apart wholly. What is left of others, a core whose
nodes have three neighbours or more, is enumerated: `graphpe.homomorphisms.cores`.

Expressions are tuples, so that what patterns share is found by equality and counted once:

    nodes:  ("weight",)  ("times", nodes, nodes)  ("through", pairs, nodes)  ("clique", k)
            ("core", joined, nodes..., pairs...)
    pairs:  ("edges",)  ("triangles",)  ("series", pairs, nodes, pairs)  ("both", pairs, pairs)
"""

from __future__ import annotations

from functools import lru_cache, reduce
from typing import Any

from graphpe.homomorphisms.canonical import Edges

Expression = tuple[Any, ...]

WEIGHT: Expression = ("weight",)
"""What every node of a pattern counts at first: 1, or the weight of the node that it is mapped to."""
EDGES: Expression = ("edges",)
"""1 for each pair that an edge joins."""
TRIANGLES: Expression = ("triangles",)
"""1 for each pair that an edge joins which is in a triangle."""


@lru_cache(maxsize=1 << 12)
def decompose(num_nodes: int, edges: Edges, root: int) -> Expression:
    """The expression of the homomorphisms by the node that the root is mapped to.

    Args:
        num_nodes: Nodes of the pattern, which is connected.
        edges: Its edges.
        root: The root.
    """
    factors: list[list[Expression]] = [[WEIGHT] for _ in range(num_nodes)]
    tables: list[dict[int, Expression]] = [{} for _ in range(num_nodes)]
    for a, b in edges:
        tables[a][b] = tables[b][a] = EDGES
    left = set(range(num_nodes)) - {root}
    while left:
        _, node = min((_cost(tables, node), node) for node in left)
        near = tables[node]
        if len(near) > 2:
            break
        left.remove(node)
        for other in near:
            del tables[other][node]
        vector = _product(factors[node])
        if len(near) == 1:
            ((other, table),) = near.items()
            factors[other].append(("through", _turned(table), vector))
        else:
            (u, there), (v, ahead) = near.items()
            series = ("series", _turned(there), vector, ahead)
            tables[u][v] = _both(tables[u][v], series) if v in tables[u] else series
            tables[v][u] = _turned(tables[u][v])
    if left:
        factors[root].append(_core(root, sorted(left), factors, tables))
    return _product(factors[root])


def _cost(tables: list[dict[int, Expression]], node: int) -> tuple[int, int, bool]:
    """What eliminating a node costs: that of a leaf least, then by how far the tables reach, then by new tables."""
    near = tables[node]
    if len(near) != 2:
        return len(near), 0, False
    (u, there), (v, ahead) = near.items()
    return 2, _reach(there) + _reach(ahead), v not in tables[u]


def _reach(table: Expression) -> int:
    """How many edges at most are between the nodes of a pair in a table."""
    if table == EDGES:
        return 1
    if table[0] == "both":
        return min(_reach(table[1]), _reach(table[2]))
    return _reach(table[1]) + _reach(table[3])


def _turned(table: Expression) -> Expression:
    """The table with rows and columns exchanged."""
    if table == EDGES:
        return table
    if table[0] == "both":
        return _both(_turned(table[1]), _turned(table[2]))
    return "series", _turned(table[3]), table[2], _turned(table[1])


def _both(a: Expression, b: Expression) -> Expression:
    return "both", *sorted((a, b), key=_simplest)


def _product(factors: list[Expression]) -> Expression:
    return reduce(lambda a, b: ("times", a, b), sorted(factors, key=_simplest))


def _simplest(expression: Expression) -> tuple[int, str]:
    text = str(expression)
    return len(text), text


def _core(
    root: int, left: list[int], factors: list[list[Expression]], tables: list[dict[int, Expression]]
) -> Expression:
    """What is left, each of its nodes joined to one before it: factors of the root stay outside."""
    order = [root]
    while left:
        order.append(max(left, key=lambda node: (sum(other in order for other in tables[node]), -node)))
        left.remove(order[-1])
    plain = [{other for other, table in tables[node].items() if table == EDGES} for node in range(len(tables))]
    if all(factors[node] == [WEIGHT] and len(plain[node]) == len(order) - 1 for node in order[1:]):
        return "clique", len(order)
    place = {node: i for i, node in enumerate(order)}
    joined, pairs = [], []
    for node in order[1:]:
        for other in sorted(tables[node], key=place.__getitem__):
            if place[other] < place[node]:
                joined.append((place[other], place[node]))
                # Where three edges make a triangle in the pattern, other edges need not be tried.
                in_triangle = other in plain[node] and plain[other] & plain[node]
                pairs.append(TRIANGLES if in_triangle else tables[other][node])
    return "core", tuple(joined), *(_product(factors[node]) for node in order[1:]), *pairs
