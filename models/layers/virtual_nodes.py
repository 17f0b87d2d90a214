"""Graphs with an extra node each: Graphormer's [VNode], the class token of SAT, the virtual node of message passing."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from graphpe.models.attention.pairs import PairSet
from graphpe.models.batches.nodes import NodeToGraph
from graphpe.models.layers.normalization import NormOrNone, build_norm
from graphpe.models.layers.precision import exactly


@dataclass(frozen=True, eq=False)
class Extended:
    """A batch in which every graph has one more node, its last. Other nodes keep their place within the graph.

    Attributes:
        members: The partition of all N + B nodes.
        real: Place of each of the N nodes, `[N]`.
        virtual: Place of each graph's extra node, `[B]`.
    """

    members: NodeToGraph
    real: Tensor
    virtual: Tensor

    def join(self, x: Tensor, virtual: Tensor) -> Tensor:
        """Rows of the nodes `[N, D]` and of the extra ones (`[B, D]`, or `[D]` for all) as `[N + B, D]`.

        Args:
            x: Rows of the nodes, `[N, D]`.
            virtual: Rows of the extra nodes, `[B, D]`, or `[D]` for all.
        """
        out = x.new_empty(self.members.graph.numel(), x.shape[1])
        rows = virtual.to(x.dtype).expand(self.virtual.numel(), -1)
        return out.index_copy(0, self.real, x).index_copy(0, self.virtual, rows)

    def pair_rows(self, pairs: PairSet, wider: PairSet, value: Tensor, virtual: Tensor) -> Tensor:
        """Rows of all pairs `[P, H]` as rows of all pairs of the larger graphs; those of an extra node are `virtual`.

        Args:
            pairs: All pairs of the N nodes.
            wider: All pairs of the N + B nodes.
            value: `[P, H]`.
            virtual: `[H]`.
        """
        first = wider.ptr.index_select(0, self.real)  # first pair of each query
        offset = self.members.ptr.index_select(0, self.members.graph.index_select(0, self.real))
        place = first.index_select(0, pairs.target) + self.real.index_select(0, pairs.source)
        place = place - offset.index_select(0, pairs.target)
        rows = virtual.expand(wider.num_pairs, -1)
        return rows.index_copy(0, place, value.to(rows.dtype))


def extend(members: NodeToGraph) -> Extended:
    """One more node for every graph. O(N), without waiting for a GPU.

    Args:
        members: The partition of the nodes into graphs.
    """
    nodes, graphs, device = members.graph.numel(), members.num_graphs, members.ptr.device
    number = torch.arange(graphs, device=device)
    real = torch.arange(nodes, device=device) + members.graph
    virtual = members.ptr[1:] + number
    graph = number.new_empty(nodes + graphs).index_copy(0, real, members.graph).index_copy(0, virtual, number)
    ptr = members.ptr + torch.arange(graphs + 1, device=device)
    max_size = None if members.max_size is None else members.max_size + 1
    num_pairs = None if members.num_pairs is None else members.num_pairs + 2 * nodes + graphs
    groups = None if members.groups is None else tuple((count, size + 1) for count, size in members.groups)
    return Extended(NodeToGraph(graph, ptr, max_size, num_pairs, groups=groups), real, virtual)


class VirtualNode(nn.Module):
    """A node that every node of its graph sends to and hears from, between layers of message passing.

        x_i <- x_i + v                                 before every layer; v of the first is learned
        v   <- Dropout(MLP(v + sum_i x_i))             after every layer but the last; v + ... with `residual`
        MLP: D -> 2 D -> D, each map with a normalisation and a ReLU

    That of OGB's baselines (Hu et al. 2020, arXiv:2005.00687), after Gilmer et al. 2017 (arXiv:1704.01212). Between two
    layers it has 4 D^2 + 3 D parameters and those of normalisations of 2 D and D. Sums are in float32 or better.

    Args:
        width: Width D.
        layers: Number of layers.
        norm: `batch` (over graphs), `layer` or `none`.
        dropout: Probability of dropout.
        residual: Whether v is added to what becomes of it.
    """

    def __init__(
        self, width: int, layers: int, *, norm: NormOrNone = "batch", dropout: float = 0.0, residual: bool = False
    ) -> None:
        super().__init__()
        self.first = nn.Parameter(torch.zeros(width))
        self.maps = nn.ModuleList(
            nn.Sequential(
                nn.Linear(width, 2 * width),
                build_norm(norm, 2 * width),
                nn.ReLU(),
                nn.Linear(2 * width, width),
                build_norm(norm, width),
                nn.ReLU(),
            )
            for _ in range(layers - 1)
        )
        self.dropout, self.residual = dropout, residual

    def start(self, members: NodeToGraph) -> Tensor:
        """The vectors before the first layer, `[B, D]`.

        Args:
            members: The partition of the nodes into graphs.
        """
        return self.first.expand(members.num_graphs, -1)

    def forward(self, layer: int, virtual: Tensor, x: Tensor, members: NodeToGraph) -> Tensor:
        """The vectors `[B, D]` after a layer; after the last as they are.

        Args:
            layer: Number of the layer.
            virtual: The vectors before it, `[B, D]`.
            x: What the layer was given, `[N, D]`.
            members: The partition of the nodes into graphs.
        """
        if layer == len(self.maps):
            return virtual
        total = exactly(virtual).index_add(0, members.graph, exactly(x))
        update = functional.dropout(self.maps[layer](total.to(x.dtype)), self.dropout, self.training)
        return virtual + update if self.residual else update
