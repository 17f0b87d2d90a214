"""Random regular graphs beside the graphs of a batch, as in Exphormer and GRASS: every node a few steps from any."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.arguments import check_counts
from graphpe.errors import GraphPEValueError
from graphpe.models.batches.nodes import NodeToGraph, stated_edges
from graphpe.sampling.rewiring import ADDED, regular_edges


def expander_edges(members: NodeToGraph, degree: int, seed: int) -> Tensor:
    """Edges of a random 2 `degree`-regular multigraph on the nodes of each graph, `[2, 2 degree N]`.

    Those of `graphpe.sampling.rewiring.regular_edges`: a function of a graph's size and of the numbering of its nodes,
    not of the batch or of a global generator, on any device and without waiting for it.

    Args:
        members: The partition of the nodes into graphs.
        degree: Number of permutations.
        seed: Seed.
    """
    return regular_edges(members.graph, members.ptr, degree, seed)


class RewiredEdges(nn.Module):
    """Embeddings of edges some of which were added by `RandomRewiring`: those have one learned vector.

    The others have the embeddings of an encoder, or where edges carry nothing a second learned vector. The vector of
    added edges starts at random as an embedding does.

    Example:
        >>> from graphpe import PackedGraphs
        >>> from graphpe.sampling.rewiring import RandomRewiring
        >>> path = Data(edge_index=torch.tensor([[0, 1, 2], [1, 2, 3]]), edge_attr=torch.randn(3, 2), num_nodes=4)
        >>> batch = RandomRewiring(degree=2)(PackedGraphs.from_data(path)).to_batch()
        >>> M.RewiredEdges(8, M.LinearEdges(2, 8))(batch).shape == (batch.num_edges, 8)
        True

    Args:
        width: Width of the embeddings.
        encoder: From a batch to embeddings of its edges `[E, width]`; None where they carry nothing.

    Raises:
        GraphPEValueError: `width` is not positive; in `forward` if the batch does not say which edges were added.
    """

    def __init__(self, width: int, encoder: nn.Module | None = None) -> None:
        super().__init__()
        (width,) = check_counts(width=width)
        self.encoder = encoder
        self.added = nn.Parameter(torch.randn(width))
        self.given = nn.Parameter(torch.randn(width)) if encoder is None else None

    def forward(self, batch: Data) -> Tensor:
        """Embeddings of the edges, `[E, width]`.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with `added`.
        """
        edges, added = stated_edges(batch), getattr(batch, ADDED, None)
        if not isinstance(added, Tensor) or edges is None or added.shape != edges.shape[1:]:
            raise GraphPEValueError(
                f"batch.{ADDED} does not say of each edge whether it was added: let the loader rewire its batches "
                "(transform=RandomRewiring(degree=3)), or call that on the graphs"
            )
        given = self.given if self.encoder is None else self.encoder(batch)
        assert given is not None, "a vector or an encoder"
        return torch.where(added.unsqueeze(1), self.added.to(given.dtype), given)
