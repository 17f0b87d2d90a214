from __future__ import annotations

import numpy as np
import pytest

from graphpe.benchmarks.measure.limited import Stopped
from graphpe.benchmarks.measure.speed.large import training
from graphpe.benchmarks.measure.speed.large.training import ALONE, MODELS, OURS, SAME, SIDES, Cost

QUICK = (SAME, ALONE, OURS, "SGFormer", "NAGphormer")


@pytest.mark.parametrize(
    "side",
    [
        side if side.startswith(QUICK) else pytest.param(side, marks=pytest.mark.slow)  # some compile for trees
        for side in {**SIDES, **MODELS}
    ],
)
def test_a_side_is_measured(side, tmp_path):
    node = np.arange(40)
    np.save(tmp_path / "edges.npy", np.stack([node, (node * 3 + 1) % 40]))
    cost = training.measure(side, tmp_path / "edges.npy", 40, 1, 1)
    assert cost.seconds > 0
    assert cost.peak >= cost.before > 1e7


def test_both_sides_are_one_network():
    training.check_sides()


def test_table(tmp_path, monkeypatch):
    def call(_, name, path, nodes, threads, steps, *, seconds):
        if name == ALONE:
            raise Stopped("out of memory")
        return Cost(2.0, 3.0, 4e9, 1e9) if name == OURS else Cost(5.0, 9.0, 8e9, 1e9)

    monkeypatch.setattr(training, "call_limited", call)
    monkeypatch.setattr(training, "ARXIV", (60, 400))
    out = tmp_path / "table.md"
    training.main(["--only", "pyg", "--out", str(out)])
    lines = out.read_text().splitlines()
    assert lines[0] == "## An epoch of 60 nodes, 400 edges"
    assert lines[4:7] == [
        f"| {OURS} | 2.00 | 3.00 | 4.00 | 3.00 |",
        f"| {SAME} | 5.00 | 9.00 | 8.00 | 7.00 |",
        f"| {ALONE} | out of memory | | | |",
    ]
    assert lines[7] == f"| {SAME}, as a multiple of ours | 2.50 | 3.00 | 2.00 | 2.33 |"
