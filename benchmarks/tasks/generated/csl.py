"""CSL: rings with chords, which no message passing tells apart."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from graphpe.arguments import check_integer, check_seed
from graphpe.benchmarks.tasks.fingerprint import fingerprint
from graphpe.benchmarks.tasks.graph_level import GraphAdapter, GraphTargets, GraphTask
from graphpe.benchmarks.tasks.metrics import ACCURACY
from graphpe.benchmarks.tasks.random_split import folds
from graphpe.graphs.packed import PackedGraphs

SKIPS = (2, 3, 4, 5, 6, 9, 11, 12, 13, 16)
"""Lengths of the chords of each class."""

NODES, COPIES, FOLDS = 41, 15, 5


@dataclass(frozen=True)
class CSL(GraphTask):
    """How long are the chords? Circular skip links: which of ten classes is a ring of 41 nodes with chords of?

    Murphy et al. (2019), as in Dwivedi et al. (2020): node i is joined to i + 1 and to i + s, with s one of 2, 3, 4, 5,
    6, 9, 11, 12, 13 and 16: 150 graphs, 15 copies of each class with their nodes in random orders. Every node has four
    neighbours, so that message passing without encodings guesses (accuracy 0.1). Five folds with the same share of
    every class: three train, one validates, one tests.

    Attributes:
        fold: The fold that tests, 0 to 4; the next one validates.
        seed: Of the orders of nodes and the folds.
    """

    name: ClassVar[str] = "CSL"
    summary: ClassVar[str] = "circular skip links: ten classes of regular graphs, which look alike to messages"
    default_encodings: ClassVar[tuple[str, ...]] = ("RandomWalkPE(walk_length=16)",)

    fold: int = 0
    seed: int = 0

    def __post_init__(self) -> None:
        object.__setattr__(self, "fold", check_integer("fold", self.fold, least=0, most=FOLDS - 1))
        object.__setattr__(self, "seed", check_seed(self.seed))

    def load(self, *, workers: int = 0, cache: Path | None = None, progress: bool = True) -> GraphTargets:
        """Make the graphs.

        Args:
            workers: Not used.
            cache: Not used.
            progress: Not used.
        """
        count = len(SKIPS) * COPIES
        label = torch.arange(count) % len(SKIPS)
        order = np.argsort(np.random.PCG64(self.seed).random_raw(count * NODES).reshape(count, NODES), axis=1)
        ring = np.arange(NODES)
        edges = []
        for graph in range(count):
            ahead = np.concatenate([(ring + 1) % NODES, (ring + SKIPS[graph % len(SKIPS)]) % NODES])
            ends = order[graph][np.stack([np.tile(ring, 2), ahead])] + graph * NODES
            edges.append(np.concatenate([ends, ends[::-1]], axis=1))
        graphs = PackedGraphs(
            edge_index=torch.from_numpy(np.concatenate(edges, axis=1)),
            ptr=torch.arange(count + 1) * NODES,
            edge_ptr=torch.arange(count + 1) * 4 * NODES,
            node={"x": torch.zeros(count * NODES, 1, dtype=torch.long)},
            graph={"y": label[:, None]},
        )
        parts = folds(label, FOLDS, self.seed)
        test, valid = parts[self.fold], parts[(self.fold + 1) % FOLDS]
        others = [part for number, part in enumerate(parts) if number not in (self.fold, (self.fold + 1) % FOLDS)]
        split = {"train": torch.cat(others).sort().values, "valid": valid, "test": test}
        names = tuple(str(skip) for skip in SKIPS)
        adapter = GraphAdapter((1,), (), len(SKIPS), "classes", class_names=names)
        return GraphTargets(graphs, split, adapter, fingerprint(graphs, split), [], scored_by=ACCURACY)
