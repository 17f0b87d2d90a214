"""What positions do to attention at each node: maps of queries, keys and values, the same for every kind of attention.

With maps A_i, B_i, V_i, U_i of the channels of a head, which belong to node i,

    out_i = U_i sum_j softmax_j((A_i q_i) . (B_j k_j) / sqrt(C)) V_j v_j

Nothing of the size of the pairs is made, so that attention goes through the kernels it goes through without them, and
linear attention stays linear: there the maps act on the features of queries and keys in the numerator alone.
"""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.models.batches.nodes import NodeToGraph


@dataclass(frozen=True, eq=False)
class Attending:
    """The nodes that attend: those of a batch, in the order of their graphs, and perhaps extra ones.

    Attributes:
        members: The partition of the batch's N nodes into graphs.
        num_nodes: Number of rows of queries, keys and values; more than N where graphs have extra nodes.
        place: Row of each of the N nodes; None where there are no others.
        extended: The partition of all rows into graphs; None where there are no others.
    """

    members: NodeToGraph
    num_nodes: int
    place: Tensor | None = None
    extended: NodeToGraph | None = None

    def rows(self, x: Tensor, extra: float = 0.0) -> Tensor:
        """Values of the batch's nodes as rows of what attends.

        Args:
            x: Values in the batch's order, `[N, ...]`.
            extra: Value of extra nodes.
        """
        x = self.members.sort(x)
        if self.place is None:
            return x
        return x.new_full((self.num_nodes, *x.shape[1:]), extra).index_copy(0, self.place, x)


