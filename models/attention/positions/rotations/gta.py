"""Geometric transform attention with planar rotations: values are turned and turned back, as queries and keys are.

Miyato, Jaeger, Welling, Geiger, "GTA: A Geometry-Aware Attention Mechanism for Multi-View Transformers" (ICLR 2024,
arXiv:2310.10375).
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from graphpe.models.attention.positions.rotations.angles import NodeAngles, rotate, rotate_alike


class GTA(NodeAngles):
    """Queries, keys and values rotated by the coordinates `batch[key]`, and results rotated back (Miyato et al. 2024).

    With theta_i = Omega r_i as in `RotaryAttention` and R(theta) the rotation of all planes of a head,

        out_i = R(-theta_i) sum_j softmax_j((R(theta_i) q_i) . (R(theta_j) k_j) / sqrt(C)) R(theta_j) v_j
              = sum_j softmax_j(q_i . R(theta_j - theta_i) k_j / sqrt(C)) R(theta_j - theta_i) v_j

    which is the paper's with rho(g_i) = R(-theta_i), a representation of the translations of coordinates in SO(2)^m:
    each value arrives in the frame of the node that reads it. On a path whose coordinate is the position, with
    `frequencies="geometric"`, weights are those of RoPE.

    Depends on differences of coordinates only. Turning all coordinates round, r -> -r, is the same as the sign of
    every second channel of queries, keys, values and results. Other changes of the coordinates (the sign of one
    eigenvector, another basis) are not absorbed. O(N D), and linear attention stays linear.

    Differs from the paper: only rotations of planes, as coordinates of graphs have no cameras; Omega is learned.

    Example:
        >>> data = Data(x=torch.randn(5, 3), edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]))
        >>> data = T.SpectralCoordinates(k=2)(data)
        >>> gta = M.GTA("spectral_coordinates", 2, 16, heads=4)
        >>> model = M.GPS(width=16, layers=2, heads=4, node_encoder=M.LinearNodes(3, 16), positions=[gta])
        >>> model(data).shape
        torch.Size([1, 16])

    Args:
        key: Name of the coordinates in the batch.
        coordinates: Their number M.
        width: Width D of queries, keys and values.
        heads: Number of heads; C = D / heads is even.
        frequencies: Initial Omega, as in `RotaryAttention`: `normal` or `geometric`.
        scale: Its scale.
        learned: Whether Omega is trained.

    Raises:
        GraphPEValueError: If a number is out of range; in a model if the batch has no such coordinates.
    """

    def transform(
        self, query: Tensor, key: Tensor, value: Tensor, prepared: Any, x: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """All three rotated.

        Args:
            query: Queries, `[N, D]`.
            key: Keys, `[N, D]`.
            value: Values, `[N, D]`.
            prepared: The angles.
            x: Not used.
        """
        del x
        query, key, value = rotate_alike(prepared, query, key, value)
        return query, key, value

    def restore(self, out: Tensor, prepared: Any) -> Tensor:
        """Results rotated back.

        Args:
            out: What attention gave, `[N, D]`.
            prepared: The angles.
        """
        return rotate(out, -prepared)
