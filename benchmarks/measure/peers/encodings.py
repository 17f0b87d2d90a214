"""What users run today, graph by graph: the sides that encodings are measured against.

PyG's transforms are used as they are. The others are the algorithms of released code, written from their formulas:
dense, one graph at a time, in the library that the release uses.
"""

from __future__ import annotations

import math

import networkx as nx
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import Data


def magnetic_eigenvectors(data: Data, k: int, q: float) -> tuple[NDArray[np.float64], NDArray[np.complex128]]:
    """The k lowest eigenpairs of the Magnetic Laplacian by `numpy.linalg.eigh` (digraph_transformer).

    A dense complex matrix I - D^-1/2 S exp(i Theta) D^-1/2 and all of its eigenvectors, of which k are kept.
    """
    tail, head = data.edge_index.numpy()
    n = data.num_nodes
    adjacency = np.zeros((n, n))
    adjacency[tail, head] = 1.0
    symmetric = np.maximum(adjacency, adjacency.T)
    one_way = np.count_nonzero(adjacency != adjacency.T) / 2
    potential = q / max(min(one_way, n), 1)
    scale = 1.0 / np.sqrt(np.maximum(symmetric.sum(axis=1), 1.0))
    phase = np.exp(2j * math.pi * potential * (adjacency - adjacency.T))
    operator = np.eye(n) - scale[:, None] * symmetric * phase * scale
    values, vectors = np.linalg.eigh(operator)
    return values[:k], vectors[:, :k]


def full_rrwp(data: Data, walk_length: int) -> tuple[Tensor, Tensor, Tensor]:
    """RRWP by dense powers (GRIT): the diagonal, and the indices and values of pairs with any non-zero entry."""
    n = data.num_nodes
    adjacency = torch.zeros(n, n)
    adjacency[data.edge_index[0], data.edge_index[1]] = 1.0
    inverse = 1.0 / adjacency.sum(dim=1)
    inverse[inverse == math.inf] = 0.0
    step = adjacency * inverse[:, None]
    powers = [torch.eye(n), step]
    for _ in range(walk_length - 2):
        powers.append(powers[-1] @ step)
    stacked = torch.stack(powers, dim=-1)
    index = stacked.abs().sum(dim=-1).nonzero().T
    return stacked.diagonal().T, index, stacked[index[0], index[1]]


def shortest_paths(data: Data) -> Tensor:
    """Hop distances by networkx (GraphGPS): a breadth-first search from every node, and a loop over its dictionary."""
    n = data.num_nodes
    graph: nx.DiGraph = nx.DiGraph()
    graph.add_nodes_from(range(n))
    graph.add_edges_from(data.edge_index.T.tolist())
    out = torch.full((n, n), n, dtype=torch.long)
    for i, distances in nx.all_pairs_shortest_path_length(graph):
        for j, distance in distances.items():
            out[i, j] = distance
    return out
