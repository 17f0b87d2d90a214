"""Encodings of nodes that are not themselves in training: noisy, missing at some nodes, or of a larger graph."""

from __future__ import annotations

from copy import copy

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.arguments import check_counts, check_integer, check_not_negative, check_probabilities
from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.models.attention.biases.randomized_hops import RandomizedHops
from graphpe.models.batches.nodes import graph_of_nodes


class Perturbed(nn.Module):
    """An encoder of an encoding of nodes that sees another one in training, so that larger graphs look less new.

    With x_ic column c of the encoding at node i of a graph, and e_i what the encoder makes of row i,

        noise:       x_ic += noise sqrt(mean_j x_jc^2) N(0, 1)            numbers, also complex; j over the graph
        randomized:  x_ic = the x_ic-th smallest of m different numbers from 1 ... L     whole numbers, m the largest
        drop:        e_i = a learned vector, zero at first, with probability drop        any

    The first are coordinates that are fuzzy; the second is the map of `RandomizedHops` for depths (`DepthPE`), which
    evaluation maps to its mean, rounded; the third is DropPos (Wang et al. 2023, arXiv:2309.03576). Noise and dropped
    rows are for training alone: in evaluation the encoding is itself. Columns that are zero stay zero, so that those
    that a small graph does not have are not made up. Symmetries are the encoder's, in distribution. Cost: O(N C), and
    O(B L log L) for `randomized` on B graphs. Random numbers are those of torch's global generator, which training
    seeds in every step, so that a resumed run has the same. `dropped` says which nodes of the last batch were hidden,
    `[num_nodes]`, and is None where none can be: `graphpe train --predict-encodings` has them predicted.

    Example:
        >>> data = T.RandomWalkPE(4)(Data(edge_index=torch.tensor([[0, 1], [1, 0]]), num_nodes=2))
        >>> encoder = M.LinearEncoding("random_walk_pe", 4, 16)
        >>> M.Perturbed(encoder, 16, noise=0.1, drop=0.2)(data).shape
        torch.Size([2, 16])

    Args:
        encoder: From a batch to vectors `[num_nodes, width]`; its `key` is what it reads.
        width: Their width.
        noise: Size of the noise, as a share of the root of the mean square of a column in a graph; 0 for none.
        drop: Probability that a node's vector is replaced, below 1.
        randomized: L, largest whole number that is expected; the encoder has to take numbers up to it. 0: they stay.

    Raises:
        GraphPETypeError: If the encoder reads no encoding by its key.
        GraphPEValueError: If an argument is out of range; in `forward` if noise is to be added to whole numbers, others
            are to be randomized, or the encoder is of another width.
    """

    def __init__(
        self, encoder: nn.Module, width: int, *, noise: float = 0.0, drop: float = 0.0, randomized: int = 0
    ) -> None:
        super().__init__()
        (width,) = check_counts(width=width)
        (self.noise,) = check_not_negative(noise=noise)
        (self.drop,) = check_probabilities(drop=drop)
        randomized = check_integer("randomized", randomized, least=0)
        if noise and randomized:
            raise GraphPEValueError(
                f"noise={noise} is for numbers and randomized={randomized} for whole ones: give one of them"
            )
        key = getattr(encoder, "key", None)
        if not isinstance(encoder, nn.Module) or not isinstance(key, str):
            raise GraphPETypeError(
                f"encoder must read an encoding of nodes by key, such as LinearEncoding, got {type(encoder).__name__}"
            )
        self.key = key
        self.encoder = encoder
        self.hidden = nn.Parameter(torch.zeros(width)) if self.drop else None
        self.randomized = randomized
        self.renumber = RandomizedHops(randomized) if randomized else None
        self.dropped: Tensor | None = None  # of the last batch

    def forward(self, batch: Data) -> Tensor:
        """What the encoder makes of the batch, or in training of one with other values, `[num_nodes, width]`.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with the encoding under `key`.
        """
        value = getattr(batch, self.key, None)
        if isinstance(value, Tensor) and (self.renumber is not None or (self.noise and self.training)):
            batch = copy(batch)  # of references: the values of the batch stay as they are
            other = (
                self._fuzzy(value, batch) if self.renumber is None else self._renumbered(value, batch, self.renumber)
            )
            batch[self.key] = other
        found: Tensor = self.encoder(batch)
        self.dropped = None
        if self.hidden is None:
            return found
        if found.shape[1:] != self.hidden.shape:
            raise GraphPEValueError(
                f"width={len(self.hidden)}, but {type(self.encoder).__name__} gives {list(found.shape[1:])} numbers of "
                "a node: give its width"
            )
        if not self.training:
            return found
        self.dropped = torch.rand(len(found), device=found.device) < self.drop
        return torch.where(self.dropped.unsqueeze(1), self.hidden.to(found.dtype), found)

    def _fuzzy(self, value: Tensor, batch: Data) -> Tensor:
        if not (value.is_floating_point() or value.is_complex()):
            raise GraphPEValueError(
                f"noise={self.noise} is added to numbers, and batch.{self.key} holds {value.dtype}: leave it 0, or "
                "take randomized"
            )
        graph, graphs = graph_of_nodes(batch, value)
        flat = value.flatten(1)
        ones = flat.real.new_ones(len(flat))
        count = ones.new_zeros(graphs).index_add(0, graph, ones).clamp(min=1)
        square = flat.abs().square()
        mean = square.new_zeros(graphs, flat.shape[1]).index_add(0, graph, square) / count.unsqueeze(1)
        return (flat + self.noise * mean.sqrt().index_select(0, graph) * torch.randn_like(flat)).view_as(value)

    def _renumbered(self, value: Tensor, batch: Data, renumber: RandomizedHops) -> Tensor:
        if value.is_floating_point() or value.is_complex():
            raise GraphPEValueError(
                f"randomized={self.randomized} is for whole numbers in order, and batch.{self.key} holds "
                f"{value.dtype}: leave it 0, or take noise"
            )
        graph, graphs = graph_of_nodes(batch, value)
        columns = [renumber(each.float().unsqueeze(1), graph, graphs) for each in value.flatten(1).unbind(1)]
        return torch.cat(columns, 1).round().to(value.dtype).view_as(value)

    def extra_repr(self) -> str:
        return f"{self.key!r}, noise={self.noise}, drop={self.drop}"
