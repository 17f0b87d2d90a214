"""Convolutions over the neighbours of each node, without features of edges, in linear memory: one module, one formula.

Shape legend: N nodes, D width, H heads, C = D / H. A convolution maps (x `[N, D]`, `Neighbours`) to `[N, D]`. Sums are
in float32 or better. (`graphpe.models.layers.convolutions.GCNLayer` is the third, with features of edges or without.)
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

from graphpe.models.attention.neighbours.neighbours import Neighbours
from graphpe.models.attention.neighbours.sums import (
    largest_of_sources,
    neighbour_sums,
    neighbour_totals,
    of_sources,
    of_targets,
)
from graphpe.models.attention.recording import note_pairs, recording
from graphpe.models.layers.precision import exactly

_SLOPE = 0.2  # of the leaky ReLU below zero, as in the paper


class MeanConvolution(nn.Module):
    """GraphSAGE with means (Hamilton et al. 2017, arXiv:1706.02216): U mean_j x_j + V x_i + b.

    The mean of no neighbours is zero.

    Args:
        width: Width D.
    """

    def __init__(self, width: int) -> None:
        super().__init__()
        self.of_neighbours = nn.Linear(width, width)
        self.own = nn.Linear(width, width, bias=False)

    def forward(self, x: Tensor, pairs: Neighbours) -> Tensor:
        """The convolution, `[N, D]`.

        Args:
            x: Node embeddings, `[N, D]`.
            pairs: The neighbours.
        """
        mean = neighbour_sums(None, x, pairs) / pairs.degree.clamp(min=1).unsqueeze(1)
        return self.of_neighbours(mean.to(x.dtype)) + self.own(x)


class AttentionConvolution(nn.Module):
    """Graph attention (Velickovic et al. 2018, arXiv:1710.10903), without biases.

        logit_ij = leaky_relu(s . W x_j + t . W x_i),    out_i = sum_j softmax_j(logit_ij) W x_j      head by head

    s and t are vectors of each head, C numbers; the leaky ReLU has a slope of 0.2. A node without neighbours gets zero.

    Args:
        width: Width D.
        heads: Number H of heads; divides `width`.
    """

    def __init__(self, width: int, heads: int) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width, bias=False)
        self.source = nn.Parameter(torch.empty(heads, width // heads))
        self.target = nn.Parameter(torch.empty(heads, width // heads))
        for matrix in (self.linear.weight, self.source, self.target):
            nn.init.xavier_uniform_(matrix)

    def forward(self, x: Tensor, pairs: Neighbours) -> Tensor:
        """The convolution, `[N, D]`.

        Args:
            x: Node embeddings, `[N, D]`.
            pairs: The neighbours.
        """
        mapped = exactly(self.linear(x))
        by_head = mapped.unflatten(1, (len(self.source), -1))  # [N, H, C]
        source, target = ((by_head * exactly(vector)).sum(-1) for vector in (self.source, self.target))  # [N, H]
        logit = functional.leaky_relu(of_sources(source, pairs) + of_targets(target, pairs), _SLOPE)  # [P, H]
        # The largest logit of each node: leaky ReLU is monotone. It cancels, so that it needs no gradient.
        largest = functional.leaky_relu(largest_of_sources(source, pairs) + target.detach(), _SLOPE)
        weight = (logit - of_targets(largest, pairs)).exp()
        total = neighbour_totals(weight, pairs)
        total = torch.where(total == 0, torch.ones_like(total), total)
        if recording():
            side = pairs.entering
            note_pairs(side.other, side.own, weight / of_targets(total, pairs), pairs.num_nodes)
        return (neighbour_sums(weight, mapped, pairs).unflatten(1, (len(self.source), -1)) / total[..., None]).flatten(
            1
        )
