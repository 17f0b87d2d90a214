"""GRIT as released: the layer over an edge list with a scattered softmax, and a model of such layers.

Written from the formulas, to compare speed and values with.

N nodes, P pairs (j -> i), D = width, H heads, C = D / H.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

CLAMP = 5.0


class GritAttention(nn.Module):
    """Attention whose scores are vectors, modulated by the features of pairs; see `GritLayer`."""

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.heads, self.channels = heads, width // heads
        self.Q = nn.Linear(width, width)
        self.K = nn.Linear(width, width, bias=False)
        self.E = nn.Linear(width, 2 * width)
        self.V = nn.Linear(width, width, bias=False)
        self.Aw = nn.Parameter(torch.empty(self.channels, heads, 1))
        self.VeRow = nn.Parameter(torch.empty(self.channels, heads, self.channels))
        for weight in (self.Q.weight, self.K.weight, self.E.weight, self.V.weight, self.Aw, self.VeRow):
            nn.init.xavier_normal_(weight)

    def forward(self, x: Tensor, pair: Tensor, source: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Messages `[N, D]` and new features of pairs `[P, D]`."""
        q, k, v = (linear(x).view(-1, self.heads, self.channels) for linear in (self.Q, self.K, self.V))
        scale, shift = self.E(pair).view(-1, self.heads, 2 * self.channels).chunk(2, dim=-1)
        score = (q[target] + k[source]) * scale
        score = torch.sqrt(torch.relu(score)) - torch.sqrt(torch.relu(-score))
        feature = torch.relu(score + shift)  # [P, H, C]
        logit = torch.einsum("phc,cho->pho", feature, self.Aw).clamp(-CLAMP, CLAMP)
        attention = scattered_softmax(logit, target, len(x))  # [P, H, 1]
        message = torch.zeros_like(v).index_add(0, target, v[source] * attention)
        edges = torch.zeros_like(v).index_add(0, target, feature * attention)
        message = message + torch.einsum("nhc,chd->nhd", edges, self.VeRow)
        return message.flatten(1), feature.flatten(1)


class GritLayer(nn.Module):
    """One layer of GRIT.

    For pairs (j -> i) and each head:

        s_ij = rho((Q x_i + K x_j) * E_w e_ij) + E_b e_ij,  rho(t) = sqrt(relu(t)) - sqrt(relu(-t))
        f_ij = relu(s_ij);  a_ij = softmax_j(clamp(A_w . f_ij, -5, 5))
        m_i = sum_j a_ij (V x_j + V_e f_ij)
        h_i = BN(x_i + O_h(m_i * theta_1 + m_i log(1 + deg_i) * theta_2));  e_ij <- BN(e_ij + O_e f_ij)
        x_i <- BN(h_i + W_2 relu(W_1 h_i))

    Without dropout. 46,656 parameters at D = 64, H = 8.

    References:
        Ma, Lin, Lim, Romero-Soriano, Dokania, Coates, Torr, Lim: Graph Inductive Biases in Transformers without Message
        Passing. ICML 2023, section 3.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.attention = GritAttention(width, heads)
        self.O_h, self.O_e = nn.Linear(width, width), nn.Linear(width, width)
        self.deg_coef = nn.Parameter(torch.empty(1, width, 2))
        nn.init.xavier_normal_(self.deg_coef)
        self.batch_norm1_h, self.batch_norm1_e = nn.BatchNorm1d(width), nn.BatchNorm1d(width)
        self.FFN_h_layer1, self.FFN_h_layer2 = nn.Linear(width, 2 * width), nn.Linear(2 * width, width)
        self.batch_norm2_h = nn.BatchNorm1d(width)

    def forward(self, x: Tensor, pair: Tensor, source: Tensor, target: Tensor, degree: Tensor) -> tuple[Tensor, Tensor]:
        """New features of nodes `[N, D]` and pairs `[P, D]`; `degree` is `[N]`."""
        message, feature = self.attention(x, pair, source, target)
        scaled = torch.stack([message, message * torch.log(degree + 1)[:, None]], dim=-1)
        x = self.batch_norm1_h(x + self.O_h((scaled * self.deg_coef).sum(-1)))
        pair = self.batch_norm1_e(pair + self.O_e(feature))
        x = self.batch_norm2_h(x + self.FFN_h_layer2(F.relu(self.FFN_h_layer1(x))))
        return x, pair


class Grit(nn.Module):
    """Layers of GRIT between linear embeddings of RRWP and a mean over nodes: what one training step is timed on.

    Args:
        walk_length: Channels of RRWP.
        width: D.
        heads: H.
        layers: Number of layers.
        node_types: Values of the one integer feature of nodes.
    """

    def __init__(
        self, walk_length: int, *, width: int = 64, heads: int = 8, layers: int = 10, node_types: int = 128
    ) -> None:
        super().__init__()
        self.node_encoder = nn.Embedding(node_types, width)
        self.rrwp_node, self.rrwp_pair = (nn.Linear(walk_length, width, bias=False) for _ in range(2))
        self.layers = nn.ModuleList([GritLayer(width, heads) for _ in range(layers)])
        self.head = nn.Linear(width, 1)

    def forward(self, node_type: Tensor, rrwp: Tensor, diagonal: Tensor, ptr: Tensor, degree: Tensor) -> Tensor:
        """One number per graph `[B]`.

        Args:
            node_type: `[N]` integers.
            rrwp: `[sum n_b^2, K]`, row-major (target i, source j) for each graph.
            diagonal: `[N]`: the row of `rrwp` of each pair (i, i).
            ptr: `[B + 1]`: graph b owns nodes `ptr[b]` to `ptr[b + 1]`.
            degree: `[N]`.
        """
        x = self.node_encoder(node_type) + self.rrwp_node(rrwp[diagonal])
        pair = self.rrwp_pair(rrwp)
        source, target = full_pairs(ptr)
        for layer in self.layers:
            x, pair = layer(x, pair, source, target, degree)
        graph = torch.repeat_interleave(ptr.diff())
        total = x.new_zeros(len(ptr) - 1, x.shape[1]).index_add(0, graph, x)
        return self.head(total / ptr.diff().clamp(min=1)[:, None]).squeeze(1)


def scattered_softmax(logit: Tensor, target: Tensor, num_nodes: int) -> Tensor:
    """Softmax of `[P, H, 1]` over the pairs that end in one node."""
    place = target[:, None, None].expand_as(logit)
    largest = logit.new_zeros(num_nodes, *logit.shape[1:]).scatter_reduce(
        0, place, logit.detach(), "amax", include_self=False
    )
    weight = torch.exp(logit - largest[target])
    total = torch.zeros_like(largest).index_add(0, target, weight)
    return weight / (total[target] + 1e-16)


def full_pairs(ptr: Tensor) -> tuple[Tensor, Tensor]:
    """Source and target of all ordered pairs of each graph, one graph after the other, as the released code pads."""
    sources, targets = [], []
    for start, stop in zip(ptr[:-1].tolist(), ptr[1:].tolist(), strict=True):
        nodes = torch.arange(start, stop, device=ptr.device)
        targets.append(nodes.repeat_interleave(len(nodes)))
        sources.append(nodes.repeat(len(nodes)))
    return torch.cat(sources), torch.cat(targets)
