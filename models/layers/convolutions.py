"""Layers that pass messages along edges, with edge features: alone in the baselines, as local layers in GPS.

Shape legend: N nodes, E edges (j -> i), D width. A layer maps (x `[N, D]`, edge `[E, D]` or None, `Neighbours`) to
(x, edge): its residual connection, normalisation and dropout are the caller's, except in `GatedGCNLayer`.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch_geometric.nn import GATConv, GINEConv

from graphpe.models.attention.neighbours.neighbours import Neighbours
from graphpe.models.attention.neighbours.sums import neighbour_sums
from graphpe.models.layers.gpu.gated_gcn import gated_sums, gates_run
from graphpe.models.layers.gpu.gine import gine_runs, gine_sums
from graphpe.models.layers.gpu.linear_relu import linear_relu
from graphpe.models.layers.gpu.projections import projected
from graphpe.models.layers.gpu.residual import norm_and_add
from graphpe.models.layers.gpu.two_layers import Activation
from graphpe.models.layers.multi_head import FeedForward
from graphpe.models.layers.normalization import Norm, NormOrNone, build_norm
from graphpe.models.layers.precision import exactly

Local = Literal["GatedGCN", "GINE", "GCN", "GAT", "none"]


class GatedGCNLayer(nn.Module):
    """Gated graph convolution with an edge stream (Bresson & Laurent 2017; Dwivedi et al. 2020, arXiv:2003.00982).

        g_ij = C e_ij + D x_i + E x_j
        x_i <- x_i + ReLU(Norm(A x_i + sum_j sigmoid(g_ij) * B x_j / (sum_j sigmoid(g_ij) + 1e-6)))
        e_ij <- e_ij + ReLU(Norm(g_ij))

    with dropout before the two sums. The published 1e-6 does more than prevent a division by 0: it is the one trace of
    a node's degree in a mean over neighbours that are alike, and some layers with batch normalisation learn to enlarge
    it (benchmarks/results/positions.md: without it cycles are not counted). PyG's `ResGatedGraphConv` has neither an
    edge stream nor normalised gates, so this is written here. 5 (D^2 + D) parameters and those of two normalisations.
    A, B, D and E are one product; sums are in float32 or better.

    Args:
        width: Width D.
        norm: `batch`, `layer` or `none`.
        dropout: Probability of dropout.
        residual: Whether x_i and e_ij are added to what the layer makes of them.
        activation: `relu` or `gelu`.
    """

    def __init__(
        self,
        width: int,
        *,
        norm: NormOrNone = "batch",
        dropout: float = 0.0,
        residual: bool = True,
        activation: Activation = "relu",
    ) -> None:
        super().__init__()
        self.dropout = dropout
        self.residual = residual
        self.activation = activation
        self.node_maps = nn.Linear(width, 4 * width)
        self.edge_map = nn.Linear(width, width)
        self.node_norm = build_norm(norm, width)
        self.edge_norm = build_norm(norm, width)
        self.updates_edges = True

    def skip_edge_update(self) -> None:
        """Leave edges as they are: nothing reads them after this layer. The norm's parameters get no gradient."""
        self.updates_edges = False
        self.edge_norm.requires_grad_(False)

    def forward(self, x: Tensor, edge: Tensor, pairs: Neighbours) -> tuple[Tensor, Tensor]:
        """Nodes and edges after the layer, residual connections included.

        Args:
            x: Node embeddings, `[N, D]`.
            edge: Edge embeddings, `[E, D]`.
            pairs: The edges.
        """
        maps, x = projected(x, self.node_maps.weight, self.node_maps.bias)
        of_edges, edge = projected(edge, self.edge_map.weight, self.edge_map.bias)
        if gates_run(maps, of_edges):
            sums, logit = gated_sums(maps, of_edges, pairs)
        else:
            sums, logit = _gated_sums(maps, of_edges, pairs)
        last: dict[str, Any] = {"activation": self.activation, "dropout": self.dropout if self.training else 0.0}
        out = norm_and_add(self.node_norm, sums, x if self.residual else None, **last)
        if self.updates_edges:
            edge = norm_and_add(self.edge_norm, logit, edge if self.residual else None, **last)
        return out, edge


