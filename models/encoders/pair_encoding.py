"""Encodings of pairs of nodes at a model's width, as features of the pairs that it attends over."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.arguments import check_counts, check_integer
from graphpe.errors import GraphPEValueError
from graphpe.models.attention.pairs import PairSet
from graphpe.models.batches.ids import check_ids
from graphpe.models.batches.reading import read_encoding


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
        value = read_encoding(batch, self.key, self.channels, level="pair", rows=total)
        if value.is_complex():
            raise GraphPEValueError(f"batch.{self.key} is complex: PairLinear takes real values")
        return value


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
