"""Input embeddings: from the features of nodes and edges in a batch to vectors of a model's width."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Data

from graphpe.arguments import check_counts, check_integer, check_number, check_probabilities
from graphpe.compiled.kernel import has_kernels
from graphpe.errors import GraphPEValueError
from graphpe.models.batches.ids import check_ids
from graphpe.models.batches.rows import Level, check_rows
from graphpe.models.layers.gpu.ends.tables import sums_run, table_sums
from graphpe.models.layers.precision import ExactBuffers


@dataclass(frozen=True)
class FactoredFeatures:
    """Rows that are combinations of a few basis rows, so that a linear map costs almost nothing.

    Attributes:
        weights: Weights of the basis rows, `[E, R]`, or the one basis row that each row is, `[E]` integers.
        basis: Basis rows, `[R, width]`.
    """

    weights: Tensor
    basis: Tensor

    def rows(self) -> Tensor:
        """The rows written out, `[E, width]`."""
        if self.weights.dim() == 1:
            return self.basis.index_select(0, self.weights)
        return self.weights @ self.basis

    def map(self, linear: nn.Linear) -> Tensor:
        """`linear(self.rows())` for a linear map without bias, in O(E R width) instead of O(E width^2).

        Args:
            linear: The map, without bias, from the rows' width.
        """
        return FactoredFeatures(self.weights, linear(self.basis)).rows()


class FactoredEdges(nn.Module, ABC):
    """Edge embeddings that are combinations of a few learned rows. A model may use the factors instead of the rows."""

    @abstractmethod
    def factors(self, batch: Data) -> FactoredFeatures:
        """The edge embeddings of a batch in factored form.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with `edge_attr`.
        """

    def forward(self, batch: Data) -> Tensor:
        """Edge embeddings `[num_edges, width]`.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with `edge_attr`.
        """
        return self.factors(batch).rows()


class LinearEdges(FactoredEdges):
    """A linear map (with bias) of numeric edge features `batch.edge_attr` `[num_edges, channels]`.

    Example:
        >>> data = Data(x=torch.randn(5, 3), edge_index=torch.tensor([[0, 1], [1, 2]]), edge_attr=torch.randn(2, 4))
        >>> M.LinearEdges(4, 16)(data).shape
        torch.Size([2, 16])

    Args:
        channels: Columns of `edge_attr`.
        width: Width of the embeddings.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        channels, width = check_counts(channels=channels, width=width)
        self.linear = nn.Linear(channels, width)

    def factors(self, batch: Data) -> FactoredFeatures:
        """`[edge_attr, 1]` times `[W; b]`.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with the columns that the encoder was built for in
                `edge_attr`.

        Raises:
            GraphPEValueError: If the batch has no `edge_attr` with that many columns.
        """
        weight, bias = self.linear.weight, self.linear.bias
        value = _columns(batch, "edge_attr", self.linear.in_features, "edge").to(weight.dtype)
        return FactoredFeatures(functional.pad(value, (0, 1), value=1.0), torch.cat([weight.t(), bias.unsqueeze(0)]))


class CategoricalEdges(FactoredEdges):
    """A learned vector for each category of integer edge features `batch.edge_attr`, summed over columns.

    Ids outside a column's range are looked for on the CPU only: elsewhere, every step would wait for the device.

    Args:
        width: Width of the embeddings.
        categories: Number of categories of each column (one number for one column): ids 0 ... categories - 1.
    """

    def __init__(self, width: int, categories: int | Sequence[int]) -> None:
        super().__init__()
        self.table = _Tables(width, categories)

    def factors(self, batch: Data) -> FactoredFeatures:
        """Rows of the tables: by index for one column, as a sum of one-hot rows for several.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with the columns that the encoder was built for in
                `edge_attr`.

        Raises:
            GraphPEValueError: If the batch has no integer `edge_attr` with that many columns, or an id that is out of
                range.
        """
        ids = self.table.ids(batch, "edge_attr") + self.table.offset
        table = self.table.embedding.weight
        if ids.shape[1] == 1:
            return FactoredFeatures(ids.squeeze(1), table)
        hot = torch.zeros(ids.shape[0], table.shape[0], dtype=table.dtype, device=ids.device)
        return FactoredFeatures(hot.scatter(1, ids, 1), table)

    def forward(self, batch: Data) -> Tensor:
        """Edge embeddings `[num_edges, width]`.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with the columns that the encoder was built for in
                `edge_attr`.

        Raises:
            GraphPEValueError: As in `factors`.
        """
        if not has_kernels(self.table.offset.device):
            return super().forward(batch)
        return self.table(self.table.ids(batch, "edge_attr"))


