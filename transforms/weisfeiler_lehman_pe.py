"""Colours of colour refinement as a transform."""

from __future__ import annotations

import torch

from graphpe.arguments import check_integer
from graphpe.errors import GraphPEValueError
from graphpe.structure.plan import Plan
from graphpe.structure.weisfeiler_lehman import refined_colours
from graphpe.transforms.base import Encoding
from graphpe.transforms.names import check_attr_name, check_count
from graphpe.transforms.values import Values


class WeisfeilerLehmanPE(Encoding):
    """Colours of Weisfeiler-Leman colour refinement after 1, ..., iterations rounds, the same in every graph.

    c_0(v) = 1; c_t(v) = h(c_(t-1)(v), multiset over successors, multiset over predecessors), with the weights of the
    edges in the multisets (see `graphpe.structure.weisfeiler_lehman`). The 64-bit hash h does not depend on graph,
    dataset or process: nodes of two graphs have the same colour exactly where refinement cannot tell them apart, up to
    collisions. Columns hold hashes modulo `num_colours`, for a table of embeddings. O(iterations (N + E)).

    Differs from released code (Benchmarking-PEs): there colours are numbered graph by graph, so that the same number
    means different things in different graphs, and self-loops are added to the graph on the way.

    Writes `weisfeiler_lehman_pe`, `[N, iterations]` int64 from 0 to `num_colours` - 1.

    Args:
        iterations: Rounds of refinement, 1 to 4096.
        num_colours: Size of the table: 2 to 2^31. Two colours share a row with probability 1 / num_colours.
        attr_name: Key of the encoding; None appends it to `x`, and `"x"` replaces it.

    Raises:
        GraphPETypeError: A parameter is of another type; when called, the graph is no PyG graph.
        GraphPEValueError: A parameter is out of range; when called, there is no `edge_index`, or `edge_weight` is
            negative or not finite.

    References:
        Zhang, Zhang, Xia, Sun: Graph-Bert. 2020, section 3.2.1 (the absolute role encoding).

    Example:
        >>> path = Data(edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), num_nodes=3)
        >>> colours = T.WeisfeilerLehmanPE(2)(path).weisfeiler_lehman_pe
        >>> colours.shape, torch.equal(colours[0], colours[2]), torch.equal(colours[0], colours[1])
        (torch.Size([3, 2]), True, False)
    """

    def __init__(
        self, iterations: int, *, num_colours: int = 1024, attr_name: str | None = "weisfeiler_lehman_pe"
    ) -> None:
        self.iterations = check_count("iterations", iterations)
        self.num_colours = check_integer("num_colours", num_colours)
        if not 2 <= self.num_colours <= 1 << 31:
            raise GraphPEValueError(f"num_colours must be from 2 to 2^31, got {num_colours}")
        self.attr_name = check_attr_name(attr_name)

    @property
    def columns(self) -> int:
        return self.iterations

    @property
    def vocabulary(self) -> int:
        """Number of different values."""
        return self.num_colours

    def encode(self, plan: Plan) -> Values:
        colours = refined_colours(plan, self.iterations)
        return Values(node={self.attr_name: torch.remainder(colours, self.num_colours)})
