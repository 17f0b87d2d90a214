"""Ring transfer: a node is to say what stands at the opposite side of its ring."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from graphpe.arguments import check_counts, check_integer, check_seed
from graphpe.benchmarks.console.sizes import Sizes
from graphpe.benchmarks.tasks.by_size import mean_sizes
from graphpe.benchmarks.tasks.fingerprint import fingerprint
from graphpe.benchmarks.tasks.graph_level import GraphAdapter, GraphTask
from graphpe.benchmarks.tasks.metrics import ACCURACY
from graphpe.benchmarks.tasks.node_level import NodeAdapter, NodeTargets
from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs

CLASSES = 5

_PARTS = ("train", "valid", "test")


@dataclass(frozen=True)
class RingTransfer(GraphTask):
    """Which of five classes does the node at the opposite side of the ring carry? One node of each ring is asked.

    Bodnar et al., "Weisfeiler and Lehman Go Cellular: CW Networks" (NeurIPS 2021): in a ring of n nodes one is the
    source and carries a class, the one n / 2 steps away is the target and is to name it; all others are alike. n / 2
    layers of message passing are needed, or attention between the two. A ring is an even number of nodes long. Nodes
    are in a random order. The model needs `readout='none'`; accuracy over the targets.

    Attributes:
        nodes: Nodes of each ring, twice the distance.
        train: Rings of the training part.
        valid: Rings of the validation part.
        test: Rings of the test part, and of each bin of larger ones (`--sizes`).
        seed: Of everything random.
    """

    name: ClassVar[str] = "ring-transfer"
    summary: ClassVar[str] = "the class at the opposite side of a ring, at a chosen distance, accuracy"
    default_encodings: ClassVar[tuple[str, ...]] = ("RandomWalkPE(walk_length=16)",)
    readout: ClassVar[str | None] = "none"
    adapter_class: ClassVar[type[GraphAdapter]] = NodeAdapter

    nodes: int = 10
    train: int = 2_000
    valid: int = 300
    test: int = 300
    seed: int = 0

    def __post_init__(self) -> None:
        check_counts(train=self.train, valid=self.valid, test=self.test)
        object.__setattr__(self, "nodes", check_integer("nodes", self.nodes, least=4))
        if self.nodes % 2:
            raise GraphPEValueError(f"nodes is {self.nodes}; a ring with an opposite side has an even number")
        object.__setattr__(self, "seed", check_seed(self.seed))

    def load(self, *, workers: int = 0, cache: Path | None = None, progress: bool = True) -> NodeTargets:
        """Draw the rings.

        Args:
            workers: Not used.
            cache: Not used.
            progress: Not used.
        """
        return self._of_sizes({part: (self.nodes, self.nodes) for part in _PARTS})

    def load_sizes(
        self, sizes: Sizes, *, workers: int = 0, cache: Path | None = None, progress: bool = True
    ) -> NodeTargets:
        """Rings of other sizes, even numbers of nodes; as many of each bin as of the test.

        Args:
            sizes: The sizes, from 4 on.
            workers: Not used.
            cache: Not used.
            progress: Not used.

        Raises:
            GraphPEValueError: There is no even number from 4 on among the sizes of a bin.
        """
        data = self._of_sizes({part: each.filled() for part, each in sizes.ranges().items()})
        data.mean_sizes = mean_sizes(data.graphs.sizes, data.split)
        return data

    def _of_sizes(self, asked: dict[str, tuple[int, int]]) -> NodeTargets:
        sizes, counts = [], []
        for number, (part, (least, most)) in enumerate(asked.items()):
            halves = np.arange(max(2, -(-least // 2)), most // 2 + 1)
            if not len(halves):
                raise GraphPEValueError(f"sizes has {least} to {most} nodes; rings have an even number, from 4 on")
            counts.append(getattr(self, part, self.test))
            sizes.append(2 * halves[(_words(self.seed, number, 0, counts[-1]) % len(halves)).astype(np.int64)])
        size = np.concatenate(sizes)
        total, ptr = int(size.sum()), np.concatenate([[0], np.cumsum(size)])
        graph = np.repeat(np.arange(len(size)), size)
        place = np.arange(total) - ptr[graph]
        # A random order of each ring's nodes: `name` of each place.
        order = np.lexsort((_words(self.seed, 0, 1, total), graph))
        name = np.empty(total, np.int64)
        name[order] = np.arange(total)
        after = name[ptr[graph] + (place + 1) % size[graph]]
        ends = np.stack([name, after])
        label = (_words(self.seed, 0, 2, len(size)) % CLASSES).astype(np.int64)
        source, target = name[ptr[:-1]], name[ptr[:-1] + size // 2]
        x, y = np.zeros((total, 1), np.int64), np.full((total, 1), -1, np.int64)
        x[source, 0], x[target, 0] = 1 + label, 1 + CLASSES
        y[target, 0] = label
        both = np.stack([ends, ends[::-1]], axis=2).reshape(2, -1)
        graphs = PackedGraphs(
            edge_index=torch.from_numpy(both),
            ptr=torch.from_numpy(ptr),
            edge_ptr=torch.from_numpy(2 * ptr),
            node={"x": torch.from_numpy(x), "y": torch.from_numpy(y)},
        )
        split = dict(zip(asked, torch.arange(len(size)).split(counts), strict=True))
        adapter = NodeAdapter((2 + CLASSES,), (), CLASSES, "classes")
        notes = [f"{len(size):,} rings of up to {int(size.max())} nodes"]
        return NodeTargets(graphs, split, adapter, fingerprint(graphs, split), notes, scored_by=ACCURACY)


def _words(seed: int, part: int, stream: int, count: int) -> np.ndarray:
    """Raw 64-bit numbers, which NumPy promises to keep."""
    return np.random.PCG64(np.random.SeedSequence([seed, part, stream])).random_raw(count)