class CategoricalNodes(nn.Module):
    """A learned vector for each category of integer node features `batch.x`, summed over columns.

    Ids outside a column's range are looked for on the CPU only: elsewhere, every step would wait for the device.

    Args:
        width: Width of the embeddings.
        categories: Number of categories of each column (one number for one column): ids 0 ... categories - 1.
    """

    def __init__(self, width: int, categories: int | Sequence[int]) -> None:
        super().__init__()
        self.table = _Tables(width, categories)

    def forward(self, batch: Data) -> Tensor:
        """Node embeddings `[num_nodes, width]`.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with the columns that the encoder was built for in
                `x`.

        Raises:
            GraphPEValueError: If the batch has no integer `x` with that many columns, or an id that is out of range.
        """
        return self.table(self.table.ids(batch, "x"))


class LinearNodes(nn.Module):
    """A linear map (with bias) of numeric node features `batch.x` `[num_nodes, channels]`.

    Example:
        >>> data = Data(x=torch.randn(5, 3), edge_index=torch.tensor([[0, 1], [1, 2]]), edge_attr=torch.randn(2, 4))
        >>> M.LinearNodes(3, 16)(data).shape
        torch.Size([5, 16])

    Args:
        channels: Columns of `x`.
        width: Width of the embeddings.
    """

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        channels, width = check_counts(channels=channels, width=width)
        self.linear = nn.Linear(channels, width)

    def forward(self, batch: Data) -> Tensor:
        """Node embeddings `[num_nodes, width]`.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with the columns that the encoder was built for in
                `x`.

        Raises:
            GraphPEValueError: If the batch has no `x` with that many columns.
        """
        return self.linear(_columns(batch, "x", self.linear.in_features).to(self.linear.weight.dtype))


class SinusoidalNodes(ExactBuffers):
    """A linear map of sines and cosines of integers `batch.x`, which also has a meaning for numbers not seen before.

    Number p of a column becomes sin(p / t_f) and cos(p / t_f) for time scales t_f from 1 to `largest`, evenly spaced
    in their logarithm.

    Example:
        >>> data = Data(x=torch.randn(5, 3), edge_index=torch.tensor([[0, 1], [1, 2]]), edge_attr=torch.randn(2, 4))
        >>> M.SinusoidalNodes(16, columns=3, largest=10.0)(data).shape
        torch.Size([5, 16])

    Args:
        width: Width of the embeddings.
        columns: Columns of `x`.
        largest: The largest time scale.
        frequencies: Number of time scales.
    """

    scale: Tensor

    def __init__(self, width: int, columns: int, largest: float, frequencies: int = 16) -> None:
        super().__init__()
        width, columns, frequencies = check_counts(width=width, columns=columns, frequencies=frequencies)
        largest = check_number("largest", largest, least=1)
        self.columns = columns
        scale = largest ** -torch.linspace(0, 1, frequencies)
        self.register_buffer("scale", scale, persistent=False)
        self.linear = nn.Linear(2 * frequencies * columns, width)

    def forward(self, batch: Data) -> Tensor:
        """Node embeddings `[num_nodes, width]`.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with the columns that the encoder was built for in
                `x`.

        Raises:
            GraphPEValueError: If the batch has no `x` with that many columns.
        """
        angle = _columns(batch, "x", self.columns).unsqueeze(2) * self.scale
        return self.linear(torch.cat([angle.sin(), angle.cos()], dim=2).flatten(1).to(self.linear.weight.dtype))


