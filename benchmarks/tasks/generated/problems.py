"""Problems on graphs whose answers an algorithm knows, drawn at any size: path lengths, bridges, maximum flows."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, cast, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from graphpe.arguments import check_choice, check_counts, check_seed
from graphpe.benchmarks.console.sizes import Sizes
from graphpe.benchmarks.tasks.by_size import mean_sizes
from graphpe.benchmarks.tasks.fingerprint import fingerprint
from graphpe.benchmarks.tasks.generated.cache import Arrays, generated_once
from graphpe.benchmarks.tasks.generated.families import bridges, draw_graphs, maximum_flows
from graphpe.benchmarks.tasks.graph_level import GraphAdapter, GraphTargets, GraphTask
from graphpe.benchmarks.tasks.metrics import F1, MAE
from graphpe.benchmarks.tasks.node_level import NodeAdapter, NodeTargets
from graphpe.benchmarks.tasks.targets import standardisation
from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs

Family = Literal["random", "strip", "tree"]

WINDOWS = {"random": 0, "strip": 4, "tree": 0}
"""A node joins one of so many before it; 0: any."""

EXTRA = {"random": 0.5, "strip": 0.5, "tree": 0.0}
"""The probability that it joins a second one."""

_VERSION = 1
_PARTS = ("train", "valid", "test")


@dataclass(frozen=True)
class Problem(GraphTask):
    """What the problems share.

    Graphs are connected and undirected, nodes in a random order, made a node at a time: each joins one of those before
    it and, with probability 1/2, a second one. `random`: any of them, distances grow as the logarithm of the size.
    `strip`: one of the last four, they grow with the size. `tree`: any of them, and no second one.
    """

    default_encodings: ClassVar[tuple[str, ...]] = ("RandomWalkPE(walk_length=16)",)

    family: Family = "random"
    train: int = 2_000
    valid: int = 300
    test: int = 300
    train_nodes: tuple[int, int] = (4, 16)
    test_nodes: tuple[int, int] = (17, 64)
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("family", self.family, get_args(Family))
        check_counts(train=self.train, valid=self.valid, test=self.test)
        for name in ("train_nodes", "test_nodes"):
            nodes = getattr(self, name)
            if not (isinstance(nodes, tuple | list) and len(nodes) == 2):
                raise GraphPEValueError(f"{name} must be two numbers, least and most, got {nodes!r}")
            least, most = check_counts(**{f"{name}[0]": nodes[0], f"{name}[1]": nodes[1]})
            _check_nodes(name, least, most)
            object.__setattr__(self, name, (least, most))
        object.__setattr__(self, "seed", check_seed(self.seed))

    def draw(self, count: int, nodes: tuple[int, int], seed: int) -> Arrays:
        """Graphs of the family, as `draw_graphs` gives them.

        Args:
            count: Number of graphs.
            nodes: Least and most nodes.
            seed: Of everything random.
        """
        return draw_graphs(count, nodes, WINDOWS[self.family], EXTRA[self.family], seed)

    @abstractmethod
    def answers(self, arrays: Arrays) -> NDArray[Any]:
        """The targets of graphs that were drawn, a row each (of graphs or of nodes).

        Args:
            arrays: What `draw_graphs` gives.
        """

    @abstractmethod
    def targets(
        self, graphs: PackedGraphs, y: torch.Tensor, split: dict[str, torch.Tensor], digest: str, notes: list[str]
    ) -> GraphTargets:
        """The data, from graphs without values of nodes.

        Args:
            graphs: The graphs, with what was drawn for them.
            y: The targets, `[rows]`.
            split: Ids by part.
            digest: Of all this.
            notes: Lines about it.
        """

    def load(self, *, workers: int = 0, cache: Path | None = None, progress: bool = True) -> GraphTargets:
        """Draw the graphs, or take those drawn before; validation has the sizes of training.

        Args:
            workers: Not used.
            cache: Folder in which they are kept; None means the user's cache folder.
            progress: Not used: it takes a second.
        """
        return self._of_sizes({"train": self.train_nodes, "valid": self.train_nodes, "test": self.test_nodes}, cache)

    def load_sizes(
        self, sizes: Sizes, *, workers: int = 0, cache: Path | None = None, progress: bool = True
    ) -> GraphTargets:
        """Graphs of other sizes; as many of each bin as of the test.

        Those of training have from a quarter of their largest size on, unless the sizes say from where.

        Args:
            sizes: The sizes, from 2 on.
            workers: Not used.
            cache: As in `load`.
            progress: Not used.

        Raises:
            GraphPEValueError: A size is 1.
        """
        asked = {part: each.filled() for part, each in sizes.ranges().items()}
        for least, most in asked.values():
            _check_nodes("sizes", least, most)
        data = self._of_sizes(asked, cache)
        data.mean_sizes = mean_sizes(data.graphs.sizes, data.split)
        return data

    def _of_sizes(self, asked: Mapping[str, tuple[int, int]], cache: Path | None) -> GraphTargets:
        """Graphs of the sizes of each part, least and most."""
        drawn, counts, notes = [], [], []
        for number, (part, nodes) in enumerate(asked.items()):
            count = getattr(self, part, self.test)
            seed = int(np.random.SeedSequence([self.seed, number]).generate_state(1, np.uint64)[0])
            recipe = f"{self.name} {_VERSION}: {count} graphs of the family {self.family}, {nodes} nodes, seed {seed}"

            def generate(count: int = count, nodes: tuple[int, int] = nodes, seed: int = seed) -> Arrays:
                arrays = self.draw(count, nodes, seed)
                return {**arrays, "y": self.answers(arrays)}

            arrays, told = generated_once(self.name, recipe, cache, generate)
            drawn.append(arrays)
            counts.append(count)
            notes += told
        graphs, y = _packed(drawn)
        split = dict(zip(asked, torch.arange(len(graphs)).split(counts), strict=True))
        notes.insert(0, f"{len(graphs):,} graphs of the family {self.family}, {int(graphs.sizes.max())} nodes at most")
        digest = fingerprint(graphs, split, [repr(self), f"{_VERSION}"])  # targets follow from what was drawn
        return self.targets(graphs, y, split, digest, notes)


@dataclass(frozen=True)
class PathLength(Problem):
    """How many edges has a shortest path between the two nodes that are marked? A number of each graph, MAE.

    The first is any node; the length is drawn evenly from 1 to that of the longest shortest path from there, and the
    second is any node so far away.

    Attributes:
        family: How graphs are drawn: `random` (distances grow as the logarithm of the size), `strip` (with the size) or
            `tree`.
        train: Graphs of the training part.
        valid: Graphs of the validation part.
        test: Graphs of the test part, and of each bin of larger ones (`--sizes`).
        train_nodes: Least and most nodes in training and validation.
        test_nodes: The same in the test.
        seed: Of everything random.
    """

    name: ClassVar[str] = "path-length"
    summary: ClassVar[str] = "edges of a shortest path between two marked nodes, generated at any size, MAE"

    def answers(self, arrays: Arrays) -> NDArray[Any]:
        return arrays["length"]

    def targets(
        self, graphs: PackedGraphs, y: torch.Tensor, split: dict[str, torch.Tensor], digest: str, notes: list[str]
    ) -> GraphTargets:
        return numbers_of_graphs(graphs, y, split, digest, notes, x=graphs.node["marked"])


@dataclass(frozen=True)
class MaxFlow(Problem):
    """How much flows at most between the two nodes that are marked? A number of each graph, MAE.

    Edges have whole capacities from 1 to 10, the same in both directions.

    Attributes:
        family: How graphs are drawn: `random`, `strip` or `tree`; see `PathLength`.
        train: Graphs of the training part.
        valid: Graphs of the validation part.
        test: Graphs of the test part, and of each bin of larger ones (`--sizes`).
        train_nodes: Least and most nodes in training and validation.
        test_nodes: The same in the test.
        seed: Of everything random.
    """

    name: ClassVar[str] = "max-flow"
    summary: ClassVar[str] = "value of a maximum flow between two marked nodes, generated at any size, MAE"

    def answers(self, arrays: Arrays) -> NDArray[Any]:
        return maximum_flows(arrays)

    def targets(
        self, graphs: PackedGraphs, y: torch.Tensor, split: dict[str, torch.Tensor], digest: str, notes: list[str]
    ) -> GraphTargets:
        return numbers_of_graphs(graphs, y, split, digest, notes, x=graphs.node["marked"], edges=True)


@dataclass(frozen=True)
class Bridges(Problem):
    """Does an edge end at the node without which the graph falls apart? Yes or no of each node, F1.

    The model needs `readout='none'`.

    Attributes:
        family: How graphs are drawn: `random` or `strip`, see `PathLength`; in a `tree` every edge is a bridge.
        train: Graphs of the training part.
        valid: Graphs of the validation part.
        test: Graphs of the test part, and of each bin of larger ones (`--sizes`).
        train_nodes: Least and most nodes in training and validation.
        test_nodes: The same in the test.
        seed: Of everything random.
    """

    name: ClassVar[str] = "bridges"
    summary: ClassVar[str] = "is a node the end of a bridge, generated at any size, F1"
    readout: ClassVar[str | None] = "none"
    adapter_class: ClassVar[type[GraphAdapter]] = NodeAdapter

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.family == "tree":
            raise GraphPEValueError("family='tree' is none for bridges: every edge of a tree is one; take 'random'")

    def answers(self, arrays: Arrays) -> NDArray[Any]:
        edges = arrays["edges"][:, bridges(arrays["edges"], int(arrays["sizes"].sum()))]
        ends = np.zeros(int(arrays["sizes"].sum()), np.int64)
        ends[edges] = 1
        return ends

    def targets(
        self, graphs: PackedGraphs, y: torch.Tensor, split: dict[str, torch.Tensor], digest: str, notes: list[str]
    ) -> NodeTargets:
        x = torch.zeros(graphs.num_nodes, 1, dtype=torch.long)
        asked = graphs.structure().with_values(node={"x": x, "y": y.view(-1, 1)})
        notes.append(f"{float(y.double().mean()):.1%} of the nodes are ends of bridges")
        return NodeTargets(asked, split, NodeAdapter((1,), (), 1, "binary"), digest, notes, scored_by=F1)


def _check_nodes(name: str, least: int, most: int) -> None:
    if not 2 <= least <= most:
        raise GraphPEValueError(f"{name} must be at least 2 nodes and in order, got {(least, most)!r}")


def numbers_of_graphs(
    graphs: PackedGraphs,
    y: torch.Tensor,
    split: dict[str, torch.Tensor],
    digest: str,
    notes: list[str],
    *,
    x: torch.Tensor,
    edges: bool = False,
) -> GraphTargets:
    """Data with a number of each graph, standardised for the loss.

    Args:
        graphs: The graphs.
        y: The numbers, `[B]`.
        split: Ids by part.
        digest: Of all this.
        notes: Lines about it.
        x: Which nodes are marked, `[N, 1]` of 0 and 1.
        edges: Whether models see the edges' capacities.
    """
    edge_values = {"edge_attr": graphs.edge["capacity"]} if edges else {}
    y = y.float().view(-1, 1)
    asked = graphs.structure().with_values(node={"x": x}, edge=edge_values, graph={"y": y})
    shift, scale = standardisation(y[split["train"]])
    adapter = GraphAdapter((2,), (), 1, "absolute", edge_channels=int(edges), shift=shift, scale=scale)
    return GraphTargets(asked, split, adapter, digest, notes, scored_by=MAE)


def _packed(drawn: Sequence[Arrays]) -> tuple[PackedGraphs, torch.Tensor]:
    """Graphs with both directions of each edge, and the targets."""
    sizes = np.concatenate([each["sizes"] for each in drawn])
    edge_sizes = np.concatenate([each["edge_sizes"] for each in drawn])
    first = np.cumsum([0, *(int(each["sizes"].sum()) for each in drawn)])
    edges = np.concatenate([each["edges"] + start for each, start in zip(drawn, first[:-1], strict=True)], axis=1)
    both = np.stack([edges, edges[::-1]], axis=2).reshape(2, -1)  # the two directions side by side
    ptr, edge_ptr = (np.concatenate([[0], np.cumsum(each)]) for each in (sizes, 2 * edge_sizes))
    capacity = np.repeat(np.concatenate([each["capacity"] for each in drawn]), 2)
    marked = np.zeros((len(sizes), 2), np.int64) + ptr[:-1, None]
    marked += np.concatenate([each["marked"] for each in drawn])
    x = np.zeros((int(ptr[-1]), 1), np.int64)
    x[marked.reshape(-1)] = 1
    graphs = PackedGraphs(
        edge_index=torch.from_numpy(both),
        ptr=torch.from_numpy(ptr),
        edge_ptr=torch.from_numpy(edge_ptr),
        node={"marked": torch.from_numpy(x)},
        edge={"capacity": torch.from_numpy(capacity.astype(np.float32))[:, None]},
    )
    return graphs, torch.from_numpy(np.concatenate([cast(Any, each["y"]) for each in drawn]))
