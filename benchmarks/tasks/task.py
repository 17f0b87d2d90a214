"""What a task is: parameters, then data with a split and a metric, and the two ends of a model.

A `Task` is a frozen dataclass of literals; its `repr` is the text the command line takes. `Task.load` gives a
`TaskData`. `TaskAdapter` is the part of a task that a trained model needs without the data: input encoders, head, loss.
It is rebuilt from a JSON-able state, so that a run folder is enough to predict.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch

from graphpe.benchmarks.console.sizes import Sizes
from graphpe.errors import GraphPEValueError
from graphpe.graphs.levels import Level
from graphpe.graphs.packed import PackedGraphs
from graphpe.storage.store import Store
from graphpe.transforms.base import Encoding


class TaskAdapter(ABC):
    """The two ends of a model for one task, and the loss between them.

    Attributes:
        target_names: Names of the targets; empty where they have none.
        class_names: Words of the classes of one target, by class id; empty where they have none.
        keys: The values of nodes and edges that it reads of a graph.
    """

    target_names: tuple[str, ...] = ()
    class_names: tuple[str, ...] = ()
    keys: tuple[str, ...] = ("x", "edge_attr")

    @property
    def level(self) -> Level:
        """What `columns` has a row for."""
        return "graph"

    @property
    def has_classes(self) -> bool:
        """Whether `loss` takes `label_smoothing`, as a task of classes may."""
        return False

    @abstractmethod
    def state(self) -> dict[str, Any]:
        """What `Task.adapter` needs to build this object again; JSON-able."""

    @abstractmethod
    def model_graphs(self, graphs: PackedGraphs) -> PackedGraphs:
        """Graphs as the model sees them, from graphs as the encodings see them (for example with inverse edges).

        Args:
            graphs: Graphs as the encodings see them.
        """

    @abstractmethod
    def node_encoder(self, width: int) -> nn.Module:
        """A module from a batch to node embeddings `[num_nodes, width]`.

        Args:
            width: Width of the model's vectors.
        """

    @abstractmethod
    def edge_encoder(self, width: int) -> nn.Module | None:
        """A module from a batch to edge embeddings `[num_edges, width]`, or None where edges carry nothing.

        Args:
            width: Width of the model's vectors.
        """

    @abstractmethod
    def head(self, width: int) -> nn.Module:
        """A module from graph (or node) embeddings to the output that `loss` takes.

        Args:
            width: Width of the model's vectors.
        """

    def pair_head(self, width: int) -> nn.Module | None:
        """The head for a model that also gives vectors of pairs; None where the task asks nothing about pairs.

        Args:
            width: Width of the model's vectors.
        """
        return None

    def around(self, model: nn.Module, encodings: Sequence[Encoding]) -> nn.Module:
        """What is trained, from a model that `head` ends: the model itself, unless a task asks about links.

        Args:
            model: The model.
            encodings: The encodings of the run.

        Raises:
            GraphPEValueError: One is of chosen pairs, which only tasks about links ask for.
        """
        if asked := [each for each in encodings if each.pairs is not None]:
            raise GraphPEValueError(
                f"{asked[0]!r} is of chosen pairs, and this task asks for none: leave pairs={asked[0].pairs!r} out, or "
                "take a task about links"
            )
        return model

    @abstractmethod
    def loss(self, output: Tensor, batch: Batch) -> Tensor:
        """The training loss: a scalar, the mean over the batch.

        Args:
            output: What the model gave for the batch.
            batch: The batch, with its targets.
        """

    @abstractmethod
    def predict(self, output: Tensor) -> Tensor:
        """What the metric needs of an output: one row a prediction, on the output's device.

        Args:
            output: What the model gave for a batch.
        """

    def predict_batch(self, output: Tensor, batch: Batch) -> Tensor:
        """`predict`, for tasks whose predictions depend on which nodes are in one graph.

        Args:
            output: What the model gave for the batch.
            batch: The batch.
        """
        return self.predict(output)

    def prediction_rows(self, graphs: PackedGraphs) -> Tensor:
        """Rows of `predict` for each of `graphs`, `[B]`: 1, unless a task asks about nodes.

        Args:
            graphs: The graphs.
        """
        return torch.ones(graphs.num_graphs, dtype=torch.long)

    def check_inputs(self, graphs: PackedGraphs) -> tuple[PackedGraphs, dict[int, str]]:
        """Graphs that somebody wants predictions for, with what is read of them and nothing else.

        Args:
            graphs: The graphs.

        Returns:
            The graphs, and what is wrong with those that the model cannot take, by number.

        Raises:
            GraphPEValueError: They are not of this task at all.
        """
        return graphs, {}

    def other_readings(self) -> dict[str, TaskAdapter]:
        """Adapters that read predictions from the same outputs in other ways, by name: reported beside this one."""
        return {}

    def columns(self, predictions: Tensor, graphs: PackedGraphs) -> dict[str, Sequence[Any]]:
        """Predictions for people: columns of a table by name, with a row for each graph, node or pair (`level`).

        Args:
            predictions: As `predict_batch` gives them, the graphs in order.
            graphs: The graphs.
        """
        flat = predictions.flatten(1).unbind(1) if predictions.dim() > 1 else [predictions]
        names = ["prediction"] if len(flat) == 1 else [f"prediction_{number}" for number in range(len(flat))]
        return {name: column.tolist() for name, column in zip(names, flat, strict=True)}

    def target_columns(self, graphs: PackedGraphs) -> dict[str, Sequence[Any]]:
        """What was to be predicted, in columns as those of `columns`; nothing where the graphs do not hold it.

        Args:
            graphs: The graphs.
        """
        held = {"graph": graphs.graph, "node": graphs.node, "pair": graphs.pair}.get(self.level, {})
        if "y" not in held:
            return {}
        flat = held["y"].reshape(len(held["y"]), -1).unbind(1)
        names = ["target"] if len(flat) == 1 else [f"target_{number}" for number in range(len(flat))]
        return {name: column.tolist() for name, column in zip(names, flat, strict=True)}

    def describe(self, output: Any, batch: Batch, graphs: PackedGraphs) -> dict[str, Sequence[Any]]:
        """`columns` from the output of a model, which may tell more than `predict_batch` keeps."""
        return self.columns(self.predict_batch(output, batch).cpu(), graphs)


def rows_of(level: Level, graphs: PackedGraphs) -> np.ndarray:
    """How many rows of a table each graph has, `[B]`.

    Args:
        level: What the table has a row for.
        graphs: The graphs.
    """
    sizes = graphs.sizes.numpy(force=True)
    return {"graph": np.ones_like(sizes), "node": sizes, "pair": sizes**2}[level]


@dataclass
class TaskData(ABC):
    """A task's graphs, split and metric.

    Attributes:
        unit: What the split divides: whole graphs; or nodes, or pairs of nodes, of graphs that all parts share.
        graphs: Every graph of the task, as the encodings see them.
        split: Ids of such units by part: `train`, `valid`, `test`.
        adapter: The two ends of a model.
        fingerprint: Changes whenever the data does; a run is resumed only on the same data.
        notes: Lines worth telling the user (what was read, skipped, taken from a cache).
        encodings: Encodings whose values the graphs hold already, as calls.
        store: The store that the graphs are in, where they are not in memory; their encodings belong on disk, too.
        mean_sizes: Where the split is one by size, the mean size of the graphs of `test` and of each bin of larger
            ones, a part of the split under its text, in order; else empty.
    """

    unit: ClassVar[Level] = "graph"

    graphs: PackedGraphs
    split: dict[str, Tensor]
    adapter: TaskAdapter
    fingerprint: str
    notes: list[str] = field(default_factory=list)
    encodings: tuple[str, ...] = field(default=(), kw_only=True)
    store: Store | None = field(default=None, kw_only=True)
    mean_sizes: dict[str, float] = field(default_factory=dict, kw_only=True)

    @property
    @abstractmethod
    def metric(self) -> str:
        """The name of the metric."""

    @property
    def maximize(self) -> bool:
        """Whether more of the metric is better."""
        return True

    @abstractmethod
    def evaluate(self, predictions: Tensor, indices: Tensor) -> float:
        """The metric of `predictions` (rows as `TaskAdapter.predict` makes them) for the units `indices`, in order.

        Args:
            predictions: Rows as `TaskAdapter.predict` makes them.
            indices: Ids of the units, `[n]`.
        """

    def answers(self, indices: Tensor) -> PackedGraphs:
        """Some graphs with all that `TaskAdapter.columns` and the metric read of them.

        Args:
            indices: Ids of the graphs.
        """
        return self.graphs.select(indices)

    def target_scores(self, predictions: Tensor, indices: Tensor) -> dict[str, float | None]:
        """The metric of each target alone, by name, as `evaluate` averages them; empty for tasks with one target.

        None stands for a target on which the metric is not defined.

        Args:
            predictions: Predictions for these units, one row each.
            indices: Ids of the units.
        """
        return {}

    def table(self, predictions: Tensor, indices: Tensor) -> tuple[dict[str, Any], dict[str, Sequence[Any]]]:
        """Predictions for people: columns that say what each row is about, and those of targets and predictions.

        Args:
            predictions: Rows as `TaskAdapter.predict_batch` makes them, for these units in order.
            indices: Ids of the units.
        """
        graphs = self.answers(indices)
        rows = rows_of(self.adapter.level, graphs)
        places: dict[str, Any] = {"graph": np.repeat(indices.numpy(), rows)}
        within = np.arange(rows.sum()) - np.repeat(np.cumsum(rows) - rows, rows)
        if self.adapter.level == "node":
            places["node"] = within
        elif self.adapter.level == "pair":
            sizes = np.repeat(graphs.sizes.numpy(), rows)
            places |= {"source": within // sizes, "target": within % sizes}
        return places, self.adapter.target_columns(graphs) | dict(self.adapter.columns(predictions, graphs))

    @abstractmethod
    def constant_baseline(self, indices: Tensor) -> tuple[float, str]:
        """The metric of the best prediction that ignores its input, chosen on the training part; and what it is.

        Args:
            indices: Ids of the units, `[n]`.
        """


class Task(ABC):
    """Parameters of a task. Subclasses are frozen dataclasses of literals.

    `default_encodings` are what a run takes that names no encodings, with a model that prefers none. `readout` is the
    model's, where the task leaves no choice: `none` for targets of nodes. `size_unit` is what a graph's size
    counts.
    """

    name: ClassVar[str]
    summary: ClassVar[str]
    default_encodings: ClassVar[tuple[str, ...]] = ("MagneticLaplacianPE(k=8)",)
    readout: ClassVar[str | None] = None
    size_unit: ClassVar[str] = "nodes"

    @abstractmethod
    def load(self, *, workers: int = 0, cache: Path | None = None, progress: bool = True) -> TaskData:
        """Read (or generate) the data.

        Args:
            workers: Processes that read in parallel; 0 means as many as there are cores.
            cache: Folder for what is worth keeping between runs; None means the user's cache folder.
            progress: Whether long work shows a progress bar.
        """

    def load_sizes(
        self, sizes: Sizes, *, workers: int = 0, cache: Path | None = None, progress: bool = True
    ) -> TaskData | None:
        """Graphs of these sizes, where it draws its graphs; None where they are what they are, and are divided.

        Args:
            sizes: Sizes of training, validation and test, and bins of larger ones, which are parts of the split, too.
            workers: As in `load`.
            cache: As in `load`.
            progress: As in `load`.
        """
        return None

    @abstractmethod
    def adapter(self, state: Mapping[str, Any]) -> TaskAdapter:
        """The adapter of a run, from the state saved with it.

        Args:
            state: What the adapter's `state` gave when the run was saved.
        """

    def understood(self) -> Task:
        """The task with all that its data says in arguments, where some were left to it. May read the data.

        Raises:
            GraphPEError: It cannot be read.
        """
        return self

    def training_defaults(self, sampler: str) -> dict[str, Any]:
        """Options of training that suit it where the general defaults do not, by name.

        Args:
            sampler: What a step sees of a graph that the parts share (`TrainConfig.sampler`).
        """
        return {}

    def check_encodings(self, encodings: Sequence[Encoding]) -> None:
        """Check that a model may read some encodings, before anything is read.

        Args:
            encodings: The encodings of a run.

        Raises:
            GraphPEError: It may not.
        """
        return

    def held_encodings(self) -> tuple[str, ...]:
        """Encodings that its files hold, as calls: what a run takes that names none. Reads no graph."""
        return ()

    @property
    def about_pairs(self) -> bool:
        """Whether it asks about pairs of nodes, so that models which can give vectors of pairs do."""
        return False