class ASTNodeEncoder(nn.Module):
    """Embeddings of syntax nodes in the format of ogbg-code2: type + attribute + depth.

    Reads node type and attribute from the two columns of `batch.x` and the depth in the tree from `batch.node_depth`
    (`[num_nodes]` or `[num_nodes, 1]`). Greater depths share the embedding of `max_depth`. The batch is left as it is
    (OGB's encoder of the same name writes the clamped depth back into it).

    Initial vectors have a standard deviation of 0.1, not torch's 1: most attributes are rare, and what a few steps
    teach them would be lost in the noise they start from.

    Args:
        width: Width of the embeddings.
        num_types: Number of node types.
        num_attributes: Number of attributes.
        max_depth: Greatest depth with an embedding of its own.
        unknown: The attribute that stands for unknown ones; needed for `attribute_dropout`.
        attribute_dropout: Probability, in training, that a node's attribute is replaced by `unknown`. Unseen source is
            full of unknown attributes, the source that made the vocabulary is not (Geisler et al. 2023 use 0.15). Its
            words go with it.
        words: Size of a vocabulary of words that attributes are made of. Their embeddings are summed and added: rare
            attributes share them with others. Read from `batch.node_words`, `[num_nodes, words_of_node]`, where `words`
            fills up; 0 for none.
        words_of_node: Columns of `node_words`.
    """

    def __init__(
        self,
        width: int,
        num_types: int,
        num_attributes: int,
        max_depth: int = 20,
        *,
        unknown: int = 0,
        attribute_dropout: float = 0.0,
        words: int = 0,
        words_of_node: int = 4,
    ) -> None:
        super().__init__()
        width, num_types, num_attributes, max_depth = check_counts(
            width=width, num_types=num_types, num_attributes=num_attributes, max_depth=max_depth
        )
        unknown = check_integer("unknown", unknown, least=0, most=num_attributes - 1)
        (attribute_dropout,) = check_probabilities(attribute_dropout=attribute_dropout)
        words = check_integer("words", words, least=0)
        self.words_of_node = check_integer("words_of_node", words_of_node, least=1)
        self.max_depth = max_depth
        self.unknown = unknown
        self.attribute_dropout = attribute_dropout
        self.type_embedding = nn.Embedding(num_types, width)
        self.attribute_embedding = nn.Embedding(num_attributes, width)
        self.depth_embedding = nn.Embedding(max_depth + 1, width)
        for table in (self.type_embedding, self.attribute_embedding, self.depth_embedding):
            nn.init.normal_(table.weight, std=0.1)
        self.word_embedding: nn.Embedding | None = None
        if words:
            self.word_embedding = nn.Embedding(words + 1, width, padding_idx=words)
            with torch.no_grad():
                self.word_embedding.weight[:words].normal_(std=0.1)

    def forward(self, batch: Data) -> Tensor:
        """Node embeddings `[num_nodes, width]`.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with type and attribute in `x`, the depth in
                `node_depth` and, with `words`, those of each attribute in `node_words`.

        Raises:
            GraphPEValueError: If `x` has not two columns of integers, or `node_depth` not one; on the CPU also if a
                type or an attribute is out of range.
        """
        x = _integers(batch, "x", 2)
        check_ids(x, (self.type_embedding.num_embeddings, self.attribute_embedding.num_embeddings), "batch.x")
        depth = _integers(batch, "node_depth", 1).squeeze(1).clamp(0, self.max_depth)
        attribute, dropped = x[:, 1], None
        if self.training and self.attribute_dropout:
            dropped = torch.rand(attribute.shape, device=attribute.device) < self.attribute_dropout
            attribute = attribute.masked_fill(dropped, self.unknown)
        out = self.type_embedding(x[:, 0]) + self.attribute_embedding(attribute)
        if self.word_embedding is not None:
            words, size = _integers(batch, "node_words", self.words_of_node), self.word_embedding.num_embeddings
            check_ids(words, [size] * self.words_of_node, "batch.node_words")
            if dropped is not None:
                words = words.masked_fill(dropped.unsqueeze(1), size - 1)
            out = out + self.word_embedding(words).sum(1)
        return out + self.depth_embedding(depth)


