"""How predictions are scored, over the targets that are known: numbers, labels (yes or no) or one class of several.

A target that is not known is NaN, or negative among integers. Where there are several targets, the metric is the mean
over those on which it is defined.
"""

from __future__ import annotations

import warnings
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphpe.benchmarks.tasks.targets import is_known
from graphpe.errors import GraphPEValueError
from graphpe.files.ogb import evaluator

Score = Callable[[Tensor, Tensor], float | None]
"""The metric of predictions and targets of one kind, all known; None where it is not defined on them."""


def figure(value: float, scale: float | None = None) -> str:
    """A metric as people write it: four decimals, or four digits where those say nothing, as of targets around 1e-6.

    Args:
        value: The number.
        scale: The size of what it stands beside, if not its own.
    """
    size = abs(value if scale is None else scale)
    return f"{value:.4f}" if not size or 1e-3 <= size < 1e6 else f"{value:.4g}"


@dataclass(frozen=True)
class Metric(ABC):
    """A metric.

    Attributes:
        name: Its name in tables.
        maximize: Whether more is better.
    """

    name: str
    maximize: bool

    @abstractmethod
    def by_target(self, predictions: Tensor, target: Tensor) -> list[float | None]:
        """The metric of each target alone; None where it is not defined.

        Args:
            predictions: As the task's adapter makes them, `[R, outputs]`.
            target: The targets, `[R, T]`.
        """

    @abstractmethod
    def constant(self, target: Tensor, outputs: int) -> Tensor:
        """The best prediction `[outputs]` that ignores its input, from the targets `[R, T]` of a training part."""

    def evaluate(self, predictions: Tensor, target: Tensor) -> float:
        """The mean over the targets on which it is defined.

        Args:
            predictions: As the task's adapter makes them, `[R, outputs]`.
            target: The targets, `[R, T]`.

        Raises:
            GraphPEValueError: It is defined on none.
        """
        defined = [value for value in self.by_target(predictions, target) if value is not None]
        if not defined:
            why = "every target has one value only" if bool(is_known(target).any()) else "no target is known"
            raise GraphPEValueError(f"{self.name} is not defined for these {len(target)} rows: {why}")
        return float(np.mean(defined))


@dataclass(frozen=True)
class ColumnMetric(Metric):
    """A metric of numbers or labels: a prediction for each target.

    Attributes:
        score: The metric of one target.
        best: From the known values of a target in the training part to the best constant.
    """

    score: Score
    best: Callable[[Tensor], Tensor]

    def by_target(self, predictions: Tensor, target: Tensor) -> list[float | None]:
        values: list[float | None] = []
        for column in range(target.shape[1]):
            known = is_known(target[:, column])
            guess, right = predictions[known, column].double(), target[known, column].double()
            values.append(self.score(guess, right) if len(right) else None)
        return values

    def constant(self, target: Tensor, outputs: int) -> Tensor:
        columns = [column[is_known(column)].double() for column in target.t()]
        return torch.stack([self.best(each) if len(each) else torch.zeros(()).double() for each in columns])


@dataclass(frozen=True)
class ClassMetric(Metric):
    """A metric of one class of several, whose predictions are logits.

    Attributes:
        score: The metric of predicted and right classes.
    """

    score: Score

    def by_target(self, predictions: Tensor, target: Tensor) -> list[float | None]:
        target = target.flatten()
        known = is_known(target)
        return [self.score(predictions[known].argmax(1), target[known].long()) if bool(known.any()) else None]

    def constant(self, target: Tensor, outputs: int) -> Tensor:
        """Logits of the most frequent class."""
        target = target.flatten()
        counts = target[is_known(target)].long().bincount(minlength=outputs)
        return torch.nn.functional.one_hot(counts.argmax(), outputs).double()


@dataclass(frozen=True)
class OGBMetric(ColumnMetric):
    """A metric computed by OGB's evaluator.

    Attributes:
        dataset: OGB's name of the data set.
    """

    dataset: str

    def evaluate(self, predictions: Tensor, target: Tensor) -> float:
        """What OGB's evaluator says of all targets.

        Args:
            predictions: A prediction for each target, `[R, T]`.
            target: The targets, `[R, T]`.

        Raises:
            GraphPEValueError: It is not defined on any.
        """
        key = {"ROC-AUC": "rocauc", "AP": "ap", "RMSE": "rmse"}[self.name]
        columns = {"y_true": target.numpy().astype(np.float64), "y_pred": predictions.numpy().astype(np.float64)}
        try:
            return float(evaluator(self.dataset).eval(columns)[key])
        except RuntimeError as error:  # no target has both labels
            raise GraphPEValueError(f"{self.name} is not defined for these {len(target)} rows: {error}") from None


