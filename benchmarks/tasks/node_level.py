"""Tasks that ask for numbers, labels or a class of every node: adapter and data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor
from torch_geometric.data import Batch

from graphpe.benchmarks.tasks.graph_level import GraphAdapter, GraphTargets
from graphpe.errors import GraphPEValueError
from graphpe.graphs.levels import Level
from graphpe.graphs.packed import PackedGraphs


@dataclass(frozen=True)
class NodeAdapter(GraphAdapter):
    """Adapter for targets of nodes, `batch.y` `[N, T]`, outputs `[N, targets]`; models have no readout."""

    @property
    def level(self) -> Level:
        """What `columns` has a row for: nodes."""
        return "node"

    def prediction_rows(self, graphs: PackedGraphs) -> Tensor:
        """As many as a graph has nodes."""
        return graphs.sizes

    def loss(self, output: Tensor, batch: Batch, label_smoothing: float = 0.0) -> Tensor:
        """Mean loss over the targets of nodes that are known.

        Raises:
            GraphPEValueError: If the model pools over nodes.
        """
        check_node_outputs(output, batch)
        return super().loss(output, batch, label_smoothing)


def check_node_outputs(output: Tensor, batch: Batch) -> None:
    """Reject the output of a model that pools over nodes.

    Raises:
        GraphPEValueError: If there is not one row for each node.
    """
    if len(output) != batch.num_nodes:
        raise GraphPEValueError(
            f"this task asks about nodes, but the model gives {len(output)} rows for {batch.num_nodes} nodes: give it "
            "readout='none'"
        )


@dataclass
class NodeTargets(GraphTargets):
    """Graphs with targets of nodes, `y [N, T]` in `graphs.node`. Predictions are in the order of the graphs' nodes."""

    row: ClassVar[str] = "node"

    def target_rows(self, graphs: PackedGraphs) -> Tensor:
        return graphs.node["y"]

    def decode(self, predictions: Tensor, graphs: PackedGraphs) -> Tensor:
        """The predictions.

        Raises:
            GraphPEValueError: If there is not one row for each node.
        """
        expected = [graphs.num_nodes, self.adapter.targets]
        if list(predictions.shape) != expected:
            raise GraphPEValueError(f"predictions must be {expected}, one row a node, got {list(predictions.shape)}")
        return predictions
