from __future__ import annotations

import pickle

import numpy as np
import pytest
import torch
from sklearn import metrics as sklearn_metrics

from graphpe.benchmarks.tasks.metrics import (
    ACCURACY,
    AVERAGE_PRECISION,
    BALANCED_ACCURACY,
    F1,
    MAE,
    RMSE,
    ROC_AUC,
    ColumnMetric,
    Metric,
    figure,
    ogb_metric,
)
from graphpe.errors import GraphPEValueError
from graphpe.files.ogb import evaluator

ROWS = 60
OF_COLUMNS = {
    RMSE: lambda target, guess: sklearn_metrics.mean_squared_error(target, guess) ** 0.5,
    MAE: sklearn_metrics.mean_absolute_error,
    ROC_AUC: sklearn_metrics.roc_auc_score,
    AVERAGE_PRECISION: sklearn_metrics.average_precision_score,
    F1: lambda target, guess: sklearn_metrics.f1_score(target, guess > 0),
}
OF_CLASSES = {
    ACCURACY: sklearn_metrics.accuracy_score,
    BALANCED_ACCURACY: sklearn_metrics.balanced_accuracy_score,
}


def columns_of(metric: Metric, count: int) -> tuple[torch.Tensor, torch.Tensor]:
    numbers = metric in (RMSE, MAE)
    target = torch.randn(ROWS, count) if numbers else torch.randint(0, 2, (ROWS, count)).float()
    target[torch.rand(ROWS, count) < 0.3] = torch.nan
    return torch.randn(ROWS, count), target


@pytest.mark.parametrize("metric", OF_COLUMNS, ids=lambda metric: metric.name)
def test_several_targets_are_averaged_over_those_that_are_known(metric: ColumnMetric) -> None:
    guess, target = columns_of(metric, 4)
    target[:, 2] = torch.nan
    expected = [
        OF_COLUMNS[metric](target[known, column].double().numpy(), guess[known, column].double().numpy())
        for column in (0, 1, 3)
        for known in [~target[:, column].isnan()]
    ]
    assert metric.evaluate(guess, target) == pytest.approx(np.mean(expected), rel=1e-12)
    first, second, unknown, last = metric.by_target(guess, target)
    assert [first, second, last] == pytest.approx(expected, rel=1e-12)
    assert unknown is None
    with pytest.raises(GraphPEValueError, match=f"{metric.name} is not defined for these 60 rows: no target is known"):
        metric.evaluate(guess, torch.full_like(target, torch.nan))
    assert pickle.loads(pickle.dumps(metric)) == metric


@pytest.mark.parametrize("metric", OF_CLASSES, ids=lambda metric: metric.name)
@pytest.mark.parametrize("unknown", [-1, torch.nan])
def test_classes_that_are_known(metric: Metric, unknown: float) -> None:
    logits, target = torch.randn(ROWS, 5), torch.randint(0, 4, (ROWS, 1))
    hidden = torch.rand(ROWS, 1) < 0.4
    marked = (target if unknown == -1 else target.float()).masked_fill(hidden, unknown)
    rows = ~hidden.flatten()
    # Classes that are predicted but not there have no recall, and scikit-learn warns of them.
    logits[:, 4] = -10
    expected = OF_CLASSES[metric](target[rows, 0].numpy(), logits[rows].argmax(1).numpy())
    assert metric.evaluate(logits, marked) == pytest.approx(expected, rel=1e-12)
    with pytest.raises(GraphPEValueError, match="no target is known"):
        metric.evaluate(logits, torch.full_like(marked, unknown))
    most = int(target[rows].flatten().bincount().argmax())
    assert metric.constant(marked, 5).argmax() == most


def test_a_prediction_of_a_class_that_no_row_has() -> None:
    logits = torch.eye(4)[[3, 0, 1]]
    assert BALANCED_ACCURACY.evaluate(logits, torch.tensor([[0], [0], [1]])) == 0.75
    assert ACCURACY.evaluate(logits, torch.tensor([[0], [0], [1]])) == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("metric", "dataset", "count"),
    [
        (ROC_AUC, "ogbg-molsider", 27),
        (ROC_AUC, "ogbg-moltox21", 12),
        (AVERAGE_PRECISION, "ogbg-molpcba", 128),
        (RMSE, "ogbg-molesol", 1),
    ],
)
def test_ogbs_evaluator_says_the_same(metric: ColumnMetric, dataset: str, count: int) -> None:
    guess, target = columns_of(metric, count)
    target = target.nan_to_num(0.5) if metric is RMSE else target
    if count > 1:
        target[:, 2] = target[:, 2].where(target[:, 2].isnan(), 0.0)  # one label only: does not count
    official = ogb_metric(metric, dataset)
    assert (official.name, official.maximize) == (metric.name, metric.maximize)
    assert official.evaluate(guess, target) == pytest.approx(metric.evaluate(guess, target), rel=1e-12)
    each = official.by_target(guess, target)
    assert each == metric.by_target(guess, target)
    assert count == 1 or each[2] is None


def test_several_numbers_are_averaged_as_ogb_does() -> None:
    target = torch.randn(30, 3) * torch.tensor([1.0, 1e3, 1e-3])
    guess = target + torch.randn(30, 3) * torch.tensor([0.5, 10.0, 1e-4])
    official = evaluator("ogbg-molesol")._eval_rmse(target.double().numpy(), guess.double().numpy())
    assert RMSE.evaluate(guess, target) == pytest.approx(official["rmse"], rel=1e-12)


@pytest.mark.parametrize("metric", [ROC_AUC, AVERAGE_PRECISION, ogb_metric(ROC_AUC, "ogbg-molhiv")])
def test_labels_that_are_all_the_same_cannot_be_ranked(metric: Metric) -> None:
    with pytest.raises(GraphPEValueError, match="is not defined for these 4 rows") as caught:
        metric.evaluate(torch.randn(4, 1), torch.zeros(4, 1))
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("metric", [RMSE, MAE], ids=lambda metric: metric.name)
def test_no_constant_is_better_than_the_best(metric: ColumnMetric) -> None:
    target = torch.randn(41, 3) ** 3 * torch.tensor([1.0, 50.0, 1.0]) + 7
    target[torch.rand(41, 3) < 0.2] = torch.nan
    target[:, 2] = torch.nan
    best = metric.constant(target, 3)
    assert best[2] == 0
    score = metric.evaluate(best.expand(41, 3), target)
    for step in (0.1, -0.1, 2.0, -2.0):
        for column in range(2):
            other = best.clone()
            other[column] += step
            assert score <= metric.evaluate(other.expand(41, 3), target) + 1e-12


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.0, "0.0000"), (0.05912, "0.0591"), (2.12345678e-7, "2.123e-07"), (-3.5e30, "-3.5e+30"), (float("nan"), "nan")],
)
def test_a_figure_says_something_at_every_scale(value: float, text: str) -> None:
    assert figure(value) == text


def test_a_figure_has_the_decimals_of_what_it_stands_beside() -> None:
    assert figure(0.0001, 0.5) == "0.0001"
    assert figure(0.01, 1e-5) == "0.01"
