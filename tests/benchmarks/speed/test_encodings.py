from __future__ import annotations

import numpy as np
import pytest
import torch

from graphpe.benchmarks.speed import encodings
from graphpe.benchmarks.speed.loading import code_like


def test_table_is_printed_and_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GRAPHPE_DATA", str(tmp_path))
    out = tmp_path / "encodings.md"
    encodings.main(["--graphs=12", "--k=3", "--walk-length=4", "--repeats=1", "--out", str(out)])
    printed = capsys.readouterr().out
    rows = [line.split("|") for line in out.read_text().splitlines() if line.startswith(("| molecules", "| code-like"))]
    assert [row[3].strip() for row in rows] == 2 * ["LaplacianPE", "RandomWalkPE", "MagneticLaplacianPE"]
    for row in rows:
        assert "|".join(row) in printed
        single, packed = float(row[5]), float(row[6])
        assert single > 0
        if row[4].strip() != "none":
            assert float(row[7].strip().rstrip("x")) == pytest.approx(float(row[4]) / packed, rel=0.2)


def test_directed_graphs_keep_one_direction_of_each_edge():
    graphs = code_like(9, np.random.default_rng(1))
    one_way = encodings.directed(graphs)
    assert torch.equal(one_way.edge_sizes * 2, graphs.edge_sizes)
    assert (one_way.edge_index[0] < one_way.edge_index[1]).all()
    assert torch.equal(graphs.batch[one_way.edge_index[0]], one_way.edge_batch)
