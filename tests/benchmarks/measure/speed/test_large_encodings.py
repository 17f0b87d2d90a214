from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graphpe.benchmarks.measure.limited import Stopped
from graphpe.benchmarks.measure.speed import large_encodings
from graphpe.benchmarks.measure.speed.large_encodings import SIDES, Outcome


@pytest.mark.parametrize("side", SIDES)
def test_every_side_writes_eigenvectors(side, tmp_path):
    node = np.arange(40)
    np.save(tmp_path / "edges.npy", np.stack([node, (node * 3 + 1) % 40]))
    outcome = large_encodings.measure(side, tmp_path / "edges.npy", 40, 1)
    assert outcome.vectors.shape == (40, large_encodings.K)
    assert outcome.residual < 1e-5
    assert outcome.seconds > 0
    assert outcome.gigabytes > 0.01


def test_table_tells_what_did_not_end(tmp_path, monkeypatch, capsys):
    calls = []

    def call(_, side, path: Path, num_nodes, threads, seconds):
        calls.append(side)
        if side == "PyG":
            raise Stopped("> 30 s")
        vectors = np.full((num_nodes, 8), len(calls) if side == "MagneticLaplacianPE" else 0)
        return Outcome(2.0, 1e-7, 0.5, vectors)

    monkeypatch.setattr(large_encodings, "call_limited", call)
    out = tmp_path / "table.md"
    large_encodings.main(["--size=50", "--graphs", "ring", "--time-limit=30", "--out", str(out)])
    row = [cell.strip() for cell in out.read_text().splitlines()[2].split("|")[1:-1]]
    assert row == ["ring", "50", "50", "2.00", "2.00", "> 30 s", "> 15.0", "1e-07, 1e-07", "False", "0.5, 0.5"]
    assert calls.count("LaplacianPE") == 2
    assert calls.count("PyG") == 1
    assert row[0] in capsys.readouterr().out
