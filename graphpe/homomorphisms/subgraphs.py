"""Copies of motifs around each node, as sums of homomorphism counts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from functools import lru_cache
from itertools import combinations
from math import factorial, prod
from typing import Any

import numpy as np
import torch
from scipy.sparse import csr_matrix
from torch import Tensor

from graphpe.arguments import check_flags
from graphpe.graphs.packed import PackedGraphs
from graphpe.homomorphisms.canonical import Edges, automorphisms, canonical
from graphpe.homomorphisms.counts import RootedPattern, count_in_chunks
from graphpe.homomorphisms.patterns import Pattern, read_patterns
from graphpe.structure.plan import Plan

MOST_NODES = 8
"""Of a motif: 4,140 partitions of its nodes."""
MOST_INDUCED_NODES = 6
"""Of a motif whose induced copies are counted: each set of edges that it lacks is added, too."""

Rooted = tuple[int, Edges]
"""Nodes and edges of a pattern in its one labelling, with root 0."""


def subgraph_counts(graphs: PackedGraphs | Plan, motifs: Any, *, induced: bool = False) -> Tensor:
    """The number of copies of each motif that each node of the undirected graph is in, by its place in them.

    A copy is a subgraph that is isomorphic to the motif; with `induced` all edges between its nodes have to be edges of
    the motif. The place is an orbit: nodes of the motif that its automorphisms map to each other.

    The maps of a motif to a graph that are one to one are a sum over the partitions of its nodes, of homomorphisms from
    the quotients (Lovász 2012, section 5.2.3; Curticapean, Dell and Marx 2017):

        inj(F) = sum_P prod_(B in P) (-1)^(|B| - 1) (|B| - 1)! hom(F / P),

    each copy is counted by as many of them as F has automorphisms that keep the root, and induced copies are an
    alternating sum over the edges that F lacks. Sums are taken modulo 2^64: what is in the end is no larger than
    hom(F), which is compared, and so exact.

    Args:
        graphs: The graphs, or a plan that shares their work.
        motifs: As `graphpe.homomorphisms.patterns.as_literals` takes patterns; of 2 to 8 nodes, or 6 if `induced`.
        induced: Whether copies have to be induced subgraphs.

    Returns:
        `[N, C]` int64, a column for each root of each motif, in the order of `homomorphism_counts`; on the device of
        the graphs.

    Raises:
        GraphPETypeError: A motif is no pattern.
        GraphPEValueError: One is unknown, not connected or too large; or a count is above 9.2e18, or would take too
            long.
    """
    check_flags(induced=induced)
    plan = Plan.of(graphs)
    motifs = read_motifs(motifs, induced)
    columns = tuple((motif, root) for motif in motifs for root in motif.roots())
    needed, factors, divisors = _combination(columns, induced)
    out = np.empty((plan.graphs.num_nodes, len(columns)), np.int64)
    for rows, found in count_in_chunks(plan, needed):
        with np.errstate(over="ignore"):
            out[rows] = (factors @ np.stack(found)).T // divisors
    return torch.from_numpy(out).to(plan.graphs.device)


def read_motifs(motifs: Any, induced: bool) -> list[Pattern]:
    """The motifs of an argument.

    Args:
        motifs: As `subgraph_counts` takes them.
        induced: Whether their copies have to be induced.
    """
    return read_patterns(motifs, MOST_INDUCED_NODES if induced else MOST_NODES)


def quotients(motifs: Any, *, induced: bool = False) -> list[Rooted]:
    """The patterns whose homomorphisms the numbers of copies are sums of: nodes and edges of each.

    Args:
        motifs: As `subgraph_counts` takes them.
        induced: Whether their copies have to be induced.
    """
    columns = tuple((motif, root) for motif in read_motifs(motifs, induced) for root in motif.roots())
    return [(each.num_nodes, each.edges) for each in _combination(columns, induced)[0]]


@lru_cache(maxsize=1 << 6)
def _combination(
    columns: tuple[tuple[Pattern, int], ...], induced: bool
) -> tuple[list[RootedPattern], csr_matrix, np.ndarray]:
    """The rooted patterns that are needed, their factors for each column, and what each column is divided by."""
    place: dict[Rooted, int] = {}
    names: list[str] = []
    row, column, factor = [], [], []
    for i, (motif, root) in enumerate(columns):
        form = _form(motif.num_nodes, motif.edges, root)
        for pattern, times in (_induced(form) if induced else _injective(form)).items():
            if pattern not in place:
                place[pattern] = len(place)
                names.append(motif.name)
            row.append(i)
            column.append(place[pattern])
            factor.append(times)
    needed = [
        RootedPattern(f"{name}, by way of {list(edges)} at 0", nodes, edges, 0)
        for (nodes, edges), name in zip(place, names, strict=True)
    ]
    factors = csr_matrix((np.array(factor, np.int64), (row, column)), shape=(len(columns), len(place)))
    fixed = [automorphisms(motif.num_nodes, motif.edges, _rooted_at(motif.num_nodes, root)) for motif, root in columns]
    return needed, factors, np.array(fixed, np.int64)


@lru_cache(maxsize=1 << 12)
def _injective(form: Rooted) -> Counter[Rooted]:
    """The homomorphisms whose sum is the number of maps that are one to one: patterns and their factors."""
    nodes, edges = form
    found: Counter[Rooted] = Counter()
    for block in _partitions(nodes):
        quotient = {(min(block[a], block[b]), max(block[a], block[b])) for a, b in edges}
        if any(a == b for a, b in quotient):  # a loop: there are none
            continue
        sizes = Counter(block).values()
        sign = prod((-1) ** (size - 1) * factorial(size - 1) for size in sizes)
        found[_form(len(sizes), tuple(sorted(quotient)), block[0])] += sign
    return Counter({pattern: times for pattern, times in found.items() if times})


@lru_cache(maxsize=1 << 12)
def _induced(form: Rooted) -> Counter[Rooted]:
    """The homomorphisms whose sum is the number of maps onto induced subgraphs: patterns and their factors."""
    nodes, edges = form
    absent = [pair for pair in combinations(range(nodes), 2) if pair not in edges]
    more: Counter[Rooted] = Counter()
    for count in range(len(absent) + 1):
        for added in combinations(absent, count):
            more[_form(nodes, tuple(sorted((*edges, *added))), 0)] += (-1) ** count
    found: Counter[Rooted] = Counter()
    for whole, times in more.items():
        for pattern, factor in _injective(whole).items():
            found[pattern] += times * factor
    return Counter({pattern: times for pattern, times in found.items() if times})


def _form(num_nodes: int, edges: Edges, root: int) -> Rooted:
    """The one labelling of a rooted pattern: its root becomes 0."""
    return num_nodes, canonical(num_nodes, edges, _rooted_at(num_nodes, root))[1]


def _rooted_at(num_nodes: int, root: int) -> tuple[int, ...]:
    return tuple(int(node != root) for node in range(num_nodes))


def _partitions(count: int) -> Iterator[list[int]]:
    """All partitions of some elements: the block of each, blocks numbered as they come."""
    if count == 1:
        yield [0]
        return
    for block in _partitions(count - 1):
        for own in range(max(block) + 2):
            yield [*block, own]
