"""Encodings as a second thing to predict: the loss of a task, and that of encodings of its graphs beside it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, ClassVar, NamedTuple

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch

from graphpe.arguments import check_choice, check_integer, check_positive
from graphpe.benchmarks.pretraining.adapter import EncodingAdapter
from graphpe.benchmarks.pretraining.data import fits, measured_scaling
from graphpe.benchmarks.pretraining.ends import EncodingHead, Parts
from graphpe.benchmarks.pretraining.targets import NodeTarget, check_no_answer, target_of
from graphpe.benchmarks.pretraining.task import EncodingTask, constant_notes, with_targets
from graphpe.benchmarks.tasks.graph_level import GraphAdapter
from graphpe.benchmarks.tasks.links.link_data import LinkAdapter
from graphpe.benchmarks.tasks.task import TaskAdapter, TaskData
from graphpe.errors import GraphPEValueError
from graphpe.graphs.levels import Level
from graphpe.graphs.packed import PackedGraphs
from graphpe.models.batches.nodes import node_to_graph
from graphpe.models.encoders.perturbed import Perturbed
from graphpe.models.layers.heads import READOUTS, Readout, pool
from graphpe.transforms.base import Encoding

OR_HIDDEN = ', or hide it at some nodes: --perturb "Perturbed(drop=0.3)"'

TARGETS = "y_of_encodings"
"""Key of the encodings that are predicted of nodes."""


class TwoOutputs(NamedTuple):
    """What a model with two heads gives.

    Attributes:
        task: The task's output.
        encodings: Predictions of encodings.
    """

    task: Any
    encodings: Parts


class TwoHeads(nn.Module):
    """A model of nodes with the head of a task, over pooled vectors, and one for encodings, over those of nodes.

    Other attributes are those of the model of nodes.

    Args:
        model: The model, which gives vectors of nodes.
        head: The task's head.
        encodings: The head for encodings.
        readout: How vectors of nodes are pooled for the task's.
        hiding: Encoders in the model, by key, of inputs that training hides at some nodes, which are predicted there.
    """

    def __init__(
        self,
        model: nn.Module,
        head: nn.Module,
        encodings: EncodingHead,
        readout: Readout,
        hiding: Mapping[str, Perturbed],
    ) -> None:
        super().__init__()
        self.model, self.head, self.encoding_head, self.readout = model, head, encodings, readout
        self.hiding = dict(hiding)  # modules of the model, which has their weights

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("model"), name)

    def forward(self, batch: Batch) -> TwoOutputs:
        vectors = self.model(batch)
        parts: Parts = self.encoding_head(vectors)
        hidden = {}
        for key, encoder in self.hiding.items():
            dropped = encoder.dropped
            hidden[key] = vectors.new_zeros(len(vectors), dtype=torch.bool) if dropped is None else dropped
        return TwoOutputs(self.head(pool(vectors, node_to_graph(batch), self.readout)), parts._replace(hidden=hidden))

    def __repr__(self) -> str:
        return f"TwoHeads(readout={self.readout!r}, model={self.model!r})"


def dropping(model: nn.Module) -> dict[str, Perturbed]:
    """Encoders that hide their encoding at some nodes in training, by its key.

    Args:
        model: The model that they are in.
    """
    return {each.key: each for each in model.modules() if isinstance(each, Perturbed) and each.drop}


@dataclass(frozen=True)
class AuxiliaryAdapter(TaskAdapter):
    """Adapter of a task, with a loss of encodings beside its own.

    Attributes:
        base: The task's adapter.
        encodings: That of the encodings.
        weight: Of the loss of encodings.
        pooling: How vectors of nodes are pooled for the task.
    """

    base: GraphAdapter
    encodings: EncodingAdapter
    weight: float
    pooling: Readout

    @property
    def level(self) -> Level:
        """What `columns` has a row for: what the task's has."""
        return self.base.level

    def state(self) -> dict[str, Any]:
        words = {"target_names": list(self.base.target_names), "class_names": list(self.base.class_names)}
        return {"encodings": self.encodings.state(), **words}

    def model_graphs(self, graphs: PackedGraphs) -> PackedGraphs:
        """As the task's models see them, with what is asked about pairs."""
        return self.encodings.model_graphs(graphs)

    def node_encoder(self, width: int) -> nn.Module:
        """The task's own."""
        return self.base.node_encoder(width)

    def edge_encoder(self, width: int) -> nn.Module | None:
        """The task's own."""
        return self.base.edge_encoder(width)

    def head(self, width: int) -> nn.Module:
        """Nothing: both heads are outside of the model."""
        return nn.Identity()

    def around(self, model: nn.Module, encodings: Sequence[Encoding]) -> nn.Module:
        """The model with both heads.

        Raises:
            GraphPEValueError: If what is to be predicted is an input that training does not hide.
        """
        given = [each for each in encodings if repr(each) in self.encodings.target_names]
        dropped = dropping(model)
        shown = [each for each in given if each.value_key not in dropped]
        check_no_answer(shown, shown, why=OR_HIDDEN)
        hiding = {each.value_key: dropped[each.value_key] for each in given}
        inner, width = super().around(model, encodings), int(model.width)  # type: ignore[arg-type]
        second = self.encodings.head(width)
        assert isinstance(second, EncodingHead)
        return TwoHeads(inner, self.base.head(width), second, self.pooling, hiding)

    def loss(self, output: Any, batch: Batch) -> Tensor:
        """The task's loss, and `weight` times that of the encodings."""
        outputs = TwoOutputs(*output)
        return self.base.loss(outputs.task, batch) + self.weight * self.encodings.loss(outputs.encodings, batch)

    def predict(self, output: Any) -> Tensor:
        """What the task's metric needs."""
        return self.base.predict(TwoOutputs(*output).task)

    def predict_batch(self, output: Any, batch: Batch) -> Tensor:
        """The same, and behind it the sums of the encodings."""
        outputs = TwoOutputs(*output)
        sums = self.encodings.predict_batch(outputs.encodings, batch)
        return torch.cat([self.base.predict_batch(outputs.task, batch).float(), sums], dim=1)

    def prediction_rows(self, graphs: PackedGraphs) -> Tensor:
        return self.base.prediction_rows(graphs)

    def check_inputs(self, graphs: PackedGraphs) -> tuple[PackedGraphs, dict[int, str]]:
        return self.base.check_inputs(graphs)

    def columns(self, predictions: Tensor, graphs: PackedGraphs) -> dict[str, Sequence[Any]]:
        """The task's."""
        return self.base.columns(predictions[:, : self.base.targets], graphs)

    def target_columns(self, graphs: PackedGraphs) -> dict[str, Sequence[Any]]:
        """The task's."""
        return self.base.target_columns(graphs)

    def describe(self, output: Any, batch: Batch, graphs: PackedGraphs) -> dict[str, Sequence[Any]]:
        """The task's, of graphs that came without targets."""
        return self.base.describe(TwoOutputs(*output).task, batch, graphs)


