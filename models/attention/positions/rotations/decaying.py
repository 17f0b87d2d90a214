"""Positions that decay along one direction: xPos and hyperbolic rotations (HoPE).

Sun et al., "A Length-Extrapolatable Transformer" (ACL 2023, arXiv:2212.10554); Dai et al., "HoPE: Hyperbolic Rotary
Positional Encoding for Stable Long-Range Dependency Modeling in Large Language Models" (arXiv:2509.05218).

Both multiply what a query at r_i and a key at r_j say to each other by exp(-rate (r_i - r_j)), which falls with the
distance where r_j <= r_i and grows where r_j > r_i. Their originals mask what comes later. On graphs they make sense
along a coordinate with a direction, as `DepthPE`, where queries look up, or where a mask says so; spectral coordinates
have no such direction.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Data

from graphpe.arguments import check_counts, check_positive
from graphpe.models.attention.positions.node_positions import Attending, NodePositions
from graphpe.models.attention.positions.rotations.angles import (
    Frequencies,
    NodeAngles,
    check_planes,
    geometric,
    ranges,
    read_coordinates,
    rotate_alike,
)
from graphpe.models.layers.precision import exactly

_LARGEST = 8.0
"""Exponents of one node are cut there: factors up to 3000, which half precision holds."""


class XPos(NodeAngles):
    """Rotated queries and keys that grow and shrink with their coordinate, so that logits decay (xPos, 2023).

        q_i -> zeta^(+r_i / span) R(theta_i) q_i,    k_j -> zeta^(-r_j / span) R(theta_j) k_j,
        zeta_c = (c / planes + 0.4) / 1.4

    in plane c, with theta = Omega r as in `RotaryAttention`; plane c decays with coordinate c mod M. A key at r_j is
    seen with zeta^((r_i - r_j) / span): fast turning planes fade first. Keys *ahead* (r_j > r_i) grow instead, as in
    the original, which masks them: give it a coordinate with a direction (`DepthPE`).

    Coordinates are counted from the middle of each graph, which logits do not see, and |r - middle| / span is exact up
    to 6 (exponents are cut at 8, so that nothing overflows): graphs as long as 12 spans. Within that, logits depend on
    differences of coordinates only; on a path whose coordinate is the position, with `frequencies="geometric"`, it is
    xPos (published with span 512). O(N D); for attention with a softmax, as linear attention's denominator has no such
    factors.

    Differs from the paper: Omega is learned (`learned=False`: not).

    Example:
        >>> data = Data(x=torch.randn(5, 3), edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]))
        >>> data = T.DepthPE()(data)
        >>> decaying = M.XPos("depth_pe", 1, 16, heads=4)
        >>> model = M.GPS(width=16, layers=2, heads=4, node_encoder=M.LinearNodes(3, 16), positions=[decaying])
        >>> model(data).shape
        torch.Size([1, 16])

    Args:
        key: Name of the coordinates in the batch.
        coordinates: Their number M.
        width: Width D of queries and keys.
        heads: Number of heads; C = D / heads is even.
        span: Difference of coordinates over which a plane decays by its zeta.
        frequencies: Initial Omega, as in `RotaryAttention`: `normal` or `geometric`.
        scale: Its scale.
        learned: Whether Omega is trained.

    Raises:
        GraphPEValueError: If a number is out of range; in a model if the batch has no such coordinates.
    """

    linear: ClassVar[bool] = False

    def __init__(
        self,
        key: str,
        coordinates: int,
        width: int,
        heads: int,
        *,
        span: float = 32.0,
        frequencies: Frequencies = "geometric",
        scale: float = 1.0,
        learned: bool = True,
    ) -> None:
        super().__init__(key, coordinates, width, heads, frequencies=frequencies, scale=scale, learned=learned)
        (self.span,) = check_positive(span=span)

    def prepare(self, batch: Data, nodes: Attending) -> tuple[Tensor, Tensor]:
        """Angles `[N, H, C / 2]`, and logarithms of the queries' factors `[N, 1, C / 2]`.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with the coordinates under `key`.
            nodes: Its nodes as they attend; extra ones are not turned, and in the middle.
        """
        angles = super().prepare(batch, nodes)
        planes = angles.shape[2]
        plane = torch.arange(planes, device=angles.device)
        rate = torch.log((plane.to(angles.dtype) / planes + 0.4) / 1.4) / self.span
        along = _from_the_middle(batch, self.key, self.coordinates, nodes).to(angles.dtype)
        exponent = along.index_select(1, plane % self.coordinates) * rate
        return angles, exponent.clamp(-_LARGEST, _LARGEST).unsqueeze(1)

    def transform(
        self, query: Tensor, key: Tensor, value: Tensor, prepared: Any, x: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries and keys rotated and scaled.

        Args:
            query: Queries, `[N, D]`.
            key: Keys, `[N, D]`.
            value: Values, `[N, D]`, which stay.
            prepared: Angles and exponents.
            x: Not used.
        """
        del x
        angles, exponent = prepared
        pairs = exponent.unsqueeze(-1)
        query, key = rotate_alike(angles, query, key)
        return _scaled(query, pairs), _scaled(key, -pairs), value


