"""Distances in training that stand for longer ones: randomised positional encodings, carried over to hops."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from graphpe.arguments import check_counts


class RandomizedHops(nn.Module):
    """A random monotone map of the hops of each graph, fresh in every step of training.

    Randomised positional encodings (Ruoss et al. 2023, arXiv:2305.16843) train a sequence of n tokens with n positions
    drawn from 1 ... L without replacement and sorted, so that positions of longer sequences have been seen. Here hops
    are what is longer in larger graphs: where the longest shortest path of a graph has m edges,

        training:    h -> the h-th smallest of m different numbers drawn from 1 ... L, each set as likely as any
        evaluation:  h -> h (L + 1) / (m + 1), the mean of that

    and 0 stays 0. Evaluation is not the identity: small numbers h close together are rare in training. The mean keeps
    the spread that training had, depends on no random numbers, and needs m <= L only; Ruoss et al. draw at random in
    evaluation, too. Distances between whole numbers are interpolated; those beyond L count as L.

    Equivariance: maps depend on hops alone, so that reordering nodes reorders the result (in training, of the same
    random numbers). Cost: O(P + B L log L) for P pairs of B graphs. Random numbers are those of torch's global
    generator, which training seeds in every step.

    Args:
        length: L, the longest path that graphs are expected to have.

    Example:
        >>> hops = RandomizedHops(7).eval()
        >>> hops(torch.tensor([[0.0], [1.0], [3.0]]), torch.zeros(3).long(), 1).flatten()
        tensor([0., 2., 6.])
    """

    def __init__(self, length: int) -> None:
        super().__init__()
        (self.length,) = check_counts(length=length)

    def forward(self, value: Tensor, graph: Tensor, graphs: int) -> Tensor:
        """The mapped distances, `[P, 1]`.

        Args:
            value: Distances, not negative and finite, `[P, 1]`.
            graph: The graph of each, `[P]`.
            graphs: Number of graphs.
        """
        hops = value.squeeze(1).clamp(max=self.length)
        most = hops.new_zeros(graphs).scatter_reduce(0, graph, hops.detach().ceil(), "amax")
        if not self.training:
            return (hops * ((self.length + 1) / (most + 1)).index_select(0, graph)).unsqueeze(1)
        table = self._draw(most)
        row = graph * (self.length + 2)
        below = hops.detach().floor().long()
        low, high = table.index_select(0, row + below), table.index_select(0, row + below + 1)
        return (low + (hops - below) * (high - low)).unsqueeze(1)

    def _draw(self, most: Tensor) -> Tensor:
        """What each hop of each graph stands for, 0 for those that it has not, `[B (L + 2)]`."""
        rank = torch.rand(len(most), self.length, device=most.device).argsort(1).argsort(1)
        chosen = rank < most.unsqueeze(1)
        place = torch.where(chosen, chosen.cumsum(1), 0)
        number = torch.where(chosen, torch.arange(1, self.length + 1, device=most.device), 0)
        table = most.new_zeros(len(most), self.length + 2)
        return table.scatter_(1, place, number.to(table.dtype)).flatten()

    def extra_repr(self) -> str:
        return f"length={self.length}"