def ogb_metric(metric: ColumnMetric, dataset: str) -> OGBMetric:
    """A metric as OGB's evaluator computes it.

    Args:
        metric: The metric, of one target.
        dataset: OGB's name of the data set.
    """
    return OGBMetric(metric.name, metric.maximize, metric.score, metric.best, dataset)


def ogb_accuracy(dataset: str) -> ClassMetric:
    """The share of right classes as OGB's evaluator computes it.

    Args:
        dataset: OGB's name of the data set.
    """

    def score(guess: Tensor, target: Tensor) -> float:
        columns = {"y_true": target.view(-1, 1).numpy(), "y_pred": guess.view(-1, 1).numpy()}
        return float(evaluator(dataset).eval(columns)["acc"])

    return ClassMetric("accuracy", True, score)


def _root_mean_squared_error(predictions: Tensor, target: Tensor) -> float:
    return float((predictions - target).square().mean().sqrt())


def _squared_error_per_variance(predictions: Tensor, target: Tensor) -> float | None:
    variance = float(target.var(correction=0))
    return float((predictions - target).square().mean()) / variance if variance > 0 else None


def _mean_absolute_error(predictions: Tensor, target: Tensor) -> float:
    return float((predictions - target).abs().mean())


def _roc_auc(predictions: Tensor, target: Tensor) -> float | None:
    from sklearn.metrics import roc_auc_score

    return _ranking(roc_auc_score, predictions, target)


def _average_precision(predictions: Tensor, target: Tensor) -> float | None:
    from sklearn.metrics import average_precision_score

    return _ranking(average_precision_score, predictions, target)


def _ranking(score: Callable[[Any, Any], float], predictions: Tensor, target: Tensor) -> float | None:
    """A score of scikit-learn, where both labels are there, as OGB's evaluator has it."""
    if not 0 < float(target.sum()) < len(target):
        return None
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return float(score(target.numpy(), predictions.numpy()))


def _f1(predictions: Tensor, target: Tensor) -> float:
    """2 TP / (2 TP + FP + FN), 0 without any; logits above 0 are yes."""
    guess, right = predictions > 0, target > 0.5
    return 2 * int((guess & right).sum()) / max(int(guess.sum()) + int(right.sum()), 1)


def _yes(target: Tensor) -> Tensor:
    return torch.ones_like(target[0])


def _accuracy(guess: Tensor, target: Tensor) -> float:
    return float((guess == target).double().mean())


def _macro_f1(guess: Tensor, target: Tensor) -> float:
    """The mean of F1 over the classes that stand among targets or predictions, as scikit-learn has it."""
    classes = int(max(guess.max(), target.max())) + 1
    said, there = guess.bincount(minlength=classes), target.bincount(minlength=classes)
    right = target[guess == target].bincount(minlength=classes)
    counted = said + there > 0
    return float((2 * right.double() / (said + there))[counted].mean())


def _mean_recall(guess: Tensor, target: Tensor) -> float:
    counts = target.bincount()
    right = torch.zeros(len(counts), dtype=torch.float64).index_add(0, target, (guess == target).double())
    return float((right / counts)[counts > 0].mean())


RMSE = ColumnMetric("RMSE", False, _root_mean_squared_error, torch.mean)
"""Root of the mean squared error of each target in its own units."""

MSE_PER_VARIANCE = ColumnMetric("MSE/variance", False, _squared_error_per_variance, torch.mean)
"""Mean squared error of each target, divided by the variance of the targets it is measured on."""

MAE = ColumnMetric("MAE", False, _mean_absolute_error, torch.median)
"""Mean absolute error of each target in its own units."""

ROC_AUC = ColumnMetric("ROC-AUC", True, _roc_auc, torch.mean)
"""Area under the ROC curve of each target that has both labels."""

AVERAGE_PRECISION = ColumnMetric("AP", True, _average_precision, torch.mean)
"""Average precision of each target that has both labels."""

F1 = ColumnMetric("F1", True, _f1, _yes)
"""F1 of the label yes; the constant is yes to everything."""

ACCURACY = ClassMetric("accuracy", True, _accuracy)
"""Share of right classes."""

BALANCED_ACCURACY = ClassMetric("weighted accuracy", True, _mean_recall)
"""Mean over classes of the share of their rows that are found, as Dwivedi et al. (2020) do."""

MACRO_F1 = ClassMetric("macro F1", True, _macro_f1)
"""Mean over classes of F1, as the Long Range Graph Benchmark has it."""
