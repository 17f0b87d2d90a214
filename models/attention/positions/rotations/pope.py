"""PoPE: magnitudes from content, phases from positions.

Gopalakrishnan, Csordás, Schmidhuber, Mozer, "Decoupling the 'What' and 'Where' With Polar Coordinate Positional
Embeddings" (arXiv:2509.10534).
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional

from graphpe.models.attention.positions.rotations.angles import Frequencies, NodeAngles
from graphpe.models.layers.precision import exactly


class PoPE(NodeAngles):
    """Each channel of queries and keys is the magnitude of a complex number whose phase is the position's (PoPE, 2025).

        logit_ij = sum_c softplus(q_ic) softplus(k_jc) cos(theta_jc - theta_ic + delta_c) / sqrt(C)

    with theta_i = Omega r_i, an angle for each channel and not for each pair of them, and delta in [-2 pi, 0] learned
    for each head and channel, from 0. In RoPE the angle between q and k is content's and position's together; here it
    is the position's alone. Queries and keys are twice as wide, (softplus(q) cos theta, softplus(q) sin theta).

    Depends on differences of coordinates only. On a path whose coordinate is the position, with
    `frequencies="geometric"`, it is PoPE. O(N D); for attention with a softmax that takes wide queries.

    Differs from the paper: one module serves all layers; Omega is learned (`learned=False`: not).

    Example:
        >>> data = Data(x=torch.randn(5, 3), edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]))
        >>> data = T.SpectralCoordinates(k=2)(data)
        >>> polar = M.PoPE("spectral_coordinates", 2, 16, heads=4)
        >>> model = M.GPS(width=16, layers=2, heads=4, node_encoder=M.LinearNodes(3, 16), positions=[polar])
        >>> model(data).shape
        torch.Size([1, 16])

    Args:
        key: Name of the coordinates in the batch.
        coordinates: Their number M.
        width: Width D of queries and keys.
        heads: Number of heads.
        frequencies: Initial Omega, as in `RotaryAttention`: `normal` or `geometric`.
        scale: Its scale.
        learned: Whether Omega is trained.

    Raises:
        GraphPEValueError: If a number is out of range; in a model if the batch has no such coordinates.
    """

    channels_per_angle: ClassVar[int] = 1
    linear: ClassVar[bool] = False
    widens: ClassVar[bool] = True

    def __init__(
        self,
        key: str,
        coordinates: int,
        width: int,
        heads: int,
        *,
        frequencies: Frequencies = "normal",
        scale: float = 1.0,
        learned: bool = True,
    ) -> None:
        super().__init__(key, coordinates, width, heads, frequencies=frequencies, scale=scale, learned=learned)
        self.delta = nn.Parameter(torch.zeros(self.omega.shape[:2]))

    def transform(
        self, query: Tensor, key: Tensor, value: Tensor, prepared: Any, x: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries and keys in polar form, `[N, 2 D]`.

        Args:
            query: Queries, `[N, D]`.
            key: Keys, `[N, D]`.
            value: Values, `[N, D]`, which stay.
            prepared: The angles, `[N, H, C]`.
            x: Not used.
        """
        del x
        delta = exactly(self.delta).clamp(-2 * math.pi, 0)
        return _polar(query, prepared), _polar(key, prepared + delta), value


def _polar(x: Tensor, angles: Tensor) -> Tensor:
    size = functional.softplus(exactly(x)).view(angles.shape)
    return torch.cat([size * angles.cos(), size * angles.sin()], dim=2).flatten(1).to(x.dtype)
