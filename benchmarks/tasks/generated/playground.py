"""Questions about pairs of nodes of random directed graphs, which only an encoding can answer; generated."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import numpy as np
import torch

from graphpe.arguments import check_choice, check_flags, check_integer, check_seed
from graphpe.benchmarks.console.sizes import Sizes
from graphpe.benchmarks.tasks.by_size import mean_sizes
from graphpe.benchmarks.tasks.fingerprint import fingerprint
from graphpe.benchmarks.tasks.generated.cache import Arrays, generated_once
from graphpe.benchmarks.tasks.generated.splitmix import random_below, random_uniform, start_stream
from graphpe.benchmarks.tasks.graph_level import GraphAdapter, GraphTask
from graphpe.benchmarks.tasks.metrics import F1, RMSE
from graphpe.benchmarks.tasks.pair_level import PairAdapter, PairTargets
from graphpe.compiled.jit import machine_code
from graphpe.distances.shortest_paths import shortest_paths
from graphpe.errors import GraphPERuntimeError
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
_ROWS = 2_000_000
"""Pairs of nodes of the graphs that are drawn at once."""

_MOST_ROUNDS = 200


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
        nodes = dict(zip(_PARTS, _NODES[self.question], strict=True))
        return self._of_sizes(nodes, [repr(self)], cache, progress)

    def load_sizes(
        self, sizes: Sizes, *, workers: int = 0, cache: Path | None = None, progress: bool = True
    ) -> PairTargets:
        """Graphs whose largest component, which is what is left of them, has these sizes; of each bin as of the test.

        Those of training have from a quarter of their largest size on, unless the sizes say from where.

        Args:
            sizes: The sizes.
            workers: Not used.
            cache: As in `load`.
            progress: As in `load`.
        """
        nodes = {part: each.filled() for part, each in sizes.ranges().items()}
        data = self._of_sizes(nodes, [repr(self), f"{sizes}"], cache, progress, exact=True)
        data.mean_sizes = mean_sizes(data.graphs.sizes, data.split)
        return data

    def _of_sizes(
        self,
        nodes: dict[str, tuple[int, int]],
        lines: list[str],
        cache: Path | None,
        progress: bool,
        *,
        exact: bool = False,
    ) -> PairTargets:
        """Graphs of the sizes of each part, least and most, which are those of components where `exact`."""
        parts, notes = [], []
        narrow = max(most for _, most in nodes.values()) <= 127
        for number, (part, ends) in enumerate(nodes.items()):
            graphs, told = self._part(number, part, ends, exact, cache, progress)
            y = graphs.pair["y"]
            parts.append(graphs.with_values(pair={"y": y.to(torch.int8 if narrow else torch.int32)}))
            notes += told
        graphs = concatenate(parts)
        ids = torch.arange(len(graphs)).split([len(part) for part in parts])
        split = dict(zip(nodes, ids, strict=True))
        binary = self.question != "distance"
        adapter = PairAdapter((1,), (), 1, "binary" if binary else "squared")
        digest = fingerprint(graphs, split, [*lines, f"{_VERSION}"])  # targets follow from edges and question
        notes.insert(0, f"{len(graphs):,} random directed graphs, {self.question} of {graphs.num_pairs:,} pairs")
        return PairTargets(graphs, split, adapter, digest, notes, scored_by=F1 if binary else RMSE)

    def _part(
        self, number: int, part: str, nodes: tuple[int, int], exact: bool, cache: Path | None, progress: bool
    ) -> tuple[PackedGraphs, list[str]]:
        count, degrees = getattr(self, part, self.test), _DEGREES[self.acyclic]
        seed = np.random.SeedSequence([self.seed, number]).generate_state(1, np.uint64)[0]

        def generate() -> Arrays:
            drawn = components_of if exact else random_digraphs
            return drawn(count, nodes, degrees, self.acyclic, seed)

        recipe = f"playground {_VERSION}: {count} graphs of {nodes}, {degrees}, acyclic {self.acyclic}, seed {seed}"
        recipe += ", sizes of components" if exact else ""
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
    """The target of every pair, -1 for a node and itself, `[sum n_b^2]`."""
    distance = shortest_paths(graphs, undirected=False)
    loops = distance == 0
    if question == "distance":
        return distance.where(~loops, -1)
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
    parts = [_drawn(start, count, nodes, degrees, acyclic, seed) for start in range(0, count, _CHUNK)]
    return _arrays(*(np.concatenate(each, axis=-1) for each in zip(*parts, strict=True)))


def components_of(count: int, sizes: tuple[int, int], degrees: tuple[float, ...], acyclic: bool, seed: Any) -> Arrays:
    """The same, of graphs whose component has so many nodes: the first `count` of all that are drawn.

    They are drawn with up to twice as many nodes, of which components are a part.

    Args:
        count: Number of graphs.
        sizes: Least and most nodes of the component.
        degrees: As in `random_digraphs`.
        acyclic: As in `random_digraphs`.
        seed: uint64.

    Raises:
        GraphPERuntimeError: Too few of those that are drawn have such a component.
    """
    nodes = max(2, sizes[0]), 2 * sizes[1]
    step = max(1, min(_CHUNK, _ROWS // nodes[1] ** 2))
    kept: list[tuple[Any, Any, Any]] = []
    found = 0
    for start in range(0, _MOST_ROUNDS * max(count, _CHUNK), step):
        local, size, edge_size = _drawn(start, start + step, nodes, degrees, acyclic, seed)
        fits = (size >= sizes[0]) & (size <= sizes[1])
        kept.append((local[:, np.repeat(fits, edge_size)], size[fits], edge_size[fits]))
        found += int(fits.sum())
        if found >= count:
            break
    else:
        raise GraphPERuntimeError(
            f"of {start + step:,} random graphs only {found:,} have a component of {sizes[0]} to {sizes[1]} nodes, and "
            f"{count:,} were asked for: ask for fewer, or for a wider range of sizes"
        )
    local, size, edge_size = (np.concatenate(each, axis=-1) for each in zip(*kept, strict=True))
    return _arrays(local[:, : int(edge_size[:count].sum())], size[:count], edge_size[:count])


def _drawn(
    start: int, count: int, nodes: tuple[int, int], degrees: tuple[float, ...], acyclic: bool, seed: Any
) -> tuple[Any, Any, Any]:
    """The edges, counted within each graph, sizes and numbers of edges of some graphs."""
    stop = min(start + _CHUNK, count)
    return _digraphs(start, stop, nodes[0], nodes[1], np.array(degrees), acyclic, np.uint64(seed))


def _arrays(local: Any, sizes: Any, edge_sizes: Any) -> Arrays:
    ptr, edge_ptr = (np.concatenate([[0], np.cumsum(each)]) for each in (sizes, edge_sizes))
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
