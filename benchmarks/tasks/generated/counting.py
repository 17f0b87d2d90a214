"""Counting substructures: how often does a pattern occur in a random graph, or at each of its nodes?"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import networkx as nx
import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from graphpe.arguments import check_choice, check_counts, check_seed
from graphpe.benchmarks.tasks.fingerprint import fingerprint
from graphpe.benchmarks.tasks.generated.cache import Arrays, generated_once
from graphpe.benchmarks.tasks.graph_level import GraphTargets, GraphTask
from graphpe.benchmarks.tasks.metrics import MSE_PER_VARIANCE
from graphpe.benchmarks.tasks.node_level import NodeAdapter, NodeTargets
from graphpe.benchmarks.tasks.targets import standardisation
from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.walks.cycles import cycle_counts

Pattern = Literal[
    "triangle", "cycle4", "cycle5", "cycle6", "cycle7", "cycle8", "star3", "tailed-triangle", "chordal-cycle"
]
Graphs = Literal["random-regular", "erdos-renyi"]

REGULAR = ((10, 6), (15, 6), (20, 5), (30, 5))
"""Nodes and degree of random regular graphs, as many graphs of each."""

ERDOS_RENYI = (10, 0.3)
"""Nodes of Erdős-Rényi graphs, and the probability of an edge."""

_VERSION = 1


@dataclass(frozen=True)
class SubstructureCount(GraphTask):
    """How often does a pattern occur in a graph, or at each of its nodes? Mean squared error over variance.

    Graphs and split of Chen et al., "Can Graph Neural Networks Count Substructures?" (NeurIPS 2020): 5,000 random
    regular graphs (10, 15, 20 and 30 nodes of degree 6, 6, 5 and 5) or Erdős-Rényi graphs (10 nodes, p = 0.3), 30 % of
    them for training, 20 % for validation, 50 % for the test; nodes carry nothing. Subgraphs are counted, induced or
    not, each once: `triangle`; `cycle4` to `cycle8`, simple cycles; `star3`, a node and three of its neighbours, sum of
    d (d - 1) (d - 2) / 6; `tailed-triangle`, a triangle and an edge that leaves it; `chordal-cycle`, two triangles with
    an edge in common. At nodes: the cycles through the node, the stars around it, the tailed triangles whose tail is
    tied to it, the chordal cycles whose chord ends at it. Message passing counts stars and no other of these.

    The metric is the mean squared error divided by the variance of the targets, 1 for the best constant. Graphs are
    drawn anew, with networkx; the published ones are not.

    Attributes:
        pattern: What is counted.
        graphs: `random-regular` or `erdos-renyi`.
        level: `graph`, or `node`, for which the model needs `readout='none'`.
        count: Graphs of all parts together.
        seed: Of everything random.
    """

    name: ClassVar[str] = "substructure-count"
    summary: ClassVar[str] = "triangles, cycles or stars in random graphs or at their nodes, MSE / variance"
    default_encodings: ClassVar[tuple[str, ...]] = ("RandomWalkPE(walk_length=16)",)

    pattern: Pattern = "triangle"
    graphs: Graphs = "random-regular"
    level: Literal["graph", "node"] = "graph"
    count: int = 5_000
    seed: int = 0

    def __post_init__(self) -> None:
        check_choice("pattern", self.pattern, get_args(Pattern))
        check_choice("graphs", self.graphs, get_args(Graphs))
        check_choice("level", self.level, ("graph", "node"))
        check_counts(count=self.count)
        if self.count < 10:
            raise GraphPEValueError(f"count is {self.count}; three parts need at least 10 graphs")
        object.__setattr__(self, "seed", check_seed(self.seed))
        if self.level == "node":
            object.__setattr__(self, "readout", "none")
            object.__setattr__(self, "adapter_class", NodeAdapter)

    def load(self, *, workers: int = 0, cache: Path | None = None, progress: bool = True) -> GraphTargets:
        """Draw the graphs, or take those drawn before, and count.

        Args:
            workers: Not used.
            cache: Folder in which they are kept; None means the user's cache folder.
            progress: Not used: it takes seconds.
        """
        recipe = f"substructures {_VERSION}: {self.count} {self.graphs}, seed {self.seed}"
        arrays, notes = generated_once(self.name, recipe, cache, lambda: _drawn(self.graphs, self.count, self.seed))
        packed = PackedGraphs(
            edge_index=torch.from_numpy(arrays["edge_index"]),
            ptr=torch.from_numpy(arrays["ptr"]),
            edge_ptr=torch.from_numpy(arrays["edge_ptr"]),
        )
        at_nodes, per_graph = node_counts(packed, self.pattern)
        x = torch.zeros(packed.num_nodes, 1, dtype=torch.long)
        train, valid = (3 * self.count) // 10, self.count // 5
        order = torch.arange(self.count)
        parts = order.split([train, valid, self.count - train - valid])
        split = dict(zip(("train", "valid", "test"), parts, strict=True))
        digest_lines = [repr(self), f"{_VERSION}"]
        if self.level == "node":
            asked = packed.with_values(node={"x": x, "y": at_nodes.float()[:, None]})
            y = asked.select(split["train"]).node["y"]
        else:
            sums = torch.zeros(self.count, dtype=torch.float64).index_add_(0, packed.batch, at_nodes) / per_graph
            asked = packed.with_values(node={"x": x}, graph={"y": sums.round().float()[:, None]})
            y = asked.graph["y"][split["train"]]
        shift, scale = standardisation(y)
        adapter = self.adapter_class((1,), (), 1, "squared", shift=shift, scale=scale)
        notes.insert(0, f"{self.count:,} graphs ({self.graphs}), {float(y.mean()):.3g} of {self.pattern} in the mean")
        kind = NodeTargets if self.level == "node" else GraphTargets
        return kind(asked, split, adapter, fingerprint(asked, split, digest_lines), notes, scored_by=MSE_PER_VARIANCE)


def node_counts(graphs: PackedGraphs, pattern: Pattern) -> tuple[Tensor, int]:
    """Occurrences of a pattern at each node, `[N]`, and at how many nodes each occurrence is counted.

    Args:
        graphs: Undirected graphs, both directions of each edge, without loops.
        pattern: The pattern.
    """
    degree = graphs.edge_index[0].bincount(minlength=graphs.num_nodes).double()
    if pattern == "star3":
        return degree * (degree - 1) * (degree - 2) / 6, 1
    if pattern == "triangle":
        return cycle_counts(graphs, 3)[:, 0], 3
    if pattern.startswith("cycle"):
        length = int(pattern[-1])
        return cycle_counts(graphs, length)[:, -1], length
    if pattern == "tailed-triangle":
        return cycle_counts(graphs, 3)[:, 0] * (degree - 2).clamp(min=0), 1
    # Two of the triangles over an edge; each chord is stored in both directions, once at each end.
    shared = _common_neighbours(graphs)
    pairs = shared * (shared - 1) / 2
    return torch.zeros_like(degree).index_add_(0, graphs.edge_index[0], pairs), 2


def _common_neighbours(graphs: PackedGraphs) -> Tensor:
    """Common neighbours of the ends of each edge, `[E]`."""
    source, target = graphs.edge_index.numpy()
    n = graphs.num_nodes
    adjacency = csr_array((np.ones(len(source)), (source, target)), shape=(n, n))
    return torch.from_numpy(np.asarray((adjacency @ adjacency)[source, target]).reshape(-1))


def _drawn(kind: Graphs, count: int, seed: int) -> Arrays:
    """Graphs in a random order of kinds: `edge_index`, `ptr`, `edge_ptr`."""
    raw = np.random.PCG64(seed).random_raw(2 * count)
    seeds, order = raw[:count] % 2**32, np.argsort(raw[count:], kind="stable")
    edges, sizes = [], []
    for number, own in zip(order.tolist(), seeds.tolist(), strict=True):
        graph: Any
        if kind == "random-regular":
            nodes, degree = REGULAR[number % len(REGULAR)]
            graph = nx.random_regular_graph(degree, nodes, seed=own)
        else:
            nodes, probability = ERDOS_RENYI
            graph = nx.gnp_random_graph(nodes, probability, seed=own)
        ends = np.array(sorted(graph.edges), dtype=np.int64).reshape(-1, 2)
        edges.append(np.concatenate([ends, ends[:, ::-1]]).T)
        sizes.append(nodes)
    ptr = np.concatenate([[0], np.cumsum(sizes)])
    edge_sizes = [each.shape[1] for each in edges]
    shifted = np.concatenate(edges, axis=1) + np.repeat(ptr[:-1], edge_sizes)
    return {"edge_index": shifted, "ptr": ptr, "edge_ptr": np.concatenate([[0], np.cumsum(edge_sizes)])}
