"""Angles of nodes, linear in their coordinates: what all rotations of queries and keys by positions begin with.

Shape legend: N nodes, M coordinates, H heads, C channels a head.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.arguments import check_choice, check_counts, check_flags, check_number
from graphpe.errors import GraphPEValueError
from graphpe.models.attention.positions.node_positions import Attending, NodePositions
from graphpe.models.attention.shapes import check_shapes
from graphpe.models.batches.nodes import NodeToGraph
from graphpe.models.batches.reading import read_encoding
from graphpe.models.layers.precision import exactly

Frequencies = Literal["normal", "geometric"]


def rotate(x: Tensor, angles: Tensor) -> Tensor:
    """Rotate channels (2c, 2c + 1) of every head by `angles[..., c]`.

    Args:
        x: Queries or keys, `[N, D]`.
        angles: `[N, H, C / 2]` with H C = D.

    Raises:
        GraphPEValueError: A shape is another.
    """
    return turn(x, angles.cos(), angles.sin())


def rotate_alike(angles: Tensor, *rows: Tensor) -> tuple[Tensor, ...]:
    """`rotate` of several by the same angles, whose sines and cosines are taken once.

    Args:
        angles: `[N, H, C / 2]` with H C = D.
        *rows: Queries, keys and others, `[N, D]` each.

    Raises:
        GraphPEValueError: A shape is another.
    """
    cos, sin = angles.cos(), angles.sin()
    return tuple(turn(x, cos, sin) for x in rows)


def turn(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Multiply channels (2c, 2c + 1) of every head, as a complex number, by `cos[..., c] + i sin[..., c]`.

    Args:
        x: Queries or keys, `[N, D]`.
        cos: Real part, `[N, H, C / 2]` with H C = D.
        sin: Imaginary part, likewise.

    Raises:
        GraphPEValueError: A shape is another.
    """
    check_shapes(x=(x, (cos.shape[0], 2 * cos.shape[1] * cos.shape[2])))
    pairs = x.view(*cos.shape, 2)
    cos, sin = cos.to(x.dtype), sin.to(x.dtype)
    even, odd = pairs[..., 0], pairs[..., 1]
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], dim=-1).view_as(x)


def check_planes(width: int, heads: int, channels: int) -> int:
    """How many planes (blocks) of some channels each head has.

    Args:
        width: Width D.
        heads: Number H of heads.
        channels: Channels of a plane.

    Raises:
        GraphPEValueError: D is no multiple of them.
    """
    if width % (channels * heads):
        raise GraphPEValueError(
            f"width must be a multiple of {channels} * heads, got width={width}, heads={heads}: positions act on "
            f"{channels} channels of a head at a time"
        )
    return width // heads // channels


def geometric(planes: int, coordinates: int = 1) -> Tensor:
    """RoPE's frequencies of the planes of a head, float64 `[planes]`: 10000^-(c // M) M / planes.

    Args:
        planes: Their number.
        coordinates: M, by which they turn in turns: axial RoPE.
    """
    step = torch.arange(planes) // coordinates
    return 10000.0 ** -(step.double() * coordinates / planes)


def read_coordinates(batch: Data, key: str, coordinates: int) -> Tensor:
    """Real coordinates `batch[key]`, `[N, M]`, in float32 or better.

    Args:
        batch: A `Batch`, or a `Data` as a batch of one graph.
        key: Their name.
        coordinates: Their number M.

    Raises:
        GraphPEValueError: There are none, they are of another number, or complex.
    """
    value = read_encoding(batch, key, coordinates)
    if value.is_complex():
        raise GraphPEValueError(f"batch.{key} is complex: rotary attention takes real coordinates")
    return exactly(value) if value.is_floating_point() else value.float()


def ranges(value: Tensor, members: NodeToGraph) -> tuple[Tensor, Tensor]:
    """Smallest and largest value of each coordinate in each graph, `[B, M]` each; 0 in a graph without nodes.

    Args:
        value: Coordinates in the batch's order, `[N, M]`.
        members: The partition of the nodes into graphs.
    """
    graph = members.graph.unsqueeze(1).expand_as(value)
    ordered, empty = members.sort(value), value.new_zeros(members.num_graphs, value.shape[1])
    low, high = (empty.scatter_reduce(0, graph, ordered, how, include_self=False) for how in ("amin", "amax"))
    return low, high


class NodeAngles(NodePositions):
    """Base of positions that turn planes of channels by angles which are linear in the coordinates `batch[key]`.

        theta_ihc = sum_m Omega_hcm r_im

    Args:
        key: Name of the coordinates in the batch.
        coordinates: Their number M.
        width: Width D of queries and keys.
        heads: Number of heads.
        frequencies: Initial Omega: `normal`, or `geometric` as in RoPE.
        scale: Its scale.
        learned: Whether Omega is trained.
    """

    channels_per_angle: ClassVar[int] = 2

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
        planes = check_planes(width, heads, self.channels_per_angle)
        check_choice("frequencies", frequencies, get_args(Frequencies))
        scale = check_number("scale", scale)
        (learned,) = check_flags(learned=learned)
        self.key = key
        self.coordinates = coordinates
        self.heads = heads
        if frequencies == "normal":
            omega = torch.randn(heads, planes, coordinates) * scale
        else:
            turning = (torch.arange(planes) % coordinates).unsqueeze(1) == torch.arange(coordinates)
            omega = (scale * geometric(planes, coordinates)).unsqueeze(1).mul(turning).float()
            omega = omega.expand(heads, -1, -1).clone()
        self.omega = nn.Parameter(omega, requires_grad=learned)

    def angles(self, batch: Data) -> Tensor:
        """Angles of every node, head and plane, `[N, H, planes]`, in float32 or better.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with the coordinates under `key`.
        """
        omega = exactly(self.omega)
        value = read_coordinates(batch, self.key, self.coordinates).to(omega.dtype)
        # Not a matrix product: autocast would round angles to three digits.
        return (value[:, None, None, :] * omega).sum(-1)

    def prepare(self, batch: Data, nodes: Attending) -> Any:
        """Angles of the nodes, `[N, H, planes]`.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with the coordinates under `key`.
            nodes: Its nodes as they attend; extra ones are not turned.
        """
        return nodes.rows(self.angles(batch))
