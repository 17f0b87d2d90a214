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


def test_what_is_not_known() -> None:
    numbers = read_targets({"y": ["1.5", "", "2", "NA"]}, "auto", where)
    np.testing.assert_array_equal(numbers.values.flatten(), [1.5, np.nan, 2, np.nan])
    assert numbers.known.tolist() == [True, False, True, False]
    assert numbers.note.endswith("; 2 of 4 not known (NA)")
    classes = read_targets({"y": ["b", "", "a", None, "b"]}, "auto", where)
    assert classes.values.flatten().tolist() == [1, -1, 0, -1, 1]
    assert classes.classes == ("a", "b")
    whole = read_targets({"y": [3, None, 1] * 5}, "auto", where)
    assert (whole.metric, whole.classes, whole.values[:3].flatten().tolist()) == ("accuracy", ("1", "3"), [1, -1, 0])


def test_lists_and_decimal_commas() -> None:
    for cells in ([[1.5, 2], None, [3, None]], ["[1.5, 2]", "", "[3, null]"], [np.array([1.5, 2]), None, (3, None)]):
        targets = read_targets({"y": cells}, "auto", where)
        assert targets.names == ("y[0]", "y[1]")
        np.testing.assert_array_equal(targets.values, np.float32([[1.5, 2], [np.nan, np.nan], [3, np.nan]]))
    targets = read_targets({"y": ["1,5", "-2,25e1", "3", ",5", "na", "1,234"], "z": ["1.5"] * 6}, "auto", where)
    np.testing.assert_array_equal(targets.values[:, 0], np.float32([1.5, -22.5, 3, 0.5, np.nan, 1.234]))
    assert targets.note.endswith("decimal commas in y: 1,5 is 1.5")
    assert read_targets({"y": ["1,2", "2,3"]}, "accuracy", where).classes == ("1,2", "2,3")  # words, if they are


@pytest.mark.parametrize(
    ("columns", "metric", "message"),
    [
        ({"y": ["1.5", "x", "2"]}, "auto", "line 3: y is 'x', not a number"),
        ({"y": ["", "na"]}, "auto", "line 2: y is not known for any graph: leave it out"),
        ({"y": [None, float("nan")]}, "accuracy", "line 2: y is not known for any graph"),
        ({"y": [1.5, 2.5, float("inf")]}, "auto", "line 4: y is inf"),
        ({"y": [1, 2] * 9 + [float("inf")]}, "auto", "line 20: y is inf"),  # whole numbers, but for one
        ({"y": [1, float("-inf")]}, "accuracy", "line 3: y is -inf, no class"),
        ({"y": ["a", "", "a"]}, "auto", "y is 'a' for every graph that has one: there is nothing to learn"),
        ({"y": [1, 2.5]}, "accuracy", "line 3: y is 2.5, no class"),
        ({"y": ["a", "a"]}, "auto", "y is 'a' for every graph: there is nothing to learn"),
        ({"y": [0, 1, 2]}, "ROC-AUC", "line 4: y is 2; ROC-AUC takes 0, 1, or nothing"),
        ({"a": [0, 1], "b": [None, None]}, "auto", "b is not known for any graph"),
        ({"a": [0, 1], "b": [1, 0]}, "accuracy", "accuracy takes one target, a class, got 2: a, b"),
        ({"y": [[1], 2]}, "auto", r"line 3: y is 2, elsewhere a list of 1"),
        ({"y": [[1, 2], [3]]}, "auto", r"line 3: y is \[3\], elsewhere a list of 2"),
        ({"y": ["[1, 2]", "[1; 2]"]}, "auto", r"line 3: y is '\[1; 2\]', which begins like a list: write it as \[1, 2"),
        ({"y": [f"1,00{i}" for i in range(9)]}, "auto", "line 2: y is '1,000', which may be 1.000 or 1000: write"),
        ({"y": ["1,5", "2.5"]}, "auto", "line 2: y is '1,5', and elsewhere '2.5': is a comma the decimal point, or"),
        ({"y": ["1,5", "1,234,567"]}, "MAE", "line 2: y is '1,5', and elsewhere '1,234,567'"),
    ],
)
def test_wrong_cells_are_named(columns: dict, metric: str, message: str) -> None:
    with pytest.raises(GraphPERuntimeError, match=message) as caught:
        read_targets(columns, metric, where)
    assert "\n" not in str(caught.value)
