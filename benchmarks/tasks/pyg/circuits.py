"""Operational amplifiers of the Open Circuit Benchmark, as directed acyclic graphs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray

from graphpe.arguments import check_choice
from graphpe.benchmarks.tasks.fingerprint import fingerprint
from graphpe.benchmarks.tasks.graph_level import GraphAdapter, GraphTargets, GraphTask, categories
from graphpe.benchmarks.tasks.metrics import RMSE
from graphpe.benchmarks.tasks.targets import standardisation
from graphpe.benchmarks.tasks.user.tables import read_table
from graphpe.errors import GraphPERuntimeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs

Target = Literal["gain", "pm", "bw", "fom"]

NODE_CATEGORIES = (10, 26, 103)
"""Kinds of subcircuits, of what they connect, and sizes."""

TWO_STAGE_CIRCUITS = 500


@dataclass(frozen=True)
class Circuits(GraphTask):
    """CktBench101: 10,000 operational amplifiers, directed acyclic graphs; a property of each from simulation.

    The split is that of Huang et al., "What Are Good Positional Encodings for Directed Graphs?" (2024): the 8,026
    circuits of three stages in random order (their seed), 90 % / 5 % / 5 %. The loss is the squared error of targets
    standardised by the training part, the metric RMSE in the target's own units, as there.

    Attributes:
        root: Folder with the benchmark's tables `edge.csv`, `node-feat.csv`, `num-node-list.csv`, `num-edge-list.csv`,
            `amp-stage.csv` and `perform101.csv`, each as it is or gzipped.
        target: `gain`, `pm` (phase margin), `bw` (bandwidth) or `fom` (figure of merit, from these three).
        test_stages: 3: the test part above; 2: instead 500 of the circuits of two stages, which training never sees.
    """

    name: ClassVar[str] = "circuits"
    summary: ClassVar[str] = "gain, phase margin, bandwidth or merit of 10,000 amplifiers, directed acyclic, RMSE"

    root: str = "dataset/circuits"
    target: Target = "gain"
    test_stages: Literal[2, 3] = 3

    def __post_init__(self) -> None:
        check_choice("target", self.target, get_args(Target))
        if self.test_stages not in (2, 3):
            raise GraphPEValueError(f"test_stages must be 2 or 3, got {self.test_stages!r}")

    def load(self, *, workers: int = 0, cache: Path | None = None, progress: bool = True) -> GraphTargets:
        """Read the tables.

        Args:
            workers: Not used: reading takes less than a second.
            cache: Not used.
            progress: Not used.

        Raises:
            GraphPERuntimeError: If a table is missing or cannot be read, or the tables do not fit together.
        """
        folder = Path(self.root).expanduser()
        edges, x, nodes_of, edges_of, stage = (
            _numbers(folder, name, columns)
            for name, columns in (
                ("edge", 2),
                ("node-feat", 3),
                ("num-node-list", 1),
                ("num-edge-list", 1),
                ("amp-stage", 1),
            )
        )
        results = read_table(folder, "perform101")
        if self.target not in results:
            raise GraphPERuntimeError(f"perform101 in {folder} has no column {self.target!r}, only {list(results)}")
        target = torch.tensor(results[self.target].to_numpy(np.float64))
        counts = {len(nodes_of), len(edges_of), len(stage), len(target)}
        if len(counts) > 1 or nodes_of.sum() != len(x) or edges_of.sum() != len(edges):
            raise GraphPERuntimeError(f"the tables in {folder} are not of the same circuits: get them again")
        if not bool(target.isfinite().all()):
            row = int((~target.isfinite()).nonzero()[0, 0])
            raise GraphPERuntimeError(f"perform101 in {folder}: {self.target} of row {row} is not a number")
        try:
            graphs = _pack(edges, x, nodes_of.ravel(), edges_of.ravel(), target)
        except GraphPEValueError as error:
            raise GraphPERuntimeError(f"{folder} does not hold CktBench101: {error}") from None
        split = published_split(stage.ravel(), self.test_stages)
        if min(map(len, split.values())) == 0:
            raise GraphPERuntimeError(f"{folder} has too few circuits to split ({len(graphs)})")
        shift, scale = standardisation(target[split["train"], None])
        adapter = GraphAdapter(NODE_CATEGORIES, (), 1, "squared", shift=shift, scale=scale, target_names=(self.target,))
        notes = [f"CktBench101 from {folder}: {len(graphs):,} amplifiers, target {self.target}"]
        return GraphTargets(graphs, split, adapter, fingerprint(graphs, split), notes, scored_by=RMSE)


def published_split(stage: NDArray[np.int64], test_stages: int) -> dict[str, torch.Tensor]:
    """The split of Huang et al. (2024), from the number of stages of each circuit."""
    three, two = np.flatnonzero(stage == 3), np.flatnonzero(stage == 2)
    random = np.random.RandomState(123)  # theirs; a Generator draws another order
    random.shuffle(three)
    random.shuffle(two)
    train, valid = int(0.9 * len(three)), int(0.05 * len(three))
    parts = {"train": three[:train], "valid": three[train : train + valid], "test": three[train + valid :]}
    if test_stages == 2:
        parts["test"] = two[:TWO_STAGE_CIRCUITS]
    return {part: torch.from_numpy(ids) for part, ids in parts.items()}


def _numbers(folder: Path, name: str, columns: int) -> NDArray[np.int64]:
    table = read_table(folder, name, header=False)
    values = table.to_numpy()
    if values.shape[1] != columns or not np.issubdtype(values.dtype, np.integer):
        raise GraphPERuntimeError(f"{name} in {folder} must hold {columns} columns of integers")
    return values.astype(np.int64)


def _pack(
    edges: NDArray[np.int64],
    x: NDArray[np.int64],
    nodes_of: NDArray[np.int64],
    edges_of: NDArray[np.int64],
    target: torch.Tensor,
) -> PackedGraphs:
    ptr, edge_ptr = (np.concatenate([[0], np.cumsum(counts)]) for counts in (nodes_of, edges_of))
    index = edges.T + np.repeat(ptr[:-1], edges_of)
    return PackedGraphs(
        edge_index=torch.from_numpy(np.ascontiguousarray(index)),
        ptr=torch.from_numpy(ptr),
        edge_ptr=torch.from_numpy(edge_ptr),
        node={"x": categories(torch.from_numpy(x), "x", NODE_CATEGORIES)},
        graph={"y": target.float().view(-1, 1)},
    )
