"""Algorithmic reasoning of GraphBench, drawn by the generators of its package (the extra `graphbench`)."""

from __future__ import annotations

import random
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch

from graphpe.arguments import check_choice, check_counts, check_seed
from graphpe.benchmarks.tasks.fingerprint import fingerprint
from graphpe.benchmarks.tasks.generated.cache import Arrays, generated_once
from graphpe.benchmarks.tasks.graph_level import GraphAdapter, GraphTargets, GraphTask
from graphpe.benchmarks.tasks.metrics import F1, MAE
from graphpe.benchmarks.tasks.node_level import NodeAdapter, NodeTargets
from graphpe.benchmarks.tasks.targets import standardisation
from graphpe.errors import GraphPERuntimeError
from graphpe.files.guarded import names
from graphpe.graphs.concatenate import concatenate
from graphpe.graphs.packed import PackedGraphs
from graphpe.progress import progress_bar

Difficulty = Literal["easy", "medium", "hard"]
OfNodes = Literal["maxclique", "topologicalorder"]

NODES = {"train": 16, "valid": 16, "test": 128}
"""Of a graph of each part, as GraphBench has them."""

_KINDS = 3
"""Of nodes: source and sink of a flow, and others."""


@dataclass(frozen=True)
class _Reasoning(GraphTask):
    """What the algorithms share."""

    default_encodings: ClassVar[tuple[str, ...]] = ("RandomWalkPE(walk_length=16)",)

    difficulty: Difficulty = "easy"
    train: int = 10_000
    valid: int = 1_000
    test: int = 1_000
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("difficulty", self.difficulty, get_args(Difficulty))
        check_counts(train=self.train, valid=self.valid, test=self.test)
        object.__setattr__(self, "seed", check_seed(self.seed))

    def _drawn(
        self, algorithm: str, cache: Path | None, progress: bool
    ) -> tuple[PackedGraphs, dict[str, torch.Tensor], list[str]]:
        """The graphs with `x`, `y` and `edge_attr`, the split, and lines about them."""
        try:
            package = version("graphbench-lib")
        except ModuleNotFoundError:
            raise GraphPERuntimeError(
                "GraphBench draws its graphs by its package, which is not installed: pip install 'graphpe[graphbench]'"
            ) from None
        counts = {"train": self.train, "valid": self.valid, "test": self.test}
        notes, parts = [f"GraphBench {algorithm}, {self.difficulty}, drawn by graphbench-lib {package}"], []
        for number, (part, count) in enumerate(counts.items()):
            recipe = f"graphbench 1: {package} {algorithm} {self.difficulty} {part} {count} seed {self.seed}"
            arrays, told = generated_once(
                "graphbench",
                recipe,
                cache,
                lambda part=part, count=count, number=number: _draw(  # type: ignore[misc]
                    algorithm, self.difficulty, part, count, (self.seed, number), progress
                ),
            )
            parts.append(_packed(arrays))
            notes += told
        ids = torch.arange(sum(counts.values())).split(list(counts.values()))
        return concatenate(parts), dict(zip(counts, ids, strict=True)), notes


@dataclass(frozen=True)
class GraphBench(_Reasoning):
    """GraphBench's questions about nodes: is one in a maximum clique (F1), which place has it in a topological order?

    Training and validation graphs have 16 nodes, those of the test 128; which generators they come from depends on the
    difficulty (Stoll et al. 2025). GraphBench has a million training graphs; here `train` says how many. Questions
    about edges (spanning and Steiner trees, bridges, matchings) are not asked: no target here is of edges. The model
    needs `readout='none'`.

    Attributes:
        algorithm: `maxclique`, or `topologicalorder` (directed graphs; a place is a number from 0 to 1, and the metric
            its mean absolute error).
        difficulty: `easy`, `medium` or `hard`.
        train: Graphs of the training part.
        valid: Graphs of the validation part.
        test: Graphs of the test part.
        seed: Of everything random.
    """

    name: ClassVar[str] = "graphbench"
    summary: ClassVar[str] = "GraphBench: nodes of a maximum clique, or in topological order; drawn by its package"
    readout: ClassVar[str | None] = "none"
    adapter_class: ClassVar[type[GraphAdapter]] = NodeAdapter

    algorithm: OfNodes = "maxclique"

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("algorithm", self.algorithm, get_args(OfNodes))

    def load(self, *, workers: int = 0, cache: Path | None = None, progress: bool = True) -> NodeTargets:
        """Draw the graphs, or take those that were drawn before.

        Args:
            workers: Not used.
            cache: Folder in which they are kept; None means the user's cache folder.
            progress: Whether to show a bar.

        Raises:
            GraphPERuntimeError: If the package is not installed.
        """
        raw, split, notes = self._drawn(self.algorithm, cache, progress)
        graphs = raw.structure().with_values(node={"x": raw.node["x"], "y": raw.node["y"].view(-1, 1)})
        asks = self.algorithm == "maxclique"
        adapter = NodeAdapter((_KINDS,), (), 1, "binary" if asks else "absolute")
        digest = fingerprint(graphs, split)
        return NodeTargets(graphs, split, adapter, digest, notes, scored_by=F1 if asks else MAE)


