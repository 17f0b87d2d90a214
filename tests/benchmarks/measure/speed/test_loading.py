from __future__ import annotations

import numpy as np
import pytest
from torch_geometric.data import Batch

from graphpe.benchmarks.measure.inputs.graphs import code_like
from graphpe.benchmarks.measure.speed import loading


def test_table_is_printed_and_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GRAPHPE_DATA", str(tmp_path))
    out = tmp_path / "loading.md"
    loading.main(["--graphs=40", "--batch-sizes", "8", "16", "--batches=2", "--repeats=1", "--out", str(out)])
    printed = capsys.readouterr().out
    assert f"no ogbg_molhiv in {tmp_path}: random graphs" in printed
    rows = [line.split("|") for line in out.read_text().splitlines() if line.startswith(("| molecules", "| code-like"))]
    assert [row[5].strip() for row in rows] == ["8", "16", "8", "16"]
    for row in rows:
        pyg, packed, ratio = (float(cell.strip().rstrip("x").replace(",", "")) for cell in row[6:9])
        assert ratio == pytest.approx(packed / pyg, rel=0.1, abs=0.06)  # printed with one digit
        assert "|".join(row) in printed


def test_a_difference_between_the_sides_stops_the_script():
    graphs = code_like(4, np.random.default_rng(0))
    batch = Batch.from_data_list(graphs.to_data_list())
    loading.check_equal(graphs, batch, 4)
    batch.x = batch.x + 1
    with pytest.raises(SystemExit, match="disagree about 'x'"):
        loading.check_equal(graphs, batch, 4)
