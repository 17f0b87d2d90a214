from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from graphpe.benchmarks.tasks import pair_level
from graphpe.benchmarks.tasks.metrics import ACCURACY, F1, MAE, RMSE, Metric
from graphpe.benchmarks.tasks.pair_level import PairAdapter, PairTargets
from graphpe.benchmarks.tasks.targets import Loss
from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs

SIZES = (3, 4, 2)
PAIRS = sum(size**2 for size in SIZES)


def data_of(
    metric: Metric, loss: Loss, target: torch.Tensor, outputs: int, **scaling: tuple[float, ...]
) -> PairTargets:
    ptr = torch.tensor([0, *SIZES]).cumsum(0)
    graphs = PackedGraphs(torch.zeros(2, 0, dtype=torch.long), ptr, torch.zeros_like(ptr), pair={"y": target})
    split = {part: torch.tensor([number]) for number, part in enumerate(("train", "valid", "test"))}
    return PairTargets(graphs, split, PairAdapter((1,), (), outputs, loss, **scaling), "", scored_by=metric)


def scores_of(parts: torch.Tensor) -> torch.Tensor:
    """Scores of all pairs of all graphs, pair by pair."""
    scores, first = [], 0
    for size in SIZES:
        for u in range(first, first + size):
            for v in range(first, first + size):
                row = []
                for t in range(parts.shape[1] // 130):
                    a, b = parts[u, 130 * t : 130 * t + 130], parts[v, 130 * t : 130 * t + 130]
                    hidden = torch.relu(a[:64] + b[64:128])
                    row.append((hidden[:32].sum() - hidden[32:].sum()) / 8 + a[128] + b[129])
                scores.append(torch.stack(row))
        first += size
    return torch.stack(scores)


@pytest.mark.parametrize("kind", ["distances", "numbers", "labels", "classes"])
def test_loss_and_metric_are_of_the_pairs_that_are_known(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pair_level, "_CHUNK_PAIRS", 16)
    hidden = torch.rand(PAIRS, 1) < 0.3
    hidden[[0, 1, -1]] = torch.tensor([[True], [False], [False]])
    parts = torch.randn(9, {"distances": 1, "classes": 3}.get(kind, 2) * 130)
    score = scores_of(parts)
    known = ~hidden.flatten()
    if kind == "classes":
        target = torch.randint(0, 3, (PAIRS, 1))
        data = data_of(ACCURACY, "classes", target.masked_fill(hidden, -1), 3)
        loss = functional.cross_entropy(score[known], target[known, 0])
        value = ACCURACY.evaluate(score[known], target[known])
    elif kind == "labels":
        target = torch.randint(0, 2, (PAIRS, 2)).to(torch.int8)
        data = data_of(F1, "binary", target.masked_fill(hidden, -1), 2)
        loss = functional.binary_cross_entropy_with_logits(score[known], target[known].float())
        value = F1.evaluate(score[known], target[known])
    elif kind == "distances":
        target = torch.randint(0, 5, (PAIRS, 1)).to(torch.int8)
        data = data_of(MAE, "absolute", target.masked_fill(hidden, -1), 1)
        guess = functional.softplus(score[known])
        loss, value = (guess - target[known]).abs().mean(), MAE.evaluate(guess, target[known])
    else:
        target = torch.randn(PAIRS, 2)
        scaling = {"shift": (1.0, -1.0), "scale": (2.0, 0.5)}
        data = data_of(RMSE, "squared", target.masked_fill(hidden, torch.nan), 2, **scaling)
        shift, scale = torch.tensor(scaling["shift"]), torch.tensor(scaling["scale"])
        loss = (score[known] - (target[known] - shift) / scale).square().mean()
        value = RMSE.evaluate(score[known] * scale + shift, target[known])
    ids = torch.arange(3)
    batch = data.adapter.model_graphs(data.graphs).to_batch()
    torch.testing.assert_close(data.adapter.loss(parts, batch), loss)
    assert data.evaluate(data.adapter.predict(parts), ids) == pytest.approx(value, rel=1e-5)
    assert data.adapter.head(6)(torch.zeros(9, 6)).shape == parts.shape
    with pytest.raises(GraphPEValueError, match="one row a node"):
        data.evaluate(parts[:2], ids)
    with pytest.raises(GraphPEValueError, match="of no pair at all"):
        data.evaluate(parts[:0], ids[:0])


def test_a_part_without_a_known_pair_is_an_error() -> None:
    target = torch.zeros(PAIRS, 1)
    target[-4:] = torch.nan
    with pytest.raises(GraphPEValueError, match="no target of the 1 graphs of the test part is known"):
        data_of(F1, "binary", target, 1)
