"""ComRoPE: rotations in blocks beyond planes, whose angle matrices commute.

Yu et al., "ComRoPE: Scalable and Robust Rotary Position Embedding Parameterized by Trainable Commuting Angle Matrices"
(CVPR 2025, arXiv:2506.03737).

RoPE's exp(sum_m A_m r_m), A_m skew-symmetric, is relative, R(r_i)^T R(r_j) = R(r_j - r_i), exactly where all A_m
commute. Matrices that do have one orthogonal basis in which all are planar rotations, A_m = Q diag(omega_mp J) Q^T, so
that R(r) = Q exp(diag((sum_m omega_mp r_m) J)) Q^T: that is what is trained here. In q_i . R(r_j - r_i) k_j the left Q
cancels, and queries and keys are multiplied by Q^T and turned.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.arguments import check_choice, check_counts, check_number
from graphpe.errors import GraphPEValueError
from graphpe.models.attention.positions.node_positions import Attending, NodePositions
from graphpe.models.attention.positions.rotations.angles import check_planes, geometric, read_coordinates, rotate_alike
from graphpe.models.attention.positions.rotations.orthogonal import apply_blocks, rotation
from graphpe.models.layers.precision import exactly

Family = Literal["dependent", "axial"]


class ComRoPE(NodePositions):
    """Queries and keys rotated in blocks of b channels by trained angle matrices that commute (ComRoPE, 2025).

        q_i -> R(r_i) q_i,  k_j -> R(r_j) k_j,    R(r) = exp(sum_m A_m r_m),    A_m = -A_m^T,  A_m A_n = A_n A_m

    for each head and block, in two families of the paper:

    * `dependent` (ComRoPE-LD): A_m = theta_m A, multiples of one matrix in each block;
    * `axial` (ComRoPE-AP): block number B turns with coordinate B mod M alone, and A_m = 0 for the others.

    A = Q diag(lambda_p J) Q^T with Q a rotation (the exponential of a skew-symmetric matrix, 0 at first) and lambda
    from RoPE's frequencies, so that training starts from rotations of planes; b = 2 is `RotaryAttention`. Depends on
    differences of coordinates only, for every value of the parameters. O(N D b), and linear attention stays linear.

    Differs from the paper: A is parametrised by its planes instead of P - P^T, the same matrices (no exponential of a
    matrix a node, nothing that waits for a device); heads have parameters of their own; one module serves all layers;
    coordinates are not disturbed in training.

    Example:
        >>> data = Data(x=torch.randn(5, 3), edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]))
        >>> data = T.SpectralCoordinates(k=2)(data)
        >>> rotations = M.ComRoPE("spectral_coordinates", 2, 16, heads=2, block=8)
        >>> model = M.GPS(width=16, layers=2, heads=2, node_encoder=M.LinearNodes(3, 16), positions=[rotations])
        >>> model(data).shape
        torch.Size([1, 16])

    Args:
        key: Name of the coordinates in the batch.
        coordinates: Their number M.
        width: Width D of queries and keys.
        heads: Number of heads.
        block: Size b of the blocks, even; divides D / heads.
        family: `dependent` or `axial`.
        scale: Of the angles at the start: theta is drawn from N(0, scale^2), or `scale` for `axial`.

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
        block: int = 4,
        family: Family = "dependent",
        scale: float = 1.0,
    ) -> None:
        super().__init__()
        coordinates, width, heads, block = check_counts(coordinates=coordinates, width=width, heads=heads, block=block)
        if block % 2:
            raise GraphPEValueError(f"block must be even, got {block}")
        blocks = check_planes(width, heads, block)
        check_choice("family", family, get_args(Family))
        scale = check_number("scale", scale)
        self.key = key
        self.coordinates = coordinates
        self.heads = heads
        self.block = block
        self.family = family
        if family == "axial":
            rate = (scale * geometric(blocks * block // 2)).float()
            self.theta = None
        else:
            rate = geometric(blocks * block // 2).float()
            self.theta = nn.Parameter(torch.randn(heads, blocks, coordinates) * scale)
        self.rate = nn.Parameter(rate.view(blocks, block // 2).expand(heads, -1, -1).clone())
        self.basis = nn.Parameter(torch.zeros(heads, blocks, block, block))

    def prepare(self, batch: Data, nodes: Attending) -> tuple[Tensor, Tensor]:
        """Angles `[N, H, C / 2]` and the transposed bases `[H, blocks, b, b]`.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with the coordinates under `key`.
            nodes: Its nodes as they attend; extra ones are at the origin.
        """
        rate = exactly(self.rate)
        value = read_coordinates(batch, self.key, self.coordinates).to(rate.dtype)
        if self.theta is None:
            turning = torch.arange(rate.shape[1], device=value.device) % self.coordinates
            along = value.index_select(1, turning).unsqueeze(1)  # [N, 1, blocks]
        else:
            along = (value[:, None, None, :] * exactly(self.theta)).sum(-1)  # [N, H, blocks]
        angles = (along.unsqueeze(-1) * rate).flatten(2)
        return nodes.rows(angles), rotation(self.basis).transpose(-1, -2)

    def transform(
        self, query: Tensor, key: Tensor, value: Tensor, prepared: Any, x: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries and keys in the basis of the planes, turned.

        Args:
            query: Queries, `[N, D]`.
            key: Keys, `[N, D]`.
            value: Values, `[N, D]`, which stay.
            prepared: Angles and bases.
            x: Not used.
        """
        del x
        angles, basis = prepared
        query, key = rotate_alike(angles, apply_blocks(query, basis), apply_blocks(key, basis))
        return query, key, value