def _gated_sums(maps: Tensor, of_edges: Tensor, pairs: Neighbours) -> tuple[Tensor, Tensor]:
    source, target = pairs.edge_index
    own, message, to, of = maps.chunk(4, dim=1)
    logit = of_edges + to.index_select(0, target) + of.index_select(0, source)  # [E, D]
    gate = torch.sigmoid(logit.to(torch.promote_types(logit.dtype, torch.float32)))
    total = gate.new_zeros(own.shape).index_add(0, target, gate)
    sums = gate.new_zeros(own.shape).index_add(0, target, gate * message.index_select(0, source))
    return own + sums / (total + 1e-6), logit


class GCNLayer(nn.Module):
    """Graph convolution (Kipf & Welling 2017), with edge features as in OGB's baselines where there are any.

        out_i = b + W x_i / d_i + sum_j m_ij / sqrt(d_i d_j),    m_ij = W x_j, or ReLU(W x_j + e_ij)

    with d the number of incoming edges plus one. Differs from OGB's: no ReLU and no vector of its own in the term of i.

    Args:
        width: Width D.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width, bias=False)
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, x: Tensor, edge: Tensor | None, pairs: Neighbours) -> tuple[Tensor, Tensor | None]:
        """Nodes after the layer, and the edges as they are.

        Args:
            x: Node embeddings, `[N, D]`.
            edge: Edge embeddings, `[E, D]`, or None.
            pairs: The edges.
        """
        mapped = exactly(self.linear(x))
        scale = (pairs.degree + 1).to(mapped.dtype).rsqrt().unsqueeze(1)  # [N, 1]
        mapped = mapped * scale
        if edge is None:
            return (mapped + neighbour_sums(None, mapped, pairs)) * scale + self.bias, edge
        source, target = pairs.edge_index
        # ReLU(s W x + s e) = s ReLU(W x + e), s > 0.
        message = torch.relu(mapped.index_select(0, source) + edge * scale.index_select(0, source))
        return mapped.index_add(0, target, message) * scale + self.bias, edge


class GINELayer(nn.Module):
    """PyG's `GINEConv`: MLP(x_i + sum_j ReLU(x_j + e_ij)) with one hidden layer of the same width (Hu et al. 2020).

    Args:
        width: Width D.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.conv = GINEConv(nn.Sequential(nn.Linear(width, width), nn.ReLU(), nn.Linear(width, width)))

    def forward(self, x: Tensor, edge: Tensor | None, pairs: Neighbours) -> tuple[Tensor, Tensor | None]:
        """Nodes after the layer, and the edges as they are.

        Args:
            x: Node embeddings, `[N, D]`.
            edge: Edge embeddings, `[E, D]`, or None.
            pairs: The edges.
        """
        sums, _, _ = self.sums(x, edge, pairs)
        first, last = self.maps
        return last(linear_relu(sums, first)), edge

    @property
    def maps(self) -> tuple[nn.Linear, nn.Linear]:
        """The two maps, with a ReLU between them."""
        return self.conv.nn[0], self.conv.nn[2]

    def sums(self, x: Tensor, edge: Tensor | None, pairs: Neighbours) -> tuple[Tensor, Tensor, Tensor | None]:
        """What the first map is given, `[N, D]`, and x and edges for whoever reads them after this.

        Args:
            x: Node embeddings, `[N, D]`.
            edge: Edge embeddings, `[E, D]`, or None.
            pairs: The edges.
        """
        if edge is None:
            return (x * (1 + self.conv.eps) + neighbour_sums(None, torch.relu(x), pairs)).to(x.dtype), x, edge
        if gine_runs(x, edge):
            return gine_sums(x, edge, self.conv.eps, pairs)
        sums = self.conv.propagate(pairs.edge_index, x=(x, x), edge_attr=edge, size=None) + (1 + self.conv.eps) * x
        return sums, x, edge