@dataclass(frozen=True)
class GraphBenchFlow(_Reasoning):
    """GraphBench's maximum flow: its value, from a source to a sink over edges with capacities; as `GraphBench`.

    Attributes:
        difficulty: `easy`, `medium` or `hard`.
        train: Graphs of the training part.
        valid: Graphs of the validation part.
        test: Graphs of the test part.
        seed: Of everything random.
    """

    name: ClassVar[str] = "graphbench-flow"
    summary: ClassVar[str] = "GraphBench: the value of a maximum flow, MAE; drawn by its package"

    def load(self, *, workers: int = 0, cache: Path | None = None, progress: bool = True) -> GraphTargets:
        """Draw the graphs, or take those that were drawn before.

        Args:
            workers: Not used.
            cache: Folder in which they are kept; None means the user's cache folder.
            progress: Whether to show a bar.

        Raises:
            GraphPERuntimeError: If the package is not installed.
        """
        raw, split, notes = self._drawn("flow", cache, progress)
        graphs = raw.structure().with_values(
            node={"x": raw.node["x"]},
            edge={"edge_attr": raw.edge["edge_attr"]},
            graph={"y": raw.node["y"][raw.ptr[:-1]].view(-1, 1)},
        )
        shift, scale = standardisation(graphs.graph["y"][split["train"]])
        adapter = GraphAdapter(
            (_KINDS,),
            (),
            1,
            "absolute",
            edge_channels=1,
            shift=shift,
            scale=scale,
        )
        return GraphTargets(graphs, split, adapter, fingerprint(graphs, split), notes, scored_by=MAE)


def _draw(algorithm: str, difficulty: str, part: str, count: int, seed: tuple[int, int], progress: bool) -> Arrays:
    """Graphs as the package draws them, whose generators take Python's global random numbers."""
    theirs = {"valid": "val"}.get(part, part)
    bar = type("tqdm", (), {"tqdm": staticmethod(lambda each: progress_bar(each, desc=part, disable=not progress))})
    before = random.getstate()
    try:
        from graphbench._algoreas_helpers import _algoreas_utils as utils

        random.seed(f"{seed[0]} {seed[1]}")
        with names(utils, _SAMPLES={theirs: count}, tqdm=bar):
            found: list[Any] = utils.generate_algoreas_data(algorithm, NODES[part], difficulty, theirs)
    finally:
        random.setstate(before)
    nodes = [graph.num_nodes for graph in found]
    # A target of the graph stands at each of its nodes here.
    y = [
        graph.y.float().expand(n) if graph.y.dim() == 0 else graph.y.float()
        for graph, n in zip(found, nodes, strict=True)
    ]
    x = [torch.zeros(n).long() if graph.get("x") is None else graph.x for graph, n in zip(found, nodes, strict=True)]
    weight = [
        torch.zeros(graph.num_edges) if graph.get("edge_attr") is None else graph.edge_attr.flatten() for graph in found
    ]
    return {
        "nodes": np.array(nodes, dtype=np.int32),
        "edges": np.array([graph.num_edges for graph in found], dtype=np.int32),
        "edge": torch.cat([graph.edge_index for graph in found], dim=1).numpy().astype(np.int16),
        "x": torch.cat(x).numpy().astype(np.uint8),
        "y": torch.cat(y).numpy(),
        "weight": torch.cat(weight).float().numpy(),
    }


def _packed(arrays: Arrays) -> PackedGraphs:
    nodes, edges = arrays["nodes"].astype(np.int64), arrays["edges"].astype(np.int64)
    ptr, edge_ptr = (np.concatenate([np.zeros(1, np.int64), np.cumsum(each)]) for each in (nodes, edges))
    return PackedGraphs(
        edge_index=torch.from_numpy(arrays["edge"].astype(np.int64) + np.repeat(ptr[:-1], edges)),
        ptr=torch.from_numpy(ptr),
        edge_ptr=torch.from_numpy(edge_ptr),
        node={"x": torch.from_numpy(arrays["x"].astype(np.int64))[:, None], "y": torch.from_numpy(arrays["y"])},
        edge={"edge_attr": torch.from_numpy(arrays["weight"])[:, None]},
    )
