"""Where the batches of training and the predictions of evaluation come from."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from torch import Tensor, nn
from torch_geometric.data import Batch


class TrainBatch(NamedTuple):
    """What a step of training takes.

    Attributes:
        batch: The batch, on the device.
        asked: Graphs, nodes or pairs that its loss is the mean over, at least 1: known without asking the device.
    """

    batch: Batch
    asked: int


class BatchSource(ABC):
    """The batches of one task for one run.

    What is in a batch is a function of (seed, epoch, number of the batch): a run that was resumed makes the steps of
    one that was not.

    Attributes:
        varies: Whether epochs differ in their number of batches.
        notes: What the user may want to know of the batches, a line each.
    """

    varies: bool = False
    notes: Sequence[str] = ()

    @abstractmethod
    def count(self, epoch: int) -> int:
        """Batches of training in an epoch, those of all devices.

        Args:
            epoch: Number of the epoch, from 0.
        """

    @abstractmethod
    def train(self, epoch: int, *, start: int = 0, stride: int = 1) -> Iterator[TrainBatch]:
        """The batches of an epoch of training.

        Args:
            epoch: Number of the epoch, from 0.
            start: Number of the first batch, from 0.
            stride: Distance from one batch to the next, by number.
        """

    @abstractmethod
    def predict(self, model: nn.Module, part: str, *, progress: bool) -> tuple[Tensor, float]:
        """What the model predicts for a part of the split.

        Args:
            model: The model, as Fabric set it up or bare.
            part: `train`, `valid` or `test`.
            progress: Whether to show a bar.

        Returns:
            Rows as `TaskAdapter.predict_batch` makes them, in the order of `split[part]`, on the CPU, the same on all
            devices; and the mean loss.
        """