class ConcatenatedNodes(nn.Module):
    """Node embeddings beside encodings of nodes, `[num_nodes, sum of their widths]`, as GraphGPS joins them.

    Example:
        >>> data = Data(x=torch.tensor([[0], [1]]), edge_index=torch.tensor([[0, 1], [1, 0]]))
        >>> nodes = M.ConcatenatedNodes(M.CategoricalNodes(12, 2), [M.LinearEncoding("random_walk_pe", 3, 4)])
        >>> nodes(T.RandomWalkPE(3)(data)).shape
        torch.Size([2, 16])

    Args:
        nodes: From a batch to node embeddings `[num_nodes, width]`.
        encodings: The same for encodings, each with its `key`.
    """

    def __init__(self, nodes: nn.Module, encodings: Sequence[nn.Module]) -> None:
        super().__init__()
        self.nodes = nodes
        self.encodings = nn.ModuleList(encodings)

    def forward(self, batch: Data) -> Tensor:
        """All of them, `[num_nodes, width]`.

        Args:
            batch: What the modules read.
        """
        return torch.cat([self.nodes(batch), *(encoding(batch) for encoding in self.encodings)], dim=1)


class _Tables(nn.Module):
    """One embedding table for several columns of ids: each column has a range of rows of its own."""

    offset: Tensor

    def __init__(self, width: int, categories: int | Sequence[int]) -> None:
        super().__init__()
        given = (
            list(categories) if isinstance(categories, Sequence) and not isinstance(categories, str) else [categories]
        )
        counts = [check_integer("categories", count, least=1) for count in given]
        if not counts:
            raise GraphPEValueError("categories is empty: give the number of categories of each column")
        (width,) = check_counts(width=width)
        self.counts = counts
        self.embedding = nn.Embedding(sum(counts), width)
        self.register_buffer("offset", torch.tensor([0, *counts[:-1]]).cumsum(0), persistent=False)

    def ids(self, batch: Data, key: str) -> Tensor:
        value = _integers(batch, key, self.offset.numel(), "edge" if key == "edge_attr" else "node")
        check_ids(value, self.counts, f"batch.{key}")
        return value

    def forward(self, ids: Tensor) -> Tensor:
        if sums_run(ids, self.embedding.weight):
            return table_sums(ids, self.offset, self.embedding.weight)
        ids = ids + self.offset
        return self.embedding(ids).sum(1) if ids.shape[1] > 1 else self.embedding(ids.squeeze(1))


def _integers(batch: Data, key: str, columns: int, level: Level = "node") -> Tensor:
    """`batch[key]` as `[rows, columns]` int64.

    Raises:
        GraphPEValueError: If it does not hold integers in that many columns.
    """
    value = _columns(batch, key, columns, level)
    if value.is_floating_point() or value.is_complex():
        raise GraphPEValueError(
            f"batch.{key} has to hold integer categories (got {value.dtype}): convert it with .long()"
        )
    return value.long()


def _columns(batch: Data, key: str, columns: int, level: Level = "node") -> Tensor:
    """`batch[key]` as `[rows, columns]`; a vector is one column."""
    value = getattr(batch, key, None)
    if not isinstance(value, Tensor):
        raise GraphPEValueError(f"batch has no tensor `{key}`, which the model's input encoder reads")
    if value.layout != torch.strided:
        raise GraphPEValueError(f"batch.{key} is a sparse tensor: set it to batch.{key}.to_dense()")
    if value.dim() == 1:
        value = value.unsqueeze(1)
    if value.dim() != 2 or value.shape[1] != columns:
        raise GraphPEValueError(
            f"batch.{key} has shape {list(value.shape)}; the model's input encoder was built for {columns} columns"
        )
    counts = "edge_index" if level == "edge" else "num_nodes"
    check_rows(batch, key, level, f"make {key} and {counts} agree before graphs are batched")
    return value
