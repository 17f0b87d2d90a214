"""Targets that are numbers, scored by the root of their mean squared error."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from torch import Tensor

from graphpe.benchmarks.tasks.graph_level import GraphTargets


@dataclass
class RootSquaredErrors(GraphTargets):
    """Scored by the root of the mean squared error of each target in its own units, averaged over targets as in OGB."""

    metric: ClassVar[str] = "RMSE"
    maximize: ClassVar[bool] = False

    def _score(self, predictions: Tensor, target: Tensor) -> float:
        return float((predictions.double() - target.double()).square().mean(0).sqrt().mean())


def standardisation(target: Tensor) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each column; a column of one value is divided by 1."""
    deviation = target.double().std(0, correction=0)
    deviation = deviation.where(deviation > 0, deviation.new_ones(()))
    return tuple(target.double().mean(0).tolist()), tuple(deviation.tolist())
