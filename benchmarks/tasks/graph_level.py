"""Tasks that ask for a few numbers, labels or a class of each graph: adapter and data."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, ClassVar, Self, get_args

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch

from graphpe.benchmarks.tasks.metrics import ClassMetric, Metric
from graphpe.benchmarks.tasks.targets import Loss, is_known, target_loss
from graphpe.benchmarks.tasks.task import Task, TaskAdapter, TaskData
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
        node_columns: Where features of nodes were columns of cells: their names, and the words of each or None for
            numbers.
        edge_columns: The same for features of edges.
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
    node_columns: tuple[tuple[str, tuple[str, ...] | None], ...] = ()
    edge_columns: tuple[tuple[str, tuple[str, ...] | None], ...] = ()

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
            "node_columns": [[name, words and list(words)] for name, words in self.node_columns],
            "edge_columns": [[name, words and list(words)] for name, words in self.edge_columns],
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
                *(_columns(state.get(name, ())) for name in ("node_columns", "edge_columns")),
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

    @property
    def has_classes(self) -> bool:
        """Whether a target is one of several classes."""
        return self.loss_name in ("classes", "balanced")

    def loss(self, output: Tensor, batch: Batch, label_smoothing: float = 0.0) -> Tensor:
        """Mean loss over the targets that are known, in float32 whatever the precision of training."""
        return target_loss(self.loss_name, output.float(), self._scaled(batch.y), label_smoothing)

    def _scaled(self, target: Tensor) -> Tensor:
        if not self.scale:
            return target
        target = target.float().masked_fill(~is_known(target), torch.nan).view(-1, self.targets)
        return (target - self._row(self.shift, target)) / self._row(self.scale, target)

    @staticmethod
    def _row(numbers: tuple[float, ...], like: Tensor) -> Tensor:
        return _row_on(like.device, like.dtype, numbers)

    def predict(self, output: Tensor) -> Tensor:
        """The outputs: numbers in the targets' own units, logits of yes, or logits of classes."""
        output = output.float()
        if self.scale:
            output = output * self._row(self.scale, output) + self._row(self.shift, output)
        return output

    def columns(self, predictions: Tensor, graphs: PackedGraphs) -> dict[str, Sequence[Any]]:
        """Numbers as `predicted_<target>`, of answers `probability_<target>`, of classes word and probabilities.

        A target without a name is `y`, or `y_0`, `y_1` and so on; a class without a word is its number.
        """
        predictions = predictions.double()
        names = self._shown_names()
        if self.loss_name in ("classes", "balanced"):
            words, (target,) = self._words(), names
            guess = [words[number] for number in predictions.argmax(1).tolist()]
            chances = predictions.softmax(1).unbind(1)
            return {f"predicted_{target}": guess} | {
                f"probability_{word}": chance.tolist() for word, chance in zip(words, chances, strict=True)
            }
        if self.loss_name == "binary":
            of_yes = predictions.sigmoid().unbind(1)
            return {f"probability_{name}": column.tolist() for name, column in zip(names, of_yes, strict=True)}
        return {f"predicted_{name}": column.tolist() for name, column in zip(names, predictions.unbind(1), strict=True)}

    def target_columns(self, graphs: PackedGraphs) -> dict[str, Sequence[Any]]:
        """`target_<target>`: numbers, answers, or words of classes; None where one is not known."""
        y = {"node": graphs.node, "pair": graphs.pair}.get(self.level, graphs.graph).get("y")
        if y is None:
            return {}
        found: dict[str, Sequence[Any]] = {}
        for name, column in zip(self._shown_names(), y.reshape(len(y), -1).unbind(1), strict=False):
            if self.loss_name in ("classes", "balanced"):
                words = self._words()
                cells: list[Any] = [
                    words[int(number)] if 0 <= number < len(words) else None for number in column.tolist()
                ]
            else:
                cells = [
                    number if known else None
                    for number, known in zip(column.tolist(), is_known(column).tolist(), strict=True)
                ]
            found[f"target_{name}"] = cells
        return found

    def _shown_names(self) -> tuple[str, ...]:
        """Names of targets: `class` for a class without one, `y`, or `y_0`, `y_1`, ... for others."""
        count = 1 if self.loss_name in ("classes", "balanced") else self.targets
        if len(self.target_names) == count:
            return self.target_names
        if self.loss_name in ("classes", "balanced"):
            return ("class",)
        return ("y",) if count == 1 else tuple(f"y_{number}" for number in range(count))

    def _words(self) -> tuple[str, ...]:
        return self.class_names or tuple(map(str, range(self.targets)))

    def check_inputs(self, graphs: PackedGraphs) -> tuple[PackedGraphs, dict[int, str]]:
        """The graphs with `x` and `edge_attr` as the model was trained on them.

        Raises:
            GraphPEValueError: They have other columns, or numbers for categories.
        """
        errors: dict[int, str] = {}
        x, wrong = _features("x", graphs.node.get("x"), graphs.num_nodes, self.node_categories, self.node_channels)
        _note(errors, wrong, graphs.batch, "x", self.node_categories)
        edges: dict[str, Tensor] = {}
        if self.edge_categories or self.edge_channels:
            edges["edge_attr"], wrong = _features(
                "edge_attr", graphs.edge.get("edge_attr"), graphs.num_edges, self.edge_categories, self.edge_channels
            )
            owner = torch.arange(len(graphs)).repeat_interleave(graphs.edge_sizes)
            _note(errors, wrong, owner, "edge_attr", self.edge_categories)
        empty = (graphs.sizes == 0).nonzero().flatten().tolist()
        errors |= dict.fromkeys(empty, "it has no nodes")
        return graphs.structure().with_values(node={"x": x}, edge=edges), errors


