"""One network applied to every eigenvector on its own: the phi of SignNet and MagLapNet."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from graphpe.errors import GraphPEValueError
from graphpe.models.encoders.feed_forward import feed_forward
from graphpe.models.layers.normalization import RowLayerNorm

Phi = Literal["gin", "mlp"]


class ElementNetwork(nn.Module):
    """phi: the same map of each eigenvector of a graph, from a few numbers at each node to some more.

    `mlp` sees one node's numbers at a time. `gin` passes messages between nodes (Xu et al. 2019), layer by layer, with
    LayerNorm and ReLU after the network's first linear map:

        x_u <- MLP((1 + eps) x_u + sum_{w -> u} x_w)

    and with `directed` the sum over u -> w stands beside that as further inputs of the MLP.

    Args:
        phi: `gin` or `mlp`.
        inputs: Numbers at a node.
        hidden: Width of the hidden layers.
        out: Width of the result.
        layers: Number of linear maps (`mlp`) or of rounds of messages (`gin`).
        directed: Whether messages also go against the edges.
    """

    def __init__(self, phi: Phi, inputs: int, hidden: int, out: int, layers: int, *, directed: bool) -> None:
        super().__init__()
        self.network = feed_forward(inputs, hidden, out, layers) if phi == "mlp" else None
        widths = [inputs, *[hidden] * (layers - 1), out]
        self.rounds = nn.ModuleList(
            _Round(widths[i], hidden, widths[i + 1], directed=directed) for i in range(layers if phi == "gin" else 0)
        )

    def forward(self, x: Tensor, edge_index: Tensor | None) -> Tensor:
        """From `[N, K, inputs]` to `[N, K, out]`; `edge_index` `[2, E]` is not read by `mlp`.

        Args:
            x: Columns of each eigenpair at each node, `[N, K, inputs]`.
            edge_index: Edges, `[2, E]`; not read by `mlp`.
        """
        if self.network is not None:
            return self.network(x)
        if edge_index is None:
            raise GraphPEValueError("phi='gin' passes messages: the batch needs an edge_index, or use phi='mlp'")
        for index, layer in enumerate(self.rounds):
            x = layer(x if index == 0 else x.relu(), edge_index)
        return x

    def over_signs(self, x: Tensor, parts: int, edge_index: Tensor | None) -> Tensor:
        """phi(v, c) + phi(-v, c), where v are the first `parts` columns of x: the sign of v does not matter.

        Args:
            x: Columns of each eigenpair at each node, `[N, K, inputs]`.
            parts: Number of columns that are the eigenvector's: 1 real, or 2.
            edge_index: Edges, `[2, E]`; not read by `mlp`.
        """
        negative = torch.cat([-x[:, :, :parts], x[:, :, parts:]], dim=2)
        plus, minus = self(torch.cat([x, negative], dim=1), edge_index).chunk(2, dim=1)
        return plus + minus


class _Round(nn.Module):
    def __init__(self, inputs: int, hidden: int, out: int, *, directed: bool) -> None:
        super().__init__()
        self.directed = directed
        self.eps = nn.Parameter(torch.zeros(()))
        self.expand = nn.Linear(2 * inputs if directed else inputs, hidden)
        self.norm = RowLayerNorm(hidden)
        self.contract = nn.Linear(hidden, out)

    def forward(self, x: Tensor, edge_index: Tensor) -> Tensor:
        source, target = edge_index[0], edge_index[1]
        x = x.to(torch.promote_types(x.dtype, torch.float32))  # sums over many neighbours
        total = ((1 + self.eps) * x).index_add(0, target, x.index_select(0, source))
        if self.directed:
            total = torch.cat([total, torch.zeros_like(x).index_add(0, source, x.index_select(0, target))], dim=2)
        return self.contract(self.norm(self.expand(total)).relu())
