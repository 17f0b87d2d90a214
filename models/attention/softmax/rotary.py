"""Rotary attention over coordinates of nodes: RoPE (Su et al. 2021) on graphs (WIRE, Reid et al. 2025).

A node with coordinates r_i has the angles theta_i = Omega r_i, one for each pair of channels of a head. Queries and
keys are rotated in these planes, so that

    (R_i q_i) . (R_j k_j) = q_i . R(theta_j - theta_i) k_j

depends on coordinates through r_i - r_j only. On a path whose coordinate is the position, and with Omega the powers of
10000, that is RoPE.
"""

from __future__ import annotations

from typing import Any

from torch import Tensor

from graphpe.models.attention.biases.pair_factors import PairFactors
from graphpe.models.attention.padding import PaddedNodes
from graphpe.models.attention.pairs import PairSet
from graphpe.models.attention.positions.rotations.angles import NodeAngles, rotate_alike
from graphpe.models.attention.softmax.padded_factors import PaddedFactors
from graphpe.models.attention.softmax.softmax import softmax_attention


class RotaryAttention(NodeAngles):
    """Softmax attention with queries and keys rotated by the node coordinates `batch[key]` `[N, coordinates]`.

    Angles are learned linear maps of the coordinates, for each head its own:

        theta_ihc = sum_m Omega_hcm r_im,    c = 1 ... C / 2

    Omega starts as `frequencies="normal"`: drawn from N(0, scale^2), for which E[logit] falls with |r_i - r_j|^2, the
    effective resistance where coordinates are `SpectralCoordinates(scale="resistance")`; or `"geometric"`: plane c
    turns with coordinate c mod M at scale * 10000^(-(c // M) 2 M / C): for one coordinate the frequencies of RoPE, for
    several those of axial RoPE.

    Signs and rotations of repeated eigenvectors change the coordinates and, with them, the result: the same for all
    nodes, but not absorbed by Omega.

    Example:
        >>> data = Data(edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]), num_nodes=5)
        >>> data = T.SpectralCoordinates(k=2)(data)
        >>> from graphpe.models.attention import all_pairs
        >>> from graphpe.models.batches.nodes import node_to_graph
        >>> attention = M.RotaryAttention("spectral_coordinates", 2, 16, heads=4)
        >>> query, key, value = torch.randn(3, 5, 16)
        >>> pairs = all_pairs(node_to_graph(data), data.edge_index)
        >>> attention(query, key, value, pairs, angles=attention.angles(data)).shape
        torch.Size([5, 16])

    Args:
        key: Name of the coordinates in the batch.
        coordinates: Their number M.
        width: Width D of queries and keys.
        heads: Number of heads; C = D / heads is even.
        frequencies: Initial Omega.
        scale: Its scale.
        learned: Whether Omega is trained.

    Raises:
        GraphPEValueError: If a number is out of range; in `forward` if the batch has no such coordinates.
    """

    def transform(
        self, query: Tensor, key: Tensor, value: Tensor, prepared: Any, x: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Rotated queries and keys.

        Args:
            query: Queries, `[N, D]`.
            key: Keys, `[N, D]`.
            value: Values, `[N, D]`, which stay.
            prepared: The angles.
            x: Not used.
        """
        del x
        query, key = rotate_alike(prepared, query, key)
        return query, key, value

    def forward(
        self,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        pairs: PairSet | PaddedNodes,
        factors: PairFactors | PaddedFactors | None = None,
        *,
        angles: Tensor,
        dropout: float = 0.0,
    ) -> Tensor:
        """`softmax_attention` of rotated queries and keys; `angles` as from `angles(batch)`, once a batch.

        Args:
            query: Queries, `[N, D]`.
            key: Keys, `[N, D]`.
            value: Values, `[N, D]`.
            pairs: A set of pairs, or all pairs of each graph as padded nodes.
            factors: Biases and factors of the pairs.
            angles: What `angles(batch)` gave.
            dropout: Probability of dropout of weights; 0 outside training.
        """
        query, key = rotate_alike(angles, query, key)
        return softmax_attention(query, key, value, pairs, factors, heads=self.heads, dropout=dropout)
