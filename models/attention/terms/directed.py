"""Heads that look one way along the edges of a directed graph."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor
from torch_geometric.data import Data

from graphpe.arguments import check_choice, check_number
from graphpe.errors import GraphPEValueError
from graphpe.models.attention.biases.pair_bias import FAR
from graphpe.models.attention.biases.pair_factors import PairFactors
from graphpe.models.attention.pairs import PairSet
from graphpe.models.attention.terms.pair_terms import PairTerms
from graphpe.models.batches.nodes import NodeToGraph
from graphpe.models.batches.reading import read_encoding
from graphpe.models.layers.precision import ExactBuffers

View = Literal["ancestors", "descendants", "both", "others"]


class DirectedHeads(PairTerms, ExactBuffers):
    """Each head sees one side of a node along directed edges, the farther the less (LookHere, Fuller et al. 2024).

        logit_ij = q_i . k_j / sqrt(C) - m_h d_ij    where head h sees j from i, else -infinity

    with D = `batch[key]` the distance along directed edges, `ShortestPathPE(undirected=False)`, and of the views

        ancestors      a path leads from j to i,    d_ij = D_ji
        descendants    one leads from i to j,       d_ij = D_ij
        both           one or the other,            d_ij = the shorter
        others         none of the two,             d_ij = 0

    Every head sees a node itself, at d = 0, so that no row of weights is empty. The views are dealt to the heads in
    turn; the n-th head of a view has the slope m = slope * 2^(-8 n / N), N the number of heads of that view, ALiBi's;
    slopes are not learned, as in the paper. With `ReachabilityPE` as `key` and `least=1` all that is seen is equally
    far.

    LookHere (arXiv:2405.13985) has views into directions of an image; those of a directed acyclic graph are the sides
    of the reflexive ancestor relation. On a path graph whose edges lead from each token to the next, a head of
    `ancestors` is causal attention with ALiBi, one of `descendants` its mirror image. On an undirected graph
    `ancestors`, `descendants` and `both` are the connected component, `others` the rest. Extra nodes see and are seen
    by all. Invariant to the numbering of nodes. O(P H) time and memory.

    Example:
        >>> data = Data(edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]), x=torch.randn(5, 3), num_nodes=5)
        >>> data = T.ShortestPathPE(undirected=False)(data)
        >>> terms = M.DirectedHeads("shortest_path", 4, 16)
        >>> M.GPS(width=16, layers=1, node_encoder=M.LinearNodes(3, 16), pair_encodings=[terms])(data).shape
        torch.Size([1, 16])

    Args:
        key: Name of the directed distances in the batch.
        heads: Number H of heads; divides `width`.
        width: Width D of queries and keys.
        views: What heads see, dealt to them in turn.
        slope: Factor of all slopes; 0 for masks alone.
        least: Smallest value that means that there is a path.
        unreachable: Smallest value that means that there is none, as `max_distance + 1` of `ShortestPathPE`.

    Raises:
        GraphPEValueError: If an argument is out of range; in `prepare` if the batch has no such real encoding.
    """

    slopes: Tensor

    def __init__(
        self,
        key: str,
        heads: int,
        width: int,
        *,
        views: Sequence[str] = ("ancestors", "descendants", "both", "others"),
        slope: float = 1.0,
        least: float = 0.0,
        unreachable: float | None = None,
    ) -> None:
        super().__init__(heads, width)
        if isinstance(views, str) or not isinstance(views, list | tuple) or not views:
            raise GraphPEValueError(f"views must name what heads see, such as ('ancestors', 'both'), got {views!r}")
        for view in views:
            check_choice("views", view, get_args(View))
        self.key = key
        self.views = tuple(views[head % len(views)] for head in range(self.heads))
        self.slope = check_number("slope", slope, least=0)
        self.least = check_number("least", least, least=0)
        self.unreachable = unreachable
        total = [self.views.count(view) for view in self.views]
        number = [self.views[: head + 1].count(view) for head, view in enumerate(self.views)]
        slopes = [self.slope * 2.0 ** (-8 * n / all_of) for n, all_of in zip(number, total, strict=True)]
        self.register_buffer("slopes", torch.tensor(slopes), persistent=False)

    def prepare(self, batch: Data, pairs: PairSet, members: NodeToGraph) -> PairFactors:
        """What is added to the logits of all pairs, `[P, H]`."""
        del members
        value = read_encoding(batch, self.key, 1, level="pair", rows=pairs.total)
        if value.is_complex():
            raise GraphPEValueError(f"batch.{self.key} is complex: DirectedHeads takes real distances")
        value = value.to(torch.promote_types(self.slopes.dtype, torch.float32))
        far = FAR if self.unreachable is None else min(self.unreachable, FAR)
        own = (pairs.source == pairs.target).unsqueeze(1)
        down = torch.where((value >= self.least) & (value < far), value, torch.inf).masked_fill(own, 0.0)
        up = down[pairs.reverse]
        either = torch.minimum(down, up)
        others = torch.where(own | either.isinf(), 0.0, torch.inf)
        sides = {"ancestors": up, "descendants": down, "both": either, "others": others}
        distance = torch.cat([sides[view] for view in self.views], 1)
        seen = distance.isfinite()
        return PairFactors(torch.where(seen, -self.slopes * torch.where(seen, distance, 0.0), -torch.inf))

    def forward(self, query: Tensor, key: Tensor, prepared: Any) -> PairFactors:
        """What was prepared: views do not depend on queries and keys."""
        self.split(query, key)
        return prepared

    def extra_repr(self) -> str:
        return (
            f"{self.key!r}, {self.heads}, {self.width}, views={self.views}, slope={self.slope}, least={self.least}, "
            f"unreachable={self.unreachable}"
        )
