"""Properties of graphs that depend on all of a graph: eccentricities, effective resistance, connected components."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import csr_array
from scipy.sparse.csgraph import connected_components, shortest_path

from graphpe.benchmarks.tasks.generated.cache import Arrays
from graphpe.benchmarks.tasks.generated.families import adjacencies
from graphpe.benchmarks.tasks.generated.problems import Problem, numbers_of_graphs
from graphpe.benchmarks.tasks.graph_level import GraphAdapter, GraphTargets
from graphpe.benchmarks.tasks.metrics import MAE
from graphpe.benchmarks.tasks.node_level import NodeAdapter, NodeTargets
from graphpe.benchmarks.tasks.targets import standardisation
from graphpe.graphs.packed import PackedGraphs
from graphpe.limits import check_seconds

MISSING = 0.3
"""The share of edges that are taken out of graphs whose components are counted."""

_A_PAIR, _A_CUBE = 1.1e-7, 2e-11
"""Seconds of a distance, and of an equation of a dense system by the square of their number; measured on one core."""

_SMALLER = "name smaller sizes"


@dataclass(frozen=True)
class Eccentricity(Problem):
    """How far away is the node that is farthest from this one? A number of each node, MAE.

    The model needs `readout='none'`.

    Attributes:
        family: How graphs are drawn: `random`, `strip` (the longest distances) or `tree`; see `PathLength`.
        train: Graphs of the training part.
        valid: Graphs of the validation part.
        test: Graphs of the test part, and of each bin of larger ones (`--sizes`).
        train_nodes: Least and most nodes in training and validation.
        test_nodes: The same in the test.
        seed: Of everything random.
    """

    name: ClassVar[str] = "eccentricity"
    summary: ClassVar[str] = "distance of each node to the farthest one, generated at any size, MAE"
    readout: ClassVar[str | None] = "none"
    adapter_class: ClassVar[type[GraphAdapter]] = NodeAdapter

    def answers(self, arrays: Arrays) -> NDArray[Any]:
        most = int(arrays["sizes"].max())
        check_seconds(f"{self.name}: distances of all nodes", most, _A_PAIR * most**2, 8.0 * most**2, _SMALLER)
        distances = (shortest_path(matrix, unweighted=True) for matrix in _adjacencies(arrays))
        return np.concatenate([each.max(1) for each in distances]).astype(np.int64)

    def targets(
        self, graphs: PackedGraphs, y: torch.Tensor, split: dict[str, torch.Tensor], digest: str, notes: list[str]
    ) -> NodeTargets:
        x = torch.zeros(graphs.num_nodes, 1, dtype=torch.long)
        y = y.float().view(-1, 1)
        asked = graphs.structure().with_values(node={"x": x, "y": y})
        shift, scale = standardisation(asked.select(split["train"]).node["y"])
        adapter = NodeAdapter((1,), (), 1, "absolute", shift=shift, scale=scale)
        return NodeTargets(asked, split, adapter, digest, notes, scored_by=MAE)


@dataclass(frozen=True)
class EffectiveResistance(Problem):
    """What is the effective resistance between the two nodes that are marked? A number of each graph, MAE.

    R_uv = (e_u - e_v)^T L^+ (e_u - e_v), every edge being one ohm: all paths between the two count, not the shortest.

    Attributes:
        family: How graphs are drawn: `random` or `strip`; in a `tree` it is the length of the path. See `PathLength`.
        train: Graphs of the training part.
        valid: Graphs of the validation part.
        test: Graphs of the test part, and of each bin of larger ones (`--sizes`).
        train_nodes: Least and most nodes in training and validation.
        test_nodes: The same in the test.
        seed: Of everything random.
    """

    name: ClassVar[str] = "effective-resistance"
    summary: ClassVar[str] = "effective resistance between two marked nodes, generated at any size, MAE"

    def answers(self, arrays: Arrays) -> NDArray[Any]:
        most = int(arrays["sizes"].max())
        check_seconds(f"{self.name}: a linear system", most, _A_CUBE * most**3, 24.0 * most**2, _SMALLER)
        found = np.empty(len(arrays["sizes"]))
        for graph, matrix in enumerate(_adjacencies(arrays)):
            u, v = arrays["marked"][graph]
            laplacian = np.diag(matrix.sum(1)) - matrix.toarray()
            kept = np.arange(len(laplacian)) != v  # v is earthed
            current = (np.arange(len(laplacian)) == u)[kept].astype(float)
            found[graph] = np.linalg.solve(laplacian[np.ix_(kept, kept)], current) @ current
        return found

    def targets(
        self, graphs: PackedGraphs, y: torch.Tensor, split: dict[str, torch.Tensor], digest: str, notes: list[str]
    ) -> GraphTargets:
        return numbers_of_graphs(graphs, y, split, digest, notes, x=graphs.node["marked"])


@dataclass(frozen=True)
class ConnectedComponents(Problem):
    """How many connected components has the graph? A number of each graph, MAE.

    Graphs are those of `PathLength` without three edges in ten, chosen at random.

    Attributes:
        family: How graphs are drawn before that: `random`, `strip` or `tree`.
        train: Graphs of the training part.
        valid: Graphs of the validation part.
        test: Graphs of the test part, and of each bin of larger ones (`--sizes`).
        train_nodes: Least and most nodes in training and validation.
        test_nodes: The same in the test.
        seed: Of everything random.
    """

    name: ClassVar[str] = "connected-components"
    summary: ClassVar[str] = "number of connected components, generated at any size, MAE"

    def draw(self, count: int, nodes: tuple[int, int], seed: int) -> Arrays:
        arrays = super().draw(count, nodes, seed)
        # Of raw 64-bit numbers, which NumPy promises to keep.
        kept = np.random.PCG64(seed).random_raw(arrays["edges"].shape[1]) >= MISSING * 2.0**64
        owner = np.repeat(np.arange(count), arrays["edge_sizes"])
        edges = {"edges": arrays["edges"][:, kept], "capacity": arrays["capacity"][kept]}
        return {**arrays, **edges, "edge_sizes": np.bincount(owner[kept], minlength=count)}

    def answers(self, arrays: Arrays) -> NDArray[Any]:
        counts = [connected_components(matrix, directed=False)[0] for matrix in _adjacencies(arrays)]
        return np.array(counts, dtype=np.int64)

    def targets(
        self, graphs: PackedGraphs, y: torch.Tensor, split: dict[str, torch.Tensor], digest: str, notes: list[str]
    ) -> GraphTargets:
        return numbers_of_graphs(graphs, y, split, digest, notes, x=torch.zeros_like(graphs.node["marked"]))


def _adjacencies(arrays: Arrays) -> Iterator[csr_array]:
    return adjacencies(arrays, np.ones(arrays["edges"].shape[1]))
