"""Counts of cycles or closed walks as a transform."""

from __future__ import annotations

from typing import Literal

import torch

from graphpe.errors import GraphPEValueError
from graphpe.structure.plan import Plan
from graphpe.transforms.base import Encoding, Values, check_attr_name, check_count
from graphpe.walks.cycles import closed_walk_counts, cycle_counts


class CyclePE(Encoding):
    """The number of cycles of length 3, ..., max_length through each node (undirected).

    Column l - 3 is log(1 + c_l), with c_l the number of simple cycles of length l through the node (`kind="cycles"`),
    or of closed walks of length l from it, diag(S^l) with S the 0/1 adjacency matrix (`kind="walks"`). Directions,
    weights, parallel edges and self-loops do not count. Counts grow exponentially with l, hence the logarithm.

    Cycles: a depth-first search of compiled code, O(n d^(max_length - 1)) with d the mean degree once leaves are
    peeled off; for sparse graphs. Walks: O(max_length |E_b| n_b) a graph.

    Writes `cycle_pe`, `[N, max_length - 2]` float32.

    Args:
        max_length: Length of the longest cycle, 3 to 4096.
        kind: `"cycles"` or `"walks"`.
        attr_name: Key of the encoding.

    Raises:
        GraphPETypeError: A parameter is of another type; when called, the graph is a `HeteroData` or no PyG graph.
        GraphPEValueError: A parameter is out of range; when called, there is no `edge_index`, `edge_weight` is negative
            or not finite, or a graph is too dense for its cycles to be counted (2^31 steps).

    References:
        Bouritsas, Frasca, Zafeiriou, Bronstein: Improving Graph Neural Network Expressivity via Subgraph Isomorphism
        Counting. TPAMI 2022, section 4.

    Example:
        >>> triangle = Data(edge_index=torch.tensor([[0, 1, 2], [1, 2, 0]]), num_nodes=3)
        >>> T.CyclePE(4)(triangle).cycle_pe.expm1().round()  # one triangle through each node, no square
        tensor([[1., 0.],
                [1., 0.],
                [1., 0.]])
    """

    def __init__(
        self, max_length: int, *, kind: Literal["cycles", "walks"] = "cycles", attr_name: str = "cycle_pe"
    ) -> None:
        self.max_length = check_count("max_length", max_length)
        if self.max_length < 3:
            raise GraphPEValueError(f"max_length must be at least 3, got {max_length}")
        if kind not in ("cycles", "walks"):
            raise GraphPEValueError(f"kind must be 'cycles' or 'walks', got {kind!r}")
        self.kind = kind
        self.attr_name = check_attr_name(attr_name)

    @property
    def columns(self) -> int:
        return self.max_length - 2

    def encode(self, plan: Plan) -> Values:
        """Logarithms of the counts at each node."""
        count = cycle_counts if self.kind == "cycles" else closed_walk_counts
        counts = count(plan, self.max_length).clamp(max=torch.finfo(torch.float64).max)
        return Values(node={self.attr_name: counts.log1p()})
