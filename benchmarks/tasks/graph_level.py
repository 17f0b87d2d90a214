"""Tasks with a few numbers or yes/no answers a graph: model ends, data, metrics."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Batch

from graphpe.benchmarks.tasks.task import ModelEnds, TaskData
from graphpe.errors import GraphPEValueError
from graphpe.models.heads import MLPReadout
from graphpe.models.inputs import CategoricalEdges, CategoricalNodes
from graphpe.ogb_compat import evaluator
from graphpe.packed import PackedGraphs

Loss = Literal["binary", "absolute", "squared"]


@dataclass(frozen=True)
class GraphEnds(ModelEnds):
    """Ends for graphs with categorical features, and targets `batch.y` `[B, targets]`.

    Attributes:
        node_categories: Categories of each column of `x`.
        edge_categories: Categories of each column of `edge_attr`; empty where edges carry nothing.
        targets: Number of targets of a graph.
        loss_name: `binary`: cross-entropy of yes/no answers, NaN where one is not known; `absolute` or `squared`:
            error of numbers.
    """

    node_categories: tuple[int, ...]
    edge_categories: tuple[int, ...]
    targets: int
    loss_name: Loss

    def state(self) -> dict[str, Any]:
        """The attributes."""
        return {
            "node_categories": list(self.node_categories),
            "edge_categories": list(self.edge_categories),
            "targets": self.targets,
            "loss_name": self.loss_name,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> GraphEnds:
        """The ends that `state` describes.

        Raises:
            GraphPEValueError: If it is not the state of such ends.
        """
        try:
            ends = cls(
                tuple(int(size) for size in state["node_categories"]),
                tuple(int(size) for size in state["edge_categories"]),
                int(state["targets"]),
                state["loss_name"],
            )
        except (KeyError, TypeError, ValueError) as error:
            raise GraphPEValueError(f"expected the ends of a graph-level task, but {error} is wrong") from None
        if ends.loss_name not in get_args(Loss):
            raise GraphPEValueError(f"expected a loss among {', '.join(get_args(Loss))}, got {ends.loss_name!r}")
        return ends

    def model_graphs(self, graphs: PackedGraphs) -> PackedGraphs:
        """As they are: both directions of an edge are stored."""
        return graphs

    def node_encoder(self, width: int) -> nn.Module:
        """Embeddings of the columns of `x`, summed."""
        return CategoricalNodes(width, self.node_categories)

    def edge_encoder(self, width: int) -> nn.Module | None:
        """Embeddings of the columns of `edge_attr`, summed."""
        return CategoricalEdges(width, self.edge_categories) if self.edge_categories else None

    def head(self, width: int) -> nn.Module:
        """Layers that halve the width twice, as far as it is even: `[B, targets]`."""
        halvings = next(number for number in (2, 1, 0) if width % 2**number == 0)
        return MLPReadout(width, self.targets, hidden_layers=halvings)

    def loss(self, output: Tensor, batch: Batch) -> Tensor:
        """Mean loss over the targets that are known, in float32 whatever the precision of training."""
        output, target = output.float(), batch.y.view(output.shape).float()
        if self.loss_name == "absolute":
            return functional.l1_loss(output, target)
        if self.loss_name == "squared":
            return functional.mse_loss(output, target)
        known = ~target.isnan()
        each = functional.binary_cross_entropy_with_logits(output, target.nan_to_num(), reduction="none")
        return (each * known).sum() / known.sum().clamp(min=1)

    def predict(self, output: Tensor) -> Tensor:
        """The outputs: numbers, or logits of yes."""
        return output.float()


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
        if predictions.shape != target.shape:
            raise GraphPEValueError(
                f"predictions must be {list(target.shape)}, one row a graph, got {list(predictions.shape)}"
            )
        return self._score(predictions, target)

    def constant_baseline(self, indices: Tensor) -> tuple[float, str]:
        """The metric of the best constant for each target on the training part."""
        constant = self._constant(self.graphs.graph["y"][self.split["train"]].double())
        text = ", ".join(f"{value:.3g}" for value in constant.tolist()[:3]) + (", ..." if len(constant) > 3 else "")
        return self.evaluate(constant.float().expand(len(indices), -1), indices), text

    @abstractmethod
    def _score(self, predictions: Tensor, target: Tensor) -> float: ...

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


@dataclass
class OGBTargets(GraphTargets):
    """Scored by OGB's evaluator.

    Attributes:
        dataset: OGB's name.
    """

    dataset: str = ""
    _key: ClassVar[str]

    def _score(self, predictions: Tensor, target: Tensor) -> float:
        try:
            result = evaluator(self.dataset).eval(
                {"y_true": target.numpy().astype(np.float64), "y_pred": predictions.numpy().astype(np.float64)}
            )
        except RuntimeError as error:  # no target has both answers
            raise GraphPEValueError(f"{self.metric} is not defined for these {len(target)} graphs: {error}") from None
        return float(result[self._key])


@dataclass
class RankedAnswers(OGBTargets):
    """Scored by the area under the ROC curve, averaged over targets."""

    metric: ClassVar[str] = "ROC-AUC"
    _key: ClassVar[str] = "rocauc"


@dataclass
class PreciseAnswers(OGBTargets):
    """Scored by average precision, averaged over targets."""

    metric: ClassVar[str] = "AP"
    _key: ClassVar[str] = "ap"


@dataclass
class SquaredErrors(OGBTargets):
    """Scored by the root of the mean squared error."""

    metric: ClassVar[str] = "RMSE"
    maximize: ClassVar[bool] = False
    _key: ClassVar[str] = "rmse"


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
