from __future__ import annotations

import numpy as np
import pytest
import torch
from sklearn.metrics import roc_auc_score

from graphpe.benchmarks.tasks.links.metrics import ROC_AUC_OF_LINKS, ogb_link_metric
from graphpe.errors import GraphPEValueError


def test_hits():
    metric = ogb_link_metric("ogbl-collab")
    assert metric.name == "Hits@50"
    links, others = torch.randn(300), torch.randn(500)
    expected = float((links > others.sort(descending=True).values[49]).double().mean())
    assert metric(links, others) == pytest.approx(expected)
    assert ogb_link_metric("ogbl-ppa").name == "Hits@100"


def test_reciprocal_rank():
    metric = ogb_link_metric("ogbl-citation2")
    assert metric.name == "MRR"
    links, others = torch.randn(7), torch.randn(7, 20)
    rank = 1 + (others > links[:, None]).sum(1)
    assert metric(links, others.flatten()) == pytest.approx(float((1 / rank).mean()), rel=1e-6)
    with pytest.raises(GraphPEValueError, match="MRR compares each link with as many other pairs"):
        metric(links, others.flatten()[:-1])


def test_area():
    links, others = torch.randn(30), torch.randn(40) - 0.5
    expected = roc_auc_score(np.repeat([1, 0], [30, 40]), torch.cat([links, others]).numpy())
    assert ROC_AUC_OF_LINKS(links, others) == pytest.approx(expected)
    assert ogb_link_metric("ogbl-vessel") == ROC_AUC_OF_LINKS
