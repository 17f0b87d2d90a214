"""Pretraining as a task: the graphs of another one, whose encodings are to be predicted instead of its targets."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar, Self, get_args

import torch
from torch import Tensor

import graphpe.benchmarks.tasks as tasks
import graphpe.transforms as transforms
from graphpe.arguments import check_choice, check_integer, check_seed
from graphpe.benchmarks.calls.kinds import ENCODING, TASK, check_encoding, public_classes
from graphpe.benchmarks.calls.own import known_classes
from graphpe.benchmarks.calls.text import build
from graphpe.benchmarks.console.sizes import Sizes
from graphpe.benchmarks.pretraining.adapter import EncodingAdapter, Features, Scaling
from graphpe.benchmarks.pretraining.data import EncodingTargets, NodeEncodingTargets, measured_scaling, read_off
from graphpe.benchmarks.pretraining.targets import (
    NodeTarget,
    NodeTargets,
    PairTarget,
    check_no_answer,
    target_of,
)
from graphpe.benchmarks.tasks.by_size import load_by_size
from graphpe.benchmarks.tasks.random_split import cut, shuffled
from graphpe.benchmarks.tasks.task import Task, TaskAdapter, TaskData
from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.progress import progress_bar
from graphpe.storage.chunks import encode_in_chunks
from graphpe.storage.precompute import precompute
from graphpe.transforms.base import Encoding

_VERSION = 1


@dataclass(frozen=True)
class EncodingTask(Task):
    """A task that asks for encodings of another one's graphs.

    Attributes:
        task: The task whose graphs these are, as a call.
        predict: The encodings that are predicted, as calls, of nodes and of all pairs.
    """

    task: str
    predict: tuple[str, ...]

    def __post_init__(self) -> None:
        if not isinstance(self.task, str):
            raise GraphPEValueError(f"task must be the call of a task, got {self.task!r}")
        given = (self.predict,) if isinstance(self.predict, str) else self.predict
        if not isinstance(given, tuple | list) or not given or not all(isinstance(each, str) for each in given):
            raise GraphPEValueError(
                f"predict must be encodings as calls, such as ('RandomWalkPE(walk_length=8)',), got {self.predict!r}"
            )
        object.__setattr__(self, "predict", tuple(given))

    @property
    def of(self) -> Task:
        """The task whose graphs these are.

        Raises:
            GraphPEValueError: There is none of that name, or it is a pretraining itself.
        """
        found: Task = build(self.task, known_classes("task", public_classes(tasks, TASK)), "task")
        return found

    def encodings(self) -> list[Encoding]:
        """The encodings that are predicted.

        Raises:
            GraphPEValueError: One is not known, or writes what another one does.
        """
        classes = known_classes("encoding", public_classes(transforms, ENCODING))
        built: list[Encoding] = [build(text, classes, "encoding") for text in self.predict]
        seen: set[str] = set()
        for each in built:
            check_encoding(each)
            if each.value_key in seen:
                raise GraphPEValueError(
                    f"{each!r} and another encoding to be predicted both write {each.value_key!r}: give one of them "
                    "another attr_name"
                )
            seen.add(each.value_key)
        return built

    def understood(self) -> Self:
        """With all arguments of its task and its encodings."""
        return replace(self, task=repr(self.of.understood()), predict=tuple(map(repr, self.encodings())))

    @property
    def size_unit(self) -> str:  # type: ignore[override]
        """The task's."""
        return self.of.size_unit

    @abstractmethod
    def with_encodings(self, data: TaskData, workers: int, cache: Path | None, progress: bool) -> TaskData:
        """What asks for encodings of the task's graphs.

        Args:
            data: The task's data.
            workers: Processes that encode graphs of a store.
            cache: Folder for what is worth keeping between runs; None means the user's cache folder.
            progress: Whether long work shows a progress bar.
        """

    def load(self, *, workers: int = 0, cache: Path | None = None, progress: bool = True) -> TaskData:
        """Read the task's graphs, and compute what is to be predicted of nodes.

        Args:
            workers: Processes that read, 0 for as many as there are cores, and that encode graphs of a store.
            cache: Folder for what is worth keeping between runs; None means the user's cache folder.
            progress: Whether long work shows a progress bar.

        Raises:
            GraphPEError: The graphs cannot be read or encoded, or what is asked is not to be had of them.
        """
        data = self.of.load(workers=workers, cache=cache, progress=progress)
        return self.with_encodings(data, workers, cache, progress)

    def load_sizes(
        self, sizes: Sizes, *, workers: int = 0, cache: Path | None = None, progress: bool = True
    ) -> TaskData | None:
        """The task's graphs of these sizes, drawn or divided as it does, so that scales are those of its training part.

        Args:
            sizes: As in `Task.load_sizes`.
            workers: As in `load`.
            cache: As in `load`.
            progress: As in `load`.

        Raises:
            GraphPEError: As in `load`, or there are none of some sizes.
        """
        data = load_by_size(self.of, sizes, workers=workers, cache=cache, progress=progress)
        return self.with_encodings(data, workers, cache, progress)

    def training_defaults(self, sampler: str) -> dict[str, Any]:
        return self.of.training_defaults(sampler)

    def check_encodings(self, encodings: Sequence[Encoding]) -> None:
        """Refuse inputs that hold the answer."""
        for each in self.encodings():
            target_of(each)
        check_no_answer(encodings, self.encodings())

    def encoding_adapter(
        self,
        base: TaskAdapter,
        *,
        features: Features,
        partners: int,
        splits_nodes: bool = False,
        target_key: str = "y",
    ) -> EncodingAdapter:
        """The adapter of the encodings, which does not standardise yet.

        Args:
            base: The adapter of the task whose graphs these are.
            features: What the model reads of nodes and edges.
            partners: Pairs that a node is asked about, at most.
            splits_nodes: Whether sums are kept for each node.
            target_key: Key of the targets of nodes.
        """
        targets = [target_of(each) for each in self.encodings()]
        keys = [*base.keys] if features == "task" else []
        for each in targets:
            keys += [key for key in (*each.encoding.node_keys, *each.encoding.edge_keys) if key not in keys]
        return EncodingAdapter(
            base,
            tuple(each for each in targets if isinstance(each, NodeTarget)),
            tuple(each for each in targets if isinstance(each, PairTarget)),
            Scaling((), ()),
            features,
            partners,
            splits_nodes=splits_nodes,
            target_names=tuple(map(repr, self.encodings())),
            keys=tuple(keys),
            target_key=target_key,
        )


