from __future__ import annotations

import numpy as np
import pytest

from graphpe.benchmarks.tasks.user.targets import read_targets
from graphpe.errors import GraphPERuntimeError


def where(row: int) -> str:
    return f"line {row + 2}"


@pytest.mark.parametrize(
    ("columns", "metric", "outputs"),
    [
        ({"y": ["a", "b", "a"]}, "accuracy", 2),
        ({"y": ["0", "2", "1"] * 5}, "accuracy", 3),
        ({"y": [0, 1, None, 1]}, "ROC-AUC", 1),
        ({"y": ["1", "0", "", "nan"]}, "ROC-AUC", 1),
        ({"y": [True, False]}, "ROC-AUC", 1),
        ({"a": [0, 1, None], "b": [None, 1.0, 0.0]}, "ROC-AUC", 2),
        ({"y": [0.5, 1.0, 2.0]}, "RMSE", 1),
        ({"y": [3, 1, 2, 7]}, "RMSE", 1),  # too few of each to be classes
        ({"a": [0, 1, 1], "b": [0.5, 1, 2]}, "RMSE", 2),
    ],
)
def test_what_targets_are_follows_from_their_cells(columns: dict, metric: str, outputs: int) -> None:
    targets = read_targets(columns, "auto", where)
    assert (targets.metric, targets.outputs) == (metric, outputs)
    assert targets.values.shape == (len(next(iter(columns.values()))), 1 if metric == "accuracy" else outputs)


def test_values() -> None:
    classes = read_targets({"y": ["10", "9", "10", "1"]}, "accuracy", where)
    assert classes.classes == ("1", "9", "10")
    assert classes.values.flatten().tolist() == [2, 1, 2, 0]
    labels = read_targets({"a": ["1", "", "0"], "b": ["NaN", "1", "1"]}, "AP", where)
    np.testing.assert_array_equal(labels.values, [[1, np.nan], [np.nan, 1], [0, 1]])
    numbers = read_targets({"y": ["1e3", " 2 ", -1]}, "MAE", where)
    assert numbers.values.flatten().tolist() == [1000, 2, -1]


@pytest.mark.parametrize(
    ("columns", "metric", "message"),
    [
        ({"y": ["1.5", "x", "2"]}, "auto", "line 3: y is 'x', not a number"),
        ({"y": ["1.5", "", "2"]}, "auto", "line 3: y is missing; RMSE needs a number for every graph"),
        ({"y": [1.5, float("nan"), 2.0]}, "MAE", "line 3: y is missing; MAE"),
        ({"y": [1.5, 2.5, float("inf")]}, "auto", "line 4: y is inf"),
        ({"y": [1, 2] * 9 + [float("inf")]}, "auto", "line 20: y is inf"),  # whole numbers, but for one
        ({"y": [1, float("-inf")]}, "accuracy", "line 3: y is -inf, no class"),
        ({"y": ["a", "", "b"]}, "auto", "line 3: y is missing; a class is needed"),
        ({"y": [1, 2.5]}, "accuracy", "line 3: y is 2.5, no class"),
        ({"y": ["a", "a"]}, "auto", "y is 'a' for every graph: there is nothing to learn"),
        ({"y": [0, 1, 2]}, "ROC-AUC", "line 4: y is 2; ROC-AUC takes 0, 1, or nothing"),
        ({"a": [0, 1], "b": [None, None]}, "auto", "b is not known for any graph"),
        ({"a": [0, 1], "b": [1, 0]}, "accuracy", "accuracy takes one target, a class, got 2: a, b"),
        ({"y": [[1], 2]}, "auto", r"line 2: y is \[1\], neither a number nor a word"),
        ({"y": [f"1,00{i}" for i in range(9)]}, "auto", "line 2: y is '1,000', which is no number, and as classes"),
    ],
)
def test_wrong_cells_are_named(columns: dict, metric: str, message: str) -> None:
    with pytest.raises(GraphPERuntimeError, match=message) as caught:
        read_targets(columns, metric, where)
    assert "\n" not in str(caught.value)
