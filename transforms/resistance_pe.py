"""Effective resistances as a transform."""

from __future__ import annotations

from torch import Tensor

from graphpe.pairs.asked import Asked
from graphpe.pairs.resistances import asked_resistances
from graphpe.spectra.resistance import effective_resistances, resistances
from graphpe.structure.plan import Need, Plan
from graphpe.transforms.base import LinkEncoding


class ResistancePE(LinkEncoding):
    """The effective resistance between all nodes of a graph, a distance that counts every path.

    R_ij = L+_ii + L+_jj - 2 L+_ij with L+ the pseudo-inverse of the combinatorial Laplacian L = D - S: the voltage
    between i and j that a unit current from i to j needs where weights are conductances (S_uv = max(A_uv, A_vu);
    parallel edges count once without `edge_weight` and add with it, self-loops carry no current). On a tree it is the
    sum of 1 / weight along the path; weights c times as large give R / c. Row i n + j of a graph of n nodes is the pair
    (i, j); nodes of different components, between which no current can flow, have -1.

    Writes `resistance`, `[sum n^2, 1]` float32 in units of 1 / `edge_weight`. Solved per
    component in float64 without subtractions (see `graphpe.spectra.resistance`), so that weights of very different
    sizes do not spoil each other: O(n^2) time on trees to O(n^3) on dense graphs, O(n^2) memory, on the CPU. Of chosen
    pairs `[P, 1]`, from sparse factors, or between two bounds, 1e-6 of the value apart (see
    `graphpe.pairs.resistances`).

    Graphormer-GD's code takes these values precomputed, as `res_pos`.

    Args:
        pairs: Key of chosen pairs `[2, P]`, such as `"edge_label_index"`: `[P, 1]` of those instead of all pairs (see
            `LinkEncoding`).
        attr_name: Key of the encoding.

    Raises:
        GraphPETypeError: A parameter is of another type; when called, the graph is no PyG graph.
        GraphPEValueError: When called, there is no `edge_index`, or `edge_weight` is negative or not finite.

    References:
        Zhang, Luo, Wang, He: Rethinking the Expressive Power of GNNs via Graph Biconnectivity. ICLR 2023, section 4.

    Example:
        >>> triangle_and_node = Data(edge_index=torch.tensor([[0, 1, 2], [1, 2, 0]]), num_nodes=4)
        >>> T.ResistancePE()(triangle_and_node).resistance.view(4, 4)
        tensor([[ 0.0000,  0.6667,  0.6667, -1.0000],
                [ 0.6667,  0.0000,  0.6667, -1.0000],
                [ 0.6667,  0.6667,  0.0000, -1.0000],
                [-1.0000, -1.0000, -1.0000,  0.0000]])
    """

    def __init__(self, *, pairs: str | None = None, attr_name: str = "resistance") -> None:
        super().__init__(pairs, attr_name)

    @property
    def columns(self) -> int:
        return 1

    @property
    def needs(self) -> list[Need]:
        """Resistances of all pairs."""
        return [] if self.pairs else [Need(resistances, 0)]

    def encode_all_pairs(self, plan: Plan) -> Tensor:
        return effective_resistances(plan)[:, None]

    def encode_pairs(self, plan: Plan, pairs: Tensor | Asked) -> Tensor:
        return asked_resistances(plan, pairs)[:, None]