@lru_cache(maxsize=64)
def _row_on(device: torch.device, dtype: torch.dtype, numbers: tuple[float, ...]) -> Tensor:
    """Numbers on a device, copied there once: a step does not wait for it, and a captured one copies nothing."""
    return torch.tensor(numbers, dtype=dtype).to(device, non_blocking=True)


@dataclass
class GraphTargets(TaskData):
    """Graphs with targets `y [B, T]` in `graphs.graph`; NaN, or negative among integers, where one is not known.

    Attributes:
        scored_by: The metric.
        smiles: Reads the graphs' molecules as SMILES, in order; None where they are no molecules, or it is not known.

    Raises:
        GraphPEValueError: When built, if a part of the split has graphs and no target that is known.
    """

    row: ClassVar[str] = "graph"

    adapter: GraphAdapter
    scored_by: Metric = field(kw_only=True)
    smiles: Callable[[], list[str]] | None = field(default=None, kw_only=True)

    def __post_init__(self) -> None:
        for part, ids in self.split.items():
            targets = (self.targets_of(some) for some in ids.split(_CHUNK))
            if len(ids) and not any(bool(is_known(each).any()) for each in targets):  # the first tells, nearly always
                raise GraphPEValueError(
                    f"no target of the {len(ids):,} {self.unit}s of the {part} part is known: give it {self.unit}s "
                    "with targets"
                )

    @property
    def metric(self) -> str:
        return self.scored_by.name

    @property
    def maximize(self) -> bool:
        return self.scored_by.maximize

    def answers(self, indices: Tensor) -> PackedGraphs:
        """Some graphs with their targets, without edges."""
        return self.graphs.only_values(("y",)).select(indices)

    def target_rows(self, graphs: PackedGraphs) -> Tensor:
        """The targets of some graphs, `[rows, T]`."""
        return graphs.graph["y"]

    def targets_of(self, indices: Tensor) -> Tensor:
        """The targets of some units of the split, `[rows, T]`.

        Args:
            indices: Ids of the units.
        """
        return self.target_rows(self.answers(indices))

    def decoded(self, predictions: Tensor, indices: Tensor) -> Tensor:
        """`decode`, of some units of the split.

        Args:
            predictions: Rows as `TaskAdapter.predict` makes them.
            indices: Ids of the units.
        """
        return self.decode(predictions, self.answers(indices))

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
        return self._evaluate(self.decoded(predictions, indices), self.targets_of(indices))

    def target_scores(self, predictions: Tensor, indices: Tensor) -> dict[str, float | None]:
        """The metric of each target alone; empty where there is one."""
        target = self.targets_of(indices)
        count = target.shape[1]
        if count == 1:
            return {}
        names = self.adapter.target_names or tuple(f"target {column}" for column in range(count))
        return dict(zip(names, self.scored_by.by_target(self.decoded(predictions, indices), target), strict=True))

    def constant_baseline(self, indices: Tensor) -> tuple[float, str]:
        """The metric of the best constant on the training part: a number for each target, or a class."""
        constant = self.scored_by.constant(self.targets_of(self.split["train"]), self.adapter.targets)
        asked = self.targets_of(indices)
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