@dataclass
class AuxiliaryData(TaskData):
    """A task's data with encodings of nodes under `TARGETS`; metric, split and tables are the task's.

    Attributes:
        base: The task's data.
    """

    adapter: AuxiliaryAdapter
    base: TaskData = field(kw_only=True)

    @property
    def metric(self) -> str:
        return self.base.metric

    @property
    def maximize(self) -> bool:
        return self.base.maximize

    def _own(self, predictions: Tensor) -> Tensor:
        return predictions[:, : self.adapter.base.targets]

    def evaluate(self, predictions: Tensor, indices: Tensor) -> float:
        return self.base.evaluate(self._own(predictions), indices)

    def target_scores(self, predictions: Tensor, indices: Tensor) -> dict[str, float | None]:
        """The task's, and R2 and loss of each encoding."""
        sums = predictions[:, self.adapter.base.targets :]
        found = {
            name if name.endswith(" loss") else f"{name} R2": value
            for name, value in fits(self.adapter.encodings, sums).items()
        }
        return self.base.target_scores(self._own(predictions), indices) | found

    def answers(self, indices: Tensor) -> PackedGraphs:
        return self.base.answers(indices)

    def table(self, predictions: Tensor, indices: Tensor) -> tuple[dict[str, Any], dict[str, Sequence[Any]]]:
        return self.base.table(self._own(predictions), indices)

    def constant_baseline(self, indices: Tensor) -> tuple[float, str]:
        return self.base.constant_baseline(indices)


