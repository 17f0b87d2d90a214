"""Commute times as a transform."""

from __future__ import annotations

from torch import Tensor

from graphpe.pairs.asked import Asked
from graphpe.pairs.resistances import asked_commute_times
from graphpe.spectra.resistance import commute_times, resistances
from graphpe.structure.plan import Need, Plan
from graphpe.transforms.base import LinkEncoding


class CommuteTimePE(LinkEncoding):
    """The expected number of steps of a random walk from i to j and back, for all nodes of a graph.

    C_ij = vol R_ij with R the effective resistance (see `ResistancePE`) and vol the sum of the degrees of the
    component, for the walk P = D^-1 S on the symmetrised weights S_uv = max(A_uv, A_vu). Parallel edges count once
    without `edge_weight` and add with it; a self-loop is a step that stays, so that it adds to the degree. Multiplying
    all weights by a constant changes nothing. Row i n + j of a graph of n nodes is the pair (i, j); nodes of different
    components, between which no walk leads, have -1.

    Writes `commute_time`, `[sum n^2, 1]` float32, in steps. Cost as for `ResistancePE`, with which a `Compose` shares
    it.

    Differs from graphium's `commute`: there vol and L+ are those of the whole graph, which gives pairs of different
    components a number without meaning.

    Args:
        pairs: Key of chosen pairs `[2, P]`, such as `"edge_label_index"`: `[P, 1]` of those instead of all pairs (see
            `LinkEncoding`).
        attr_name: Key of the encoding.

    Raises:
        GraphPETypeError: A parameter is of another type; when called, the graph is no PyG graph.
        GraphPEValueError: When called, there is no `edge_index`, or `edge_weight` is negative or not finite.

    References:
        Chandra, Raghavan, Ruzzo, Smolensky, Tiwari: The Electrical Resistance of a Graph Captures its Commute and Cover
        Times. Computational Complexity 1996, theorem 2.1.

    Example:
        >>> path = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), num_nodes=3)
        >>> T.CommuteTimePE()(path).commute_time.view(3, 3)
        tensor([[0., 4., 8.],
                [4., 0., 4.],
                [8., 4., 0.]])
    """

    def __init__(self, *, pairs: str | None = None, attr_name: str = "commute_time") -> None:
        super().__init__(pairs, attr_name)

    @property
    def columns(self) -> int:
        return 1

    @property
    def needs(self) -> list[Need]:
        """Resistances of all pairs."""
        return [] if self.pairs else [Need(resistances, 0)]

    def encode_all_pairs(self, plan: Plan) -> Tensor:
        return commute_times(plan)[:, None]

    def encode_pairs(self, plan: Plan, pairs: Tensor | Asked) -> Tensor:
        return asked_commute_times(plan, pairs)[:, None]
