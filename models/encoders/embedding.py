"""Embeddings of an integer node encoding."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.arguments import check_counts
from graphpe.errors import GraphPEValueError
from graphpe.models.batches.ids import check_ids
from graphpe.models.batches.reading import read_encoding


class EmbeddingEncoding(nn.Module):
    """The sum over columns of a learned vector for each value of the integers `batch[key]` `[num_nodes, columns]`.

    Weights start at zero: training starts from the model without the encoding.

    Example:
        >>> data = Data(edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]), num_nodes=5)
        >>> data = T.WeisfeilerLehmanPE(iterations=2, num_colours=64)(data)
        >>> M.EmbeddingEncoding("weisfeiler_lehman_pe", 2, 64, 16)(data).shape
        torch.Size([5, 16])

    Args:
        key: Name of the encoding in the batch.
        columns: Its number of columns; each has a table of its own.
        vocabulary: Values are from 0 to `vocabulary` - 1.
        width: Width of the result.

    Raises:
        GraphPEValueError: If a size is not positive; in `forward` if the batch has no integers of that name with that
            many columns, or (on the CPU) one that is out of range.
    """

    def __init__(self, key: str, columns: int, vocabulary: int, width: int) -> None:
        super().__init__()
        columns, vocabulary, width = check_counts(columns=columns, vocabulary=vocabulary, width=width)
        self.key = key
        self.columns = columns
        self.vocabulary = vocabulary
        self.table = nn.Embedding(columns * vocabulary, width)
        nn.init.zeros_(self.table.weight)
        self.offset: Tensor
        self.register_buffer("offset", torch.arange(columns) * vocabulary, persistent=False)

    def forward(self, batch: Data) -> Tensor:
        """The encoding at the model's width, `[num_nodes, width]`.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with integers under `key`.
        """
        value = read_encoding(batch, self.key, self.columns)
        if value.is_floating_point() or value.is_complex():
            raise GraphPEValueError(f"batch.{self.key} holds {value.dtype}, not integers: use LinearEncoding")
        check_ids(value, [self.vocabulary] * self.columns, f"batch.{self.key}")
        return self.table(value + self.offset).sum(1)
