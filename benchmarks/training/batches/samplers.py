"""Batches that are cut out of one graph: sampled neighbours of some nodes, or some of its parts."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from lightning_fabric import Fabric
from torch import Tensor

from graphpe.benchmarks.tasks.task import TaskData
from graphpe.benchmarks.training.batch_transform import BatchTransform
from graphpe.benchmarks.training.batches.shared_graph import Sampled, only
from graphpe.benchmarks.training.batches.source import TrainBatch
from graphpe.benchmarks.training.config import TrainConfig
from graphpe.graphs.packed import PackedGraphs
from graphpe.graphs.ragged import Ints
from graphpe.sampling.neighbors import NeighborSampler
from graphpe.sampling.partitions import metis_partition, partition
from graphpe.sampling.subgraph import Induced, cut_out

_ORDER, _DRAWS = 0, 1  # streams of random numbers


class Neighbors(Sampled):
    """Nodes of the training part in random order, `batch_size` at a time, with sampled neighbours; they come first.

    A last batch of fewer is left out where there is a full one.
    """

    def __init__(
        self, data: TaskData, graphs: PackedGraphs, transform: BatchTransform, config: TrainConfig, fabric: Fabric
    ) -> None:
        super().__init__(data, graphs, transform, config, fabric)
        self.sampler = NeighborSampler(self.graphs, config.fanout)
        self._ids = data.split["train"].numpy()

    def count(self, epoch: int) -> int:
        return len(self._ids) // self.config.batch_size or 1

    def train(self, epoch: int, *, start: int = 0, stride: int = 1) -> Iterator[TrainBatch]:
        seed, size = self.config.seed, self.config.batch_size
        order = np.random.default_rng([seed, epoch, _ORDER]).permutation(self._ids)
        for number in range(start, self.count(epoch), stride):
            seeds = order[number * size : (number + 1) * size]
            graph = self._around(seeds, np.random.default_rng([seed, epoch, _DRAWS, number]))
            batch = self.model_batch(graph)
            batch.y = only(batch.y, torch.arange(len(seeds), device=batch.y.device))
            yield TrainBatch(batch, len(seeds))

    def pieces(self, part: str) -> Iterator[tuple[PackedGraphs, Tensor, Tensor]]:
        ids, size = self.data.split[part].numpy(), self.config.batch_size
        for first in range(0, len(ids), size):
            seeds = ids[first : first + size]
            graph = self._around(seeds, np.random.default_rng([self.config.seed, first]))
            yield graph, torch.arange(len(seeds)), torch.arange(first, first + len(seeds))

    def _around(self, seeds: Ints, rng: np.random.Generator) -> PackedGraphs:
        return cut_out(self.graphs, self.sampler.sample(seeds, rng))


class Partitions(Sampled):
    """Parts of the graph in random order, `batch_size` at a time, with all edges among their nodes, as Cluster-GCN.

    Batches without a node of the training part are left out. Parts are METIS's where PyG finds it, else our own.
    """

    def __init__(
        self, data: TaskData, graphs: PackedGraphs, transform: BatchTransform, config: TrainConfig, fabric: Fabric
    ) -> None:
        super().__init__(data, graphs, transform, config, fabric)
        owner = metis_partition(self.graphs, config.parts)
        if owner is None:
            owner = partition(self.graphs, config.parts)
        order = np.argsort(owner, kind="stable")
        self.parts: list[Ints] = np.split(order, np.cumsum(np.bincount(owner, minlength=config.parts))[:-1])
        self._induced = Induced(self.graphs)
        self.varies = True

    def _groups(self, epoch: int) -> list[Ints]:
        """Nodes of each batch of an epoch."""
        order = np.random.default_rng([self.config.seed, epoch, _ORDER]).permutation(len(self.parts))
        asked = self._asked("train") >= 0
        groups = self._joined(order)
        return [nodes for nodes in groups if asked[nodes].any()]

    def _joined(self, order: Ints) -> list[Ints]:
        size = self.config.batch_size
        return [
            np.concatenate([self.parts[part] for part in order[first : first + size]])
            for first in range(0, len(order), size)
        ]

    def _asked(self, part: str) -> Ints:
        """The place of each node among the ids of a part of the split; -1 where it is not in it."""
        place = np.full(self.graphs.num_nodes, -1)
        ids = self.data.split[part].numpy()
        place[ids] = np.arange(len(ids))
        return place

    def count(self, epoch: int) -> int:
        return len(self._groups(epoch))

    def train(self, epoch: int, *, start: int = 0, stride: int = 1) -> Iterator[TrainBatch]:
        place = self._asked("train")
        for nodes in self._groups(epoch)[start::stride]:
            asked = np.flatnonzero(place[nodes] >= 0)
            batch = self.model_batch(cut_out(self.graphs, self._induced.on(nodes)))
            batch.y = only(batch.y, torch.from_numpy(asked).to(batch.y.device))
            yield TrainBatch(batch, len(asked))

    def pieces(self, part: str) -> Iterator[tuple[PackedGraphs, Tensor, Tensor]]:
        place = self._asked(part)
        for nodes in self._joined(np.arange(len(self.parts))):
            asked = np.flatnonzero(place[nodes] >= 0)
            if len(asked):
                graph = cut_out(self.graphs, self._induced.on(nodes))
                yield graph, torch.from_numpy(asked), torch.from_numpy(place[nodes[asked]])
