"""Connected components, and potentials: node values whose differences along edges are the edges' directions.

Where a potential p fits every edge (p_v = p_u + 1 for u -> v only, p_v = p_u for reciprocal pairs), the component is
*balanced*, and diagonal phases U = diag(exp(-2 pi i q p)) turn its magnetic operator into the undirected one: L^(q) = U
L^(0) U^H. Every forest is balanced; so is every graph with a level function. A component whose misfits are whole turns
(a directed 10-cycle at q = 0.1) is balanced at that q, too.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.sparse.csgraph import breadth_first_order, connected_components
from torch import Tensor

from graphpe.laplacian import SymmetricPairs

# Of a turn: misfits below are rounding of q (their effect on eigenvalues is of the same size).
_WHOLE_TURN_TOLERANCE = 1e-12


class Components(NamedTuple):
    """Connected components over all graphs, numbered by their first node, hence graph after graph.

    Attributes:
        label: `[N]` int64: the component of each node.
        first: `[C]` int64: the first node of each component.
    """

    label: Tensor
    first: Tensor


def find_components(pairs: SymmetricPairs, num_nodes: int) -> Components:
    """Connected components of the symmetrised graphs. O(N + E), on the CPU."""
    count, label = connected_components(_csr(pairs, num_nodes), directed=True, connection="strong")
    first = np.empty(count, dtype=np.int64)
    first[label[::-1]] = np.arange(num_nodes - 1, -1, -1)  # of repeated targets, the last written stays
    # SciPy's numbers follow its search; ours follow the first nodes.
    order = np.argsort(first)
    rank = np.empty(count, dtype=np.int64)
    rank[order] = np.arange(count)
    device = pairs.row.device
    return Components(torch.from_numpy(rank[label]).to(device), torch.from_numpy(first[order]).to(device))


def potentials(pairs: SymmetricPairs, num_nodes: int, components: Components) -> Tensor:
    """The potential of each node along a breadth-first tree of its component, 0 at the first node; `[N]` int64.

    One search over all graphs from a root above them, then pointer doubling: O((N + E) + N log depth), on the CPU.
    """
    if not bool(pairs.direction.any()):
        return torch.zeros(num_nodes, dtype=torch.long, device=pairs.row.device)
    root = num_nodes
    graph = _csr(pairs, num_nodes, extra_row=components.first.numpy(force=True))
    _, parent = breadth_first_order(graph, root, directed=True, return_predecessors=True)
    parent = parent.astype(np.int64)
    parent[root] = root
    # The direction of each tree edge parent -> node; edges from the root lead nowhere.
    keys = (pairs.row * num_nodes + pairs.col).numpy(force=True)
    node = np.flatnonzero(parent[:num_nodes] != root)
    at = np.searchsorted(keys, parent[node] * num_nodes + node)
    value = np.zeros(num_nodes + 1, dtype=np.int64)
    value[node] = pairs.direction.numpy(force=True)[at]
    while bool((parent != root).any()):
        value += value[parent]
        parent = parent[parent]
    return torch.from_numpy(value[:num_nodes]).to(pairs.row.device)


def balanced_components(pairs: SymmetricPairs, potential: Tensor, q: Tensor, components: Components) -> Tensor:
    """Whether the potential fits every edge of a component, up to whole turns; `[C]` bool.

    Args:
        pairs: The symmetrised graphs.
        potential: `[N]`, as from `potentials`.
        q: Turns per edge of the graph of each pair `[P]`.
        components: As from `find_components`.
    """
    misfit = potential[pairs.col] - potential[pairs.row] - pairs.direction
    turns = q * misfit
    frustrated = (turns - turns.round()).abs() > _WHOLE_TURN_TOLERANCE * misfit.abs().clamp(min=1)
    balanced = torch.ones(components.first.numel(), dtype=torch.bool, device=q.device)
    balanced[components.label[pairs.row[frustrated]]] = False
    return balanced


def _csr(pairs: SymmetricPairs, num_nodes: int, extra_row: NDArray[np.int64] | None = None) -> csr_matrix:
    """The pairs as a SciPy matrix of ones (they are sorted), with one more node that points to `extra_row` if given."""
    indices = pairs.col.numpy(force=True)
    indptr = np.searchsorted(pairs.row.numpy(force=True), np.arange(num_nodes + 1))
    if extra_row is not None:
        indices = np.append(indices, extra_row)
        indptr = np.append(indptr, len(indices))
    size = len(indptr) - 1
    return csr_matrix((np.ones(len(indices)), indices, indptr), shape=(size, size))