class NodePositions(nn.Module, ABC):
    """Base of what positions do to queries, keys and values; models take them as `positions=[...]`.

    One module serves all layers of a model: `prepare` runs once a batch, `transform` and `restore` in every layer.

    Example:
        >>> class Scaled(M.NodePositions):
        ...     def prepare(self, batch, nodes):
        ...         return nodes.rows(batch.weight, extra=1.0)
        ...     def transform(self, query, key, value, prepared, x):
        ...         return query, key * prepared, value
        >>> data = Data(x=torch.randn(3, 8), edge_index=torch.tensor([[0, 1], [1, 2]]), weight=torch.rand(3, 1))
        >>> M.Graphormer(width=8, layers=1, heads=2, node_encoder=M.LinearNodes(8, 8), positions=[Scaled()])(data).shape
        torch.Size([1, 8])

    Attributes:
        linear: Whether the maps make sense for the features of linear attention.
        widens: Whether queries and keys become wider than values.
        on_host: Whether `prepare` builds structure on the host, as trees.
    """

    linear: ClassVar[bool] = True
    widens: ClassVar[bool] = False
    on_host: ClassVar[bool] = False

    @abstractmethod
    def prepare(self, batch: Data, nodes: Attending) -> Any:
        """What the maps of a batch are made of, for `transform` and `restore`.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph.
            nodes: Its nodes as they attend; extra nodes have no position: their maps are the identity.
        """

    @abstractmethod
    def transform(
        self, query: Tensor, key: Tensor, value: Tensor, prepared: Any, x: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """A q, B k and V v, each with heads side by side; queries and keys may become wider than they were.

        Args:
            query: Queries, `[N, D]`.
            key: Keys, `[N, D]`.
            value: Values, `[N, D]`.
            prepared: What `prepare` gave.
            x: The embeddings that queries and keys are made of, `[N, D]`.
        """

    def structure(self, x: Tensor, prepared: Any) -> Tensor:
        """What queries and keys are made of, `[N, D]`; the embeddings themselves unless positions take their place.

        Args:
            x: What they were made of before, `[N, D]`.
            prepared: What `prepare` gave.
        """
        del prepared
        return x

    def restore(self, out: Tensor, prepared: Any) -> Tensor:
        """U out, `[N, D]`; out itself unless values were mapped.

        Args:
            out: What attention gave, `[N, D]`.
            prepared: What `prepare` gave.
        """
        del prepared
        return out


def check_positions(
    positions: Sequence[nn.Module], *, attention: bool = True, linear: bool = False, widening: bool = True
) -> None:
    """Raise unless positions suit a model's attention.

    Args:
        positions: What was given.
        attention: Whether the model has attention.
        linear: Whether it is linear attention.
        widening: Whether it takes queries and keys that are wider than values.

    Raises:
        GraphPETypeError: One is no `NodePositions`, or they are no list.
        GraphPEValueError: There is no attention, it is of a kind that the positions do not suit, or one that widens is
            not the last.
    """
    if not isinstance(positions, Sequence | nn.ModuleList):
        raise GraphPETypeError(f"positions must be a list of NodePositions (got {positions!r})")
    for each in positions:
        if not isinstance(each, NodePositions):
            raise GraphPETypeError(f"positions must be NodePositions such as RotaryAttention (got {each!r})")
        if not attention:
            raise GraphPEValueError(f"{type(each).__name__} acts on attention, and there is none: leave it out")
        if linear and not each.linear:
            raise GraphPEValueError(f"{type(each).__name__} needs attention with a softmax, and this one is linear")
        if each.widens and not widening:
            raise GraphPEValueError(
                f"{type(each).__name__} makes queries wider than values, which this attention does not take: use GPS, "
                "SAT or Graphormer"
            )
    for each, after in itertools.pairwise(positions):
        if isinstance(each, NodePositions) and each.widens:
            raise GraphPEValueError(
                f"{type(each).__name__} makes queries wider than values, which {type(after).__name__} behind it does "
                f"not take: name {type(each).__name__} last"
            )


@dataclass(frozen=True, eq=False)
class Placed:
    """Positions and what they prepared for one batch.

    Attributes:
        positions: The module.
        prepared: What its `prepare` gave.
    """

    positions: NodePositions
    prepared: Any


def place(positions: Sequence[NodePositions], batch: Data, nodes: Attending) -> tuple[Placed, ...]:
    """Prepare positions for a batch.

    Args:
        positions: The modules.
        batch: The batch.
        nodes: Its nodes as they attend.
    """
    return tuple(Placed(each, each.prepare(batch, nodes)) for each in positions)


def structure_of(placed: Sequence[Placed], x: Tensor) -> Tensor:
    """What queries and keys are made of, `[N, D]`.

    Args:
        placed: The positions.
        x: What they are made of without them, `[N, D]`.
    """
    for each in placed:
        x = each.positions.structure(x, each.prepared)
    return x


def query_key_value(linear: nn.Linear, x: Tensor, placed: Sequence[Placed]) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Queries, keys and values `[N, D]` by one map, and what queries and keys are made of.

    Args:
        linear: From D to 3 D.
        x: Node embeddings, `[N, D]`.
        placed: The positions.
    """
    structure = structure_of(placed, x)
    query, key, value = linear(x).chunk(3, dim=1)
    if structure is not x:
        query, key, _ = linear(structure).chunk(3, dim=1)
    return query, key, value, structure


def transform(
    placed: Sequence[Placed], query: Tensor, key: Tensor, value: Tensor, x: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Queries, keys and values after all maps, in order.

    Args:
        placed: The positions.
        query: Queries, `[N, D]`.
        key: Keys, `[N, D]`.
        value: Values, `[N, D]`.
        x: The embeddings that queries and keys are made of, `[N, D]`.
    """
    for each in placed:
        query, key, value = each.positions.transform(query, key, value, each.prepared, x)
    return query, key, value


def restore(placed: Sequence[Placed], out: Tensor) -> Tensor:
    """What attention gave, mapped back: the last map of values first.

    Args:
        placed: The positions.
        out: What attention gave, `[N, D]`.
    """
    for each in reversed(placed):
        out = each.positions.restore(out, each.prepared)
    return out
