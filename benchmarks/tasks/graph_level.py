"""Tasks that ask for a few numbers, labels or a class of each graph: adapter and data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Self, get_args

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch

from graphpe.benchmarks.tasks.metrics import ClassMetric, Metric
from graphpe.benchmarks.tasks.targets import Loss, is_known, target_loss
from graphpe.benchmarks.tasks.task import TaskAdapter, TaskData
from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.models.layers.heads import MLPReadout
from graphpe.models.layers.inputs import CategoricalEdges, CategoricalNodes, LinearEdges, LinearNodes

_CHUNK = 1_000


@dataclass(frozen=True)
class GraphAdapter(TaskAdapter):
    """Adapter for graphs with categorical or numeric features, and targets `batch.y` `[B, targets]`.

    Attributes:
        node_categories: Categories of each column of `x`; empty where `x` is numeric.
        edge_categories: Categories of each column of `edge_attr`; empty where edges carry numbers or nothing.
        targets: Number of targets of a graph; for `classes` and `balanced` the number of classes.
        loss_name: The loss (`graphpe.benchmarks.tasks.targets.Loss`); for `classes` and `balanced` `batch.y` is `[B]`
            or `[B, 1]`. Targets that are NaN, or negative among integers, are not known and do not count.
        node_channels: Columns of a numeric `x`; 0 where it is categorical.
        edge_channels: Columns of a numeric `edge_attr`; 0 where it is categorical or there is none.
        shift: Subtracted from the targets for the loss, one for each, and added to outputs; empty for nothing.
        scale: What the targets are divided by after that; empty for nothing.
        target_names: Names of the targets; empty where they have none.
        class_names: Words of the classes; empty where they have none.
    """

    node_categories: tuple[int, ...]
    edge_categories: tuple[int, ...]
    targets: int
    loss_name: Loss
    node_channels: int = 0
    edge_channels: int = 0
    shift: tuple[float, ...] = ()
    scale: tuple[float, ...] = ()
    target_names: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()

    def state(self) -> dict[str, Any]:
        return {
            "node_categories": list(self.node_categories),
            "edge_categories": list(self.edge_categories),
            "targets": self.targets,
            "loss_name": self.loss_name,
            "node_channels": self.node_channels,
            "edge_channels": self.edge_channels,
            "shift": list(self.shift),
            "scale": list(self.scale),
            "target_names": list(self.target_names),
            "class_names": list(self.class_names),
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Self:
        """The adapter that `state` describes.

        Raises:
            GraphPEValueError: If it is not the state of such an adapter.
        """
        try:
            adapter = cls(
                tuple(int(size) for size in state["node_categories"]),
                tuple(int(size) for size in state["edge_categories"]),
                int(state["targets"]),
                state["loss_name"],
                int(state.get("node_channels", 0)),
                int(state.get("edge_channels", 0)),
                tuple(float(value) for value in state.get("shift", ())),
                tuple(float(value) for value in state.get("scale", ())),
                tuple(str(name) for name in state.get("target_names", ())),
                tuple(str(name) for name in state.get("class_names", ())),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise GraphPEValueError(f"expected the adapter of a graph-level task, but {error} is wrong") from None
        if adapter.loss_name not in get_args(Loss):
            raise GraphPEValueError(f"expected a loss among {', '.join(get_args(Loss))}, got {adapter.loss_name!r}")
        return adapter

    def model_graphs(self, graphs: PackedGraphs) -> PackedGraphs:
        """As they are: both directions of an edge are stored."""
        return graphs

    def node_encoder(self, width: int) -> nn.Module:
        """Embeddings of the columns of `x`, summed; a linear map where they are numbers."""
        if self.node_channels:
            return LinearNodes(self.node_channels, width)
        return CategoricalNodes(width, self.node_categories)

    def edge_encoder(self, width: int) -> nn.Module | None:
        """Embeddings of the columns of `edge_attr`, summed; a linear map where they are numbers."""
        if self.edge_channels:
            return LinearEdges(self.edge_channels, width)
        return CategoricalEdges(width, self.edge_categories) if self.edge_categories else None

    def head(self, width: int) -> nn.Module:
        """Layers that halve the width twice, as far as it is even: `[B, targets]`."""
        halvings = next(number for number in (2, 1, 0) if width % 2**number == 0)
        return MLPReadout(width, self.targets, hidden_layers=halvings)

    def loss(self, output: Tensor, batch: Batch) -> Tensor:
        """Mean loss over the targets that are known, in float32 whatever the precision of training."""
        return target_loss(self.loss_name, output.float(), self._scaled(batch.y))

    def _scaled(self, target: Tensor) -> Tensor:
        if not self.scale:
            return target
        target = target.float().masked_fill(~is_known(target), torch.nan).view(-1, self.targets)
        return (target - target.new_tensor(self.shift)) / target.new_tensor(self.scale)

    def predict(self, output: Tensor) -> Tensor:
        """The outputs: numbers in the targets' own units, logits of yes, or logits of classes."""
        output = output.float()
        if self.scale:
            output = output * output.new_tensor(self.scale) + output.new_tensor(self.shift)
        return output