class HoPE(NodePositions):
    """Queries and keys boosted by hyperbolic rotations, with a decay that outweighs their growth (HoPE, 2025).

        q_i -> exp(-r_i theta') B(+r_i theta) q_i,    k_j -> exp(+r_j theta') B(-r_j theta) k_j,
        B(t) = [[cosh t, sinh t], [sinh t, cosh t]]    in every plane,    theta' > theta > 0

    so that logits q_i . exp(-(r_i - r_j) theta') B((r_i - r_j) theta) k_j fall monotonically with r_i - r_j >= 0. B is
    exp(t), exp(-t) in the directions (1, 1), (1, -1) / sqrt(2): that is, two decays, at theta' - theta and
    theta' + theta, and that is how it is computed. Keys *ahead* (r_j > r_i) grow, as in the original, which masks
    them: give it a coordinate with a direction (`DepthPE`). Plane c decays with coordinate c mod M.

    Both are learned for each head and plane, theta from RoPE's frequencies over `span`, theta' = theta + softplus.
    Coordinates are counted from the middle of each graph, which logits do not see, and exponents are cut at 8, so that
    nothing overflows; up to there logits depend on differences of coordinates only, and on a path whose coordinate is
    the position it is HoPE. O(N D); for attention with a softmax.

    Differs from the paper: theta and theta' are learned; one module serves all layers.

    Example:
        >>> data = Data(x=torch.randn(5, 3), edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]))
        >>> data = T.DepthPE()(data)
        >>> decaying = M.HoPE("depth_pe", 1, 16, heads=4)
        >>> model = M.GPS(width=16, layers=2, heads=4, node_encoder=M.LinearNodes(3, 16), positions=[decaying])
        >>> model(data).shape
        torch.Size([1, 16])

    Args:
        key: Name of the coordinates in the batch.
        coordinates: Their number M.
        width: Width D of queries and keys.
        heads: Number of heads; C = D / heads is even.
        span: Difference of coordinates over which the fastest plane decays, at first.

    Raises:
        GraphPEValueError: If a number is out of range; in a model if the batch has no such coordinates.
    """

    linear: ClassVar[bool] = False

    def __init__(self, key: str, coordinates: int, width: int, heads: int, *, span: float = 32.0) -> None:
        super().__init__()
        coordinates, width, heads = check_counts(coordinates=coordinates, width=width, heads=heads)
        (span,) = check_positive(span=span)
        planes = check_planes(width, heads, 2)
        self.key = key
        self.coordinates = coordinates
        self.heads = heads
        rate = (geometric(planes, coordinates) / span).float().expand(heads, planes).clone()
        self.log_theta = nn.Parameter(rate.log())
        # softplus of it is 1 / (4 span) at first
        self.excess = nn.Parameter(torch.full_like(rate, 0.25 / span).expm1().log())

    def rates(self) -> Tensor:
        """Theta' - theta and theta' + theta of every head and plane, `[H, C / 2, 2]`, in float32 or better."""
        slow = functional.softplus(exactly(self.excess))
        return torch.stack([slow, slow + 2 * exactly(self.log_theta).exp()], dim=-1)

    def prepare(self, batch: Data, nodes: Attending) -> Tensor:
        """Logarithms of the queries' factors, `[N, H, C / 2, 2]`.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with the coordinates under `key`.
            nodes: Its nodes as they attend; extra ones are in the middle.
        """
        rates = self.rates()
        along = _from_the_middle(batch, self.key, self.coordinates, nodes).to(rates.dtype)
        plane = torch.arange(rates.shape[1], device=along.device)
        exponent = -along.index_select(1, plane % self.coordinates)[:, None, :, None] * rates
        return exponent.clamp(-_LARGEST, _LARGEST)

    def transform(
        self, query: Tensor, key: Tensor, value: Tensor, prepared: Any, x: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries and keys in the directions (1, 1) and (1, -1) of each plane, scaled.

        Args:
            query: Queries, `[N, D]`.
            key: Keys, `[N, D]`.
            value: Values, `[N, D]`, which stay.
            prepared: The exponents.
            x: Not used.
        """
        del x
        return _scaled(_light_cone(query), prepared), _scaled(_light_cone(key), -prepared), value


def _light_cone(x: Tensor) -> Tensor:
    """(a + b, a - b) / sqrt(2) of every pair (a, b) of channels."""
    a, b = x.unflatten(1, (-1, 2)).unbind(2)
    return (torch.stack([a + b, a - b], dim=2) * 0.5**0.5).view_as(x)


def _scaled(x: Tensor, exponent: Tensor) -> Tensor:
    """Pairs of channels times exp(exponent), `[N, H or 1, C / 2, 2 or 1]`."""
    pairs = x.view(x.shape[0], -1, exponent.shape[2], 2)
    return (pairs * exponent.exp()).to(x.dtype).view_as(x)


def _from_the_middle(batch: Data, key: str, coordinates: int, nodes: Attending) -> Tensor:
    """Coordinates less those of the middle of their graph, `[N, M]`; 0 for extra nodes."""
    value, members = read_coordinates(batch, key, coordinates), nodes.members
    low, high = ranges(value, members)
    middle = ((low + high) / 2).index_select(0, members.graph)
    return nodes.rows(value - members.restore(middle))
