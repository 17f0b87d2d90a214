"""Batches of graphs that all parts of the split share: the whole at every step, and what samplers have in common.

Encodings of nodes are those of the whole graph and travel with the nodes; so do encodings of pairs, which are computed
once for all pairs or, above the limit of memory for those, refused. Targets that are not asked for in a batch are
unknown in it, and have no part in its loss.
"""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Iterator

import torch
from lightning_fabric import Fabric
from torch import Tensor, nn
from torch_geometric.data import Batch

from graphpe.benchmarks.tasks.task import TaskData
from graphpe.benchmarks.training.batch_transform import BatchTransform
from graphpe.benchmarks.training.batches.source import BatchSource, TrainBatch
from graphpe.benchmarks.training.config import TrainConfig
from graphpe.benchmarks.training.evaluation import evaluated
from graphpe.graphs.packed import PackedGraphs


def only(target: Tensor, ids: Tensor) -> Tensor:
    """The targets of the rows `ids`; those of other rows are unknown: NaN, or -1 among integers.

    Args:
        target: Targets, `[R, ...]`.
        ids: Rows.
    """
    hidden = torch.full_like(target, torch.nan if target.is_floating_point() else -1)
    hidden[ids] = target[ids]
    return hidden


class SharedGraph(BatchSource):
    """What sources have in common whose batches are parts of the same graphs: prediction from the whole.

    Args:
        data: The task's data, whose split divides nodes.
        graphs: Its graphs, encoded.
        transform: What is done to the graphs of each batch.
        config: The run's options.
        fabric: Its devices.
    """

    def __init__(
        self, data: TaskData, graphs: PackedGraphs, transform: BatchTransform, config: TrainConfig, fabric: Fabric
    ) -> None:
        self.data, self.adapter, self.config, self.fabric = data, data.adapter, config, fabric
        self.graphs = graphs if transform.encode is None else transform.encode(graphs)

    def model_batch(self, graphs: PackedGraphs) -> Batch:
        """Graphs as the model takes them, on the device."""
        return self.adapter.model_graphs(graphs.to(self.fabric.device)).to_batch()

    def whole(self) -> Batch:
        """All graphs as one batch."""
        return self.model_batch(self.graphs)

    @torch.no_grad()
    def predict(self, model: nn.Module, part: str, *, progress: bool) -> tuple[Tensor, float]:
        bare = evaluated(model, self.fabric)
        ids = self.data.split[part].to(self.fabric.device)
        batch = copy.copy(self.whole())
        batch.y = only(batch.y, ids)
        with self.fabric.autocast():
            output = bare(batch)
        rows = self.adapter.predict_batch(output, batch)[ids].cpu()
        return rows, float(self.adapter.loss(output, batch))


class WholeAtOnce(SharedGraph):
    """One batch an epoch: the whole, with the targets of the training part."""

    def __init__(
        self, data: TaskData, graphs: PackedGraphs, transform: BatchTransform, config: TrainConfig, fabric: Fabric
    ) -> None:
        super().__init__(data, graphs, transform, config, fabric)
        self._batch = super().whole()
        self._train = copy.copy(self._batch)
        self._train.y = only(self._batch.y, data.split["train"].to(fabric.device))

    def whole(self) -> Batch:
        return self._batch

    def count(self, epoch: int) -> int:
        return 1

    def train(self, epoch: int, *, start: int = 0, stride: int = 1) -> Iterator[TrainBatch]:
        for _ in range(start, 1, stride):
            yield TrainBatch(copy.copy(self._train), len(self.data.split["train"]))


class Sampled(SharedGraph):
    """What samplers have in common: they cut one graph, and may predict from parts of it, too."""

    @abstractmethod
    def pieces(self, part: str) -> Iterator[tuple[PackedGraphs, Tensor, Tensor]]:
        """Parts of the graph that together hold all nodes of a part of the split.

        Args:
            part: Of the split.

        Yields:
            The part of the graph; the numbers in it of the nodes that are asked for; and their places among the ids of
            the part of the split.
        """

    @torch.no_grad()
    def predict(self, model: nn.Module, part: str, *, progress: bool) -> tuple[Tensor, float]:
        if self.config.evaluation == "whole":
            return super().predict(model, part, progress=progress)
        bare = evaluated(model, self.fabric)
        rows, places = [], []
        loss = torch.zeros((), dtype=torch.float64, device=self.fabric.device)
        for graph, asked, place in self.pieces(part):
            batch = self.model_batch(graph)
            here = asked.to(self.fabric.device)
            batch.y = only(batch.y, here)
            with self.fabric.autocast():
                output = bare(batch)
            rows.append(self.adapter.predict_batch(output, batch)[here].cpu())
            loss += self.adapter.loss(output, batch).double() * len(asked)
            places.append(place)
        order = torch.argsort(torch.cat(places))
        return torch.cat(rows)[order], float(loss) / len(order)
