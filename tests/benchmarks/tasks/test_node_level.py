from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from graphpe.benchmarks.tasks.metrics import ACCURACY, RMSE, ROC_AUC, Metric
from graphpe.benchmarks.tasks.node_level import NodeAdapter, NodeTargets
from graphpe.benchmarks.tasks.targets import Loss
from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs

SIZES = (3, 5, 1, 4)


def data_of(metric: Metric, loss: Loss, target: torch.Tensor, outputs: int) -> NodeTargets:
    ptr = torch.tensor([0, *SIZES]).cumsum(0)
    graphs = PackedGraphs(torch.zeros(2, 0, dtype=torch.long), ptr, torch.zeros_like(ptr), node={"y": target})
    split = {"train": torch.tensor([0, 1]), "valid": torch.tensor([2]), "test": torch.tensor([3])}
    return NodeTargets(graphs, split, NodeAdapter((1,), (), outputs, loss), "", scored_by=metric)


def targets() -> list[tuple[Metric, Loss, torch.Tensor, int]]:
    return [
        (RMSE, "squared", torch.randn(13, 2), 2),
        (ROC_AUC, "binary", torch.tensor([[0.0, 1.0], [1.0, 0.0]] * 6 + [[1.0, 0.0]]), 2),
        (ACCURACY, "classes", torch.arange(13)[:, None] % 3, 3),
    ]


@pytest.mark.parametrize("kind", range(3))
def test_loss_and_metric_are_of_the_nodes_that_are_known(kind: int) -> None:
    metric, loss, target, outputs = targets()[kind]
    hidden = torch.zeros_like(target, dtype=torch.bool)
    hidden[[1, 4, 9]] = True
    data = data_of(metric, loss, target.masked_fill(hidden, -1 if loss == "classes" else torch.nan), outputs)
    ids = torch.tensor([3, 1])
    nodes = torch.tensor([9, 10, 11, 12, 3, 4, 5, 6, 7])
    output = torch.randn(9, outputs)
    known = ~hidden[nodes, 0]
    wanted, guess = target[nodes][known], output[known]
    assert data.evaluate(output, ids) == pytest.approx(metric.evaluate(guess, wanted))
    expected = {
        "squared": lambda: functional.mse_loss(guess, wanted),
        "binary": lambda: functional.binary_cross_entropy_with_logits(guess, wanted),
        "classes": lambda: functional.cross_entropy(guess, wanted.flatten()),
    }[loss]()
    torch.testing.assert_close(data.adapter.loss(output, data.graphs.select(ids).to_batch()), expected)
    with pytest.raises(GraphPEValueError, match="one row a node"):
        data.evaluate(output[:2], ids)
    with pytest.raises(GraphPEValueError, match="of no node at all"):
        data.evaluate(output[:0], ids[:0])


def test_a_part_without_a_known_node_is_an_error() -> None:
    metric, loss, target, outputs = targets()[2]
    target[8] = -1  # the only node of the validation part
    with pytest.raises(GraphPEValueError, match="no target of the 1 graphs of the valid part is known"):
        data_of(metric, loss, target, outputs)