@dataclass
class GraphTargets(TaskData):
    """Graphs with targets `y [B, T]` in `graphs.graph`; NaN, or negative among integers, where one is not known.

    Attributes:
        scored_by: The metric.

    Raises:
        GraphPEValueError: When built, if a part of the split has graphs and no target that is known.
    """

    row: ClassVar[str] = "graph"

    adapter: GraphAdapter
    scored_by: Metric = field(kw_only=True)

    def __post_init__(self) -> None:
        for part, ids in self.split.items():
            targets = (self.target_rows(self.graphs.select(some)) for some in ids.split(_CHUNK))
            if len(ids) and not any(bool(is_known(each).any()) for each in targets):  # the first tells, nearly always
                raise GraphPEValueError(
                    f"no target of the {len(ids):,} graphs of the {part} part is known: give it graphs with targets"
                )

    @property
    def metric(self) -> str:
        return self.scored_by.name

    @property
    def maximize(self) -> bool:
        return self.scored_by.maximize

    def target_rows(self, graphs: PackedGraphs) -> Tensor:
        """The targets of some graphs, `[rows, T]`."""
        return graphs.graph["y"]

    def decode(self, predictions: Tensor, graphs: PackedGraphs) -> Tensor:
        """What the metric compares with the targets, `[rows, outputs]`, from what the adapter predicts.

        Raises:
            GraphPEValueError: If there is not one row for each graph.
        """
        expected = [len(graphs), self.adapter.targets]
        if list(predictions.shape) != expected:
            raise GraphPEValueError(f"predictions must be {expected}, one row a graph, got {list(predictions.shape)}")
        return predictions

    def evaluate(self, predictions: Tensor, indices: Tensor) -> float:
        """The metric of predictions, over the targets that are known.

        Raises:
            GraphPEValueError: If predictions are not of the expected shape, or the metric is not defined for these
                graphs.
        """
        graphs = self.graphs.select(indices)
        return self._evaluate(self.decode(predictions, graphs), self.target_rows(graphs))

    def target_scores(self, predictions: Tensor, indices: Tensor) -> dict[str, float | None]:
        """The metric of each target alone; empty where there is one."""
        graphs = self.graphs.select(indices)
        target = self.target_rows(graphs)
        count = target.shape[1]
        if count == 1:
            return {}
        names = self.adapter.target_names or tuple(f"target {column}" for column in range(count))
        return dict(zip(names, self.scored_by.by_target(self.decode(predictions, graphs), target), strict=True))

    def constant_baseline(self, indices: Tensor) -> tuple[float, str]:
        """The metric of the best constant on the training part: a number for each target, or a class."""
        target = self.target_rows(self.graphs.select(self.split["train"]))
        constant = self.scored_by.constant(target, self.adapter.targets)
        asked = self.target_rows(self.graphs.select(indices))
        return self._evaluate(constant.float().expand(len(asked), -1), asked), self._describe(constant)

    def _evaluate(self, predictions: Tensor, target: Tensor) -> float:
        if not len(target):
            raise GraphPEValueError(f"{self.metric} of no {self.row} at all is not defined: give at least one graph")
        return self.scored_by.evaluate(predictions, target)

    def _describe(self, constant: Tensor) -> str:
        if isinstance(self.scored_by, ClassMetric):
            best = int(constant.argmax())
            return f"class {self.adapter.class_names[best] if self.adapter.class_names else best}"
        return ", ".join(f"{value:.3g}" for value in constant.tolist()[:3]) + (", ..." if len(constant) > 3 else "")


def categories(values: Tensor, name: str, sizes: tuple[int, ...]) -> Tensor:
    """Categorical features `[rows, columns]`, checked against the number of categories of each column.

    Raises:
        GraphPEValueError: If a value is outside its column's range.
    """
    values = values.view(len(values), -1).long()
    if values.shape[1] != len(sizes):
        raise GraphPEValueError(f"{name} has {values.shape[1]} columns, expected {len(sizes)}")
    wrong = ((values < 0) | (values >= torch.tensor(sizes))).nonzero()
    if len(wrong):
        row, column = wrong[0].tolist()
        raise GraphPEValueError(
            f"{name}[{row}, {column}] is {int(values[row, column])}: column {column} has {sizes[column]} categories"
        )
    return values
