"""Algorithms of the CLRS-30 benchmark: run one on a graph (or a sequence), and give its outputs for larger ones."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch_geometric.data import Batch

from graphpe.arguments import check_choice, check_flags, check_integer, check_seed
from graphpe.benchmarks.console.sizes import Sizes
from graphpe.benchmarks.tasks.by_size import mean_sizes
from graphpe.benchmarks.tasks.clrs.algorithms import ALGORITHMS
from graphpe.benchmarks.tasks.clrs.samples import generate_samples, sample_graphs
from graphpe.benchmarks.tasks.clrs.scores import (
    NodeParts,
    PairParts,
    Parts,
    Rows,
    constant_outputs,
    decide,
    output_loss,
    output_score,
    split_parts,
)
from graphpe.benchmarks.tasks.fingerprint import fingerprint
from graphpe.benchmarks.tasks.generated.cache import generated_once
from graphpe.benchmarks.tasks.node_level import check_node_outputs
from graphpe.benchmarks.tasks.task import Task, TaskAdapter, TaskData
from graphpe.errors import GraphPERuntimeError, GraphPEValueError
from graphpe.graphs.concatenate import concatenate
from graphpe.graphs.levels import Level
from graphpe.graphs.packed import PackedGraphs
from graphpe.models.layers.inputs import LinearEdges, LinearNodes

_VERSION = 1
_PARTS = ("train", "valid", "test")
_LEAST = 4
"""The least size that every algorithm takes."""

_OF_A_RANGE = 5
"""Sizes that stand for a range of them: dm-clrs has a sampler for each."""


@dataclass(frozen=True)
class ClrsAdapter(TaskAdapter):
    """Adapter for an algorithm: linear maps of its inputs, and of what the model gives to parts of scores.

    Attributes:
        algorithm: Its name.
    """

    algorithm: str

    def state(self) -> dict[str, Any]:
        return {"algorithm": self.algorithm}

    def model_graphs(self, graphs: PackedGraphs) -> PackedGraphs:
        return graphs

    def node_encoder(self, width: int) -> nn.Module:
        """A linear map of the inputs of nodes."""
        return LinearNodes(ALGORITHMS[self.algorithm].node_columns, width)

    def edge_encoder(self, width: int) -> nn.Module | None:
        """A linear map of the inputs of pairs."""
        columns = ALGORITHMS[self.algorithm].edge_columns
        return LinearEdges(columns, width) if columns else None

    def head(self, width: int) -> nn.Module:
        """A linear map from vectors of nodes to parts of scores."""
        return NodeParts(width, ALGORITHMS[self.algorithm].outputs)

    def pair_head(self, width: int) -> nn.Module | None:
        """The same from vectors of nodes and of pairs, where an output is about pairs."""
        algorithm = ALGORITHMS[self.algorithm]
        return PairParts(width, algorithm.outputs) if algorithm.about_pairs else None

    def loss(self, output: Any, batch: Batch) -> Tensor:
        """The sum of the outputs' losses, in float32 whatever the precision of training.

        Raises:
            GraphPEValueError: If the model pools over nodes.
        """
        rows, probes = Rows.of(batch), ALGORITHMS[self.algorithm].outputs
        target = batch.y.view(-1, len(probes))
        parts = split_parts(_checked(output, batch), probes)
        losses = [output_loss(probe, parts[k], target[:, k], rows) for k, probe in enumerate(probes)]
        return torch.stack(losses).sum()

    def predict_batch(self, output: Any, batch: Batch) -> Tensor:
        """The outputs, `[rows, outputs]`: a row for each node, pair or graph."""
        rows, probes = Rows.of(batch), ALGORITHMS[self.algorithm].outputs
        parts = split_parts(_checked(output, batch), probes)
        return torch.stack([decide(probe, part, rows) for probe, part in zip(probes, parts, strict=True)], 1)

    def predict(self, output: Any) -> Tensor:
        """Not defined: which node an output points to depends on the graph.

        Raises:
            GraphPERuntimeError: Always.
        """
        raise GraphPERuntimeError("outputs of clrs need the batch: call predict_batch")

    @property
    def level(self) -> Level:
        """What `columns` has a row for: whatever has an answer: nodes, ordered pairs or graphs."""
        places: dict[str, Level] = {"node": "node", "edge": "pair", "graph": "graph"}
        return places[ALGORITHMS[self.algorithm].place]

    def columns(self, predictions: Tensor, graphs: PackedGraphs) -> dict[str, Sequence[Any]]:
        """The answers under their names in dm-clrs; a pointer is the number of a node within its graph."""
        probes = ALGORITHMS[self.algorithm].outputs
        return {probe.name: answer.tolist() for probe, answer in zip(probes, predictions.unbind(1), strict=True)}

    def prediction_rows(self, graphs: PackedGraphs) -> Tensor:
        """As many as a graph has nodes or pairs, or one."""
        return {"node": graphs.sizes, "edge": graphs.sizes.square(), "graph": torch.ones_like(graphs.sizes)}[
            ALGORITHMS[self.algorithm].place
        ]


def _checked(output: Any, batch: Batch) -> Parts:
    parts = output if isinstance(output, Parts) else Parts(*output)
    check_node_outputs(parts.nodes, batch)
    return Parts(parts.nodes.float(), None if parts.pairs is None else parts.pairs.float())


@dataclass
class ClrsTargets(TaskData):
    """Samples with `y` `[rows, outputs]` of nodes, pairs or graphs. Predictions are outputs of the same shape.

    Scored as CLRS-30 does: F1 of masks, else the share of right outputs, over all samples of a part together; the mean
    over outputs.
    """

    metric: ClassVar[str] = "micro-F1"
    adapter: ClrsAdapter

    def evaluate(self, predictions: Tensor, indices: Tensor) -> float:
        """The metric of outputs `[rows of the graphs, outputs]`.

        Raises:
            GraphPEValueError: If there are not as many as there are targets, or no graph.
        """
        scores = self._scores(predictions, indices)
        return sum(scores.values()) / len(scores)

    def target_scores(self, predictions: Tensor, indices: Tensor) -> dict[str, float | None]:
        """The metric of each output of the algorithm; empty where there is one."""
        scores = self._scores(predictions, indices)
        return {**scores} if len(scores) > 1 else {}

    def _scores(self, predictions: Tensor, indices: Tensor) -> dict[str, float]:
        target = self._targets(self.graphs.select(indices))
        if not len(indices):
            raise GraphPEValueError(f"{self.metric} of no sample at all is not defined: give at least one")
        if predictions.shape != target.shape:
            raise GraphPEValueError(f"predictions must be {list(target.shape)}, got {list(predictions.shape)}")
        probes = ALGORITHMS[self.adapter.algorithm].outputs
        return {probe.name: output_score(probe, predictions[:, k], target[:, k]) for k, probe in enumerate(probes)}

    def constant_baseline(self, indices: Tensor) -> tuple[float, str]:
        """The metric of the best fixed rule, such as that every node points to itself."""
        train, asked = self.graphs.select(self.split["train"]), self.graphs.select(indices)
        target, columns, names = self._targets(train), [], []
        for k, probe in enumerate(ALGORITHMS[self.adapter.algorithm].outputs):
            guesses = constant_outputs(probe, train)
            scores = {name: output_score(probe, guess, target[:, k]) for name, guess in guesses.items()}
            best = max(scores, key=scores.__getitem__)
            columns.append(constant_outputs(probe, asked)[best])
            names.append(f"{probe.name}: {best}")
        return self.evaluate(torch.stack(columns, 1), indices), ", ".join(names)

    def _targets(self, graphs: PackedGraphs) -> Tensor:
        place = ALGORITHMS[self.adapter.algorithm].place
        return {"node": graphs.node, "edge": graphs.pair, "graph": graphs.graph}[place]["y"]


@dataclass(frozen=True)
class Clrs(Task):
    """One of the thirty algorithms of CLRS-30 (Velickovic et al. 2022, arXiv:2205.15659), on samples of dm-clrs.

    The model sees the algorithm's inputs (numbers and marks of nodes; weights of edges) and gives its outputs: classes
    of nodes, of pairs or of the graph, and pointers, which choose a node of the graph for every node or pair.
    Validation is on size 16 and the test on 64, which training does not see. Samples are made by dm-clrs (the extra
    `clrs`) once and kept; after that it is not needed. A model is given `readout='none'`, and the relational
    transformer `pair_output=True` where outputs are about pairs: it takes them from its vectors of pairs, other models
    from those of nodes (see `graphpe.benchmarks.tasks.clrs.scores`).

    Edges are the pairs where an input of pairs is not zero: for graphs those of `adj`, a self-loop on every node
    included; for sequences, an edge from each element to the one before, where that is an input.

    With `seed=1` and without `random_positions`, validation and test are what dm-clrs's samplers, at their defaults,
    give for the seeds of the benchmark, 2 and 3. It has 32 samples in each (1,024 of find_maximum_subarray_kadane,
    2,048 of quickselect, minimum, binary_search, the two matchers and segments_intersect).

    Differs from how Diao & Loynd (2023) train the relational transformer on this benchmark (10,000 samples of size 16,
    80,000 steps of 4, `width=192, heads=12`, learning rate 2.5e-4):

    * Hints, the states that an algorithm goes through, are neither inputs nor targets: the model answers after its own
      number of layers and not after three layers for each step of the algorithm. Expect lower scores where there are
      many steps.
    * Answers are read from what the last layer gives, not from that together with the inputs' embeddings.
    * Training has samples of several sizes, and their positions in a sequence are random, as in dm-clrs's script for
      training: `train_sizes=(16,), random_positions=False` are theirs. Sorted orders are pointers as with them, without
      dm-clrs's normalisation to permutations; the metric is the same.

    Attributes:
        algorithm: Which: `bfs`, `insertion_sort`, ...
        train: Samples of the training part, in equal shares of each size.
        valid: Samples of the validation part.
        test: Samples of the test part.
        train_sizes: Sizes of the training samples: nodes, for optimal_bst one less; segments_intersect always has 4.
        valid_size: Size of the validation samples.
        test_size: Size of the test samples.
        random_positions: Whether the positions of nodes (`pos`) in training and validation are random numbers in order
            instead of evenly spaced ones.
        seed: Of everything random.
    """

    name: ClassVar[str] = "clrs"
    summary: ClassVar[str] = "one of the 30 algorithms of CLRS-30, test on larger inputs, micro-F1 (extra: clrs)"
    default_encodings: ClassVar[tuple[str, ...]] = ()
    readout: ClassVar[str | None] = "none"

    algorithm: str = "bfs"
    train: int = 1_000
    valid: int = 32
    test: int = 32
    train_sizes: tuple[int, ...] = (4, 7, 11, 13, 16)
    valid_size: int = 16
    test_size: int = 64
    random_positions: bool = True
    seed: int = 1

    def __post_init__(self) -> None:
        check_choice("algorithm", self.algorithm, tuple(ALGORITHMS))
        for part in _PARTS:
            check_integer(part, getattr(self, part), least=1)
        if not isinstance(self.train_sizes, tuple | list) or not self.train_sizes:
            raise GraphPEValueError(f"train_sizes must be sizes such as (4, 16), got {self.train_sizes!r}")
        object.__setattr__(self, "train_sizes", tuple(self.train_sizes))
        for size in (*self.train_sizes, self.valid_size, self.test_size):
            check_integer("a size", size, least=1)
            _check_size(size)
        check_flags(random_positions=self.random_positions)
        check_seed(self.seed)

    def load(self, *, workers: int = 0, cache: Path | None = None, progress: bool = True) -> ClrsTargets:
        """Make the samples, or take those made before.

        Args:
            workers: Not used.
            cache: Folder in which samples are kept; None means the user's cache folder.
            progress: Whether to show a bar.

        Raises:
            GraphPERuntimeError: If there are none yet and dm-clrs is not installed.
        """
        asked = {"train": self.train_sizes, "valid": (self.valid_size,), "test": (self.test_size,)}
        return self._of_sizes(asked, [repr(self)], cache, progress)

    def load_sizes(
        self, sizes: Sizes, *, workers: int = 0, cache: Path | None = None, progress: bool = True
    ) -> ClrsTargets:
        """Samples of other sizes: of each range up to five, evenly spaced, and as many of each bin as of the test.

        Args:
            sizes: The sizes, of at least 4; of training from a quarter of the largest on, unless they say from where.
            workers: Not used.
            cache: As in `load`.
            progress: As in `load`.

        Raises:
            GraphPEError: A size is too small; or as in `load`.
        """
        asked = {}
        for part, each in sizes.ranges().items():
            least, most = each.filled()
            least = least if each.least is not None else min(max(least, _LEAST), most)
            _check_size(least)
            count = min(_OF_A_RANGE, most - least + 1)
            steps = max(count - 1, 1)
            asked[part] = tuple(least + (most - least) * k // steps for k in range(count))
        data = self._of_sizes(asked, [repr(self), f"{sizes}"], cache, progress)
        data.mean_sizes = mean_sizes(data.graphs.sizes, data.split)
        return data

    def _of_sizes(
        self, asked: Mapping[str, tuple[int, ...]], lines: list[str], cache: Path | None, progress: bool
    ) -> ClrsTargets:
        """Samples of the sizes of each part."""
        parts, notes = [], []
        for number, (part, sizes) in enumerate(asked.items()):
            graphs, told = self._part((number, len(asked)), part, sizes, cache, progress)
            parts.append(graphs)
            notes += told
        graphs = concatenate(parts)
        split = dict(zip(asked, torch.arange(len(graphs)).split([len(part) for part in parts]), strict=True))
        lines = [*lines, f"{_VERSION}"]
        lines += [hashlib.blake2b(value.numpy().data, digest_size=16).hexdigest() for value in graphs.pair.values()]
        return ClrsTargets(graphs, split, ClrsAdapter(self.algorithm), fingerprint(graphs, split, lines), notes)

    def adapter(self, state: Mapping[str, Any]) -> ClrsAdapter:
        """The adapter of a run.

        Raises:
            GraphPEValueError: If `state` is not that of such an adapter.
        """
        if state.get("algorithm") not in ALGORITHMS:
            raise GraphPEValueError(f"expected the adapter of a clrs run, got {dict(state)}")
        return ClrsAdapter(state["algorithm"])

    @property
    def about_pairs(self) -> bool:
        """Whether the algorithm's outputs are pointers or of edges."""
        return ALGORITHMS[self.algorithm].about_pairs

    def _part(
        self, place: tuple[int, int], part: str, sizes: Sequence[int], cache: Path | None, progress: bool
    ) -> tuple[PackedGraphs, list[str]]:
        share, more = divmod(getattr(self, part, self.test), len(sizes))
        # Every size of every part has a seed of its own; those of CLRS-30 are 1, 2 and 3.
        number, parts = place
        counts = [(size, share + (k < more), self.seed + number + parts * k) for k, size in enumerate(sizes)]
        counts = [each for each in counts if each[1]]
        random_positions = self.random_positions and part in ("train", "valid")
        recipe = (
            f"clrs {_VERSION}: {self.algorithm}, (size, samples, seed) {counts}, random positions {random_positions}"
        )
        arrays, notes = generated_once(
            self.name,
            recipe,
            cache,
            lambda: generate_samples(self.algorithm, counts, random_positions=random_positions, progress=progress),
        )
        version = bytes(arrays.pop("dm_clrs")).decode()
        graphs = sample_graphs(self.algorithm, arrays)
        told = f"{part}: {len(graphs):,} samples of {self.algorithm} of dm-clrs {version}, sizes {list(sizes)}"
        return graphs, [told, *notes]


def _check_size(size: int) -> None:
    """Refuse a size that some algorithm does not take.

    Raises:
        GraphPEValueError: It is one.
    """
    if size < _LEAST:
        raise GraphPEValueError(f"sizes must be at least {_LEAST}, the least that every algorithm takes, got {size}")
