"""Counts of cycles or closed walks as a transform."""

from __future__ import annotations

from typing import Literal

from graphpe.arguments import check_choice, check_integer, check_seed
from graphpe.errors import GraphPEValueError
from graphpe.structure.plan import Plan
from graphpe.transforms.base import Encoding
from graphpe.transforms.names import MAX_COLUMNS, check_attr_name, check_count
from graphpe.transforms.values import Values
from graphpe.walks.cycles import closed_walk_counts, cycle_counts
from graphpe.walks.diagonal_powers import Estimate


class CyclePE(Encoding):
    """The number of cycles of length 3, ..., max_length through each node (undirected).

    Column l - 3 is log(1 + c_l), with c_l the number of simple cycles of length l through the node (`kind="cycles"`),
    or of closed walks of length l from it, diag(S^l) with S the 0/1 adjacency matrix (`kind="walks"`). Directions,
    weights, parallel edges and self-loops do not count. Counts grow exponentially with l, hence the logarithm.

    Cycles: a depth-first search of compiled code, O(n d^(max_length - 1)) with d the mean degree once leaves are
    peeled off; for sparse graphs. Walks: what walks of max_length / 2 steps reach, summed over the nodes, at most
    O(max_length |E_b| n_b) a graph; what would take longer than `graphpe.limits` allow is refused. With `estimate`,
    graphs on which that is cheaper get counts of closed walks from as many random vectors, O(max_length |E_b|) each:
    unbiased, with a relative standard error of at most sqrt(2 / estimate) for even lengths (for odd ones, of the mean
    of the lengths beside it).

    Writes `cycle_pe`, `[N, max_length - 2]` float32.

    Args:
        max_length: Length of the longest cycle, 3 to 4096.
        kind: `"cycles"` or `"walks"`.
        estimate: Random vectors to estimate closed walks of large graphs with, 1 to 4096; None: always exact.
        seed: Of these vectors.
        attr_name: Key of the encoding; None appends it to `x`, and `"x"` replaces it.

    Raises:
        GraphPETypeError: A parameter is of another type; when called, the graph is no PyG graph.
        GraphPEValueError: A parameter is out of range; when called, there is no `edge_index`, `edge_weight` is negative
            or not finite, or a graph is too dense for its cycles to be counted (2^31 steps), would take too long, or
            has more closed walks than float64 holds (1.8e308).

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
        self,
        max_length: int,
        *,
        kind: Literal["cycles", "walks"] = "cycles",
        estimate: int | None = None,
        seed: int = 0,
        attr_name: str | None = "cycle_pe",
    ) -> None:
        self.max_length = check_integer("max_length", max_length, least=3, most=MAX_COLUMNS)
        check_choice("kind", kind, ("cycles", "walks"))
        if estimate is not None and kind != "walks":
            raise GraphPEValueError("estimate is for kind='walks': cycles are always counted")
        self.kind = kind
        self.estimate = None if estimate is None else check_count("estimate", estimate)
        self.seed = check_seed(seed)
        self.attr_name = check_attr_name(attr_name)

    @property
    def columns(self) -> int:
        return self.max_length - 2

    def encode(self, plan: Plan) -> Values:
        """Logarithms of the counts at each node."""
        if self.kind == "cycles":
            counts = cycle_counts(plan, self.max_length)
        else:
            estimate = None if self.estimate is None else Estimate(self.estimate, self.seed)
            counts = closed_walk_counts(plan, self.max_length, estimate)
        return Values(node={self.attr_name: counts.log1p()})
