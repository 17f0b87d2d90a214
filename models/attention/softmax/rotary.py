"""Rotary attention over coordinates of nodes: RoPE (Su et al. 2021) on graphs (WIRE, Reid et al. 2025).

A node with coordinates r_i has the angles theta_i = Omega r_i, one for each pair of channels of a head. Queries and
keys are rotated in these planes, so that

    (R_i q_i) . (R_j k_j) = q_i . R(theta_j - theta_i) k_j

depends on coordinates through r_i - r_j only. On a path whose coordinate is the position, and with Omega the powers of
10000, that is RoPE.
"""

from __future__ import annotations

from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.arguments import check_choice, check_counts, check_flags, check_number
from graphpe.errors import GraphPEValueError
from graphpe.models.attention.padding import PaddedNodes
from graphpe.models.attention.pairs import PairSet
from graphpe.models.attention.positions.node_positions import Attending, NodePositions
from graphpe.models.attention.shapes import check_shapes
from graphpe.models.attention.softmax.softmax import PaddedFactors, PairFactors, softmax_attention
from graphpe.models.batches.reading import read_encoding

Frequencies = Literal["normal", "geometric"]


def rotate(x: Tensor, angles: Tensor) -> Tensor:
    """Rotate channels (2c, 2c + 1) of every head by `angles[..., c]`.

    Args:
        x: Queries or keys, `[N, D]`.
        angles: `[N, H, C / 2]` with H C = D.

    Raises:
        GraphPEValueError: A shape is another.
    """
    check_shapes(x=(x, (angles.shape[0], 2 * angles.shape[1] * angles.shape[2])))
    pairs = x.view(*angles.shape, 2)
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    even, odd = pairs[..., 0], pairs[..., 1]
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1).view_as(x)


class RotaryAttention(NodePositions):
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
        super().__init__()
        coordinates, width, heads = check_counts(coordinates=coordinates, width=width, heads=heads)
        if width % (2 * heads):
            raise GraphPEValueError(f"width must be a multiple of 2 * heads, got width={width}, heads={heads}")
        check_choice("frequencies", frequencies, get_args(Frequencies))
        scale = check_number("scale", scale)
        (learned,) = check_flags(learned=learned)
        self.key = key
        self.coordinates = coordinates
        self.heads = heads
        planes = width // heads // 2
        if frequencies == "normal":
            omega = torch.randn(heads, planes, coordinates) * scale
        else:
            plane = torch.arange(planes)
            power = -(plane // coordinates).double() * coordinates / planes
            turning = nn.functional.one_hot(plane % coordinates, coordinates)
            omega = (scale * 10000.0**power).unsqueeze(1).mul(turning).float().expand(heads, -1, -1).clone()
        self.omega = nn.Parameter(omega, requires_grad=learned)

    def angles(self, batch: Data) -> Tensor:
        """Angles of every node, head and plane, `[N, H, C / 2]`, in float32 or better.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with the coordinates under `key`.
        """
        value = read_encoding(batch, self.key, self.coordinates)
        if value.is_complex():
            raise GraphPEValueError(f"batch.{self.key} is complex: rotary attention takes real coordinates")
        exact = torch.promote_types(self.omega.dtype, torch.float32)
        # Not a matrix product: autocast would round angles to three digits.
        return (value.to(exact)[:, None, None, :] * self.omega.to(exact)).sum(-1)

    def prepare(self, batch: Data, nodes: Attending) -> Tensor:
        """Angles of the nodes, `[N, H, C / 2]`.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with the coordinates under `key`.
            nodes: Its nodes as they attend; extra ones are not turned.
        """
        return nodes.rows(self.angles(batch))

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
        return rotate(query, prepared), rotate(key, prepared), value

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
        query, key = rotate(query, angles), rotate(key, angles)
        return softmax_attention(query, key, value, pairs, factors, heads=self.heads, dropout=dropout)
