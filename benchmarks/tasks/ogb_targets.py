"""Targets that are scored by OGB's evaluator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from torch import Tensor

from graphpe.benchmarks.tasks.answers import average_precision, ranking_area
from graphpe.benchmarks.tasks.graph_level import GraphTargets
from graphpe.errors import GraphPEValueError
from graphpe.files.ogb import evaluator


@dataclass
class OGBTargets(GraphTargets):
    """Scored by OGB's evaluator.

    Attributes:
        dataset: OGB's name.
    """

    dataset: str = ""
    _key: ClassVar[str]

    def _score(self, predictions: Tensor, target: Tensor) -> float:
        try:
            result = evaluator(self.dataset).eval(
                {"y_true": target.numpy().astype(np.float64), "y_pred": predictions.numpy().astype(np.float64)}
            )
        except RuntimeError as error:  # no target has both answers
            raise GraphPEValueError(f"{self.metric} is not defined for these {len(target)} graphs: {error}") from None
        return float(result[self._key])


@dataclass
class RankedTargets(OGBTargets):
    """Scored by the area under the ROC curve, averaged over targets."""

    metric: ClassVar[str] = "ROC-AUC"
    _key: ClassVar[str] = "rocauc"

    def _score_target(self, predictions: Tensor, target: Tensor) -> float:
        return ranking_area(predictions, target)  # OGB's evaluator takes all targets of a set or none


@dataclass
class PreciseTargets(OGBTargets):
    """Scored by average precision, averaged over targets."""

    metric: ClassVar[str] = "AP"
    _key: ClassVar[str] = "ap"

    def _score_target(self, predictions: Tensor, target: Tensor) -> float:
        return average_precision(predictions, target)


@dataclass
class SquaredErrors(OGBTargets):
    """Scored by the root of the mean squared error; OGB's sets have one target each."""

    metric: ClassVar[str] = "RMSE"
    maximize: ClassVar[bool] = False
    _key: ClassVar[str] = "rmse"
