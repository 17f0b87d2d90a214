from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest
import torch

import graphpe.models as M
from graphpe.benchmarks.tasks.graph_level import GraphAdapter
from graphpe.benchmarks.training.steps import choose


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"positions": [M.GTA("r", 2, 8, 2)]}, ""),
        ({"positions": [M.TreeTransport(8, 2)]}, "steps are not captured: TreeTransport builds trees on the host"),
        ({"pair_encodings": [M.PairBias("shortest_path", 2)]}, ""),
        (
            {
                "pair_encodings": [
                    M.RelationTerms("shortest_path", 2, 8),
                    M.DirectedHeads("shortest_path", 2, 8),
                ]
            },
            "",
        ),
        ({"encodings": [M.PersistenceEncoding("pe", 2, 8)]}, "steps are not captured: PersistenceEncoding builds diag"),
        ({"pair_encodings": [M.PathCounts(2, 8)]}, "steps are not captured: PathCounts builds paths on the host"),
    ],
)
def test_what_is_built_on_the_host_is_not_captured(
    given: dict[str, Any], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = M.GPS(width=8, layers=1, heads=2, node_encoder=M.LinearNodes(3, 8), **given)
    check_captured(model, why, monkeypatch)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"feed_forward": True, "variant": "ogb"}, ""),
        ({"virtual_node": True, "norm": "layer"}, ""),
        ({"virtual_node": True}, "steps are not captured: batch normalisation of virtual nodes would count"),
    ],
)
def test_statistics_of_dummy_graphs_are_not_captured(
    given: dict[str, Any], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_captured(M.GCN(width=8, layers=2, node_encoder=M.LinearNodes(3, 8), **given), why, monkeypatch)


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({}, ""),
        ({"dropout": 0.1}, ""),
        ({"checkpoint": True, "attention_dropout": 0.0}, ""),
        ({"checkpoint": True}, "steps are not captured: dropout that is drawn again in layers of checkpoint=True"),
    ],
)
def test_dropout_that_asks_for_the_generators_state_is_not_captured(
    given: dict[str, Any], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_captured(
        M.EdgeTransformer(width=8, layers=1, heads=2, node_encoder=M.LinearNodes(3, 8), **given), why, monkeypatch
    )


def test_walks_are_drawn_on_the_host(monkeypatch: pytest.MonkeyPatch) -> None:
    model = M.NeuralWalker(width=8, layers=1, heads=2, node_encoder=M.LinearNodes(3, 8))
    check_captured(model, "steps are not captured: NeuralWalker draws walks on the host in each step", monkeypatch)


def check_captured(model: torch.nn.Module, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(choose, "ENGINES", {"cpu": object})
    data: Any = SimpleNamespace(adapter=GraphAdapter((9, 9), (4,), 3, "absolute"), unit="graph")
    config: Any = SimpleNamespace(graphs=True, precision="32-true", accumulate=1, clip=0.0, clip_by="norm", rewire=0)
    fabric: Any = SimpleNamespace(device=torch.device("cpu"), world_size=1)
    engine, told = choose.capturing(model, data, config, fabric)
    assert told.startswith(why)
    assert bool(told) == bool(why)
    assert (engine is None) == bool(why)
