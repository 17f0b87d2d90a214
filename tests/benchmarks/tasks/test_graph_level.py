from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Batch, Data

from graphpe.benchmarks.tasks.graph_level import GraphAdapter, GraphTargets, categories
from graphpe.benchmarks.tasks.metrics import ACCURACY, MAE, RMSE, ROC_AUC, Metric
from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs


def data_of(metric: Metric, target: torch.Tensor, outputs: int = 0, **names: tuple[str, ...]) -> GraphTargets:
    """Graphs of two nodes; half of them are training and test, half validation."""
    count = len(target)
    graphs = PackedGraphs(
        torch.zeros(2, 0, dtype=torch.long),
        2 * torch.arange(count + 1),
        torch.zeros(count + 1, dtype=torch.long),
        node={"x": torch.zeros(2 * count, 1, dtype=torch.long)},
        graph={"y": target},
    )
    half = count // 2
    split = {"train": torch.arange(half), "valid": torch.arange(half, count), "test": torch.arange(half)}
    adapter = GraphAdapter((3,), (), outputs or target.shape[1], "squared", **names)
    return GraphTargets(graphs, split, adapter, "", scored_by=metric)


def test_the_metric_of_chosen_graphs() -> None:
    target, guess = torch.randn(30, 2), torch.randn(20, 2)
    chosen = torch.randperm(30)[:20]
    data = data_of(MAE, target, target_names=("size", "mass"))
    assert (data.metric, data.maximize) == ("MAE", False)
    errors = (guess - target[chosen]).double().abs().mean(0)
    assert data.evaluate(guess, chosen) == pytest.approx(float(errors.mean()))
    assert data.target_scores(guess, chosen) == pytest.approx({"size": float(errors[0]), "mass": float(errors[1])})
    assert [*data_of(MAE, target).target_scores(guess, chosen)] == ["target 0", "target 1"]
    assert data_of(MAE, target[:, :1]).target_scores(guess[:, :1], chosen) == {}
    target[:, 1] = torch.nan
    assert data_of(MAE, target).target_scores(guess, chosen)["target 1"] is None


def test_what_is_always_predicted() -> None:
    target = torch.randn(40, 1) ** 3
    for metric in (MAE, RMSE):
        data = data_of(metric, target)
        train = data.split["train"]
        best, text = data.constant_baseline(train)
        others = [data.evaluate(torch.full((len(train), 1), value), train) for value in (-1.0, 0.0, 0.3, 1.0)]
        assert best <= min(others) + 1e-6
        assert float(text) == pytest.approx(
            float(target[:20].mean() if metric is RMSE else target[:20].median()), rel=0.01
        )
    labels = torch.tensor([[0.0], [1.0]] * 10)
    assert data_of(ROC_AUC, labels).constant_baseline(torch.arange(20))[0] == 0.5
    classes = torch.tensor([[0], [2], [2], [-1], [1], [2], [0], [1]])
    assert data_of(ACCURACY, classes, 3).constant_baseline(torch.arange(4, 8)) == (0.25, "class 2")
    named = data_of(ACCURACY, classes, 3, class_names=("a", "b", "c"))
    assert named.constant_baseline(torch.arange(4)) == (pytest.approx(2 / 3), "class c")


def test_predictions_that_do_not_fit_are_an_error() -> None:
    data = data_of(ROC_AUC, torch.zeros(8, 1))
    with pytest.raises(GraphPEValueError, match="ROC-AUC is not defined for these 4 rows"):
        data.evaluate(torch.randn(4, 1), torch.arange(4))
    with pytest.raises(GraphPEValueError, match=r"predictions must be \[4, 1\]"):
        data.evaluate(torch.randn(3, 1), torch.arange(4))
    with pytest.raises(GraphPEValueError, match="of no graph at all"):
        data.evaluate(torch.zeros(0, 1), torch.arange(0))


@pytest.mark.parametrize(
    ("metric", "target", "unknown"),
    [(RMSE, torch.randn(2_400, 2), torch.nan), (ACCURACY, torch.ones(2_400, 1).long(), -1)],
)
def test_a_part_without_a_known_target_is_an_error(metric: Metric, target: torch.Tensor, unknown: float) -> None:
    target[1_200:] = unknown
    with pytest.raises(GraphPEValueError, match="no target of the 1,200 graphs of the valid part is known") as caught:
        data_of(metric, target)
    assert "\n" not in str(caught.value)
    target[2_399] = 1
    assert data_of(metric, target).metric == metric.name


def test_the_loss_is_of_standardised_targets_that_are_known() -> None:
    output = torch.randn(4, 2)
    for target in (torch.randn(4, 2), torch.tensor([[3, 1], [0, 2], [5, 4], [1, 1]])):
        hidden = torch.tensor([[False, True], [False, False], [True, True], [False, False]])
        marked = target.masked_fill(hidden, torch.nan if target.is_floating_point() else -1)
        adapter = GraphAdapter((3,), (), 2, "squared", shift=(1.0, -2.0), scale=(2.0, 0.5))
        scaled = (target - torch.tensor([1.0, -2.0])) / torch.tensor([2.0, 0.5])
        expected = (output - scaled)[~hidden].square().mean()
        torch.testing.assert_close(adapter.loss(output, Batch(y=marked)), expected)


@pytest.mark.parametrize("width", [12, 10, 7])
def test_ends_are_built_again_from_their_state(width: int) -> None:
    adapter = GraphAdapter((5, 3), (2,), 4, "binary")
    assert GraphAdapter.from_state(adapter.state()) == adapter
    assert adapter.head(width)(torch.randn(6, width)).shape == (6, 4)
    batch = Data(x=torch.tensor([[4, 2]]), edge_index=torch.tensor([[0], [0]]), edge_attr=torch.tensor([[1]]))
    assert adapter.node_encoder(width)(batch).shape == (1, width)
    assert adapter.edge_encoder(width)(batch).shape == (1, width)  # type: ignore[misc]
    assert GraphAdapter((5,), (), 1, "squared").edge_encoder(width) is None
    for broken in ({}, adapter.state() | {"targets": None}, adapter.state() | {"loss_name": "hinge"}):
        with pytest.raises(GraphPEValueError, match="expected"):
            GraphAdapter.from_state(broken)


def test_a_category_out_of_range_is_named() -> None:
    assert categories(torch.tensor([1, 2]), "x", (3,)).tolist() == [[1], [2]]
    with pytest.raises(GraphPEValueError, match=r"x\[1, 0\] is 3: column 0 has 3 categories"):
        categories(torch.tensor([1, 3]), "x", (3,))
    with pytest.raises(GraphPEValueError, match="edge_attr has 2 columns, expected 3"):
        categories(torch.zeros(4, 2), "edge_attr", (3, 3, 3))
