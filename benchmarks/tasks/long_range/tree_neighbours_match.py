"""Tree-NeighborsMatch: a root is to find the one leaf that fits, and says what stands there."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from graphpe.arguments import check_counts, check_integer, check_seed
from graphpe.benchmarks.tasks.fingerprint import fingerprint
from graphpe.benchmarks.tasks.graph_level import GraphAdapter, GraphTask
from graphpe.benchmarks.tasks.metrics import ACCURACY
from graphpe.benchmarks.tasks.node_level import NodeAdapter, NodeTargets
from graphpe.graphs.packed import PackedGraphs

DEEPEST = 8


@dataclass(frozen=True)
class TreeNeighboursMatch(GraphTask):
    """Which label has the leaf with as many blue neighbours as the root? Each root of a binary tree is asked.

    Alon & Yahav, "On the Bottleneck of Graph Neural Networks and its Practical Implications" (ICLR 2021): a binary tree
    of depth r, edges from children to parents. Each of the 2^r leaves has a label and a number, both different from
    those of the other leaves; the root has a number, and is to name the label of the leaf with the same one. All of the
    2^r leaves have to pass through the root's two children (over-squashing). The numbers are features here, not
    neighbours that would have to be counted. The model needs `readout='none'`; accuracy over the roots.

    Attributes:
        depth: r, the distance, 1 to 8.
        train: Trees of the training part.
        valid: Trees of the validation part.
        test: Trees of the test part.
        seed: Of everything random.
    """

    name: ClassVar[str] = "tree-neighbours-match"
    summary: ClassVar[str] = "the label of the leaf that fits the root, at a chosen depth (over-squashing), accuracy"
    default_encodings: ClassVar[tuple[str, ...]] = ("DepthPE()",)
    readout: ClassVar[str | None] = "none"
    adapter_class: ClassVar[type[GraphAdapter]] = NodeAdapter

    depth: int = 3
    train: int = 4_000
    valid: int = 500
    test: int = 500
    seed: int = 0

    def __post_init__(self) -> None:
        check_counts(train=self.train, valid=self.valid, test=self.test)
        object.__setattr__(self, "depth", check_integer("depth", self.depth, least=1, most=DEEPEST))
        object.__setattr__(self, "seed", check_seed(self.seed))

    def load(self, *, workers: int = 0, cache: Path | None = None, progress: bool = True) -> NodeTargets:
        """Draw the trees.

        Args:
            workers: Not used.
            cache: Not used.
            progress: Not used.
        """
        counts = [self.train, self.valid, self.test]
        trees, leaves = sum(counts), 2**self.depth
        nodes = 2 * leaves - 1
        # Raw 64-bit numbers, which NumPy promises to keep. Node 0 is the root, children of i are 2 i + 1 and 2 i + 2.
        words = np.random.PCG64(self.seed).random_raw(trees * (2 * leaves + 1)).reshape(trees, -1)
        label, number = (np.argsort(words[:, part], axis=1) for part in (slice(leaves), slice(leaves, 2 * leaves)))
        chosen = (words[:, -1] % leaves).astype(np.int64)
        x = np.zeros((trees, nodes, 2), np.int64)  # label and number, 0 for none
        x[:, leaves - 1 :, 0], x[:, leaves - 1 :, 1] = 1 + label, 1 + number
        row = np.arange(trees)
        x[:, 0, 1] = 1 + number[row, chosen]
        y = np.full((trees, nodes), -1, np.int64)
        y[:, 0] = label[row, chosen]
        child = np.arange(1, nodes)
        ends = np.stack([child, (child - 1) // 2])
        shifted = ends[:, None, :] + (row * nodes)[None, :, None]
        graphs = PackedGraphs(
            edge_index=torch.from_numpy(shifted.reshape(2, -1)),
            ptr=torch.arange(trees + 1) * nodes,
            edge_ptr=torch.arange(trees + 1) * (nodes - 1),
            node={"x": torch.from_numpy(x.reshape(-1, 2)), "y": torch.from_numpy(y.reshape(-1, 1))},
        )
        parts = torch.arange(trees).split(counts)
        split = dict(zip(("train", "valid", "test"), parts, strict=True))
        adapter = NodeAdapter((1 + leaves, 1 + leaves), (), leaves, "classes")
        notes = [f"{trees:,} binary trees of {nodes} nodes, {leaves} leaves"]
        return NodeTargets(graphs, split, adapter, fingerprint(graphs, split), notes, scored_by=ACCURACY)
