from __future__ import annotations

import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score
from torch import nn
from torch_geometric.data import Batch, Data

from graphpe.benchmarks.tasks.graph_level import AbsoluteErrors, GraphAdapter, GraphTargets, categories
from graphpe.benchmarks.tasks.ogb_targets import PreciseTargets, RankedTargets, SquaredErrors
from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs


def data_of(kind: type[GraphTargets], target: torch.Tensor, **options: str) -> GraphTargets:
    graphs = PackedGraphs.from_data_list(
        [
            Data(x=torch.zeros(2, 1, dtype=torch.long), edge_index=torch.tensor([[0], [1]]), y=row[None])
            for row in target
        ]
    )
    half = len(target) // 2
    split = {"train": torch.arange(half), "valid": torch.arange(half, len(target)), "test": torch.arange(half)}
    return kind(graphs, split, GraphAdapter((3,), (), target.shape[1], "squared"), "", **options)


def test_regression_metrics_are_their_formulas() -> None:
    target, guess = torch.randn(30, 1), torch.randn(30, 1)
    chosen = torch.randperm(30)[:20]
    error = (guess[:20] - target[chosen]).double()
    mae = data_of(AbsoluteErrors, target)
    assert mae.evaluate(guess[:20], chosen) == pytest.approx(float(error.abs().mean()))
    rmse = data_of(SquaredErrors, target, dataset="ogbg-molesol")
    assert rmse.evaluate(guess[:20], chosen) == pytest.approx(float(error.square().mean().sqrt()))
    assert not mae.maximize
    assert not rmse.maximize


@pytest.mark.parametrize(
    ("kind", "name", "score", "tasks"),
    [
        (RankedTargets, "ogbg-molsider", roc_auc_score, 27),
        (PreciseTargets, "ogbg-molpcba", average_precision_score, 128),
    ],
)
def test_answers_that_are_not_known_do_not_count(kind: type, name: str, score: object, tasks: int) -> None:
    target = torch.randint(0, 2, (60, tasks)).float()
    target[torch.rand(60, tasks) < 0.3] = torch.nan
    guess = torch.randn(60, tasks)
    data = data_of(kind, target, dataset=name)
    known = [~column.isnan() for column in target.t()]
    expected = [score(target[rows, i].numpy(), guess[rows, i].numpy()) for i, rows in enumerate(known)]  # type: ignore[operator]
    assert data.evaluate(guess, torch.arange(60)) == pytest.approx(sum(expected) / tasks)
    assert data.maximize


def test_the_best_constant_is_no_worse_than_others() -> None:
    target = torch.randn(40, 1) ** 3
    for data in (data_of(AbsoluteErrors, target), data_of(SquaredErrors, target, dataset="ogbg-molesol")):
        train = data.split["train"]
        best, text = data.constant_baseline(train)
        others = [data.evaluate(torch.full((len(train), 1), value), train) for value in (-1.0, 0.0, 0.3, 1.0)]
        assert best <= min(others) + 1e-6
        assert float(text) == pytest.approx(float(text))
    answers = torch.tensor([[0.0], [1.0]] * 10)
    assert data_of(RankedTargets, answers, dataset="ogbg-molhiv").constant_baseline(torch.arange(20))[0] == 0.5


def test_a_metric_that_is_not_defined_is_an_error() -> None:
    data = data_of(RankedTargets, torch.zeros(8, 1), dataset="ogbg-molhiv")
    with pytest.raises(GraphPEValueError, match="ROC-AUC is not defined for these 4 graphs"):
        data.evaluate(torch.randn(4, 1), torch.arange(4))
    with pytest.raises(GraphPEValueError, match=r"predictions must be \[4, 1\]"):
        data.evaluate(torch.randn(3, 1), torch.arange(4))
    with pytest.raises(GraphPEValueError, match="of no graph at all"):
        data.evaluate(torch.zeros(0, 1), torch.arange(0))


def test_losses() -> None:
    output = torch.randn(4, 2)
    known = torch.tensor([[1.0, 0.0], [0.0, 1.0], [1.0, 1.0], [0.0, 0.0]])
    batch = Batch(y=known)
    sure = GraphAdapter((3,), (), 2, "binary").loss(output, batch)
    torch.testing.assert_close(sure, nn.functional.binary_cross_entropy_with_logits(output, known))
    batch.y = known.clone()
    batch.y[0, 1] = batch.y[3, 0] = torch.nan
    some = batch.y.isfinite()
    expected = nn.functional.binary_cross_entropy_with_logits(output[some], known[some])
    torch.testing.assert_close(GraphAdapter((3,), (), 2, "binary").loss(output, batch), expected)
    batch.y = torch.full((4, 2), torch.nan)
    assert GraphAdapter((3,), (), 2, "binary").loss(output, batch) == 0
    batch.y = known
    torch.testing.assert_close(GraphAdapter((3,), (), 2, "absolute").loss(output, batch), (output - known).abs().mean())
    torch.testing.assert_close(GraphAdapter((3,), (), 2, "squared").loss(output, batch), (output - known).pow(2).mean())


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
