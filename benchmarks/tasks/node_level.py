"""Tasks that ask for a class of every node: adapter, data, metrics."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor
from torch_geometric.data import Batch

from graphpe.benchmarks.tasks.graph_level import GraphAdapter
from graphpe.benchmarks.tasks.task import TaskData
from graphpe.errors import GraphPEValueError
from graphpe.graphs.levels import Level
from graphpe.graphs.packed import PackedGraphs


@dataclass(frozen=True)
class NodeAdapter(GraphAdapter):
    """Adapter for an answer a node: targets `batch.y` `[N, 1]`, outputs `[N, targets]`; models have no readout."""

    @property
    def level(self) -> Level:
        """What `columns` has a row for: nodes."""
        return "node"

    def prediction_rows(self, graphs: PackedGraphs) -> Tensor:
        """As many as a graph has nodes."""
        return graphs.sizes

    def loss(self, output: Tensor, batch: Batch) -> Tensor:
        """Mean loss over the nodes.

        Raises:
            GraphPEValueError: If the model pools over nodes.
        """
        check_node_outputs(output, batch)
        return super().loss(output, batch)


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
class NodeTargets(TaskData):
    """Graphs with a class of each node, `y [N, 1]` in `graphs.node`. Predictions are logits, nodes in order.

    Attributes:
        classes: Number of classes.
    """

    classes: int = 2

    def evaluate(self, predictions: Tensor, indices: Tensor) -> float:
        """The metric of logits `[nodes of the graphs, classes]`.

        Raises:
            GraphPEValueError: If there is not one row for each node.
        """
        target = self.graphs.select(indices).node["y"].flatten().long()
        if not len(target):
            raise GraphPEValueError(f"{self.metric} of no node at all is not defined: give at least one graph")
        if list(predictions.shape) != [len(target), self.classes]:
            raise GraphPEValueError(
                f"predictions must be {[len(target), self.classes]}, one row a node, got {list(predictions.shape)}"
            )
        return self._score(predictions.argmax(1), target)

    def constant_baseline(self, indices: Tensor) -> tuple[float, str]:
        """The metric of the most frequent class of the training part."""
        train = self.graphs.select(self.split["train"]).node["y"].flatten().long()
        best = int(train.bincount(minlength=self.classes).argmax())
        logits = torch.zeros(int(self.graphs.sizes[indices].sum()), self.classes)
        logits[:, best] = 1
        return self.evaluate(logits, indices), f"class {best}"

    @abstractmethod
    def _score(self, guess: Tensor, target: Tensor) -> float: ...


@dataclass
class BalancedNodes(NodeTargets):
    """Scored by the mean over classes of the share of their nodes that are found, as Dwivedi et al. (2020) do."""

    metric: ClassVar[str] = "weighted accuracy"

    def _score(self, guess: Tensor, target: Tensor) -> float:
        right = torch.zeros(self.classes, dtype=torch.float64).index_add(0, target, (guess == target).double())
        counts = target.bincount(minlength=self.classes)
        return float((right / counts)[counts > 0].mean())
