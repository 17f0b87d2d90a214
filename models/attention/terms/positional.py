"""Attention whose weights come from positions alone."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.arguments import check_counts
from graphpe.errors import GraphPEValueError
from graphpe.models.attention.positions.node_positions import Attending, NodePositions
from graphpe.models.batches.reading import read_encoding
from graphpe.models.layers.precision import in_half_precision


@dataclass(frozen=True, eq=False)
class Mapped:
    """Positions at the width of the model.

    Attributes:
        rows: Of the batch's nodes in the order of their graphs, `[N, D]`.
        place: Row of each of them; None where there are no others.
    """

    rows: Tensor
    place: Tensor | None


class PositionalAttention(NodePositions):
    """Queries and keys of the encoding `batch[key]` alone, values of the embeddings (positional attention).

        p_i      = W batch[key]_i + b
        logit_ij = (Q p_i) . (K p_j) / sqrt(C),    out_i = sum_j softmax_j(logit_ij) V x_j

    with each layer's own Q and K (de Luca et al., "Positional Attention: Expressivity and Learnability of Algorithmic
    Computation", arXiv:2410.01686): which node attends to which depends on where they are, not on what they hold, so
    that an algorithm's steps do not change with the values it runs on. On a path graph whose encoding is that of
    positions in a sequence, it is the paper's. W serves all layers; the paper has none, its positions have the width of
    the model. Other positions, biases and terms act on these queries and keys as on any.

    Extra nodes have no position: their queries and keys are of their embeddings. Invariances are those of the encoding:
    give eigenvectors that are free of signs, or an encoding of walks. O(N D) beside the attention; linear attention and
    attention along trees take it too.

    Example:
        >>> data = Data(edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]), x=torch.randn(5, 3), num_nodes=5)
        >>> data = T.RandomWalkPE(walk_length=4)(data)
        >>> positions = M.PositionalAttention("random_walk_pe", 4, 16)
        >>> M.GPS(width=16, layers=1, node_encoder=M.LinearNodes(3, 16), positions=[positions])(data).shape
        torch.Size([1, 16])

    Args:
        key: Name of the encoding in the batch.
        coordinates: Its columns.
        width: Width D of the model.

    Raises:
        GraphPEValueError: If a number is out of range; in `prepare` if the batch has no such real encoding.
    """

    def __init__(self, key: str, coordinates: int, width: int) -> None:
        super().__init__()
        self.coordinates, width = check_counts(coordinates=coordinates, width=width)
        self.key = key
        self.linear_map = nn.Linear(self.coordinates, width)

    @in_half_precision
    def prepare(self, batch: Data, nodes: Attending) -> Mapped:
        """Positions at the width of the model.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph, with the encoding under `key`.
            nodes: Its nodes as they attend.
        """
        value = read_encoding(batch, self.key, self.coordinates)
        if value.is_complex():
            raise GraphPEValueError(f"batch.{self.key} is complex: PositionalAttention takes real encodings")
        mapped = self.linear_map(value.to(torch.promote_types(self.linear_map.weight.dtype, torch.float32)))
        return Mapped(nodes.members.sort(mapped), nodes.place)

    def structure(self, x: Tensor, prepared: Any) -> Tensor:
        """The positions; embeddings of extra nodes.

        Args:
            x: What queries and keys were made of, `[N, D]`.
            prepared: The positions.
        """
        mapped: Mapped = prepared
        rows = mapped.rows.to(x.dtype)
        return rows if mapped.place is None else x.index_copy(0, mapped.place, rows)

    def transform(
        self, query: Tensor, key: Tensor, value: Tensor, prepared: Any, x: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Queries, keys and values as they are.

        Args:
            query: Queries, `[N, D]`.
            key: Keys, `[N, D]`.
            value: Values, `[N, D]`.
            prepared: Not used.
            x: Not used.
        """
        del prepared, x
        return query, key, value
