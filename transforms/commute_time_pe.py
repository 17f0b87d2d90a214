"""Commute times as a transform."""

from __future__ import annotations

from graphpe.spectra.resistance import commute_times, resistances
from graphpe.structure.plan import Need, Plan
from graphpe.transforms.base import PairEncoding
from graphpe.transforms.names import check_own_name
from graphpe.transforms.values import Values


class CommuteTimePE(PairEncoding):
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

    def __init__(self, *, attr_name: str = "commute_time") -> None:
        self.attr_name = check_own_name(attr_name, "values of pairs of nodes")

    @property
    def columns(self) -> int:
        return 1

    @property
    def needs(self) -> list[Need]:
        """Resistances of all pairs."""
        return [Need(resistances, 0)]

    def encode(self, plan: Plan) -> Values:
        """Commute times of all pairs."""
        steps = commute_times(plan)[:, None]
        return Values(pair={self.attr_name: steps})
