"""Which node belongs to which graph: read once from a PyG `Data` or `Batch`, without a device synchronisation."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphpe.errors import GraphPETypeError


@dataclass(frozen=True)
class NodeToGraph:
    """The partition of a batch's nodes into graphs.

    Attributes:
        graph: Graph of each node, `[num_nodes]`, non-decreasing.
        ptr: First node of each graph and, last, the number of nodes, `[num_graphs + 1]`.
        max_size: Nodes of the largest graph if that is known on the host, else None.
        num_pairs: Sum of squared graph sizes if that is known on the host, else None.
    """

    graph: Tensor
    ptr: Tensor
    max_size: int | None = None
    num_pairs: int | None = None

    @property
    def num_graphs(self) -> int:
        """Number of graphs; graphs without a node count."""
        return self.ptr.numel() - 1

    @property
    def sizes(self) -> Tensor:
        """Number of nodes of each graph, `[num_graphs]`."""
        return self.ptr.diff()


def node_to_graph(batch: Data) -> NodeToGraph:
    """Read the partition into graphs of a `Data` (one graph) or a `Batch`.

    Nothing here waits for the device when the batch carries `ptr`, as every batch of PyG and of
    `PackedGraphs.to_batch` does. `max_size` and `num_pairs` are taken over when they are plain integers.

    Args:
        batch: One graph, or a batch of graphs with consecutive nodes.

    Raises:
        GraphPETypeError: If `batch` is not a PyG `Data` or `Batch`.
    """
    if not isinstance(batch, Data):
        raise GraphPETypeError(
            f"the model takes a PyG Data or Batch (got {type(batch).__name__}): "
            "turn PackedGraphs into one with .to_batch(), HeteroData with .to_homogeneous()"
        )
    graph: Tensor | None = getattr(batch, "batch", None)
    if graph is None:
        size = _num_nodes(batch)
        device = batch.edge_index.device
        first = torch.tensor([0, size], device=device)
        return NodeToGraph(torch.zeros(size, dtype=torch.long, device=device), first, size, size * size)
    ptr: Tensor | None = getattr(batch, "ptr", None)
    if ptr is None:
        ptr = torch.cat([graph.new_zeros(1), torch.bincount(graph, minlength=batch.num_graphs).cumsum(0)])
    max_size = getattr(batch, "max_size", None)
    num_pairs = getattr(batch, "num_pairs", None)
    return NodeToGraph(
        graph,
        ptr,
        max_size if isinstance(max_size, int) else None,
        num_pairs if isinstance(num_pairs, int) else None,
    )


def _num_nodes(data: Data) -> int:
    """Number of nodes of one graph; PyG types it as optional."""
    size = data.num_nodes
    assert size is not None, "a PyG Data with an edge_index has a number of nodes"
    return size
