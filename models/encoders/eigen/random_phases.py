"""The free signs and phases of eigenvectors, drawn afresh."""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphpe.models.batches.nodes import graph_of_nodes


def random_phases(vectors: Tensor, batch: Data) -> Tensor:
    """Each vector of each graph times a random sign if it is real, a random phase if it is complex.

    An eigenvector is known up to such a factor only. Models that see a fresh one in every step learn not to depend on
    it (Dwivedi et al. 2020, arXiv:2003.00982, section 4). Factors are drawn uniformly and independently from torch's
    global generator.

    Args:
        vectors: `[num_nodes, k, 1]` real, or `[num_nodes, k, 2]` with real and imaginary parts.
        batch: The graphs that the nodes belong to.
    """
    return phases_of_graphs(vectors, *graph_of_nodes(batch, vectors))


def phases_of_graphs(vectors: Tensor, graph: Tensor, graphs: int) -> Tensor:
    """`random_phases` where the graph of each node, and the number of graphs, are known.

    Args:
        vectors: Eigenvectors, `[N, K, 1]` real or `[N, K, 2]` complex.
        graph: Graph of each node, `[N]`.
        graphs: Number of graphs.
    """
    shape = (graphs, vectors.shape[1])
    if vectors.shape[2] == 1:
        sign = torch.randint(0, 2, shape, device=vectors.device).to(vectors.dtype) * 2 - 1
        return vectors * sign.index_select(0, graph).unsqueeze(2)
    angle = torch.rand(shape, device=vectors.device, dtype=vectors.dtype) * (2 * math.pi)
    angle = angle.index_select(0, graph)
    cos, sin = angle.cos(), angle.sin()
    real, imag = vectors.unbind(2)
    return torch.stack([real * cos - imag * sin, real * sin + imag * cos], dim=2)