@dataclass
class NodeAuxiliaryData(AuxiliaryData):
    """The same where the split is of nodes. Encodings of all nodes are predicted in training: they are no secret."""

    unit: ClassVar[Level] = "node"


@dataclass(frozen=True)
class WithEncodings(EncodingTask):
    """A task whose models predict encodings of its graphs, too: its loss, and `weight` times that of `Pretraining`.

    The metric is the task's; R2 and loss of each encoding stand beside it. For tasks with targets of graphs or nodes.
    Vectors of nodes are pooled by `pooling`, whatever the model would do; the model has `readout='none'`.

    An encoding of nodes that is an input, and that training hides at some nodes (`--perturb "Perturbed(drop=0.3)"`), is
    predicted where it was hidden: DropPos (Wang et al. 2023, arXiv:2309.03576). Nothing is hidden in evaluation, so
    that R2 and loss of it are none there.

    Attributes:
        task: The task, as a call.
        predict: The encodings that are predicted, as calls, of nodes and of all pairs; no inputs but hidden ones.
        weight: Of their loss, which is 1 for the best constant.
        pooling: `mean`, `sum` or `max` over the nodes of a graph; for targets of nodes there is nothing to pool.
        partners: Pairs that each node is asked about, at most.
    """

    name: ClassVar[str] = "with-encodings"
    summary: ClassVar[str] = "another task, and encodings of its graphs to predict beside it (an auxiliary loss)"
    readout: ClassVar[str | None] = "none"

    weight: float = 0.1
    pooling: Readout = "mean"
    partners: int = 32

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "weight", check_positive(weight=self.weight)[0])
        check_choice("pooling", self.pooling, [each for each in READOUTS if each != "none"])
        object.__setattr__(self, "partners", check_integer("partners", self.partners, least=1, most=4096))

    def check_encodings(self, encodings: Sequence[Encoding]) -> None:
        """Refuse inputs that hold the answer, but for those that may be hidden, which the model knows."""
        asked = [target_of(each) for each in self.encodings()]
        of_nodes = [each.name for each in asked if isinstance(each, NodeTarget)]
        check_no_answer(encodings, self.encodings(), hidden=of_nodes, why=OR_HIDDEN)

    def adapter(self, state: Mapping[str, Any]) -> AuxiliaryAdapter:
        """The adapter of a run.

        Raises:
            GraphPEValueError: If `state` is not that of such an adapter.
        """
        saved = state.get("encodings")
        if not isinstance(saved, Mapping) or not isinstance(saved.get("base"), Mapping):
            raise GraphPEValueError("expected the adapter of a task with encodings, but it has none")
        bare = self._adapter(self.of.adapter(saved["base"]))
        return replace(bare, encodings=bare.encodings.with_scaling(saved))

    def _adapter(self, base: TaskAdapter) -> AuxiliaryAdapter:
        if not isinstance(base, GraphAdapter) or isinstance(base, LinkAdapter) or base.level == "pair":
            raise GraphPEValueError(
                f"encodings are predicted beside targets of graphs or nodes, and {self.task} asks for others: "
                "`graphpe pretrain` first, and then --init"
            )
        of_nodes = base.level == "node"
        encodings = self.encoding_adapter(
            base, features="task", partners=self.partners, splits_nodes=of_nodes, target_key=TARGETS
        )
        return AuxiliaryAdapter(base, encodings, self.weight, "none" if of_nodes else self.pooling)

    def with_encodings(self, data: TaskData, workers: int, cache: Path | None, progress: bool) -> AuxiliaryData:
        """The task's data with what is to be predicted of nodes beside its targets."""
        bare = self._adapter(data.adapter)
        graphs = with_targets(data, data.graphs, bare.encodings, workers, cache, progress)
        of_nodes = data.unit == "node"
        scaling = measured_scaling(
            graphs, data.split["train"], bare.encodings.of_pairs, self.partners, splits_nodes=of_nodes, key=TARGETS
        )
        adapter = replace(bare, encodings=replace(bare.encodings, scaling=scaling))
        kind = NodeAuxiliaryData if of_nodes else AuxiliaryData
        return kind(
            graphs,
            data.split,
            adapter,
            f"{data.fingerprint} with encodings 1 {self.predict}",
            [*data.notes, *constant_notes(adapter.encodings)],
            base=data,
            encodings=data.encodings,
            store=data.store,
            mean_sizes=data.mean_sizes,
        )
