"""The number of homomorphisms from patterns to many graphs, by the node that the root of a pattern is mapped to."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import factorial
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from graphpe.arguments import check_choice
from graphpe.compiled.jit import everything_compiled
from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.homomorphisms.canonical import Edges
from graphpe.homomorphisms.cores import cliques_through, core_counts
from graphpe.homomorphisms.decomposition import EDGES, WEIGHT, Expression, decompose
from graphpe.homomorphisms.patterns import read_patterns
from graphpe.homomorphisms.tables import MOST_EXACT, Numbers, Table, both, series, series_in, through, times
from graphpe.limits import check_seconds, current, format_seconds
from graphpe.structure.adjacency import Ints, symmetric_adjacency, without_loops
from graphpe.structure.laplacian import check_weights
from graphpe.structure.plan import Plan

WEIGHTS = ("none", "inverse_degree")
"""Weights of nodes."""

_FEW_STEPS = 1 << 16  # that Python takes where nothing is compiled yet
_CHUNK_NODES = 1 << 14  # of the graphs that are counted in together: what they need stays in a processor's cache
_STEP_SECONDS = 4e-9
_ENTRY_BYTES = 16
_MOST_FLOAT = 1e300


class RootedPattern(NamedTuple):
    """A connected pattern and its root; the name is what messages call it.

    Attributes:
        name: What messages call it.
        num_nodes: Its nodes.
        edges: Its edges.
        root: Its root.
    """

    name: str
    num_nodes: int
    edges: Edges
    root: int


def homomorphism_counts(graphs: PackedGraphs | Plan, patterns: Any, weights: str = "none") -> Tensor:
    """The number of homomorphisms of each pattern that map its root to each node of the undirected graph.

    A homomorphism maps the nodes of the pattern to nodes of the graph, and each edge to an edge; several nodes may have
    one image. Directions, weights of edges, parallel edges and self-loops do not count.

    Args:
        graphs: The graphs, or a plan that shares their work.
        patterns: As `graphpe.homomorphisms.patterns.as_literals` takes them.
        weights: `"none"`; or `"inverse_degree"`: each homomorphism counts the product of 1 / degree over the images of
            all nodes of the pattern.

    Returns:
        `[N, C]`, int64 (float64 with weights), a column for each root of each pattern: without a root of its own a
        pattern has a column for each orbit of its nodes. On the device of the graphs.

    Raises:
        GraphPETypeError: A pattern is none.
        GraphPEValueError: A pattern is unknown or not connected, weights are unknown, a count is above 9.2e18, or it
            would take too long.
    """
    plan = Plan.of(graphs)
    columns = rooted(patterns)
    out = np.empty((plan.graphs.num_nodes, len(columns)), np.int64 if weights == "none" else np.float64)
    for rows, found in count_in_chunks(plan, columns, weights):
        out[rows] = np.stack(found, axis=1)
    return torch.from_numpy(out).to(plan.graphs.device)


def graph_homomorphism_counts(graphs: PackedGraphs | Plan, patterns: Any, weights: str = "none") -> Tensor:
    """The number of homomorphisms of each pattern to each undirected graph, whatever its root is mapped to.

    Args:
        graphs: The graphs, or a plan that shares their work.
        patterns: As `homomorphism_counts` takes them.
        weights: As there.

    Returns:
        `[B, C]`, int64 (float64 with weights), a column for each pattern, on the device of the graphs.

    Raises:
        GraphPETypeError: As there.
        GraphPEValueError: As there.
    """
    plan = Plan.of(graphs)
    columns = [
        RootedPattern(each.name, each.num_nodes, each.edges, each.roots()[0]) for each in read_patterns(patterns)
    ]
    ptr = plan.graphs.ptr.numpy(force=True)
    owner = np.repeat(np.arange(len(ptr) - 1), np.diff(ptr))
    out = np.zeros((len(ptr) - 1, len(columns)), np.int64 if weights == "none" else np.float64)
    for rows, found in count_in_chunks(plan, columns, weights):
        for i, (column, of_nodes) in enumerate(zip(columns, found, strict=True)):
            rough = np.bincount(owner[rows], of_nodes, minlength=1)
            if weights == "none" and rough.max() > MOST_EXACT:
                raise _too_large(column.name, int(rough.argmax()))
            np.add.at(out[:, i], owner[rows], of_nodes)
    return torch.from_numpy(out).to(plan.graphs.device)


def rooted(patterns: Any) -> list[RootedPattern]:
    """The patterns with each of their roots.

    Args:
        patterns: As `homomorphism_counts` takes them.
    """
    return [
        RootedPattern(f"{each.name} at {root}", each.num_nodes, each.edges, root)
        for each in read_patterns(patterns)
        for root in each.roots()
    ]


def count_in_chunks(
    plan: Plan, columns: Sequence[RootedPattern], weights: str = "none"
) -> Iterator[tuple[slice, list[Numbers]]]:
    """The homomorphisms of rooted patterns, some graphs at a time: nodes, and for each pattern a number for each.

    Args:
        plan: The graphs, and the work that several encodings share.
        columns: The patterns.
        weights: Weights of nodes.
    """
    check_choice("weights", weights, WEIGHTS)
    check_weights(plan.graphs)
    matrix = without_loops(plan.once(symmetric_adjacency))
    ptr = plan.graphs.ptr.numpy(force=True)
    expressions = [decompose(each.num_nodes, each.edges, each.root) for each in columns]
    start = 0
    while start < len(ptr) - 1:
        stop = max(start + 1, int(np.searchsorted(ptr, ptr[start] + _CHUNK_NODES, "right")) - 1)
        rows = slice(int(ptr[start]), int(ptr[stop]))
        entries = slice(matrix.indptr[rows.start], matrix.indptr[rows.stop])
        degree = np.diff(matrix.indptr[rows.start : rows.stop + 1])
        ones = np.ones(len(degree), np.int64)
        edges = Table(
            matrix.indptr[rows.start : rows.stop + 1] - entries.start,
            matrix.indices[entries] - rows.start,
            np.ones(entries.stop - entries.start, np.int64 if weights == "none" else np.float64),
        )
        weight = ones if weights == "none" else 1.0 / np.maximum(degree, 1)
        chunk = _Chunk(edges, weight, ptr[start : stop + 1] - rows.start, start)
        found = []
        for each, expression in zip(columns, expressions, strict=True):
            chunk.pattern = each.name
            found.append(chunk.nodes(expression))
        yield rows, found
        start = stop


class _Chunk:
    """Some graphs, and what has been counted in them.

    Args:
        edges: The pairs that edges join.
        weight: Of each node.
        ptr: First node of each graph.
        first_graph: Number of the first graph.
    """

    def __init__(self, edges: Table, weight: Numbers, ptr: Ints, first_graph: int) -> None:
        self.edges, self.weight, self.ptr, self.first_graph = edges, weight, ptr, first_graph
        self.unweighted = weight.dtype == np.int64
        self.most = MOST_EXACT if self.unweighted else _MOST_FLOAT
        self.pattern = ""
        self._nodes: dict[Expression, Numbers] = {WEIGHT: weight}
        self._pairs: dict[Expression, Table] = {EDGES: edges}

    def nodes(self, expression: Expression) -> Numbers:
        """The numbers of nodes that an expression stands for, `[N]`."""
        if expression not in self._nodes:
            self._nodes[expression] = self._count(*expression)
        return self._nodes[expression]

    def pairs(self, expression: Expression) -> Table:
        """The table that an expression stands for."""
        if expression not in self._pairs:
            self._pairs[expression] = self._join(*expression)
        return self._pairs[expression]

    def _count(self, kind: str, *parts: Any) -> Numbers:
        if kind == "times":
            a, b = map(self.nodes, parts)
            return b if self.unweighted and a is self.weight else self._checked(*times(a, b, self.most))
        if kind == "through":
            return self._checked(*through(*self.pairs(parts[0]), self.nodes(parts[1]), self.most))
        if kind == "clique":
            return self._cliques(*parts)
        return self._core(*parts)

    def _join(self, kind: str, *parts: Any) -> Table:
        if kind == "triangles":
            found = self.pairs(("both", EDGES, ("series", EDGES, WEIGHT, EDGES)))
            return found._replace(values=np.ones_like(found.values))
        if kind == "series":
            a, x, b = self.pairs(parts[0]), self.nodes(parts[1]), self.pairs(parts[2])
            self._check_cost(a, b)
            *entries, wrong = series(*a, x, *b, self.most)
        else:
            left, right = self.pairs(parts[0]), parts[1]
            if right[0] == "series" and right not in self._pairs:  # only the entries that the other has
                a, x, b = self.pairs(right[1]), self.nodes(right[2]), self.pairs(right[3])
                self._check_cost(a, b, stored=False)
                *entries, wrong = series_in(*left, *a, x, *b, self.most)
            else:
                *entries, wrong = both(*left, *self.pairs(right), self.most)
        self._check(wrong)
        return Table(*entries)

    def _cliques(self, size: int) -> Numbers:
        """Homomorphisms from a clique: each clique in every order of the other nodes; the root's weight is apart."""
        found = self._enumerated(cliques_through, self.edges.indptr, self.edges.indices, self.weight, size)
        orders = factorial(size - 1)
        if self.unweighted:
            orders = min(orders, 2**63 - 1)  # which is above the most that a count may be
        else:
            found = found / self.weight
        return self._checked(*times(found, np.full_like(found, orders), self.most))

    def _core(self, joined: tuple[tuple[int, int], ...], *parts: Expression) -> Numbers:
        further = max(b for _, b in joined)
        vectors = np.stack([self.nodes(each) for each in parts[:further]])
        numbers = {part: i for i, part in enumerate(dict.fromkeys(parts[further:]))}
        tables = [self.pairs(each) for each in numbers]
        begin = np.cumsum([0, *(len(table.indices) for table in tables[:-1])])
        return self._enumerated(
            core_counts,
            np.array([(a, b, numbers[part]) for (a, b), part in zip(joined, parts[further:], strict=True)], np.int64),
            vectors,
            np.stack([table.indptr + start for table, start in zip(tables, begin, strict=True)]),
            np.concatenate([table.indices for table in tables]),
            np.concatenate([table.values for table in tables]),
        )

    def _enumerated(self, count: Callable[..., tuple[Numbers, int, int]], *arguments: Any) -> Numbers:
        found, wrong, slow = count(*arguments, self.most, _FEW_STEPS)
        most_steps = int(current().seconds / _STEP_SECONDS)
        if slow >= 0:
            with everything_compiled():
                found, wrong, slow = count(*arguments, self.most, most_steps)
        if slow >= 0:
            raise GraphPEValueError(
                f"{self.pattern} has to be enumerated, which takes more than {most_steps:,} steps "
                f"({format_seconds(current().seconds)}) by graph {self._graph(slow)}: take smaller patterns, or allow "
                "more, `with graphpe.limits(seconds=...):`"
            )
        return self._checked(found, wrong)

    def _checked(self, found: Numbers, wrong: int) -> Numbers:
        self._check(wrong)
        return found

    def _check(self, wrong: int) -> None:
        if wrong >= 0:
            raise _too_large(self.pattern, self._graph(wrong))

    def _check_cost(self, a: Table, b: Table, *, stored: bool = True) -> None:
        """Refuse a product of tables that would take too long, or too much memory, in one graph."""
        before = np.concatenate([[0], np.cumsum(np.diff(b.indptr)[a.indices])])[a.indptr[self.ptr]]
        steps, sizes = np.diff(before), np.diff(self.ptr)
        if steps.size:
            graph = int(steps.argmax())
            nodes, most = int(sizes[graph]), float(steps[graph])
            memory = _ENTRY_BYTES * min(most, float(nodes) ** 2) if stored else 0.0
            check_seconds(self.pattern, nodes, _STEP_SECONDS * most, memory, "take smaller patterns")

    def _graph(self, node: int) -> int:
        return self.first_graph + int(np.searchsorted(self.ptr, node, "right")) - 1


def _too_large(pattern: str, graph: int) -> GraphPEValueError:
    return GraphPEValueError(
        f"the homomorphisms from {pattern} to graph {graph}, or from a part of it, are more than {MOST_EXACT:.1e}, "
        "which int64 does not hold: take smaller patterns, or weights='inverse_degree'"
    )
