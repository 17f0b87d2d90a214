"""Learnable Fourier features of coordinates."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.arguments import check_counts, check_positive
from graphpe.errors import GraphPEValueError
from graphpe.models.batches.reading import read_encoding
from graphpe.models.encoders.feed_forward import starts_at_zero
from graphpe.models.layers.precision import exactly, in_half_precision


class FourierFeatures(nn.Module):
    """Learnable Fourier features (Li et al. 2021, arXiv:2106.02795) of the coordinates `batch[key]` `[N, channels]`.

        r_i = F^-1/2 [cos(W c_i) || sin(W c_i)],    out_i = B GELU(A r_i + a) + b

    c_i are the coordinates of node i, W `[F / 2, channels]` is learned from N(0, gamma^-2) on. The product r_i . r_j
    depends on c_i - c_j only, and is in expectation exp(-|c_i - c_j|^2 / (2 gamma^2)) / 2 at the start: gamma is the
    distance at which nodes look different, in the unit of the coordinates. For `T.SpectralCoordinates`, where squared
    distances are effective resistances, for `pos` of point clouds and meshes, and for any other real values of nodes.

    Symmetry: a node's result depends on its own row only, so that reordering the nodes reorders the result. What is
    free in the coordinates (signs of spectral ones, the frame of `pos`) stays so. Cost: O(N F (channels + hidden)).

    Differs from the paper in: coordinates are one group (paper: groups with one W); the last linear map starts at zero,
    so that training starts from the model without the encoding; W c, cosines and sines are in float32 or better.

    Example:
        >>> data = Data(edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]), num_nodes=5)
        >>> data = T.SpectralCoordinates(k=3)(data)
        >>> M.FourierFeatures("spectral_coordinates", 3, 16)(data).shape
        torch.Size([5, 16])

    Args:
        key: Name of the coordinates in the batch.
        channels: Their number.
        width: Width of the result.
        features: Number F of features, half of them cosines, half sines; even.
        gamma: Length scale of the features at the start, in the unit of the coordinates; positive.
        hidden: Width of the hidden layer.

    Raises:
        GraphPEValueError: If a number is out of range; in `forward` if the batch has no real values of that name with
            that many columns.
    """

    def __init__(
        self, key: str, channels: int, width: int, *, features: int = 64, gamma: float = 1.0, hidden: int = 64
    ) -> None:
        super().__init__()
        channels, width, features, hidden = check_counts(
            channels=channels, width=width, features=features, hidden=hidden
        )
        if features % 2:
            raise GraphPEValueError(f"features must be even, half of them cosines and half sines (got {features})")
        self.key = key
        self.channels = channels
        self.features = features
        (self.gamma,) = check_positive(gamma=gamma)
        self.hidden = hidden
        self.frequencies = nn.Parameter(torch.randn(features // 2, channels) / self.gamma)  # W
        self.network = starts_at_zero(nn.Sequential(nn.Linear(features, hidden), nn.GELU(), nn.Linear(hidden, width)))

    def of_coordinates(self, coordinates: Tensor) -> Tensor:
        """The features r of coordinates, `[N, F]`, in float32 or better.

        Args:
            coordinates: The coordinates, `[N, channels]`.
        """
        weight = exactly(self.frequencies)
        with torch.autocast(weight.device.type, enabled=False):  # a phase may be large, and its digits count
            phase = coordinates.to(weight.dtype) @ weight.t()
        return torch.cat([phase.cos(), phase.sin()], dim=1) * self.features**-0.5

    @in_half_precision
    def forward(self, batch: Data) -> Tensor:
        """The encoding at the model's width, `[num_nodes, width]`.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with the coordinates under `key`.
        """
        value = read_encoding(batch, self.key, self.channels)
        if value.is_complex():
            raise GraphPEValueError(f"batch.{self.key} is complex: use EigenvectorEncoding(..., complex=True)")
        return self.network(self.of_coordinates(value).to(self.frequencies.dtype))

    def __repr__(self) -> str:
        return f"FourierFeatures(features={self.features}, gamma={self.gamma}, hidden={self.hidden})"
