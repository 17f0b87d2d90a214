"""The attention-free transformer on graphs: weights of positions times weights of keys, one for every channel."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphpe.arguments import check_counts, check_divides, check_probabilities
from graphpe.models.attention.gpu.ragged import RaggedNodes
from graphpe.models.attention.padding import PaddedNodes
from graphpe.models.attention.softmax.softmax import softmax_attention
from graphpe.models.layers.multi_head import AllPairs
from graphpe.models.layers.precision import exactly


class AttentionFree(nn.Module):
    """AFT-full with learned functions of pairs for its table of positions (Zhai et al. 2021, arXiv:2105.14103).

        out_i = O [sigmoid(q_i) * sum_j exp(k_j + w_ij) * v_j / sum_j exp(k_j + w_ij)]

    element-wise in the channels; w_ij is the sum of the `PairBias` modules of the model, one number for all channels of
    a head (paper: one table w for all channels; heads as in its AFT-conv). With a table of distances on a path graph it
    is AFT-full whose w is a function of abs(i - j); without biases it is AFT-simple. No query meets a key: which node
    matters how much for a channel is up to the node, and how far it reaches up to the positions.

    The two sums are those of attention with the logits w over the values exp(k_j - c) v_j and exp(k_j - c), c the
    largest k of the graph: the same paths as `MultiHeadAttention`, 2 P D multiply-adds. A factor of weights (URPE) is
    one of both sums. Invariant to the numbering of nodes. `GPS(attention="aft")` has it.

    Example:
        >>> data = Data(x=torch.randn(3, 8), edge_index=torch.tensor([[0], [1]]))
        >>> pairs = M.all_pairs_of(data, graphpe.models.batches.nodes.node_to_graph(data))
        >>> M.AttentionFree(8, 2)(data.x, pairs).shape
        torch.Size([3, 8])

    Args:
        width: Width D.
        heads: Number of heads, those of the biases; divides `width`.
        dropout: Probability of dropout of the weights exp(w_ij).
    """

    def __init__(self, width: int, heads: int, *, dropout: float = 0.0) -> None:
        super().__init__()
        width, self.heads = check_counts(width=width, heads=heads)
        check_divides(heads, width)
        (self.dropout,) = check_probabilities(dropout=dropout)
        self.query_key_value = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, pairs: AllPairs) -> Tensor:
        """From node embeddings `[N, D]` to `[N, D]`.

        Args:
            x: Node embeddings.
            pairs: All pairs of the batch.
        """
        query, key, value = self.query_key_value(x).chunk(3, dim=1)
        key = exactly(key)
        share = torch.exp(key - _largest(key.detach(), pairs.nodes))
        both = torch.cat([part.unflatten(1, (self.heads, -1)) for part in (share * value, share)], 2).flatten(1)
        none = both.new_zeros(both.shape[0], self.heads)
        dropout = self.dropout if self.training else 0.0
        sums = softmax_attention(none, none, both, pairs.nodes, pairs.factors, heads=self.heads, dropout=dropout)
        above, below = sums.unflatten(1, (self.heads, -1)).chunk(2, dim=2)
        seen = below != 0  # all keys that positions let through may be too small for float32, or dropped
        mean = torch.where(seen, above / torch.where(seen, below, 1.0), 0.0).flatten(1)
        return self.out((torch.sigmoid(query) * mean).to(x.dtype))


def _largest(key: Tensor, nodes: PaddedNodes | RaggedNodes) -> Tensor:
    """The largest of each channel over the graph of each node, `[N, D]`."""
    if isinstance(nodes, RaggedNodes):
        graph = nodes.members.graph
        place = graph.unsqueeze(1).expand_as(key)
        top = key.new_full((nodes.members.num_graphs, key.shape[1]), -torch.inf)
        return top.scatter_reduce(0, place, key, "amax").index_select(0, graph)
    if not nodes.blocks:
        return key
    parts = (
        rows + block.key_mask.view(block.graphs, block.size, 1).to(rows.dtype)
        for block, rows in zip(nodes.blocks, nodes.split(key), strict=True)
    )
    return nodes.join([part.amax(1, keepdim=True).expand_as(part) for part in parts])
