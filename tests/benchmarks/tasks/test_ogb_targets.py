from __future__ import annotations

import pytest
import torch
from sklearn.metrics import average_precision_score, roc_auc_score

from graphpe.benchmarks.tasks.graph_level import GraphAdapter
from graphpe.benchmarks.tasks.ogb_targets import OGBTargets, PreciseTargets, RankedTargets
from graphpe.graphs.packed import PackedGraphs


@pytest.mark.parametrize(
    ("kind", "dataset", "score"),
    [(RankedTargets, "ogbg-moltox21", roc_auc_score), (PreciseTargets, "ogbg-molpcba", average_precision_score)],
)
def test_the_score_of_each_target(kind: type[OGBTargets], dataset: str, score: object) -> None:
    tasks = {"ogbg-moltox21": 12, "ogbg-molpcba": 128}[dataset]
    target = torch.randint(0, 2, (60, tasks)).float()
    target[torch.rand(60, tasks) < 0.3] = torch.nan
    target[:, 2] = target[:, 2].where(target[:, 2].isnan(), 0.0)  # one answer only: does not count
    names = tuple(f"assay {i}" for i in range(tasks))
    zero = torch.zeros(61, dtype=torch.long)
    graphs = PackedGraphs(torch.zeros(2, 0, dtype=torch.long), zero, zero, graph={"y": target})
    data = kind(graphs, {}, GraphAdapter((1,), (), tasks, "binary", target_names=names), "", dataset=dataset)
    guess, ids = torch.randn(60, tasks), torch.arange(60)
    each = data.target_scores(guess, ids)
    assert list(each) == list(names)
    assert each.pop("assay 2") is None
    for column, name in enumerate(names):
        known = ~target[:, column].isnan()
        if name in each:
            assert each[name] == pytest.approx(score(target[known, column].numpy(), guess[known, column].numpy()))  # type: ignore[operator]
    assert data.evaluate(guess, ids) == pytest.approx(sum(each.values()) / len(each))  # type: ignore[arg-type]
