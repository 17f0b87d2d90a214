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
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import breadth_first_order

from graphpe.laplacian import Floats, Ints, SymmetricPairs

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
    """Connected components of the symmetrised graphs. About log N rounds of O(N + E)."""
    label = np.arange(num_nodes)
    while True:
        here, there = label[pairs.row], label[pairs.col]
        if np.array_equal(here, there):
            break
        # Each root takes the lowest label among its neighbours; labels only fall, and the first node keeps its own.
        np.minimum.at(label, here, there)
        while not np.array_equal(label, shorter := label[label]):
            label = shorter
    is_first = label == np.arange(num_nodes)
    return Components((np.cumsum(is_first) - 1)[label], np.flatnonzero(is_first))


def potentials(pairs: SymmetricPairs, num_nodes: int, components: Components) -> Ints:
    """The potential of each node along a breadth-first tree of its component, 0 at the first node; `[N]`.

    One search over all graphs from a root above them, then pointer doubling: O((N + E) + N log depth).
    """
    if not pairs.direction.any():
        return np.zeros(num_nodes, dtype=np.int64)
    root = num_nodes
    indptr = np.searchsorted(pairs.row, np.arange(num_nodes + 1))
    indptr = np.append(indptr, indptr[-1] + len(components.first))
    indices = np.append(pairs.col, components.first)
    graph = csr_matrix((np.ones(len(indices)), indices, indptr), shape=(root + 1, root + 1))
    _, parent = breadth_first_order(graph, root)
    parent = parent.astype(np.int64)
    parent[root] = root
    # The direction of each tree edge parent -> node; edges from the root lead nowhere.
    node = np.flatnonzero(parent[:num_nodes] != root)
    at = np.searchsorted(pairs.row * num_nodes + pairs.col, parent[node] * num_nodes + node)
    value = np.zeros(num_nodes + 1, dtype=np.int64)
    value[node] = pairs.direction[at]
    while (parent != root).any():
        value += value[parent]
        parent = parent[parent]
    return value[:num_nodes]


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
