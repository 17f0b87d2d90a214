"""Multi-head attention over all nodes of each graph, with biases from encodings of pairs: what several models share."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Data

from graphpe.arguments import check_counts, check_divides, check_flags, check_probabilities
from graphpe.compiled.kernel import has_kernels
from graphpe.models.attention.biases.pair_bias import PairBias
from graphpe.models.attention.biases.pair_factors import (
    PairFactors,
    RelationBias,
    RelationValues,
    check_same_heads,
    combine,
)
from graphpe.models.attention.gpu.ragged import RaggedNodes, ragged_nodes
from graphpe.models.attention.padding import PaddedNodes, padded_nodes
from graphpe.models.attention.pairs import PairSet, all_pairs
from graphpe.models.attention.positions.node_positions import (
    Attending,
    NodePositions,
    Placed,
    place,
    restore,
    structure_of,
    transform,
)
from graphpe.models.attention.softmax.linear import linear_attention
from graphpe.models.attention.softmax.padded_factors import PaddedFactors, pad_factors, rows_of_blocks
from graphpe.models.attention.softmax.softmax import softmax_attention
from graphpe.models.attention.terms.pair_terms import PairTerms
from graphpe.models.batches.nodes import NodeToGraph, read_edges
from graphpe.models.layers.gpu.feed_forward import feed_forward
from graphpe.models.layers.gpu.projections import projected
from graphpe.models.layers.gpu.residual import feed_forward_and_norm
from graphpe.models.layers.gpu.two_layers import Activation
from graphpe.models.layers.virtual_nodes import Extended


@dataclass(frozen=True, eq=False)
class PlacedTerms:
    """Terms of pairs that depend on queries and keys, and what each layer needs to make them.

    Attributes:
        terms: The modules, each with what it prepared for the batch.
        fixed: What encodings do to all pairs, extra nodes included, whatever queries and keys are.
        pairs: All pairs of the batch's nodes.
        wider: Those of extra nodes too.
        extended: The graphs with their extra nodes; None where there are none.
        rows: The pair at each place of the padded blocks; None for kernels.
    """

    terms: tuple[tuple[PairTerms, Any], ...]
    fixed: PairFactors
    pairs: PairSet
    wider: PairSet
    extended: Extended | None
    rows: list[Tensor] | None

    def factors(self, query: Tensor, key: Tensor, nodes: PaddedNodes | RaggedNodes) -> PaddedFactors | PairFactors:
        """What encodings and terms do to the pairs of a layer.

        Args:
            query: Queries, extra nodes included, `[N, D]`.
            key: Keys, `[N, D]`.
            nodes: The nodes in blocks.
        """
        if self.extended is not None:
            query, key = (x.index_select(0, self.extended.real) for x in (query, key))
        found = combine(term(query, key, prepared) for term, prepared in self.terms)
        if self.extended is not None:
            found = _widen(found, self.extended, self.pairs, self.wider)
        found = combine([self.fixed, found])
        return found if isinstance(nodes, RaggedNodes) else pad_factors(found, self.wider, nodes, self.rows)


@dataclass(frozen=True, eq=False)
class AllPairs:
    """All pairs of each graph, and what encodings do to them: made once a batch, for all layers.

    Attributes:
        nodes: In padded blocks; in blocks for Triton's kernels where these run.
        factors: In the same blocks; rows of pairs for the kernels. None where there are terms, which have their part.
        positions: What positions do to queries, keys and values.
        terms: What depends on queries and keys.
    """

    nodes: PaddedNodes | RaggedNodes
    factors: PaddedFactors | PairFactors | None
    positions: tuple[Placed, ...] = ()
    terms: PlacedTerms | None = None

    def factors_of(self, query: Tensor, key: Tensor) -> PaddedFactors | PairFactors | None:
        """What encodings do to the pairs of a layer with these queries and keys.

        Args:
            query: Queries, `[N, D]`.
            key: Keys, `[N, D]`.
        """
        return self.factors if self.terms is None else self.terms.factors(query, key, self.nodes)


def all_pairs_of(
    batch: Data,
    members: NodeToGraph,
    biases: Sequence[nn.Module] = (),
    edge: Tensor | None = None,
    extended: Extended | None = None,
    virtual: Tensor | None = None,
    positions: Sequence[NodePositions] = (),
) -> AllPairs:
    """All pairs of a batch.

    Without biases, and with biases of low rank alone, nothing of the number of pairs is stored.

    Example:
        >>> data = Data(x=torch.randn(3, 8), edge_index=torch.tensor([[0], [1]]))
        >>> pairs = M.all_pairs_of(data, graphpe.models.batches.nodes.node_to_graph(data))
        >>> M.MultiHeadAttention(8, 2)(data.x, pairs).shape
        torch.Size([3, 8])

    Args:
        batch: The batch.
        members: Its partition into graphs.
        biases: `PairBias` and `PairTerms` modules.
        edge: Added to the logits of the pairs that the edges join, `[E, H]`; parallel edges add up.
        extended: The graphs with their extra nodes, if the attention includes them.
        virtual: Added to the logits of pairs with an extra node, `[H]`; None for 0.
        positions: `NodePositions` modules.
    """
    attending = members if extended is None else extended.members
    nodes = ragged_nodes(attending) if has_kernels(members.graph.device) else padded_nodes(attending)
    real = (None, None) if extended is None else (extended.real, attending)
    rows = Attending(members, attending.num_nodes, *real)
    placed = place(positions, batch, rows)
    factored = [bias for bias in biases if isinstance(bias, PairBias) and bias.factored]
    of_nodes = combine(bias.of_nodes(batch, rows) for bias in factored)
    terms = [term for term in biases if isinstance(term, PairTerms)]
    biases = [bias for bias in biases if bias not in factored and bias not in terms]
    if not biases and not terms and edge is None and virtual is None:
        if of_nodes.left is None:
            return AllPairs(nodes, None, placed)
        padded = PaddedFactors(None, None, of_nodes.left, of_nodes.right)
        return AllPairs(nodes, of_nodes if isinstance(nodes, RaggedNodes) else padded, placed)
    if biases or terms:
        members.check_in_order()
    edge_index = read_edges(batch, members)
    pairs = wider = all_pairs(members, edge_index)
    given = [_of_pairs(bias, batch, pairs, nodes) for bias in biases]
    factors = combine(given if edge is None else [*given, PairFactors(pairs.scatter(edge))])
    if extended is not None:
        wider = all_pairs(extended.members, edge_index[:, :0])
        factors = _widen(factors, extended, pairs, wider, virtual)
    factors = combine([factors, of_nodes])
    if terms:
        prepared = tuple((term, term.prepare(batch, pairs, members)) for term in terms)
        places = None if isinstance(nodes, RaggedNodes) else rows_of_blocks(wider, nodes)
        return AllPairs(nodes, None, placed, PlacedTerms(prepared, factors, pairs, wider, extended, places))
    return AllPairs(nodes, factors if isinstance(nodes, RaggedNodes) else pad_factors(factors, wider, nodes), placed)


def _of_pairs(bias: nn.Module, batch: Data, pairs: PairSet, nodes: PaddedNodes | RaggedNodes) -> PairFactors:
    """What a bias does, without rows of pairs where it is one of few numbers and kernels look them up."""
    if isinstance(bias, PairBias) and bias.of_few and isinstance(nodes, RaggedNodes):
        return bias.of_relations(batch, pairs)
    return bias(batch, pairs)


def _widen(
    factors: PairFactors, extended: Extended, pairs: PairSet, wider: PairSet, virtual: Tensor | None = None
) -> PairFactors:
    """Rows of all pairs as rows of all pairs of the larger graphs; those of an extra node add `virtual`, or nothing."""
    add, multiply, values, relations = factors.add, factors.multiply, [], []
    for each in factors.relations:  # one relation more, of extra nodes, which the first that adds gives their number
        relation = _with_one_more(each.relation, each.size, extended, pairs, wider)
        last, virtual = (virtual, None) if add is None and each.add is not None else (None, virtual)
        relations.append(RelationBias(relation, _longer(each.add, 0.0, last), _longer(each.multiply, 1.0)))
    if virtual is not None and add is None:
        add = virtual.new_zeros(pairs.num_pairs, virtual.numel())
    if add is not None:
        check_same_heads(virtual, add)
        zero = add.new_zeros(add.shape[1], dtype=torch.promote_types(add.dtype, torch.float32))
        add = extended.pair_rows(pairs, wider, add, zero if virtual is None else virtual)
    if multiply is not None:
        one = multiply.new_ones(multiply.shape[1], dtype=torch.promote_types(multiply.dtype, torch.float32))
        multiply = extended.pair_rows(pairs, wider, multiply, one)
    for of_values in factors.values:  # the vector of extra nodes is zero
        relation = _with_one_more(of_values.relation, of_values.table.shape[0], extended, pairs, wider)
        values.append(RelationValues(relation, functional.pad(of_values.table, (0, 0, 0, 0, 0, 1))))
    return PairFactors(add, multiply, values=tuple(values), relations=tuple(relations))


def _with_one_more(relation: Tensor, count: int, extended: Extended, pairs: PairSet, wider: PairSet) -> Tensor:
    """Relations of all pairs of the larger graphs, `[P]`; those of an extra node have number `count`."""
    rows = extended.pair_rows(pairs, wider, relation.unsqueeze(1), relation.new_full((1,), count))
    return rows.squeeze(1)


def _longer(table: Tensor | None, number: float, last: Tensor | None = None) -> Tensor | None:
    """A table with one row more."""
    if table is None or last is None:
        return None if table is None else functional.pad(table, (0, 0, 0, 1), value=number)
    check_same_heads(last, table)
    return torch.cat([table, last.unsqueeze(0)])


class MultiHeadAttention(nn.Module):
    """Projections of queries, keys and values, attention of the nodes of each graph, and an output projection.

    4 (D^2 + D) parameters, as `torch.nn.MultiheadAttention`.

    Example:
        >>> data = Data(x=torch.randn(3, 8), edge_index=torch.tensor([[0], [1]]))
        >>> pairs = M.all_pairs_of(data, graphpe.models.batches.nodes.node_to_graph(data))
        >>> M.MultiHeadAttention(8, 2, linear=True)(data.x, pairs).shape
        torch.Size([3, 8])

    Args:
        width: Width D.
        heads: Number of heads; divides `width`.
        dropout: Probability of dropout of weights; none in linear attention, which has no weights to drop.
        linear: Linear attention instead of softmax.

    Raises:
        GraphPETypeError: A parameter is of another type.
        GraphPEValueError: One is out of range, or `heads` does not divide `width`.
    """

    def __init__(self, width: int, heads: int, *, dropout: float = 0.0, linear: bool = False) -> None:
        super().__init__()
        width, self.heads = check_counts(width=width, heads=heads)
        check_divides(heads, width)
        (self.dropout,) = check_probabilities(dropout=dropout)
        (self.linear,) = check_flags(linear=linear)
        self.query_key = nn.Linear(width, 2 * width)
        self.value = nn.Linear(width, width)
        self.out = nn.Linear(width, width)

    def forward(self, x: Tensor, pairs: AllPairs, *, structure: Tensor | None = None) -> Tensor:
        """From node embeddings `[N, D]` to `[N, D]`.

        Args:
            x: Node embeddings.
            pairs: All pairs of the batch.
            structure: What queries and keys are made of, `[N, D]`; None for `x`.
        """
        return self.out(self.attended(x, pairs, structure=structure))

    def attended(self, x: Tensor, pairs: AllPairs, *, structure: Tensor | None = None) -> Tensor:
        """What the output projection is given, `[N, D]`; arguments as of `forward`.

        Args:
            x: Node embeddings.
            pairs: All pairs of the batch.
            structure: What queries and keys are made of, `[N, D]`; None for `x`.
        """
        structure = structure_of(pairs.positions, x if structure is None else structure)
        same = structure is x
        mapped, structure = projected(structure, self.query_key.weight, self.query_key.bias)
        value, _ = projected(structure if same else x, self.value.weight, self.value.bias)
        query, key = mapped.chunk(2, dim=1)
        return self.attend(query, key, value, pairs, structure)

    def attend(self, query: Tensor, key: Tensor, value: Tensor, pairs: AllPairs, structure: Tensor) -> Tensor:
        """What the output projection is given, `[N, D]`, of projections that are made.

        Args:
            query: `[N, D]`.
            key: `[N, D]`.
            value: `[N, D]`.
            pairs: All pairs of the batch.
            structure: What queries and keys were made of, `[N, D]`.
        """
        if self.linear:
            nodes = pairs.nodes.padded if isinstance(pairs.nodes, RaggedNodes) else pairs.nodes
            return linear_attention(query, key, value, nodes, heads=self.heads, positions=pairs.positions, x=structure)
        dropout = self.dropout if self.training else 0.0
        factors = pairs.factors_of(query, key)
        query, key, value = transform(pairs.positions, query, key, value, structure)
        message = softmax_attention(query, key, value, pairs.nodes, factors, heads=self.heads, dropout=dropout)
        return restore(pairs.positions, message)


class FeedForward(nn.Module):
    """Linear, activation, dropout, Linear, dropout.

    Args:
        width: Width D.
        hidden: Width between the two maps.
        activation: `relu` or `gelu`.
        dropout: Probability of dropout.
    """

    def __init__(self, width: int, hidden: int, *, activation: Activation = "relu", dropout: float = 0.0) -> None:
        super().__init__()
        self.expand = nn.Linear(width, hidden)
        self.activation: Activation = activation
        self.contract = nn.Linear(hidden, width)
        self.dropout = nn.Dropout(dropout)

    def forward(self, x: Tensor) -> Tensor:
        """From `[N, D]` to `[N, D]`.

        Args:
            x: Node embeddings, `[N, D]`.
        """
        dropout = self.dropout.p if self.training else 0.0
        return self.dropout(feed_forward(x, self.expand, self.contract, activation=self.activation, dropout=dropout))

    def and_norm(self, x: Tensor, norm: nn.Module) -> Tensor:
        """norm(x + forward(x)), `[N, D]`, on a GPU in few kernels.

        Args:
            x: Node embeddings, `[N, D]`.
            norm: The normalisation.
        """
        dropout = self.dropout.p if self.training else 0.0
        return feed_forward_and_norm(
            norm, x, self.expand, self.contract, inner_dropout=dropout, dropout=dropout, activation=self.activation
        )
