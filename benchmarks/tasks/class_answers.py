"""Tasks that ask for one class of several: a class a graph."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import torch
from torch import Tensor

from graphpe.benchmarks.tasks.graph_level import GraphTargets


@dataclass
class ClassTargets(GraphTargets):
    """One class a graph, `y [B, 1]`; scored by the share of right answers. Predictions are logits `[B, classes]`.

    Attributes:
        classes: Number of classes.
    """

    metric: ClassVar[str] = "accuracy"
    classes: int = 2

    def _columns(self, target: Tensor) -> int:
        return self.classes

    def _score(self, predictions: Tensor, target: Tensor) -> float:
        return float((predictions.argmax(1) == target.flatten().long()).double().mean())

    def constant_baseline(self, indices: Tensor) -> tuple[float, str]:
        """The accuracy of the most frequent class of the training part."""
        counts = self.graphs.graph["y"][self.split["train"]].flatten().long().bincount(minlength=self.classes)
        best = int(counts.argmax())
        logits = torch.zeros(len(indices), self.classes)
        logits[:, best] = 1
        return self.evaluate(
            logits, indices
        ), f"class {self.adapter.class_names[best] if self.adapter.class_names else best}"
