"""Yes/no answers of which some may not be known, scored without OGB's evaluator, which wants its own sets."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from graphpe.benchmarks.tasks.graph_level import GraphTargets
from graphpe.errors import GraphPEValueError


def _mean_score(score: Callable[[Any, Any], float], metric: str, predictions: Tensor, target: Tensor) -> float:
    """The mean of a score over the columns in which both answers are known, as OGB does."""
    values = []
    for column in range(target.shape[1]):
        answers, guesses = target[:, column].double().numpy(), predictions[:, column].double().numpy()
        known = ~np.isnan(answers)
        if 0 < answers[known].sum() < known.sum():
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                values.append(float(score(answers[known], guesses[known])))
    if not values:
        raise GraphPEValueError(
            f"{metric} is not defined for these {len(target)} graphs: no target has both answers among them"
        )
    return float(np.mean(values))


def ranking_area(predictions: Tensor, target: Tensor) -> float:
    """The area under the ROC curve, averaged over the targets that have both answers.

    Raises:
        GraphPEValueError: If none has.
    """
    from sklearn.metrics import roc_auc_score

    return _mean_score(roc_auc_score, "ROC-AUC", predictions, target)


def average_precision(predictions: Tensor, target: Tensor) -> float:
    """Average precision, averaged over the targets that have both answers.

    Raises:
        GraphPEValueError: If none has.
    """
    from sklearn.metrics import average_precision_score

    return _mean_score(average_precision_score, "AP", predictions, target)


@dataclass
class RankedLabels(GraphTargets):
    """Scored by the area under the ROC curve, averaged over the targets that have both answers."""

    metric: ClassVar[str] = "ROC-AUC"

    def _score(self, predictions: Tensor, target: Tensor) -> float:
        return ranking_area(predictions, target)


@dataclass
class PreciseLabels(GraphTargets):
    """Scored by average precision, averaged over the targets that have both answers."""

    metric: ClassVar[str] = "AP"

    def _score(self, predictions: Tensor, target: Tensor) -> float:
        return average_precision(predictions, target)