@dataclass(frozen=True)
class Pretraining(EncodingTask):
    """A model learns to predict exact encodings of a task's graphs; their targets are not looked at.

    What is predicted of eigenvectors are moduli and projectors of their eigenspaces, which no sign and no basis changes
    (`graphpe.benchmarks.pretraining.targets`); all other encodings are numbers as they are. Each number is
    standardised; the loss is the mean square error, the metric R2, each the mean over encodings. Encodings of pairs are
    predicted for some pairs of each node, from vectors of both nodes, or from a model's vectors of pairs where it has
    those (`pair_output`).

    Encodings that the model reads (`--encodings`) must not hold the answer, which is checked. The split is the task's;
    of one graph its nodes are split: those that the task has in its validation and test parts stay there, and
    encodings of all others train; without such parts, four fifths at random.

    Attributes:
        task: The task whose graphs these are, as a call.
        predict: The encodings that are predicted, as calls, of nodes and of all pairs.
        features: What the model reads of nodes and edges: `task`, what models of the task do, so that all weights but
            the head's fit there; or `random`, random features of nodes and nothing else, as GPSE (Cantürk et al. 2024)
            does, so that the run is for graphs of any kind.
        partners: Pairs that each node is asked about, at most.
        seed: Of a random split of nodes.
    """

    name: ClassVar[str] = "pretraining"
    summary: ClassVar[str] = "predict encodings of another task's graphs, without its targets; see `graphpe pretrain`"
    default_encodings: ClassVar[tuple[str, ...]] = ()
    readout: ClassVar[str | None] = "none"

    features: Features = "task"
    partners: int = 32
    seed: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("features", self.features, get_args(Features))
        object.__setattr__(self, "partners", check_integer("partners", self.partners, least=1, most=4096))
        check_seed(self.seed)

    @property
    def about_pairs(self) -> bool:
        """Whether encodings of pairs are predicted."""
        return any(isinstance(target_of(each), PairTarget) for each in self.encodings())

    def adapter(self, state: Mapping[str, Any]) -> EncodingAdapter:
        """The adapter of a run.

        Raises:
            GraphPEValueError: If `state` is not that of such an adapter.
        """
        if not isinstance(state.get("base"), Mapping):
            raise GraphPEValueError("expected the adapter of a pretraining, but it has no base")
        return self._adapter(self.of.adapter(state["base"])).with_scaling(state)

    def _adapter(self, base: TaskAdapter) -> EncodingAdapter:
        return self.encoding_adapter(base, features=self.features, partners=self.partners)

    def with_encodings(self, data: TaskData, workers: int, cache: Path | None, progress: bool) -> EncodingTargets:
        """The task's data with what is to be predicted of nodes in the place of its targets."""
        bare = self._adapter(data.adapter)
        graphs = with_targets(data, without_targets(data.graphs), bare, workers, cache, progress)
        split, of_nodes = self._split(data)
        scaling = measured_scaling(graphs, split["train"], bare.of_pairs, self.partners, splits_nodes=of_nodes)
        adapter = replace(bare, scaling=scaling, splits_nodes=of_nodes)
        kind = NodeEncodingTargets if of_nodes else EncodingTargets
        notes = [*data.notes, *constant_notes(adapter)]
        if self.features == "task" and not of_nodes:
            notes += read_off(graphs, split["train"], adapter)
        digest = f"{data.fingerprint} {_VERSION} {self.predict}"
        return kind(
            graphs,
            split,
            adapter,
            digest,
            notes,
            encodings=data.encodings,
            store=data.store,
            mean_sizes=data.mean_sizes,
        )

    def _split(self, data: TaskData) -> tuple[dict[str, Tensor], bool]:
        """The split, and whether it is of nodes."""
        if data.unit == "graph" and len(data.graphs) > 1:
            return data.split, False
        count = data.graphs.num_nodes
        if data.unit == "node":
            held = torch.cat([data.split["valid"], data.split["test"]])
            train = torch.ones(count, dtype=torch.bool)
            train[held] = False
            if bool(train.any()):
                return {**data.split, "train": train.nonzero().flatten()}, True
        if count < 3:
            raise GraphPEValueError(f"one graph of {count} nodes cannot be split into three parts: give larger graphs")
        share = max(count // 10, 1)
        return cut(shuffled(count, self.seed), count - 2 * share, share), True


def with_targets(
    data: TaskData, graphs: PackedGraphs, adapter: EncodingAdapter, workers: int, cache: Path | None, progress: bool
) -> PackedGraphs:
    """The graphs with the targets of nodes.

    Args:
        data: The data of the task.
        graphs: Its graphs.
        adapter: What is asked.
        workers: Processes that encode graphs of a store; this one where it is 0 or 1.
        cache: Folder for what is worth keeping between runs; None means the user's cache folder.
        progress: Whether to show a bar.

    Raises:
        GraphPEError: The graphs have not what the targets follow from, or cannot be encoded.
    """
    key = adapter.target_key
    asked = NodeTargets(adapter.of_nodes, key)
    missing = [key for key in asked.node_keys if key not in graphs.node]
    missing += [key for key in asked.edge_keys if key not in graphs.edge]
    if missing:
        raise GraphPEValueError(f"what is to be predicted follows from {missing[0]!r}, which the graphs do not have")
    if data.store is None or not adapter.of_nodes:
        bar = progress_bar(total=graphs.num_graphs, desc="targets", unit="graph", leave=False, disable=not progress)
        with bar:
            return encode_in_chunks(graphs, asked, progress=bar.update)
    read = graphs.structure().with_values(
        node={key: graphs.node[key] for key in asked.node_keys},
        edge={key: graphs.edge[key] for key in asked.edge_keys},
    )
    kept = precompute(read, asked, cache=cache, workers=workers if workers > 1 else 0, progress=progress)
    return graphs.with_values(node={key: kept.packed.node[key]})


def without_targets(graphs: PackedGraphs) -> PackedGraphs:
    """The graphs without what their task asks about.

    Args:
        graphs: The graphs.
    """
    values = {
        level: {key: value for key, value in getattr(graphs, level).items() if key != "y"}
        for level in ("node", "edge", "graph", "pair")
    }
    return graphs.structure().with_values(**values)


def constant_notes(adapter: EncodingAdapter) -> list[str]:
    """A line about numbers that are the same everywhere.

    Args:
        adapter: What is asked.
    """
    constant = sum(not each for each in adapter.scaling.scale)
    count = len(adapter.scaling.scale)
    return (
        [f"{constant} of {count} numbers to be predicted are the same everywhere: not asked about"] if constant else []
    )
