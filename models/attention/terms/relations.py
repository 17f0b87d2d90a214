"""Relation-aware attention: vectors of the relation of two nodes, beside their queries, keys and values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.arguments import check_choice, check_counts, check_flags, check_integer
from graphpe.errors import GraphPEValueError
from graphpe.models.attention.biases.pair_bias import FAR
from graphpe.models.attention.biases.pair_factors import PairFactors, RelationValues
from graphpe.models.attention.pairs import PairSet
from graphpe.models.attention.terms.pair_terms import PairTerms
from graphpe.models.attention.terms.products import pair_products
from graphpe.models.batches.ids import check_ids
from graphpe.models.batches.nodes import NodeToGraph
from graphpe.models.batches.reading import read_encoding
from graphpe.models.layers.precision import in_half_precision

Part = Literal["query", "key", "value", "product"]


@dataclass(frozen=True, eq=False)
class Related:
    """The relation of each pair.

    Attributes:
        pairs: The pairs.
        relation: Their relations, `[P]`.
    """

    pairs: PairSet
    relation: Tensor


class RelationTerms(PairTerms):
    """Vectors of the relation r of two nodes, a clipped distance or another integer `batch[key]` of the pair.

    With learned vectors a_r of each relation and each part that `on` names, in every head

        logit_ij = (q_i . k_j + q_i . a^query_r + k_j . a^key_r + sum_c q_ic k_jc a^product_rc) / sqrt(C)
        out_i    = sum_j softmax_j(logit_ij) (v_j + a^value_r),        r = r(i, j)

    | method | arguments |
    |---|---|
    | Shaw et al. 2018 (arXiv:1803.02155) | `on=("query", "value"), directed=True` |
    | ETC, Ainslie et al. 2020 (arXiv:2004.08483) | `on=("query",), directed=True` |
    | iRPE, contextual (Wu et al. 2021, arXiv:2107.14222) | `on=("query", "key", "value"), shared=False` or `True` |
    | Huang et al. 2020 (arXiv:2009.13658), method 4 | `on=("query", "key"), tied=True, directed=True` |
    | the same, method 3, with 1 + a^product for their a | `on=("product",), directed=True` |

    Distances D are rounded: relation min(D, size - 1), and one more where there is no path (D negative, not finite or
    from `unreachable` on). `directed=True` takes distances along directed edges, `ShortestPathPE(undirected=False)`,
    and has relations of their own for j behind i, which i reaches by D, and j before i; the shorter way counts, the
    forward one of two that are equal. On a path graph that is clip(j - i, -(size - 1), size - 1).

    All vectors start at zero: training starts from attention without the terms. One module, and with it one set of
    vectors, serves all layers (in the papers every layer has its own); relations are those of the distance, not T5's or
    iRPE's ranges. What it does depends on the numbering of nodes as little as `batch[key]` does.

    Products of queries and keys with vectors are taken once for each node and relation and looked up, values from sums
    of weights: O(N R D + P H) time, O(N R H + P H) memory for R relations, nothing of size `[P, D]`; `product` needs
    O(P D) time. With values attention goes through products written out on the CPU, along the list of pairs on a GPU.

    Example:
        >>> data = Data(edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]), x=torch.randn(5, 3), num_nodes=5)
        >>> data = T.ShortestPathPE(max_distance=4)(data)
        >>> terms = M.RelationTerms("shortest_path", 4, 16, size=5, unreachable=5)
        >>> M.GPS(width=16, layers=1, node_encoder=M.LinearNodes(3, 16), pair_encodings=[terms])(data).shape
        torch.Size([1, 16])

    Args:
        key: Name of the distance in the batch.
        heads: Number H of heads; divides `width`.
        width: Width D of the queries.
        size: Distances with vectors of their own; the last stands for all from there on.
        on: The parts: of `query`, `key`, `value` and `product`.
        directed: Whether distances are along directed edges, and j before i is not j behind i.
        tied: Whether `query` and `key` have the same vectors.
        shared: Whether all heads have the same vectors.
        unreachable: Smallest value that means that there is no path, as `max_distance + 1` of `ShortestPathPE`.

    Raises:
        GraphPEValueError: If an argument is out of range; in `prepare` if the batch has no such real encoding, and in
            `forward` if queries have another width.
    """

    def __init__(
        self,
        key: str,
        heads: int,
        width: int,
        *,
        size: int = 32,
        on: Sequence[str] = ("query", "key", "value"),
        directed: bool = False,
        tied: bool = False,
        shared: bool = True,
        unreachable: float | None = None,
    ) -> None:
        super().__init__(heads, width)
        (directed,) = check_flags(directed=directed)
        self.key = key
        self.size = check_integer("size", size, least=2 if directed else 1)
        self.directed = directed
        self.unreachable = unreachable
        self.tables = RelationTables(self.relations, self.heads, self.width // self.heads, on, tied, shared)

    @property
    def relations(self) -> int:
        """Number R of relations."""
        return 2 * self.size if self.directed else self.size + 1

    @in_half_precision
    def prepare(self, batch: Data, pairs: PairSet, members: NodeToGraph) -> Related:
        """The relation of each pair."""
        del members
        value = read_encoding(batch, self.key, 1, level="pair", rows=pairs.total).squeeze(1)
        if value.is_complex():
            raise GraphPEValueError(f"batch.{self.key} is complex: {type(self).__name__} takes real distances")
        value = value.to(torch.promote_types(value.dtype, torch.float32))
        reachable = (value >= 0) & (value < (FAR if self.unreachable is None else min(self.unreachable, FAR)))
        step = torch.where(reachable, value, 0.0).round().clamp(max=self.size - 1).long()
        if not self.directed:
            return Related(pairs, torch.where(reachable, step, self.size))
        back, length = reachable[pairs.reverse], value[pairs.reverse]
        before = back & (~reachable | (length < value))
        behind = torch.where(reachable, step, 2 * self.size - 1)
        # Lengths of less than half a step are still before.
        return Related(pairs, torch.where(before, self.size - 1 + step[pairs.reverse].clamp(min=1), behind))

    @in_half_precision
    def forward(self, query: Tensor, key: Tensor, prepared: Any) -> PairFactors:
        """Terms of all pairs, and the vectors that are added to values."""
        related: Related = prepared
        return self.tables(*self.split(query, key), related)

    def extra_repr(self) -> str:
        return (
            f"{self.key!r}, {self.heads}, {self.width}, size={self.size}, directed={self.directed}, "
            f"unreachable={self.unreachable}"
        )


class EdgeTerms(PairTerms):
    """Vectors of the type of the edge between two nodes, as `RelationTerms` has those of distances.

        r(i, j) = 0                    i = j
                  1 + t                an edge of type t leads from j to i
                  1 + types + t        one leads from i to j only
                  1 + 2 types          no edge

    with t = `batch[edges]`, integers `[E]` or `[E, 1]`, the smallest where several edges lead from j to i:
    relation-aware attention over labelled edges (Shaw et al. 2018, section 3.1), and over all other pairs too.
    Invariant to the numbering of nodes and the order of edges. Costs are those of `RelationTerms`.

    Example:
        >>> data = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), edge_attr=torch.tensor([0, 2]), x=torch.randn(3, 3))
        >>> terms = M.EdgeTerms(4, 16, types=3)
        >>> M.Graphormer(width=16, layers=1, heads=4, node_encoder=M.LinearNodes(3, 16), pair_encodings=[terms])(
        ...     data).shape
        torch.Size([1, 16])

    Args:
        heads: Number H of heads; divides `width`.
        width: Width D of the queries.
        types: Number of types.
        edges: Name of the types in the batch.
        on: The parts: of `query`, `key`, `value` and `product`.
        tied: Whether `query` and `key` have the same vectors.
        shared: Whether all heads have the same vectors.

    Raises:
        GraphPEValueError: If an argument is out of range; in `prepare` if the batch has no such integers, and in
            `forward` if queries have another width.
    """

    def __init__(
        self,
        heads: int,
        width: int,
        *,
        types: int,
        edges: str = "edge_attr",
        on: Sequence[str] = ("query", "key", "value"),
        tied: bool = False,
        shared: bool = True,
    ) -> None:
        super().__init__(heads, width)
        (self.types,) = check_counts(types=types)
        self.edges = edges
        self.tables = RelationTables(2 * self.types + 2, self.heads, self.width // self.heads, on, tied, shared)

    @in_half_precision
    def prepare(self, batch: Data, pairs: PairSet, members: NodeToGraph) -> Related:
        """The relation of each pair."""
        del members
        types = getattr(batch, self.edges, None)
        count = pairs.slot.numel()
        if not isinstance(types, Tensor):
            raise GraphPEValueError(f"batch.{self.edges} must be types of edges, which the graphs do not have")
        if types.shape not in ((count,), (count, 1)):
            raise GraphPEValueError(
                f"batch.{self.edges} must be types of edges, [{count}] or [{count}, 1], got {list(types.shape)}"
            )
        if types.is_floating_point() or types.is_complex() or types.dtype == torch.bool:
            raise GraphPEValueError(f"batch.{self.edges} must be integers, got {types.dtype}: bin the values first")
        types = types.reshape(-1).long()
        check_ids(types.unsqueeze(1), [self.types], self.edges)
        none = self.types
        joined = types.new_full((pairs.num_pairs,), none).scatter_reduce(0, pairs.slot, types, "amin")
        back = joined[pairs.reverse]
        relation = torch.where(joined < none, 1 + joined, 1 + self.types + back)  # 1 + 2 types where back is none, too
        return Related(pairs, torch.where(pairs.source == pairs.target, 0, relation))

    @in_half_precision
    def forward(self, query: Tensor, key: Tensor, prepared: Any) -> PairFactors:
        """Terms of all pairs, and the vectors that are added to values."""
        related: Related = prepared
        return self.tables(*self.split(query, key), related)

    def extra_repr(self) -> str:
        return f"{self.heads}, {self.width}, types={self.types}, edges={self.edges!r}"


class RelationTables(nn.Module):
    """Learned vectors of relations, and the terms that they make; see `RelationTerms`.

    Args:
        relations: Number R of relations.
        heads: Number H of heads.
        channels: Channels C of a head.
        on: The parts.
        tied: Whether `query` and `key` have the same vectors.
        shared: Whether all heads have the same vectors.

    Raises:
        GraphPEValueError: There are no parts, one is unknown or given twice, or `tied` lacks one of its two.
    """

    def __init__(self, relations: int, heads: int, channels: int, on: Sequence[str], tied: bool, shared: bool) -> None:
        super().__init__()
        tied, shared = check_flags(tied=tied, shared=shared)
        if isinstance(on, str) or not isinstance(on, list | tuple) or not on or len({*on}) < len(on):
            raise GraphPEValueError(f"on must name parts once each, such as ('query', 'value'), got {on!r}")
        for part in on:
            check_choice("on", part, get_args(Part))
        if tied and not {"query", "key"} <= {*on}:
            raise GraphPEValueError(f"tied=True needs on=('query', 'key'), got {on!r}")
        self.heads, self.tied = heads, tied
        self.on = tuple(on)
        shape = (relations, 1 if shared else heads, channels)
        self.vectors = nn.ParameterDict(
            {part: nn.Parameter(torch.zeros(shape)) for part in on if not (tied and part == "key")}
        )

    def forward(self, query: Tensor, key: Tensor, related: Related) -> PairFactors:
        """Terms of pairs, from queries and keys `[N, H, C]`.

        Args:
            query: Queries by heads.
            key: Keys by heads.
            related: The pairs and their relations.
        """
        pairs, relation, scale = related.pairs, related.relation, query.shape[2] ** -0.5
        terms = []
        for part, x, end in (("query", query, pairs.target), ("key", key, pairs.source)):
            if part in self.on:
                vectors = self._of(part)
                product = torch.einsum("nhc,rhc->nrh", x, vectors).flatten(0, 1)  # row: node, relation
                terms.append(product.index_select(0, end * vectors.shape[0] + relation) * scale)
        if "product" in self.on:
            terms.append(pair_products(query, key, pairs, relation, self._of("product")) * scale)
        values = (RelationValues(relation, self.vectors["value"]),) if "value" in self.on else ()
        return PairFactors(sum(terms[1:], terms[0]) if terms else None, values=values)

    def _of(self, part: str) -> Tensor:
        vectors = self.vectors["query" if self.tied and part == "key" else part]
        return vectors.expand(-1, self.heads, -1)

    def extra_repr(self) -> str:
        return f"on={self.on}, tied={self.tied}"
