"""Attention over the eigenpairs of each node."""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional

from graphpe.models.layers.normalization import RowLayerNorm


class SetAttention(nn.Module):
    """Multi-head attention of each of a node's K tokens over all of them: softmax(q_k . q_l / sqrt(C)).

    Args:
        width: Width of a token.
        heads: Number of heads.
        head_width: Width C of a head; heads C need not be `width`.
        bias: Whether the maps to queries, keys and values have biases.
        out_bias: Whether the map of the result has one; None for as the others.
        dropout: Probability of dropout on the weights.
    """

    def __init__(
        self, width: int, heads: int, head_width: int, *, bias: bool, out_bias: bool | None = None, dropout: float
    ) -> None:
        super().__init__()
        self.heads = heads
        self.dropout = dropout
        self.query_key_value = nn.Linear(width, 3 * heads * head_width, bias=bias)
        self.out = nn.Linear(heads * head_width, width, bias=bias if out_bias is None else out_bias)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """From tokens `[N, K, width]` to `[N, K, width]`; tokens where `mask` `[N, K]` is False are not attended to.

        Where it is False for all tokens of a node they attend to each other, so that the result is finite.

        Args:
            x: Tokens, `[N, K, width]`.
            mask: False for tokens that are padding, `[N, K]`.
        """
        seen = mask | ~mask.any(1, keepdim=True)
        query, key, value = self.query_key_value(x).unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)
        message = functional.scaled_dot_product_attention(
            query, key, value, seen[:, None, None, :], self.dropout if self.training else 0.0
        )
        return self.out(message.transpose(1, 2).flatten(2))


class SetTransformerLayer(nn.Module):
    """A transformer layer over the tokens of each node, with normalisation after addition and a ReLU network.

    Args:
        width: Width of a token.
        heads: Number of heads; divides `width`.
        dropout: Probability of dropout.
    """

    def __init__(self, width: int, heads: int, *, dropout: float) -> None:
        super().__init__()
        self.attention = SetAttention(width, heads, width // heads, bias=True, dropout=dropout)
        self.norm_1 = RowLayerNorm(width)
        self.expand = nn.Linear(width, 4 * width)
        self.contract = nn.Linear(4 * width, width)
        self.norm_2 = RowLayerNorm(width)
        self.drop = nn.Dropout(dropout)

    def forward(self, x: Tensor, mask: Tensor) -> Tensor:
        """From tokens `[N, K, width]` with a mask `[N, K]` to `[N, K, width]`.

        Args:
            x: Tokens, `[N, K, width]`.
            mask: False for tokens that are padding, `[N, K]`.
        """
        x = self.norm_1(x + self.drop(self.attention(x, mask)))
        return self.norm_2(x + self.drop(self.contract(self.drop(self.expand(x).relu()))))
