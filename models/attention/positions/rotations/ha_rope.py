"""HARoPE: a learned linear map for each head before the rotation.

Li et al., "Head-wise Adaptive Rotary Positional Encoding for Fine-Grained Image Generation" (arXiv:2510.10489).
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.arguments import check_choice
from graphpe.models.attention.positions.node_positions import Attending
from graphpe.models.attention.positions.rotations.angles import Frequencies, NodeAngles, rotate_alike
from graphpe.models.attention.positions.rotations.orthogonal import apply_blocks, rotation
from graphpe.models.layers.precision import exactly

HeadMap = Literal["svd", "orthogonal"]


class HARoPE(NodeAngles):
    """Queries and keys of each head mapped by a learned matrix, then rotated as in `RotaryAttention` (HARoPE, 2025).

        q_i -> R(theta_i) A_h q_i,    k_j -> R(theta_j) A_h k_j,    A_h = U_h diag(exp(s_h)) V_h^T

    with rotations U, V (exponentials of skew-symmetric matrices), so that planes are chosen by the head and coordinates
    mix within it. As A is that of both, logits q_i . A^T R(theta_j - theta_i) A k_j depend on differences of
    coordinates only. `head_map="orthogonal"` is s = 0 and V = I: then q_i . k_i at one place stays what it was, and
    all A^T R A are ComRoPE's commuting family with blocks of a whole head. A starts as I, with which it is
    `RotaryAttention`. O(N D C), and linear attention stays linear. 2 C^2 + C parameters a head (C^2).

    Differs from the paper: exp(s) for singular values, which stay positive; one module serves all layers; Omega is
    learned, too (`learned=False`: not).

    Example:
        >>> data = Data(x=torch.randn(5, 3), edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]))
        >>> data = T.SpectralCoordinates(k=2)(data)
        >>> rotations = M.HARoPE("spectral_coordinates", 2, 16, heads=4)
        >>> model = M.GPS(width=16, layers=2, heads=4, node_encoder=M.LinearNodes(3, 16), positions=[rotations])
        >>> model(data).shape
        torch.Size([1, 16])

    Args:
        key: Name of the coordinates in the batch.
        coordinates: Their number M.
        width: Width D of queries and keys.
        heads: Number of heads; C = D / heads is even.
        head_map: `svd` or `orthogonal`.
        frequencies: Initial Omega, as in `RotaryAttention`: `normal` or `geometric`.
        scale: Its scale.
        learned: Whether Omega is trained.

    Raises:
        GraphPEValueError: If a number is out of range; in a model if the batch has no such coordinates.
    """

    def __init__(
        self,
        key: str,
        coordinates: int,
        width: int,
        heads: int,
        *,
        head_map: HeadMap = "svd",
        frequencies: Frequencies = "normal",
        scale: float = 1.0,
        learned: bool = True,
    ) -> None:
        super().__init__(key, coordinates, width, heads, frequencies=frequencies, scale=scale, learned=learned)
        check_choice("head_map", head_map, get_args(HeadMap))
        self.head_map = head_map
        channels = int(width) // int(heads)
        self.left = nn.Parameter(torch.zeros(self.heads, channels, channels))
        self.right = nn.Parameter(torch.zeros(self.heads, channels, channels)) if head_map == "svd" else None
        self.log_singular = nn.Parameter(torch.zeros(self.heads, channels)) if head_map == "svd" else None

    def maps(self) -> Tensor:
        """A of each head, `[H, C, C]`, in float32 or better."""
        out = rotation(self.left)
        if self.right is not None and self.log_singular is not None:
            with torch.autocast(out.device.type, enabled=False):
                out = (out * exactly(self.log_singular).exp().unsqueeze(1)) @ rotation(self.right).transpose(1, 2)
        return out

    def prepare(self, batch: Data, nodes: Attending) -> tuple[Tensor, Tensor]:
        """Angles `[N, H, C / 2]` and A `[H, 1, C, C]`.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with the coordinates under `key`.
            nodes: Its nodes as they attend; extra ones are at the origin.
        """
        return super().prepare(batch, nodes), self.maps().unsqueeze(1)

    def transform(
        self, query: Tensor, key: Tensor, value: Tensor, prepared: Any, x: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries and keys mapped and rotated.

        Args:
            query: Queries, `[N, D]`.
            key: Keys, `[N, D]`.
            value: Values, `[N, D]`, which stay.
            prepared: Angles and maps.
            x: Not used.
        """
        del x
        angles, maps = prepared
        query, key = rotate_alike(angles, apply_blocks(query, maps), apply_blocks(key, maps))
        return query, key, value
