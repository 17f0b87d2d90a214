"""What a small message-passing network sees in k hops around each node: queries and keys of SAT."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True, eq=False)
class Neighbourhood:
    """Edges of a batch, and one over their number at each node.

    Attributes:
        edge_index: Edges (source, target), `[2, E]`.
        per_entering: One over the number of edges that enter each node (1 where there are none), `[N, 1]`.
        per_leaving: The same of edges that leave it, `[N, 1]`.
    """

    edge_index: Tensor
    per_entering: Tensor
    per_leaving: Tensor


class StructureExtractor(nn.Module):
    """Some hops of messages along edges, all of them concatenated.

        h_i^t = ReLU(W_t h_i + A_t mean_{j -> i} ReLU(h_j + e_ji) + B_t mean_{i -> j} ReLU(h_j + e_ij)),    h^0 = W x
        out_i = O [x_i, h_i^1, ..., h_i^k]

    of width D / 2, the third term with `bidirectional` only, e mapped to that width; without edge features messages are
    h_j. Means are taken in float32 or better; that of no edges is zero.

    Args:
        width: Width D; even.
        hops: Number k of hops.
        bidirectional: Whether messages pass against the direction of edges too.
        edges: Whether edges have features.
    """

    def __init__(self, width: int, hops: int, *, bidirectional: bool, edges: bool) -> None:
        super().__init__()
        hidden, directions = width // 2, 2 if bidirectional else 1
        self.bidirectional = bidirectional
        self.narrow = nn.Linear(width, hidden)
        self.edge_map = nn.Linear(width, hidden) if edges else None
        self.hops = nn.ModuleList(nn.Linear((1 + directions) * hidden, hidden) for _ in range(hops))
        self.out = nn.Linear(width + hops * hidden, width)

    def forward(self, x: Tensor, edge: Tensor | None, around: Neighbourhood) -> Tensor:
        """From node embeddings `[N, D]` and edge embeddings `[E, D]` or None to `[N, D]`.

        Args:
            x: Node embeddings, `[N, D]`.
            edge: Edge embeddings, `[E, D]`, or None.
            around: The edges, with means over neighbours.
        """
        source, target = around.edge_index[0], around.edge_index[1]
        features = self.edge_map(edge) if self.edge_map is not None else None
        seen, h = [x], self.narrow(x)
        for hop in self.hops:
            parts = [h, _mean(h, features, source, target, around.per_entering)]
            if self.bidirectional:
                parts.append(_mean(h, features, target, source, around.per_leaving))
            h = torch.relu(hop(torch.cat(parts, dim=1)))
            seen.append(h)
        return self.out(torch.cat(seen, dim=1))


def _mean(h: Tensor, edge: Tensor | None, start: Tensor, end: Tensor, scale: Tensor) -> Tensor:
    """Mean of what comes from `start` at each node `end`, `[N, D / 2]`."""
    message = h.index_select(0, start)
    if edge is not None:
        message = torch.relu(message + edge)
    message = message.to(scale.dtype)
    return (message.new_zeros(h.shape).index_add(0, end, message) * scale).to(h.dtype)
