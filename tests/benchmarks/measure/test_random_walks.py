from __future__ import annotations

import numpy as np
import pytest

from graphpe.benchmarks.measure import random_walks
from graphpe.graphs.ragged import Ints


def test_table(tmp_path) -> None:
    out = tmp_path / "table.md"
    options = ["--walks", "300", "--nodes", "200", "--graphs", "5", "--repeats", "1"]
    random_walks.main([*options, "--data", str(tmp_path), "--out", str(out)])
    rows = [line.split("|") for line in out.read_text().splitlines() if "molecules" in line or "Erdos" in line]
    assert len(rows) == 3
    assert all(row[-2].strip().endswith("x") and float(row[2]) >= 0 for row in rows)


def test_walks_that_leave_the_edges_are_seen() -> None:
    edges: Ints = np.array([[0, 1], [1, 2]])
    random_walks.check(edges, np.array([[0, 1, 2, -1]]))
    with pytest.raises(AssertionError, match="a walk leaves the edges"):
        random_walks.check(edges, np.array([[0, 2]]))
