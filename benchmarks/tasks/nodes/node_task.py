"""What the public tasks about nodes of one graph share: from features, edges, targets and a split to data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch_geometric.utils import to_undirected

from graphpe.benchmarks.tasks.fingerprint import fingerprint
from graphpe.benchmarks.tasks.graph_level import GraphAdapter, GraphTask
from graphpe.benchmarks.tasks.metrics import Metric
from graphpe.benchmarks.tasks.node_level import NodeAdapter
from graphpe.benchmarks.tasks.shared_graph import OF_ONE_GRAPH, NodeSplitTargets, training_of_nodes
from graphpe.benchmarks.tasks.targets import Loss
from graphpe.errors import GraphPERuntimeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs


class NodeTask(GraphTask):
    """A task about nodes of one graph; the model has `readout='none'`."""

    default_encodings: ClassVar[tuple[str, ...]] = OF_ONE_GRAPH
    readout: ClassVar[str | None] = "none"
    adapter_class: ClassVar[type[GraphAdapter]] = NodeAdapter

    def training_defaults(self, sampler: str) -> dict[str, Any]:
        return training_of_nodes(sampler)


@dataclass(frozen=True)
class Numbers:
    """The content of a task about nodes.

    Attributes:
        x: Features of nodes, `[N, columns]`: numbers, or categories of `categories` each; None for none.
        edge_index: Edges, `[2, E]`.
        y: Targets, `[N, T]`.
        split: Ids of nodes by part.
        edge_attr: Numbers of edges, `[E, columns]`; None for none.
        categories: Of each column of `x`, where it holds integers.
    """

    x: Tensor | None
    edge_index: Tensor
    y: Tensor
    split: Mapping[str, Tensor]
    edge_attr: Tensor | None = None
    categories: tuple[int, ...] = ()

    def data(
        self,
        what: str,
        *,
        outputs: int,
        loss: Loss,
        metric: Metric,
        notes: list[str],
        kind: type[NodeAdapter] = NodeAdapter,
    ) -> NodeSplitTargets:
        """A task's data.

        Args:
            what: Names it in messages.
            outputs: Targets, or classes.
            loss: The loss.
            metric: The metric.
            notes: Lines worth telling.
            kind: Class of the adapter.

        Raises:
            GraphPERuntimeError: The numbers do not fit each other, or are not finite.
        """
        nodes = len(self.y)
        x = torch.zeros(nodes, 1, dtype=torch.long) if self.x is None else self.x
        for key, value in (("x", x), ("edge_attr", self.edge_attr)):
            if value is not None and value.is_floating_point() and not bool(value.isfinite().all()):
                row, column = (~value.isfinite()).nonzero()[0].tolist()
                raise GraphPERuntimeError(
                    f"{what}: {key} has {float(value[row, column])} in row {row}, column {column}, no finite number"
                )
        if loss == "classes" and (int(self.y.max()) >= outputs):
            raise GraphPERuntimeError(f"{what} has class {int(self.y.max())}, expected 0 to {outputs - 1}")
        edges = self.edge_index.shape[1]
        split = {part: ids.long() for part, ids in self.split.items()}
        try:
            graphs = PackedGraphs(
                edge_index=self.edge_index.long().contiguous(),
                ptr=torch.tensor([0, nodes]),
                edge_ptr=torch.tensor([0, edges]),
                node={"x": x, "y": self.y},
                edge={} if self.edge_attr is None else {"edge_attr": self.edge_attr},
            )
            categories = ((1,) if self.x is None else self.categories) if not x.is_floating_point() else ()
            adapter = kind(
                categories,
                (),
                outputs,
                loss,
                node_channels=x.shape[1] if x.is_floating_point() else 0,
                edge_channels=0 if self.edge_attr is None else self.edge_attr.shape[1],
            )
            return NodeSplitTargets(
                graphs, split, adapter, fingerprint(graphs, split, [metric.name]), notes, scored_by=metric
            )
        except GraphPEValueError as error:
            raise GraphPERuntimeError(f"{what}: {error}") from None


def with_reverse(edge_index: Tensor, nodes: int) -> Tensor:
    """Edges both ways, each once and in order, as PyG's `to_undirected`.

    Args:
        edge_index: Edges, `[2, E]`.
        nodes: Number of nodes.
    """
    return to_undirected(edge_index, num_nodes=nodes)
