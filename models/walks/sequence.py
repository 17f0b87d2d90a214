"""Models of sequences along random walks: convolutions, recurrences, attention.

Shape legend: W walks of at most T nodes, P rows (nodes of all walks), D width. A sequence model maps (rows `[P, D]`,
`BatchWalks`) to rows; nothing passes from one walk to another, or from behind the end of one.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from graphpe.models.layers.multi_head import FeedForward
from graphpe.models.layers.normalization import Norm, RowLayerNorm, build_norm
from graphpe.models.layers.precision import exactly
from graphpe.models.walks.batch_walks import BatchWalks

WalkSequence = Literal["conv", "recurrent", "attention"]


class WalkConvolution(nn.Module):
    """ReLU(W ReLU(Norm(conv(x)))): a convolution along the walk for each channel, then one over channels.

    Args:
        width: Width D.
        kernel: Nodes that a convolution sees, odd.
        norm: `batch` or `layer`.
    """

    def __init__(self, width: int, kernel: int, norm: Norm) -> None:
        super().__init__()
        self.along = nn.Conv1d(width, width, kernel, padding=kernel // 2, groups=width)
        self.norm = build_norm(norm, width)
        self.across = nn.Linear(width, width)

    def forward(self, rows: Tensor, walks: BatchWalks) -> Tensor:
        """Rows after the convolutions, `[P, D]`.

        Args:
            rows: `[P, D]`.
            walks: The walks.
        """
        found = self.along(walks.as_sequences(rows).transpose(1, 2)).transpose(1, 2)
        return torch.relu(self.across(torch.relu(self.norm(walks.as_rows(found)))))


class WalkRecurrence(nn.Module):
    """A gated linear recurrence along the walk and one against it, their results averaged.

        h_t = (1 - z_t) h_(t-1) + z_t V x_t,  z_t = sigmoid(G x_t);    out_t = O (silu(S x_t) * h_t)

    The recurrence of minGRU (Feng et al. 2024, arXiv:2410.01201) with the output gate of Mamba (Gu & Dao 2023): as in
    Mamba gates depend on the input, and states of all steps are found together, in log2 T rounds over `[W, T, D]`. A
    channel has one state where Mamba has 16, and there is no convolution before.

    Args:
        width: Width D.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.ahead = nn.Linear(width, 3 * width)
        self.behind = nn.Linear(width, 3 * width)
        self.out = nn.Linear(2 * width, width)

    def forward(self, rows: Tensor, walks: BatchWalks) -> Tensor:
        """Rows after the recurrences, `[P, D]`.

        Args:
            rows: `[P, D]`.
            walks: The walks.
        """
        found = [
            self._states(self.ahead(rows), walks, against=False),
            self._states(self.behind(rows), walks, against=True),
        ]
        return self.out(torch.cat(found, dim=1).to(rows.dtype)) / 2

    def _states(self, mapped: Tensor, walks: BatchWalks, *, against: bool) -> Tensor:
        gate, value, shown = exactly(mapped).chunk(3, dim=1)
        gate = torch.sigmoid(gate)
        # Behind the end of a walk states are zero: what comes from there, against the walk, adds nothing.
        kept, new = walks.as_sequences(1 - gate), walks.as_sequences(gate * value)
        if against:
            kept, new = kept.flip(1), new.flip(1)
        states = linear_recurrence(kept, new)
        return functional.silu(shown) * walks.as_rows(states.flip(1) if against else states)


def linear_recurrence(kept: Tensor, new: Tensor) -> Tensor:
    """h_t = kept_t h_(t-1) + new_t with h_(-1) = 0, `[W, T, D]`, in log2 T rounds.

    Args:
        kept: `[W, T, D]`.
        new: `[W, T, D]`.
    """
    reach, steps = 1, kept.shape[1]
    while reach < steps:
        before = functional.pad(new, (0, 0, reach, 0))[:, :steps]
        new = new + kept * before
        kept = kept * functional.pad(kept, (0, 0, reach, 0))[:, :steps]  # zero where nothing is so far before
        reach *= 2
    return new


class WalkAttention(nn.Module):
    """A transformer layer along each walk, its positions by rotations of queries and keys (RoPE, Su et al. 2021).

        x <- LN(x + Attention(x)),    x <- LN(x + FFN(x))

    Args:
        width: Width D.
        heads: Number of heads; divides `width`, into heads of an even number of channels.
        dropout: Probability of dropout inside the feed-forward network.
    """

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        self.heads = heads
        self.query_key_value = nn.Linear(width, 3 * width)
        self.out = nn.Linear(width, width)
        self.attention_norm = RowLayerNorm(width)
        self.feed_forward = FeedForward(width, 2 * width, activation="gelu", dropout=dropout)
        self.norm = RowLayerNorm(width)

    def forward(self, rows: Tensor, walks: BatchWalks) -> Tensor:
        """Rows after the layer, `[P, D]`.

        Args:
            rows: `[P, D]`.
            walks: The walks.
        """
        mapped = walks.as_sequences(self.query_key_value(rows))  # [W, T, 3 D]
        query, key, value = mapped.unflatten(2, (3, self.heads, -1)).permute(2, 0, 3, 1, 4)  # [W, H, T, C]
        there = walks.as_sequences(rows.new_ones(len(rows), 1)).transpose(1, 2).unsqueeze(1) > 0  # [W, 1, 1, T]
        query, key = (rotated(each).to(value.dtype) for each in (query, key))
        found = functional.scaled_dot_product_attention(query, key, value, there)
        rows = self.attention_norm(rows + self.out(walks.as_rows(found.transpose(1, 2).flatten(2))))
        return self.norm(rows + self.feed_forward(rows))


def rotated(x: Tensor) -> Tensor:
    """Channels c and c + C / 2 turned by t 10000^(-2 c / C) at step t, in float32 or better.

    Args:
        x: `[W, H, T, C]`.
    """
    x = exactly(x)
    steps, half = x.shape[2], x.shape[3] // 2
    rate = 10_000.0 ** (-torch.arange(half, device=x.device, dtype=x.dtype) / half)
    angle = torch.arange(steps, device=x.device, dtype=x.dtype).unsqueeze(1) * rate
    cos, sin = angle.cos(), angle.sin()
    first, second = x[..., :half], x[..., half:]
    return torch.cat([first * cos - second * sin, first * sin + second * cos], dim=3)


def build_sequence(
    sequence: WalkSequence, width: int, *, kernel: int, heads: int, norm: Norm, dropout: float
) -> nn.Module:
    """A sequence model by name.

    Args:
        sequence: `conv`, `recurrent` or `attention`.
        width: Width D.
        kernel: Nodes that a convolution sees.
        heads: Heads of the attention.
        norm: Normalisation of the convolution.
        dropout: Dropout of the attention's feed-forward network.
    """
    match sequence:
        case "conv":
            return WalkConvolution(width, kernel, norm)
        case "recurrent":
            return WalkRecurrence(width)
        case _:
            return WalkAttention(width, heads, dropout)
