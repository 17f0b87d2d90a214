"""Connected components, and potentials: node values whose differences along edges are the edges' directions.

Where a potential p fits every edge (p_v = p_u + 1 for u -> v only, p_v = p_u for reciprocal pairs), the component is
*balanced*, and diagonal phases U = diag(exp(-2 pi i q p)) turn its magnetic operator into the undirected one: L^(q) = U
L^(0) U^H. Every forest is balanced; so is every graph with a level function. A component whose misfits are whole turns
(a directed 10-cycle at q = 0.1) is balanced at that q, too.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from graphpe.compiled.jit import compiled
from graphpe.structure.laplacian import Floats, Ints, SymmetricPairs

# Of a turn: misfits below are rounding of q (their effect on eigenvalues is of the same size).
_WHOLE_TURN_TOLERANCE = 1e-12


class Components(NamedTuple):
    """Connected components over all graphs, numbered by their first node, hence graph after graph.

    Attributes:
        label: `[N]`: the component of each node.
        first: `[C]`: the first node of each component.
    """

    label: Ints
    first: Ints


def find_components(pairs: SymmetricPairs, num_nodes: int) -> Components:
    """Connected components of the symmetrised graphs, by union-find: as good as O(N + E).

    Args:
        pairs: The symmetrised graph S, each pair in both directions.
        num_nodes: Number N of nodes, over all graphs.
    """
    return Components(*label_components(pairs.row, pairs.col, num_nodes))


def potentials(pairs: SymmetricPairs, num_nodes: int, components: Components) -> Ints:
    """The potential of each node along a breadth-first tree of its component, 0 at the first node; `[N]`. O(N + E).

    Args:
        pairs: The symmetrised graph S, each pair in both directions, with a direction for each pair.
        num_nodes: Number N of nodes, over all graphs.
        components: Its connected components.
    """
    if not pairs.direction.any():
        return np.zeros(num_nodes, dtype=np.int64)
    indptr = np.searchsorted(pairs.row, np.arange(num_nodes + 1))
    return _potentials(indptr, pairs.col, pairs.direction, components.first)


@compiled
def label_components(row: Ints, col: Ints, num_nodes: int) -> tuple[Ints, Ints]:
    """The component of each node, and the first node of each component.

    Args:
        row: One end of each pair.
        col: The other end.
        num_nodes: Number N of nodes, over all graphs.
    """
    label = np.arange(num_nodes)
    for e in range(len(row)):
        here, there = row[e], col[e]
        if there >= here:  # every pair comes both ways
            continue
        while label[here] != here:
            label[here] = label[label[here]]
            here = label[here]
        while label[there] != there:
            label[there] = label[label[there]]
            there = label[there]
        # The lower root stays: a component is named by its first node, and labels point back.
        label[max(here, there)] = min(here, there)
    first = np.empty(num_nodes, np.int64)
    count = 0
    for v in range(num_nodes):
        if label[v] == v:
            first[count] = v
            label[v] = count
            count += 1
        else:
            label[v] = label[label[v]]
    return label, first[:count].copy()


@compiled
def _potentials(indptr: Ints, col: Ints, direction: Ints, first: Ints) -> Ints:
    size = len(indptr) - 1
    value = np.zeros(size, np.int64)
    reached = np.zeros(size, np.bool_)
    queue = np.empty(size, np.int64)
    for root in first:
        reached[root] = True
        queue[0] = root
        head, tail = 0, 1
        while head < tail:
            u = queue[head]
            head += 1
            for e in range(indptr[u], indptr[u + 1]):
                v = col[e]
                if not reached[v]:
                    reached[v] = True
                    value[v] = value[u] + direction[e]
                    queue[tail] = v
                    tail += 1
    return value


def balanced_components(pairs: SymmetricPairs, potential: Ints, q: Floats, components: Components) -> NDArray[np.bool_]:
    """Whether the potential fits every edge of a component, up to whole turns; `[C]`.

    Args:
        pairs: The symmetrised graphs.
        potential: `[N]`, as from `potentials`.
        q: Turns per edge of the graph of each pair `[P]`.
        components: As from `find_components`.
    """
    misfit = potential[pairs.col] - potential[pairs.row] - pairs.direction
    turns = q * misfit
    frustrated = np.abs(turns - np.rint(turns)) > _WHOLE_TURN_TOLERANCE * np.maximum(np.abs(misfit), 1)
    balanced = np.ones(len(components.first), dtype=bool)
    balanced[components.label[pairs.row[frustrated]]] = False
    return balanced