class OGBGCNLayer(nn.Module):
    """The graph convolution of OGB's baselines (Hu et al. 2020, arXiv:2005.00687), with a root vector r.

        out_i = ReLU(W x_i + b + r) / d_i + sum_j ReLU(W x_j + b + e_ij) / sqrt(d_i d_j)

    with d the number of incoming edges plus one (released: of outgoing ones, the same where edges go both ways).
    D^2 + 2 D parameters.

    Args:
        width: Width D.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.root = nn.Parameter(torch.randn(width))

    def forward(self, x: Tensor, edge: Tensor | None, pairs: Neighbours) -> tuple[Tensor, Tensor | None]:
        """Nodes after the layer, and the edges as they are.

        Args:
            x: Node embeddings, `[N, D]`.
            edge: Edge embeddings, `[E, D]`, or None.
            pairs: The edges.
        """
        mapped = exactly(self.linear(x))
        scale = (pairs.degree + 1).to(mapped.dtype).rsqrt().unsqueeze(1)  # [N, 1]
        own = torch.relu(mapped + self.root) * scale
        if edge is None:
            return (own + neighbour_sums(None, torch.relu(mapped) * scale, pairs)) * scale, edge
        source, target = pairs.edge_index
        message = torch.relu(mapped.index_select(0, source) + edge) * scale.index_select(0, source)
        return own.index_add(0, target, message.to(own.dtype)) * scale, edge


class OGBGINLayer(nn.Module):
    """The isomorphism layer of OGB's baselines (Hu et al. 2020, arXiv:2005.00687), with a learned epsilon.

        out_i = W_2 ReLU(Norm(W_1 ((1 + epsilon) x_i + sum_j ReLU(x_j + e_ij)) + b_1)) + b_2,    hidden width 2 D

    4 D^2 + 3 D + 1 parameters and those of a normalisation of 2 D.

    Args:
        width: Width D.
        norm: `batch`, `layer` or `none`.
    """

    def __init__(self, width: int, norm: NormOrNone = "batch") -> None:
        super().__init__()
        maps = nn.Linear(width, 2 * width), build_norm(norm, 2 * width), nn.ReLU(), nn.Linear(2 * width, width)
        self.conv = GINEConv(nn.Sequential(*maps), train_eps=True)

    def forward(self, x: Tensor, edge: Tensor | None, pairs: Neighbours) -> tuple[Tensor, Tensor | None]:
        """Nodes after the layer, and the edges as they are.

        Args:
            x: Node embeddings, `[N, D]`.
            edge: Edge embeddings, `[E, D]`, or None.
            pairs: The edges.
        """
        if edge is None:
            sums = neighbour_sums(None, torch.relu(x), pairs)
        else:
            sums = self.conv.propagate(pairs.edge_index, x=(x, x), edge_attr=edge, size=None)
        return self.conv.nn((sums + (1 + self.conv.eps) * x).to(x.dtype)), edge


class GATLayer(nn.Module):
    """PyG's `GATConv` with edge features, without self-loops, in float32 or better (Velickovic et al. 2018).

    Args:
        width: Width D.
        heads: Number of heads; divides `width`.
        edges: Whether there are edge features.
    """

    def __init__(self, width: int, heads: int, edges: bool) -> None:
        super().__init__()
        # Self-loops would be removed and added by a search for them, which waits for a GPU; callers add x anyway.
        self.conv = GATConv(width, width // heads, heads, add_self_loops=False, edge_dim=width if edges else None)

    def forward(self, x: Tensor, edge: Tensor | None, pairs: Neighbours) -> tuple[Tensor, Tensor | None]:
        """Nodes after the layer, and the edges as they are.

        Args:
            x: Node embeddings, `[N, D]`.
            edge: Edge embeddings, `[E, D]`, or None.
            pairs: The edges.
        """
        weight = next(self.parameters()).dtype
        with torch.autocast(x.device.type, enabled=False):
            rows = None if edge is None else edge.to(weight)
            return self.conv(x.to(weight), pairs.edge_index, rows), edge


class ConvolutionBlock(nn.Module):
    """x + dropout(act(Norm(layer(x)))), without x where there is no residual connection.

    Args:
        layer: The convolution.
        width: Width D.
        norm: `batch`, `layer` or `none`.
        dropout: Probability of dropout.
        residual: Whether x is added.
        activation: `relu` or `gelu`; None for none.
    """

    def __init__(
        self,
        layer: nn.Module,
        width: int,
        norm: NormOrNone,
        dropout: float,
        *,
        residual: bool = True,
        activation: Activation | None = "relu",
    ) -> None:
        super().__init__()
        self.layer = layer
        self.norm = build_norm(norm, width)
        self.dropout, self.residual = dropout, residual
        self.activation = activation

    def forward(self, x: Tensor, edge: Tensor | None, pairs: Neighbours) -> tuple[Tensor, Tensor | None]:
        """Nodes after the layer, and what it makes of the edges.

        Args:
            x: Node embeddings, `[N, D]`.
            edge: Edge embeddings, `[E, D]`, or None.
            pairs: The edges.
        """
        update, edge = self.layer(x, edge, pairs)
        given, dropout = x if self.residual else None, self.dropout if self.training else 0.0
        return norm_and_add(self.norm, update, given, activation=self.activation, dropout=dropout), edge


class FeedForwardBlock(nn.Module):
    """Norm(h + FFN(h)) of h = Norm(x), hidden width 2 D (GNN+, Luo et al. 2025, arXiv:2502.09263).

    Args:
        width: Width D.
        norm: `batch`, `layer` or `none`.
        dropout: Probability of dropout after either map.
        activation: `relu` or `gelu`.
    """

    def __init__(self, width: int, *, norm: NormOrNone, dropout: float, activation: Activation) -> None:
        super().__init__()
        self.norm_1 = build_norm(norm, width)
        self.network = FeedForward(width, 2 * width, activation=activation, dropout=dropout)
        self.norm_2 = build_norm(norm, width)

    def forward(self, x: Tensor) -> Tensor:
        """From `[N, D]` to `[N, D]`.

        Args:
            x: Node embeddings, `[N, D]`.
        """
        x = self.norm_1(x)
        return self.norm_2(x + self.network(x))


class CustomLayer(nn.Module):
    """Any PyG layer that is called with x and `edge_index`, and with `edge_attr` if it has an argument of that name.

    Args:
        conv: The PyG layer, from D to D channels.
    """

    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        self.conv = conv
        self.takes_edges = "edge_attr" in inspect.signature(conv.forward).parameters

    def forward(self, x: Tensor, edge: Tensor | None, pairs: Neighbours) -> tuple[Tensor, Tensor | None]:
        """Nodes after the layer, and the edges as they are.

        Args:
            x: Node embeddings, `[N, D]`.
            edge: Edge embeddings, `[E, D]`, or None.
            pairs: The edges.
        """
        features = {"edge_attr": edge} if self.takes_edges and edge is not None else {}
        return self.conv(x, pairs.edge_index, **features), edge


def build_local(
    local: Local | Callable[[int], nn.Module], width: int, *, heads: int, edges: bool, norm: Norm, dropout: float
) -> nn.Module | None:
    """A layer by name, or from a function of the width; None for `none`.

    Args:
        local: `GatedGCN`, `GINE`, `GCN`, `GAT`, `none`, or a function from the width to a PyG layer.
        width: Width D.
        heads: Number of heads of `GAT`.
        edges: Whether there are edge features.
        norm: Normalisation inside `GatedGCN`.
        dropout: Probability of dropout inside `GatedGCN`.
    """
    if not isinstance(local, str):
        return CustomLayer(local(width))
    match local:
        case "GatedGCN":
            return GatedGCNLayer(width, norm=norm, dropout=dropout)
        case "GINE":
            return GINELayer(width)
        case "GCN":
            return GCNLayer(width)
        case "GAT":
            return GATLayer(width, heads, edges)
        case _:
            return None
