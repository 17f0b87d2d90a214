"""Attention with the group U(1): channels as complex numbers, transported by the phases of magnetic eigenvectors.

The magnetic Laplacian (Geisler et al. 2023, arXiv:2302.04050) is the one of a connection: along a one-way edge u -> v a
complex number turns by 2 pi q. Changing the gauge, the phase phi_v in which each node counts, is

    L -> D L D^*,  D = diag(exp(i phi)),          eigenvectors u -> D u

and attention that transports numbers between nodes before it compares or adds them does not depend on it.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphpe.arguments import check_counts
from graphpe.errors import GraphPEValueError
from graphpe.models.attention.positions.node_positions import Attending, NodePositions
from graphpe.models.attention.positions.rotations.angles import check_planes, turn
from graphpe.models.batches.reading import read_encoding

_SMALL = 1e-4
"""Moduli of eigenvectors (of unit norm in each graph) that are not far above it carry a phase that is rounding."""


class MagneticRotary(NodePositions):
    """Complex channels, transported between nodes by the phases of the complex eigenvectors `batch[key]`.

    Channels (2c, 2c + 1) of a head are a complex number. With u_im entry i of eigenvector m = c mod k,

        z_ic = (conj(u_im) / |u_im|)^n,    n = 1 + (c // k) mod charges,
        logit_ij = Re sum_c conj(q_ic) conj(z_ic) z_jc k_jc / sqrt(C),
        out_ic = sum_j weight_ij conj(z_ic) z_jc v_jc

    so that each number travels from j to i by the phase between them. Integer powers are all the representations of
    U(1): they alone have a meaning where phases are known up to whole turns. No parameters.

    What holds exactly:

    * Gauge: a phase common to all entries of an eigenvector of a graph, all that a simple eigenvalue leaves free,
      changes nothing (with Graphormer's virtual node it does, which has no phase: give that `virtual_node=False`).
      Under a change of gauge u_im -> exp(i phi_i) u_im with q, k, v of plane c turned by
      exp(-i n phi_i), weights stay and results turn along.
    * Reversal: all edges reversed conjugate the eigenvectors; the result for conjugate q, k, v (every second channel
      negated) is then the conjugate of the one before.
    * On a *balanced* component, where every cycle has as many edges one way round as the other (trees, DAGs with
      levels), the lowest eigenvector has the phase of the potential: 2 pi q times the edges along minus those against
      direction on *any* path from j to i. On a directed path that is RoPE with the frequencies 2 pi q n. (Its entries
      vanish on other components: see there.)
    * Undirected graphs: the eigenvectors are real, z is a sign, and n = 2 leaves nothing.

    On *frustrated* cycles (a directed triangle) no potential fits all edges. Phases are then those that the eigenvector
    finds, which spreads the misfit (the relaxation that synchronises angles, Singer 2011, arXiv:0905.3174): gauge and
    reversal hold as before, the phase along an edge is no longer 2 pi q. `TreeTransport(block=2)` is
    the other choice: exact on the edges of a spanning tree, blind to the others.

    Where an eigenvector vanishes it has no phase: z is shrunk by |u| / sqrt(|u|^2 + 1e-8), so that rounding is no
    phase. Planes of a node outside of the eigenvector's component are then 0, and with them what they say.
    Repeated eigenvalues leave a basis open that phases depend on. Several potentials are read side by side.

    O(N D), and linear attention stays linear.

    Example:
        >>> data = Data(x=torch.randn(5, 3), edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]))
        >>> data = T.MagneticLaplacianPE(k=2, q=0.1, relative_q=False)(data)
        >>> magnetic = M.MagneticRotary("magnetic_eigenvector_pe", 2, 16, heads=4)
        >>> model = M.GPS(width=16, layers=2, heads=4, node_encoder=M.LinearNodes(3, 16), positions=[magnetic])
        >>> model(data).shape
        torch.Size([1, 16])

    Args:
        key: Name of the eigenvectors in the batch.
        coordinates: Their number k, over all potentials.
        width: Width D of queries, keys and values.
        heads: Number of heads; C = D / heads is even.
        charges: The largest power n.

    Raises:
        GraphPEValueError: If a number is out of range; in a model if the batch has no such eigenvectors.
    """

    def __init__(self, key: str, coordinates: int, width: int, heads: int, *, charges: int = 2) -> None:
        super().__init__()
        coordinates, width, heads, charges = check_counts(
            coordinates=coordinates, width=width, heads=heads, charges=charges
        )
        self.planes = check_planes(width, heads, 2)
        self.key = key
        self.coordinates = coordinates
        self.heads = heads
        self.charges = charges

    def prepare(self, batch: Data, nodes: Attending) -> tuple[Tensor, Tensor]:
        """Real and imaginary parts of z, `[N, H, C / 2]`.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with the eigenvectors under `key`.
            nodes: Its nodes as they attend; extra ones have z = 1.
        """
        value = read_encoding(batch, self.key, self.coordinates)
        if not value.is_complex():
            raise GraphPEValueError(
                f"batch.{self.key} is real: MagneticRotary takes complex eigenvectors, as of T.MagneticLaplacianPE"
            )
        plane = torch.arange(self.planes, device=value.device)
        u = value.index_select(1, plane % self.coordinates)
        square = u.real.square() + u.imag.square()
        size = (square / (square + _SMALL**2)).sqrt()
        charge = 1 + (plane // self.coordinates) % self.charges
        angle = -charge * torch.atan2(u.imag, u.real)
        parts = (size * angle.cos(), size * angle.sin())
        shape = nodes.num_nodes, self.heads, self.planes
        cos, sin = (nodes.rows(part, extra).unsqueeze(1) for part, extra in zip(parts, (1.0, 0.0), strict=True))
        return cos.expand(shape), sin.expand(shape)

    def transform(
        self, query: Tensor, key: Tensor, value: Tensor, prepared: Any, x: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """All three times z.

        Args:
            query: Queries, `[N, D]`.
            key: Keys, `[N, D]`.
            value: Values, `[N, D]`.
            prepared: Real and imaginary parts of z.
            x: Not used.
        """
        del x
        return turn(query, *prepared), turn(key, *prepared), turn(value, *prepared)

    def restore(self, out: Tensor, prepared: Any) -> Tensor:
        """Results times conj(z).

        Args:
            out: What attention gave, `[N, D]`.
            prepared: Real and imaginary parts of z.
        """
        cos, sin = prepared
        return turn(out, cos, -sin)
