"""Questions about pairs of nodes of random directed graphs, which only an encoding can answer; generated."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch

from graphpe.arguments import check_choice, check_flags, check_integer, check_seed
from graphpe.benchmarks.tasks.fingerprint import fingerprint
from graphpe.benchmarks.tasks.generated.cache import Arrays, generated_once
from graphpe.benchmarks.tasks.generated.splitmix import random_below, random_uniform, start_stream
from graphpe.benchmarks.tasks.graph_level import GraphAdapter, GraphTask
from graphpe.benchmarks.tasks.metrics import F1, RMSE
from graphpe.benchmarks.tasks.pair_level import PairAdapter, PairTargets
from graphpe.compiled.jit import machine_code
from graphpe.distances.shortest_paths import shortest_paths
from graphpe.graphs.concatenate import concatenate
from graphpe.graphs.packed import PackedGraphs
from graphpe.progress import progress_bar

Question = Literal["adjacency", "connectivity", "distance"]

_VERSION = 1
_PARTS = ("train", "valid", "test")
_NODES = {
    "adjacency": ((16, 17), (18, 19), (20, 27)),
    "connectivity": ((16, 17), (18, 19), (20, 27)),
    "distance": ((16, 63), (64, 71), (72, 83)),
}
_DEGREES = {False: (1.0, 1.5, 2.0), True: (1.0, 1.5, 2.0, 2.5, 3.0)}
_CHUNK = 1_000


@dataclass(frozen=True)
class Playground(GraphTask):
    """The playground of Geisler et al. (2023): is there an edge, is there a path, how long is the shortest one?

    Asked of every ordered pair of different nodes, about the largest weakly connected component of random directed
    graphs (Erdos-Renyi, expected out-degree 1, 1.5 or 2; acyclic ones up to 3). Nodes carry nothing and the model sees
    no edges: the encodings are all it has. Graphs of the validation and test parts are larger. Distances count where a
    path exists.

    The model needs `readout='none'`, for its output is of nodes; see `graphpe.benchmarks.tasks.pair_level` for how
    pairs are scored (Geisler et al. have a network with two hidden layers, whose input has a sum over the graph, too).
    Published sizes: `train=400_000, valid=5_000, test=20_000`.

    Attributes:
        question: `adjacency` and `connectivity` (F1) or `distance` (RMSE).
        acyclic: Whether the graphs are acyclic.
        train: Graphs of the training part.
        valid: Graphs of the validation part.
        test: Graphs of the test part.
        seed: Of everything random.
    """

    name: ClassVar[str] = "playground"
    summary: ClassVar[str] = "edge, path or distance between nodes of random directed graphs, F1 or RMSE"
    default_encodings: ClassVar[tuple[str, ...]] = ("MagneticLaplacianPE(k=16)",)
    readout: ClassVar[str | None] = "none"
    adapter_class: ClassVar[type[GraphAdapter]] = PairAdapter

    question: Question = "connectivity"
    acyclic: bool = False
    train: int = 4_000
    valid: int = 300
    test: int = 300
    seed: int = 42

    def __post_init__(self) -> None:
        check_choice("question", self.question, get_args(Question))
        check_flags(acyclic=self.acyclic)
        for part in _PARTS:
            check_integer(part, getattr(self, part), least=1)
        check_seed(self.seed)

    def load(self, *, workers: int = 0, cache: Path | None = None, progress: bool = True) -> PairTargets:
        """Generate the graphs, or take those generated before, and the targets of their pairs.

        Args:
            workers: Not used: a graph takes some microseconds.
            cache: Folder in which graphs are kept; None means the user's cache folder.
            progress: Whether to show a bar.
        """
        parts, notes = [], []
        for number, part in enumerate(_PARTS):
            graphs, told = self._part(number, part, cache, progress)
            parts.append(graphs)
            notes += told
        graphs = concatenate(parts)
        ids = torch.arange(len(graphs)).split([len(part) for part in parts])
        split = dict(zip(_PARTS, ids, strict=True))
        binary = self.question != "distance"
        adapter = PairAdapter((1,), (), 1, "binary" if binary else "squared")
        recipe = [repr(self), f"{_VERSION}"]  # targets follow from edges and question
        digest = fingerprint(graphs, split, recipe)
        notes.insert(0, f"{len(graphs):,} random directed graphs, {self.question} of {graphs.num_pairs:,} pairs")
        return PairTargets(graphs, split, adapter, digest, notes, scored_by=F1 if binary else RMSE)

    def _part(self, number: int, part: str, cache: Path | None, progress: bool) -> tuple[PackedGraphs, list[str]]:
        count, nodes, degrees = getattr(self, part), _NODES[self.question][number], _DEGREES[self.acyclic]
        seed = np.random.SeedSequence([self.seed, number]).generate_state(1, np.uint64)[0]

        def generate() -> Arrays:
            return random_digraphs(count, nodes, degrees, self.acyclic, seed)

        recipe = f"playground {_VERSION}: {count} graphs of {nodes}, {degrees}, acyclic {self.acyclic}, seed {seed}"
        arrays, notes = generated_once(self.name, recipe, cache, generate)
        edge_index, ptr, edge_ptr = (torch.from_numpy(arrays[key]) for key in ("edge_index", "ptr", "edge_ptr"))
        graphs = PackedGraphs(edge_index=edge_index, ptr=ptr, edge_ptr=edge_ptr)
        targets = []
        starts = range(0, count, _CHUNK)
        for start in progress_bar(starts, desc=f"{part} targets", leave=False, disable=not progress):
            targets.append(_targets(graphs.select(slice(start, start + _CHUNK)), self.question))
        x = torch.zeros(graphs.num_nodes, 1, dtype=torch.long)
        return graphs.with_values(node={"x": x}, pair={"y": torch.cat(targets)[:, None]}), notes


def _targets(graphs: PackedGraphs, question: Question) -> torch.Tensor:
    """The target of every pair, -1 for a node and itself, `[sum n_b^2]` int8."""
    distance = shortest_paths(graphs, undirected=False)
    loops = distance == 0
    if question == "distance":
        return distance.where(~loops, -1).to(torch.int8)
    yes = distance == 1 if question == "adjacency" else distance > 0
    return yes.to(torch.int8).masked_fill(loops, -1)


def random_digraphs(count: int, nodes: tuple[int, int], degrees: tuple[float, ...], acyclic: bool, seed: Any) -> Arrays:
    """Largest weakly connected components of random directed graphs: `edge_index`, `ptr`, `edge_ptr`.

    Args:
        count: Number of graphs.
        nodes: Least and most nodes, before the component is taken.
        degrees: Expected out-degrees d to choose from; an edge has probability d / (n - 1).
        acyclic: Whether edges go along a random order of the nodes only.
        seed: uint64; graph b depends on it and b alone.
    """
    parts = [
        _digraphs(start, min(start + _CHUNK, count), nodes[0], nodes[1], np.array(degrees), acyclic, np.uint64(seed))
        for start in range(0, count, _CHUNK)
    ]
    sizes, edge_sizes = (np.concatenate([part[which] for part in parts]) for which in (1, 2))
    ptr, edge_ptr = (np.concatenate([[0], np.cumsum(each)]) for each in (sizes, edge_sizes))
    local = np.concatenate([part[0] for part in parts], axis=1)
    return {"edge_index": local + np.repeat(ptr[:-1], edge_sizes), "ptr": ptr, "edge_ptr": edge_ptr}


@machine_code
def _digraphs(start: int, stop: int, least: int, most: int, degrees: Any, acyclic: bool, seed: Any) -> Any:
    sizes, edge_sizes = np.zeros(stop - start, np.int64), np.zeros(stop - start, np.int64)
    edges = np.empty((2, (stop - start) * most * (most - 1)), np.int64)
    state = np.empty(1, np.uint64)
    order, root = np.empty(most, np.int64), np.empty(most, np.int64)
    members, name = np.empty(most, np.int64), np.empty(most, np.int64)
    tail, head = np.empty(most * (most - 1), np.int64), np.empty(most * (most - 1), np.int64)
    total = 0
    for graph in range(stop - start):
        start_stream(state, seed, start + graph)
        n = least + random_below(state, most - least + 1)
        probability = degrees[random_below(state, len(degrees))] / (n - 1)
        for i in range(n):
            order[i], root[i], members[i] = i, i, 0
        for i in range(n - 1, 0, -1):
            j = random_below(state, i + 1)
            order[i], order[j] = order[j], order[i]
        drawn = 0
        for i in range(n):
            for j in range(n):
                if i == j or (acyclic and order[i] > order[j]) or random_uniform(state) >= probability:
                    continue
                tail[drawn], head[drawn] = i, j
                drawn += 1
                a, b = i, j
                while root[a] != a:
                    a = root[a]
                while root[b] != b:
                    b = root[b]
                root[max(a, b)] = min(a, b)
        for i in range(n):  # a root is never larger than what it is the root of
            root[i] = root[root[i]]
            members[root[i]] += 1
        largest = np.argmax(members[:n])
        size = 0
        for i in range(n):
            if root[i] == largest:
                name[i] = size
                size += 1
        sizes[graph] = size
        for edge in range(drawn):
            if root[tail[edge]] == largest:
                edges[0, total], edges[1, total] = name[tail[edge]], name[head[edge]]
                total += 1
                edge_sizes[graph] += 1
    return edges[:, :total].copy(), sizes, edge_sizes
