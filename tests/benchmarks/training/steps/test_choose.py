from __future__ import annotations

import types
from typing import Any

import pytest
import torch

from graphpe import models as M
from graphpe.benchmarks.tasks.graph_level import GraphAdapter
from graphpe.benchmarks.training.steps import choose


@pytest.mark.parametrize(
    ("positions", "why"),
    [
        (M.GTA("r", 2, 8, 2), ""),
        (M.TreeTransport(8, 2), "steps are not captured: TreeTransport builds trees on the host"),
    ],
)
def test_positions_that_build_trees_on_the_host_are_not_captured(
    positions: M.NodePositions, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(choose.ENGINES, "cpu", object)
    data: Any = types.SimpleNamespace(adapter=GraphAdapter((9,), (), 1, "absolute"), unit="graph")
    config: Any = types.SimpleNamespace(graphs=True, precision="32-true", accumulate=1, clip=0.0, clip_by="norm")
    fabric: Any = types.SimpleNamespace(device=torch.device("cpu"), world_size=1)
    model = M.GPS(width=8, heads=2, layers=1, node_encoder=M.LinearNodes(3, 8), positions=[positions])
    engine, said = choose.capturing(model, data, config, fabric)
    assert said.startswith(why)
    assert bool(said) == bool(why)
    assert (engine is None) == bool(why)
