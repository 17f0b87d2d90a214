"""What relations of pairs do to attention together with queries and keys.

A `PairBias` is a function of the pair alone, made once a batch. Terms depend on queries and keys too, so that every
layer makes them anew; what they need of the batch is made once.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import Any, ClassVar

from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.arguments import check_counts, check_divides
from graphpe.models.attention.biases.pair_factors import PairFactors
from graphpe.models.attention.pairs import PairSet
from graphpe.models.attention.shapes import check_shapes
from graphpe.models.batches.nodes import NodeToGraph


class PairTerms(nn.Module, ABC):
    """Base of terms of pairs; GPS, SAT and Graphormer take them in `pair_encodings`, beside `PairBias` modules.

    One module serves all layers of a model: `prepare` runs once a batch, `forward` in every layer, with that layer's
    queries and keys, before positions map them. Pairs with an extra node (a virtual node, a class token) have no terms.
    Other attention takes none: linear attention has no weights of pairs, and the scores of GraphTransformer, GRIT and
    relational attention have features of pairs of their own.

    Example:
        >>> class KeyMatters(M.PairTerms):
        ...     def prepare(self, batch, pairs, members):
        ...         return pairs
        ...     def forward(self, query, key, prepared):
        ...         _, key = self.split(query, key)  # [N, H, C]
        ...         return M.PairFactors(key.sum(2).index_select(0, prepared.source))
        >>> data = Data(x=torch.randn(3, 8), edge_index=torch.tensor([[0, 1], [1, 2]]))
        >>> parts = {"node_encoder": M.LinearNodes(8, 8), "pair_encodings": [KeyMatters(2, 8)]}
        >>> M.Graphormer(width=8, layers=1, heads=2, **parts)(data).shape
        torch.Size([1, 8])

    Attributes:
        on_host: Whether `prepare` builds what depends on the graphs on the host.
        heads: Number H of heads.
        width: Width D of queries, keys and values.

    Args:
        heads: Number H of heads.
        width: Width D; a multiple of `heads`.
    """

    on_host: ClassVar[bool] = False

    def __init__(self, heads: int, width: int) -> None:
        super().__init__()
        self.heads, self.width = check_counts(heads=heads, width=width)
        check_divides(self.heads, self.width)

    @abstractmethod
    def prepare(self, batch: Data, pairs: PairSet, members: NodeToGraph) -> Any:
        """What the terms of a batch are made of, for `forward`.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph.
            pairs: All pairs of each graph, without extra nodes.
            members: The partition of its nodes into graphs.
        """

    @abstractmethod
    def forward(self, query: Tensor, key: Tensor, prepared: Any) -> PairFactors:
        """What the pairs do to the attention of a layer; rows of the pairs that `prepare` was given.

        Args:
            query: Queries of the nodes, `[N, D]`.
            key: Their keys, `[N, D]`.
            prepared: What `prepare` gave.
        """

    def split(self, query: Tensor, key: Tensor) -> tuple[Tensor, Tensor]:
        """Queries and keys by heads, `[N, H, C]`.

        Args:
            query: Queries, `[N, D]`.
            key: Keys, `[N, D]`.

        Raises:
            GraphPEValueError: They have another width than the terms were built for.
        """
        rows = (query.shape[0], self.width)
        check_shapes(query=(query, rows), key=(key, rows))
        return query.unflatten(1, (self.heads, -1)), key.unflatten(1, (self.heads, -1))
