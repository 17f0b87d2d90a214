"""Batches of whole graphs, of a task whose split divides graphs."""

from __future__ import annotations

from collections.abc import Iterator

from lightning_fabric import Fabric
from torch import Tensor, nn

from graphpe.benchmarks.tasks.task import TaskData
from graphpe.benchmarks.training.batch_transform import BatchTransform
from graphpe.benchmarks.training.batches.source import BatchSource, TrainBatch
from graphpe.benchmarks.training.config import TrainConfig
from graphpe.benchmarks.training.evaluation import collect_predictions
from graphpe.graphs.loader import PackedLoader
from graphpe.graphs.packed import PackedGraphs


class WholeGraphs(BatchSource):
    """Batches of graphs, from a `PackedLoader`.

    Args:
        data: The task's data.
        graphs: Its graphs, encoded.
        transform: What is done to the graphs of each batch.
        config: The run's options.
        fabric: Its devices.
    """

    def __init__(
        self, data: TaskData, graphs: PackedGraphs, transform: BatchTransform, config: TrainConfig, fabric: Fabric
    ) -> None:
        self.data, self.graphs, self.transform, self.config, self.fabric = data, graphs, transform, config, fabric
        train = data.split["train"]
        self.loader = PackedLoader(
            graphs,
            config.batch_size,
            shuffle=True,
            seed=config.seed,
            indices=train,
            max_nodes=config.max_nodes or None,
            max_pairs=config.max_pairs or None,
            # A last batch of a few graphs would give BatchNorm poor statistics; a small task has no other batch.
            drop_last=len(train) >= config.batch_size and not (config.max_nodes or config.max_pairs),
            transform=transform,
            device=fabric.device,
        )
        self.varies = self.loader.limited

    def count(self, epoch: int) -> int:
        return len(self.loader.batch_indices(epoch))

    def train(self, epoch: int, *, start: int = 0, stride: int = 1) -> Iterator[TrainBatch]:
        for batch in self.loader.batches(epoch, start=start, stride=stride):
            yield TrainBatch(batch, batch.num_graphs)

    def predict(self, model: nn.Module, part: str, *, progress: bool) -> tuple[Tensor, float]:
        return collect_predictions(
            self.fabric,
            model,
            self.data.adapter,
            self.graphs,
            self.transform,
            self.data.split[part],
            batch_size=2 * self.config.batch_size,
            max_nodes=self.config.max_nodes or None,
            max_pairs=self.config.max_pairs or None,
            label=part,
            progress=progress,
        )
