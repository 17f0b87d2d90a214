from __future__ import annotations

import numpy as np
import pytest

from graphpe.benchmarks.calls.build import encoding_classes
from graphpe.benchmarks.measure.limited import Stopped
from graphpe.benchmarks.measure.speed import one_large_graph
from graphpe.benchmarks.measure.speed.one_large_graph import SIDES, Cost


@pytest.mark.parametrize("side", ["RandomWalkPE(8)", "PyG AddRandomWalkPE(8)", "EdgePathPE(3)"])
def test_a_side_is_measured(side, tmp_path, monkeypatch):
    monkeypatch.setattr(one_large_graph, "_WARM_UP", (30,))
    monkeypatch.setattr(one_large_graph, "limit_cpu", lambda seconds: None)  # it would be that of all tests
    node = np.arange(40)
    np.save(tmp_path / "edges.npy", np.stack([node, (node * 3 + 1) % 40]))
    cost = one_large_graph.measure(side, tmp_path / "edges.npy", 40, 1, 60)
    assert cost.seconds > 0
    assert cost.gigabytes > 0.01


def test_tables_tell_refusals_and_what_did_not_end(tmp_path, monkeypatch):
    def call(_, side, path, num_nodes, threads, limit, *, seconds, gigabytes):
        if side.startswith("PyG"):
            raise Stopped("> 60 s")
        if num_nodes > 50:
            raise Stopped("GraphPEValueError: it would take about 2 h")
        return Cost(2.0, 1.5, 0.5)

    monkeypatch.setattr(one_large_graph, "call_limited", call)
    out = tmp_path / "table.md"
    arguments = ["--sizes", "50", "60", "--graphs", "path", "--encodings", "RandomWalkPE(8)", "--data", str(tmp_path)]
    one_large_graph.main([*arguments, "--out", str(out)])
    lines = out.read_text().splitlines()
    assert lines[2] == "| encoding | path 50 | path 60 |"
    assert lines[4:6] == [
        "| RandomWalkPE(8) | 1.50 s (2.00), 0.5 GB | refused |",
        "| PyG AddRandomWalkPE(8) | > 60 s | - |",
    ]
    assert "- RandomWalkPE(8), 60 nodes: it would take about 2 h" in lines


def test_every_encoding_is_measured():
    names = encoding_classes().keys() - {"GPSEPE", "PretrainedPE"}
    missing = [name for name in names if not any(name in side for side in SIDES)]
    assert not missing