class GraphTask(Task):
    """A task with targets of graphs, nodes or pairs.

    Attributes:
        adapter_class: The adapter that `load` gives its data.
    """

    adapter_class: ClassVar[type[GraphAdapter]] = GraphAdapter

    def adapter(self, state: Mapping[str, Any]) -> GraphAdapter:
        """The adapter of a run.

        Raises:
            GraphPEValueError: If `state` is not that of such an adapter.
        """
        return self.adapter_class.from_state(state)


def _columns(state: Sequence[Any]) -> tuple[tuple[str, tuple[str, ...] | None], ...]:
    return tuple((str(name), words and tuple(map(str, words))) for name, words in state)


def _features(
    name: str, values: Tensor | None, rows: int, sizes: tuple[int, ...], channels: int
) -> tuple[Tensor, Tensor | None]:
    """Values as an input encoder takes them, and which rows of them no encoder takes.

    Raises:
        GraphPEValueError: They are missing, or of another kind or another number of columns.
    """
    expected = f"{channels} columns of numbers" if channels else f"{len(sizes)} columns of categories"
    if values is None:
        if sizes == (1,):  # what stands for no features
            return torch.zeros(rows, 1, dtype=torch.long), None
        raise GraphPEValueError(f"the graphs have no {name}; the model was trained with {expected}")
    values = values.flatten(1) if values.dim() > 1 else values[:, None]
    real = values.is_floating_point()
    if values.shape[1] != (channels or len(sizes)) or (real and not channels):
        of = "numbers" if real else "whole numbers"
        raise GraphPEValueError(f"{name} has {values.shape[1]} columns of {of}; the model was trained with {expected}")
    if channels:
        return values.float(), (~values.float().isfinite()).any(1)
    wrong = ((values < 0) | (values >= torch.tensor(sizes))).any(1)
    return values.long(), wrong


def _note(errors: dict[int, str], wrong: Tensor | None, owner: Tensor, name: str, sizes: tuple[int, ...]) -> None:
    if wrong is not None:
        what = "a category that was not there in training" if sizes else "a number that is not finite"
        errors |= dict.fromkeys(owner[wrong].unique().tolist(), f"its {name} holds {what}")


def categories(values: Tensor, name: str, sizes: tuple[int, ...]) -> Tensor:
    """Categorical features `[rows, columns]`, checked against the number of categories of each column.

    Raises:
        GraphPEValueError: If a value is outside its column's range.
    """
    values = (values.flatten(1) if values.dim() > 1 else values[:, None]).long()
    if values.shape[1] != len(sizes):
        raise GraphPEValueError(f"{name} has {values.shape[1]} columns, expected {len(sizes)}")
    wrong = ((values < 0) | (values >= torch.tensor(sizes))).nonzero()
    if len(wrong):
        row, column = wrong[0].tolist()
        raise GraphPEValueError(
            f"{name}[{row}, {column}] is {int(values[row, column])}: column {column} has {sizes[column]} categories"
        )
    return values
