"""The relational transformer as released: queries, keys and values of every pair written out, over padded graphs.

Written from the formulas, to compare speed and values with. The released code runs on graphs of one size and has no
mask; here keys of padding are masked, so that graphs of several sizes fit one batch.

B graphs, N nodes of the largest, D = width, H heads, C = D / H.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn


class RelationalAttention(nn.Module):
    """Attention whose queries, keys and values are made of two nodes and the pair between; see `RelationalLayer`."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads = heads
        self.node_query, self.node_key, self.node_value = (nn.Linear(width, width) for _ in range(3))
        self.pair_query, self.pair_key, self.pair_value = (nn.Linear(width, width) for _ in range(3))

    def forward(self, nodes: Tensor, pairs: Tensor, mask: Tensor) -> Tensor:
        """Messages `[B, N, D]`."""
        split = (self.heads, -1)
        query = (self.node_query(nodes)[:, :, None] + self.pair_query(pairs)).unflatten(-1, split)  # [B, N, N, H, C]
        key = (self.node_key(nodes)[:, None] + self.pair_key(pairs)).unflatten(-1, split)
        value = (self.node_value(nodes)[:, None] + self.pair_value(pairs)).unflatten(-1, split)
        logit = (query * key).sum(-1) / query.shape[-1] ** 0.5  # [B, N, N, H]
        logit = logit.masked_fill(~mask[:, None, :, None], torch.finfo(logit.dtype).min)
        return torch.einsum("bijh,bijhc->bihc", logit.softmax(dim=2), value).flatten(2)


class RelationalLayer(nn.Module):
    """One layer of the relational transformer.

    For pairs (j -> i) and each head:

        q_ij = n_i W_q + e_ij E_q;  k_ij = n_j W_k + e_ij E_k;  v_ij = n_j W_v + e_ij E_v
        m_i = sum_j softmax_j(q_ij . k_ij / sqrt(C)) v_ij
        n_i <- LN(n_i + O m_i);  n_i <- LN(n_i + W_2 relu(W_1 n_i))
        e_ij <- LN(e_ij + W_4 relu(W_3 [e_ij, e_ji, n_j, n_i]));  e_ij <- LN(e_ij + W_6 relu(W_5 e_ij))

    Every linear map has a bias. Without dropout and global vector. 40,120 parameters at D = 64 with hidden widths 32,
    16 and 8.

    References:
        Diao, Loynd: Relational Attention: Generalizing Transformers for Graph-Structured Tasks. ICLR 2023, section 3.
    """

    def __init__(self, width: int, heads: int, *, node_hidden: int, edge_hidden_1: int, edge_hidden_2: int) -> None:
        super().__init__()
        self.attention = RelationalAttention(width, heads)
        self.out = nn.Linear(width, width)
        self.node_1, self.node_2 = nn.Linear(width, node_hidden), nn.Linear(node_hidden, width)
        self.edge_1, self.edge_2 = nn.Linear(4 * width, edge_hidden_1), nn.Linear(edge_hidden_1, width)
        self.edge_3, self.edge_4 = nn.Linear(width, edge_hidden_2), nn.Linear(edge_hidden_2, width)
        self.node_norm_1, self.node_norm_2, self.edge_norm_1, self.edge_norm_2 = (nn.LayerNorm(width) for _ in range(4))

    def forward(self, nodes: Tensor, pairs: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
        """New vectors of nodes `[B, N, D]` and pairs `[B, N, N, D]` (query i, key j).

        `mask` `[B, N]` is True for nodes and False for padding.
        """
        nodes = self.node_norm_1(nodes + self.out(self.attention(nodes, pairs, mask)))
        nodes = self.node_norm_2(nodes + self.node_2(torch.relu(self.node_1(nodes))))
        ends = (pairs, pairs.transpose(1, 2), nodes[:, None].expand_as(pairs), nodes[:, :, None].expand_as(pairs))
        pairs = self.edge_norm_1(pairs + self.edge_2(torch.relu(self.edge_1(torch.cat(ends, dim=-1)))))
        pairs = self.edge_norm_2(pairs + self.edge_4(torch.relu(self.edge_3(pairs))))
        return nodes, pairs


class Relational(nn.Module):
    """Relational layers between linear embeddings and a mean over nodes: what one training step is timed on.

    Args:
        edge_channels: Channels of the pairs' features.
        width: D.
        heads: H.
        layers: Number of layers.
        node_hidden: Hidden width of the nodes' network.
        edge_hidden_1: Hidden width of the pairs' first network.
        edge_hidden_2: Hidden width of their second.
        node_types: Values of the one integer feature of nodes.
    """

    def __init__(
        self,
        edge_channels: int,
        *,
        width: int = 64,
        heads: int = 8,
        layers: int = 3,
        node_hidden: int = 32,
        edge_hidden_1: int = 16,
        edge_hidden_2: int = 8,
        node_types: int = 128,
    ) -> None:
        super().__init__()
        self.node_encoder = nn.Embedding(node_types, width)
        self.pair_encoder = nn.Linear(edge_channels, width)
        hidden = {"node_hidden": node_hidden, "edge_hidden_1": edge_hidden_1, "edge_hidden_2": edge_hidden_2}
        self.layers = nn.ModuleList([RelationalLayer(width, heads, **hidden) for _ in range(layers)])
        self.head = nn.Linear(width, 1)

    def forward(self, node_type: Tensor, pair_features: Tensor, mask: Tensor) -> Tensor:
        """One number per graph `[B]`.

        Args:
            node_type: `[B, N]` integers.
            pair_features: `[B, N, N, channels]` (query i, key j).
            mask: `[B, N]`, True for nodes, False for padding.
        """
        nodes, pairs = self.node_encoder(node_type), self.pair_encoder(pair_features)
        for layer in self.layers:
            nodes, pairs = layer(nodes, pairs, mask)
        total = (nodes * mask[:, :, None]).sum(dim=1)
        return self.head(total / mask.sum(dim=1, keepdim=True).clamp(min=1)).squeeze(1)


def pad_nodes(values: Tensor, ptr: Tensor) -> tuple[Tensor, Tensor]:
    """Values of nodes `[sum n_b, ...]` as `[B, N, ...]` with zeros, and the mask `[B, N]` of nodes."""
    sizes = ptr.diff()
    mask = torch.arange(int(sizes.max()), device=ptr.device) < sizes[:, None]
    padded = values.new_zeros(*mask.shape, *values.shape[1:])
    padded[mask] = values
    return padded, mask


def pad_pairs(values: Tensor, ptr: Tensor) -> Tensor:
    """Values of all pairs `[sum n_b^2, ...]`, row-major for each graph, as `[B, N, N, ...]` with zeros."""
    sizes = ptr.diff()
    mask = torch.arange(int(sizes.max()), device=ptr.device) < sizes[:, None]
    both = mask[:, :, None] & mask[:, None]
    padded = values.new_zeros(*both.shape, *values.shape[1:])
    padded[both] = values
    return padded
