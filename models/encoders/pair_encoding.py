"""Encodings of pairs of nodes at a model's width, as features of the pairs that it attends over."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Data

from graphpe.arguments import check_counts, check_integer
from graphpe.errors import GraphPEValueError
from graphpe.models.attention.pairs import PairSet
from graphpe.models.batches.ids import check_ids
from graphpe.models.batches.nodes import NodeToGraph, node_to_graph, read_edges
from graphpe.models.batches.reading import read_encoding
from graphpe.models.layers.precision import ExactBuffers


class PairLinear(nn.Module):
    """A linear map without bias of the real pair encoding `batch[key]` `[sum n_b^2, channels]`.

    Zero stays zero: a pair that the encoding does not reach gets nothing from it. Weights are drawn as in Glorot &
    Bengio 2010, as GRIT does for RRWP.

    Example:
        >>> data = Data(edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]), num_nodes=5)
        >>> data = T.RelativeRandomWalkPE(walk_length=4)(data)
        >>> from graphpe.models.attention import all_pairs
        >>> from graphpe.models.batches.nodes import node_to_graph
        >>> pairs = all_pairs(node_to_graph(data), data.edge_index)
        >>> M.PairLinear("rrwp", 4, 16)(data, pairs).shape
        torch.Size([25, 16])

    Args:
        key: Name of the encoding in the batch.
        channels: Its number of columns.
        width: Width of the result.
        node_width: Width of a second map, of the pairs (i, i), as features of nodes (`nodes`); None for none.

    Raises:
        GraphPEValueError: If a size is not positive; in `forward` if the batch has no such encoding.
    """

    def __init__(self, key: str, channels: int, width: int, node_width: int | None = None) -> None:
        super().__init__()
        channels, width = check_counts(channels=channels, width=width)
        node_width = None if node_width is None else check_integer("node_width", node_width, least=1)
        self.key = key
        self.channels = channels
        self.linear = nn.Linear(channels, width, bias=False)
        self.node_linear = nn.Linear(channels, node_width, bias=False) if node_width is not None else None
        for linear in (self.linear, self.node_linear):
            if linear is not None:
                nn.init.xavier_uniform_(linear.weight)

    def forward(self, batch: Data, pairs: PairSet) -> Tensor:
        """Features of the pairs, `[P, width]`.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with values of all pairs under `key`.
            pairs: The pairs that features are asked for.
        """
        return self.linear(pairs.take(self._values(batch, pairs.total)).to(self.linear.weight.dtype))

    def nodes(self, batch: Data, diagonal: Tensor) -> Tensor | None:
        """Features of nodes `[N, node_width]`, or None; `diagonal` `[N]` is the row of (i, i) among all pairs.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with values of all pairs under `key`.
            diagonal: Row of each pair (i, i) among all pairs of each graph, `[N]`.
        """
        if self.node_linear is None:
            return None
        return self.node_linear(self._values(batch).index_select(0, diagonal).to(self.linear.weight.dtype))

    def _values(self, batch: Data, total: int | None = None) -> Tensor:
        return _real_values(self, batch, total)


class PairMLP(ExactBuffers):
    """A network of the real pair encoding `batch[key]` `[sum n_b^2, channels]` and of sizes: the stem of PPGT.

        f_ij = p_ij, 1 / n, 1 / d_i, 1 / d_j          n nodes of the graph, d edges that leave a node, 1 / 0 = 0
        e_ij = W_2 GELU(W_1 [f_ij, sin(2^l pi f_ij), cos(2^l pi f_ij) for l < frequencies] + b_1) + b_2

    (Ma et al. 2026, arXiv:2504.12588). Sines tell small probabilities apart, sizes turn them into numbers of nodes.

    Example:
        >>> data = Data(edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]), num_nodes=5)
        >>> data = T.RelativeRandomWalkPE(walk_length=4)(data)
        >>> from graphpe.models.attention import all_pairs
        >>> from graphpe.models.batches.nodes import node_to_graph
        >>> pairs = all_pairs(node_to_graph(data), data.edge_index)
        >>> M.PairMLP("rrwp", 4, 16)(data, pairs).shape
        torch.Size([25, 16])

    Args:
        key: Name of the encoding in the batch.
        channels: Its number of columns.
        width: Width of the result.
        node_width: Width of a linear map, with a bias, of the pairs (i, i), as features of nodes (`nodes`); None for
            none.
        hidden: Width between the two maps.
        frequencies: Number of sines and of cosines of each column; 0 for none.

    Raises:
        GraphPEValueError: If a size is not positive; in `forward` if the batch has no such encoding.
    """

    scale: Tensor

    def __init__(
        self,
        key: str,
        channels: int,
        width: int,
        node_width: int | None = None,
        hidden: int = 128,
        frequencies: int = 3,
    ) -> None:
        super().__init__()
        channels, width, hidden = check_counts(channels=channels, width=width, hidden=hidden)
        node_width = None if node_width is None else check_integer("node_width", node_width, least=1)
        frequencies = check_integer("frequencies", frequencies, least=0, most=32)
        self.key = key
        self.channels = channels
        self.expand = nn.Linear((channels + 3) * (2 * frequencies + 1), hidden)
        self.contract = nn.Linear(hidden, width)
        self.node_linear = nn.Linear(channels, node_width) if node_width is not None else None
        self.register_buffer("scale", torch.pi * 2.0 ** torch.arange(frequencies), persistent=False)

    def forward(self, batch: Data, pairs: PairSet) -> Tensor:
        """Features of the pairs, `[P, width]`.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with values of all pairs under `key`.
            pairs: The pairs that features are asked for.
        """
        value = pairs.take(_real_values(self, batch, pairs.total))
        value = torch.cat([value, self._sizes(batch, pairs).to(value.dtype)], dim=1)
        angle = (value.unsqueeze(2) * self.scale).flatten(1)
        rows = torch.cat([value, angle.sin(), angle.cos()], dim=1).to(self.expand.weight.dtype)
        return self.contract(functional.gelu(self.expand(rows)))

    def nodes(self, batch: Data, diagonal: Tensor) -> Tensor | None:
        """Features of nodes `[N, node_width]`, or None; `diagonal` `[N]` is the row of (i, i) among all pairs.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with values of all pairs under `key`.
            diagonal: Row of each pair (i, i) among all pairs of each graph, `[N]`.
        """
        if self.node_linear is None:
            return None
        value = _real_values(self, batch).index_select(0, diagonal)
        return self.node_linear(value.to(self.node_linear.weight.dtype))

    @staticmethod
    def _sizes(batch: Data, pairs: PairSet) -> Tensor:
        """1 / n, 1 / d_i and 1 / d_j of each pair (j -> i), `[P, 3]`."""
        members = node_to_graph(batch)
        edge_index = read_edges(batch, members)
        degree = torch.zeros(members.num_nodes, device=edge_index.device)
        degree = degree.index_add(0, edge_index[0], degree.new_ones(edge_index.shape[1]))
        inverse = torch.where(degree > 0, 1 / degree.clamp(min=1), 0)
        size = members.sizes.index_select(0, members.graph).to(degree.dtype).reciprocal()
        ends = [inverse.index_select(0, end) for end in (pairs.target, pairs.source)]
        return torch.stack([size.index_select(0, pairs.target), *ends], dim=1)


class PairEmbedding(nn.Module):
    """The sum over columns of a learned vector for each value of the integers `batch[key]` `[sum n_b^2, columns]`.

    Example:
        >>> data = Data(edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]), num_nodes=5)
        >>> data = T.ShortestPathPE(max_distance=4)(data)
        >>> from graphpe.models.attention import all_pairs
        >>> from graphpe.models.batches.nodes import node_to_graph
        >>> pairs = all_pairs(node_to_graph(data), data.edge_index)
        >>> M.PairEmbedding("shortest_path", 1, 6, 16)(data, pairs).shape
        torch.Size([25, 16])

    Args:
        key: Name of the encoding in the batch.
        columns: Its number of columns; each has a table of its own.
        vocabulary: Values are from 0 to `vocabulary` - 1.
        width: Width of the result.
        node_width: Width of a second table, for the pairs (i, i), as features of nodes (`nodes`); None for none.

    Raises:
        GraphPEValueError: If a size is not positive; in `forward` if the batch has no such encoding of integers, or (on
            the CPU) one that is out of range.
    """

    offset: Tensor

    def __init__(self, key: str, columns: int, vocabulary: int, width: int, node_width: int | None = None) -> None:
        super().__init__()
        columns, vocabulary, width = check_counts(columns=columns, vocabulary=vocabulary, width=width)
        node_width = None if node_width is None else check_integer("node_width", node_width, least=1)
        self.key = key
        self.columns = columns
        self.vocabulary = vocabulary
        self.table = nn.Embedding(columns * vocabulary, width)
        self.node_table = nn.Embedding(columns * vocabulary, node_width) if node_width is not None else None
        self.register_buffer("offset", torch.arange(columns) * vocabulary, persistent=False)

    def forward(self, batch: Data, pairs: PairSet) -> Tensor:
        """Features of the pairs, `[P, width]`.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with values of all pairs under `key`.
            pairs: The pairs that features are asked for.
        """
        return self._look_up(self.table, pairs.take(self._values(batch, pairs.total)))

    def nodes(self, batch: Data, diagonal: Tensor) -> Tensor | None:
        """Features of nodes `[N, node_width]`, or None; `diagonal` `[N]` is the row of (i, i) among all pairs.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with values of all pairs under `key`.
            diagonal: Row of each pair (i, i) among all pairs of each graph, `[N]`.
        """
        if self.node_table is None:
            return None
        return self._look_up(self.node_table, self._values(batch).index_select(0, diagonal))

    def _look_up(self, table: nn.Embedding, value: Tensor) -> Tensor:
        return table(value.squeeze(1)) if self.columns == 1 else table(value + self.offset).sum(1)

    def _values(self, batch: Data, total: int | None = None) -> Tensor:
        value = read_encoding(batch, self.key, self.columns, level="pair", rows=total)
        if value.is_floating_point() or value.is_complex():
            raise GraphPEValueError(f"batch.{self.key} holds {value.dtype}, not integers: use PairLinear")
        check_ids(value, [self.vocabulary] * self.columns, f"batch.{self.key}")
        return value


def diagonal_rows(members: NodeToGraph) -> Tensor:
    """Row of each pair (i, i) among all pairs of each graph, `[N]`: graph b starts after the squared sizes before it.

    Args:
        members: The partition of the nodes into graphs.
    """
    sizes = members.sizes
    first = torch.cat([sizes.new_zeros(1), (sizes * sizes).cumsum(0)])[:-1]
    place = torch.arange(members.graph.numel(), device=sizes.device) - members.ptr.index_select(0, members.graph)
    return first.index_select(0, members.graph) + place * (sizes.index_select(0, members.graph) + 1)


def _real_values(module: PairLinear | PairMLP, batch: Data, total: int | None = None) -> Tensor:
    value = read_encoding(batch, module.key, module.channels, level="pair", rows=total)
    if value.is_complex():
        raise GraphPEValueError(f"batch.{module.key} is complex: {type(module).__name__} takes real values")
    return value
