"""Batches of whole graphs, of a task whose split divides graphs."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from lightning_fabric import Fabric
from torch import Tensor, nn

from graphpe.benchmarks.tasks.task import TaskData
from graphpe.benchmarks.training.batch_transform import BatchTransform
from graphpe.benchmarks.training.batches.pad import Padded
from graphpe.benchmarks.training.batches.shapes import choose_shapes, sizes_of_batches, wasted
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
        padded: Whether batches are padded to a few shapes.
    """

    def __init__(
        self,
        data: TaskData,
        graphs: PackedGraphs,
        transform: BatchTransform,
        config: TrainConfig,
        fabric: Fabric,
        *,
        padded: bool = False,
    ) -> None:
        self.data, self.graphs, self.transform, self.config, self.fabric = data, graphs, transform, config, fabric
        self.loader = self._loader(transform)
        self.varies = self.loader.limited
        self.padded: Padded | None = None
        if padded:
            batches = sizes_of_batches(self.loader)
            self.padded = Padded(transform, choose_shapes(batches))
            self.loader = self._loader(self.padded)
            waste = wasted(self.padded.shapes, batches)
            more = ", ".join(f"{100 * share:.0f} % {what}" for what, share in waste.items())
            self.notes = [f"steps are captured, with batches padded to {len(self.padded.shapes)} shapes: {more} more"]

    def _loader(self, transform: Callable[[PackedGraphs], PackedGraphs]) -> PackedLoader:
        config, train = self.config, self.data.split["train"]
        return PackedLoader(
            self.graphs,
            config.batch_size,
            shuffle=True,
            seed=config.seed,
            indices=train,
            max_nodes=config.max_nodes or None,
            max_pairs=config.max_pairs or None,
            # A last batch of a few graphs would give BatchNorm poor statistics; a small task has no other batch.
            drop_last=len(train) >= config.batch_size and not (config.max_nodes or config.max_pairs),
            transform=transform,
            device=self.fabric.device,
        )

    def count(self, epoch: int) -> int:
        return len(self.loader.batch_indices(epoch))

    def train(self, epoch: int, *, start: int = 0, stride: int = 1) -> Iterator[TrainBatch]:
        asked = map(len, self.loader.batch_indices(epoch)[start::stride])
        for batch, graphs in zip(self.loader.batches(epoch, start=start, stride=stride), asked, strict=True):
            yield TrainBatch(batch if self.padded is None else self.padded.mark(batch), graphs)

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
