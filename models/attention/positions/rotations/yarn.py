"""Rotations whose slow planes turn slower in larger graphs: YaRN over coordinates.

Peng, Quesnelle, Fan, Shippole, "YaRN: Efficient Context Window Extension of Large Language Models" (arXiv:2309.00071).

Shape legend: N nodes, B graphs, M coordinates, H heads, C channels a head.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphpe.arguments import check_positive
from graphpe.models.attention.positions.node_positions import Attending
from graphpe.models.attention.positions.rotations.angles import (
    Frequencies,
    NodeAngles,
    ranges,
    read_coordinates,
    rotate_alike,
)
from graphpe.models.layers.precision import exactly

_FEW, _MANY = 1.0, 32.0
"""Turns over the span of training: planes with fewer are slowed down wholly, with more not at all (section 3.2)."""


class YaRN(NodeAngles):
    """Rotary attention that was trained on graphs of some span, in larger ones (YaRN, Peng et al. 2023).

    With the extent L' of a graph, the range of its coordinate, and s = max(1, L' / span), a plane that turns
    t = span |Omega_hcm| / (2 pi) times over the span of training has

        theta_ihc = sum_m (g + (1 - g) / s_m) Omega_hcm r_im,    g = min(max((t - 1) / (32 - 1), 0), 1)
        logit_ij  = (0.1 log s + 1)^2 q_i . R(theta_j - theta_i) k_j / sqrt(C),    s the largest of the s_m

    so that in a larger graph slow planes, which tell far from near, stay within what they were trained on, fast ones,
    which tell neighbours apart, turn as before, and the softmax over more nodes is as sharp. Up to the span of training
    nothing changes: it is `RotaryAttention`. On a path whose coordinate is the position it is the original, lengths
    being ranges, n - 1 for n nodes.

    Depends on differences of coordinates only. O(N H C M). Not for linear attention, which has no softmax to sharpen.

    Differs from the paper: nothing is trained further at the new length, and each graph has an s of its own, for each
    coordinate.

    Example:
        >>> data = Data(x=torch.randn(5, 3), edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]))
        >>> data = T.SpectralCoordinates(k=2, scale="hops")(data)
        >>> yarn = M.YaRN("spectral_coordinates", 2, 16, heads=4, span=16)
        >>> model = M.GPS(width=16, layers=2, heads=4, node_encoder=M.LinearNodes(3, 16), positions=[yarn])
        >>> model(data).shape
        torch.Size([1, 16])

    Args:
        key: Name of the coordinates in the batch.
        coordinates: Their number M.
        width: Width D of queries and keys.
        heads: Number of heads; C = D / heads is even.
        span: Largest range of a coordinate in graphs of training.
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
        span: float = 16.0,
        frequencies: Frequencies = "geometric",
        scale: float = 1.0,
        learned: bool = True,
    ) -> None:
        super().__init__(key, coordinates, width, heads, frequencies=frequencies, scale=scale, learned=learned)
        (self.span,) = check_positive(span=span)

    def prepare(self, batch: Data, nodes: Attending) -> tuple[Tensor, Tensor]:
        """Angles `[N, H, C / 2]`, and factors of the queries `[N, 1]`.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with the coordinates under `key`.
            nodes: Its nodes as they attend; extra ones are not turned.
        """
        omega, members = exactly(self.omega), nodes.members
        value = read_coordinates(batch, self.key, self.coordinates).to(omega.dtype)
        low, high = ranges(value, members)
        larger = ((high - low) / self.span).clamp(min=1)  # [B, M]
        larger = members.restore(larger.index_select(0, members.graph))
        turns = self.span * omega.abs() / (2 * math.pi)
        kept = ((turns - _FEW) / (_MANY - _FEW)).clamp(0, 1)
        fast = (value[:, None, None, :] * (omega * kept)).sum(-1)
        slow = ((value / larger)[:, None, None, :] * (omega * (1 - kept))).sum(-1)
        sharper = (0.1 * torch.log(larger.amax(1, keepdim=True)) + 1).square()
        return nodes.rows(fast + slow), nodes.rows(sharper, extra=1.0)

    def transform(
        self, query: Tensor, key: Tensor, value: Tensor, prepared: Any, x: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries and keys rotated, queries times the factor of logits.

        Args:
            query: Queries, `[N, D]`.
            key: Keys, `[N, D]`.
            value: Values, `[N, D]`, which stay.
            prepared: Angles and factors.
            x: Not used.
        """
        del x
        angles, sharper = prepared
        turned, key = rotate_alike(angles, query, key)
        return (turned * sharper).to(query.dtype), key, value
