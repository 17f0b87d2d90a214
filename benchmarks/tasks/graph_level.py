"""Tasks with a few numbers, yes/no answers or a class a graph: adapter, data, metrics."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Self, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Batch

from graphpe.benchmarks.tasks.task import TaskAdapter, TaskData
from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.models.layers.heads import MLPReadout
from graphpe.models.layers.inputs import CategoricalEdges, CategoricalNodes, LinearEdges, LinearNodes

Loss = Literal["binary", "absolute", "squared", "classes", "balanced"]


@dataclass(frozen=True)
class GraphAdapter(TaskAdapter):
    """Adapter for graphs with categorical or numeric features, and targets `batch.y` `[B, targets]`.

    Attributes:
        node_categories: Categories of each column of `x`; empty where `x` is numeric.
        edge_categories: Categories of each column of `edge_attr`; empty where edges carry numbers or nothing.
        targets: Number of targets of a graph; for `classes` and `balanced` the number of classes.
        loss_name: `binary`: cross-entropy of yes/no answers, NaN where one is not known; `absolute` or `squared`:
            error of numbers; `classes`: cross-entropy of one class, `batch.y` `[B]` or `[B, 1]`; `balanced`: the same
            with class c weighted by 1 - (its share of the batch), as Dwivedi et al. (2020) do.
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
        if self.loss_name in ("classes", "balanced"):
            return self._class_loss(output.float(), batch.y.flatten().long())
        output, target = output.float(), batch.y.view(output.shape).float()
        if self.scale:
            target = (target - output.new_tensor(self.shift)) / output.new_tensor(self.scale)
        if self.loss_name == "absolute":
            return functional.l1_loss(output, target)
        if self.loss_name == "squared":
            return functional.mse_loss(output, target)
        known = ~target.isnan()
        each = functional.binary_cross_entropy_with_logits(output, target.nan_to_num(), reduction="none")
        return (each * known).sum() / known.sum().clamp(min=1)

    def _class_loss(self, output: Tensor, target: Tensor) -> Tensor:
        if self.loss_name == "classes":
            return functional.cross_entropy(output, target)
        counts = torch.zeros(self.targets, device=target.device).index_add(0, target, torch.ones_like(output[:, 0]))
        # A class that is not there has no say, and a batch of one class counts as it is.
        weight = (1 - counts / counts.sum().clamp(min=1)) * (counts > 0)
        weight = torch.where(weight.sum() > 0, weight, torch.ones_like(weight))
        return functional.cross_entropy(output, target, weight=weight)

    def predict(self, output: Tensor) -> Tensor:
        """The outputs: numbers in the targets' own units, logits of yes, or logits of classes."""
        output = output.float()
        if self.scale:
            output = output * output.new_tensor(self.scale) + output.new_tensor(self.shift)
        return output


@dataclass
class GraphTargets(TaskData):
    """Graphs with targets `y [B, T]` in `graphs.graph`; NaN where an answer is not known."""

    def evaluate(self, predictions: Tensor, indices: Tensor) -> float:
        """The metric of predictions `[len(indices), T]`.

        Raises:
            GraphPEValueError: If there is not one row for each graph, or the metric is not defined for these graphs.
        """
        target = self.graphs.graph["y"][indices]
        if not len(indices):
            raise GraphPEValueError(f"{self.metric} of no graph at all is not defined: give at least one index")
        expected = [len(target), self._columns(target)]
        if list(predictions.shape) != expected:
            raise GraphPEValueError(f"predictions must be {expected}, one row a graph, got {list(predictions.shape)}")
        return self._score(predictions, target)

    def target_scores(self, predictions: Tensor, indices: Tensor) -> dict[str, float | None]:
        """The metric of each target alone; empty where there is one."""
        target = self.graphs.graph["y"][indices]
        count = target.shape[1]
        if count == 1:
            return {}
        names = self.adapter.target_names or tuple(f"target {column}" for column in range(count))
        scores: dict[str, float | None] = {}
        for column, name in enumerate(names):
            try:
                scores[name] = self._score_target(predictions[:, [column]], target[:, [column]])
            except GraphPEValueError:  # not defined for this one, which the average leaves out
                scores[name] = None
        return scores

    def constant_baseline(self, indices: Tensor) -> tuple[float, str]:
        """The metric of the best constant for each target on the training part."""
        constant = self._constant(self.graphs.graph["y"][self.split["train"]].double())
        text = ", ".join(f"{value:.3g}" for value in constant.tolist()[:3]) + (", ..." if len(constant) > 3 else "")
        return self.evaluate(constant.float().expand(len(indices), -1), indices), text

    @abstractmethod
    def _score(self, predictions: Tensor, target: Tensor) -> float: ...

    def _score_target(self, predictions: Tensor, target: Tensor) -> float:
        return self._score(predictions, target)

    def _columns(self, target: Tensor) -> int:
        return target.shape[1]

    def _constant(self, target: Tensor) -> Tensor:
        return target.nanmean(0)


@dataclass
class AbsoluteErrors(GraphTargets):
    """Scored by the mean absolute error."""

    metric: ClassVar[str] = "MAE"
    maximize: ClassVar[bool] = False

    def _score(self, predictions: Tensor, target: Tensor) -> float:
        return float((predictions.double() - target.double()).abs().mean())

    def _constant(self, target: Tensor) -> Tensor:
        return target.median(0).values


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
