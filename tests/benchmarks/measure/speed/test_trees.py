from __future__ import annotations

import numpy as np
import pytest
import torch

from graphpe.benchmarks.measure.speed import trees


@pytest.mark.slow
def test_tables(tmp_path, capsys) -> None:
    out = tmp_path / "trees.md"
    small = ["--sizes", "20", "200", "--widths", "1", "3", "--repeats", "1", "--dense-nodes", "100", "--no-real"]
    trees.main([*small, "--data", str(tmp_path), "--out", str(out)])
    text = out.read_text()
    assert text in capsys.readouterr().out
    rows = [line.strip("| ").split(" | ") for line in text.splitlines() if line.startswith("| random | 20")]
    # Two widths of each size, then the functions at the larger size.
    assert [row[1:3] for row in rows[:4]] == [["20", "1"], ["20", "3"], ["200", "1"], ["200", "3"]]
    assert rows[0][5] != "-"
    assert rows[2][5] == "-"
    assert float(rows[4][2].replace(",", "")) >= 0
    assert "| random | 1 | 20 | 200 |" in text


@pytest.mark.parametrize("kind", list(trees.FAMILIES))
def test_the_sides_compute_the_same(kind) -> None:
    tree = trees.make_tree(kind, 60, 3)
    field = torch.randn(60, 2, generator=torch.Generator().manual_seed(1))
    kept = trees.TreeIntegrator(tree.edges, tree.length, tree.size)
    actual = kept.integrate(trees.F, field)
    torch.testing.assert_close(actual, trees.dense_matrix(tree) @ field)
    searched = trees.search_from(kept, field, 60)
    torch.testing.assert_close(torch.from_numpy(searched), actual[torch.from_numpy(kept.forest.order)])


def test_real_trees(tmp_path) -> None:
    tree = trees.syntax_tree()
    assert tree.edges.shape == (2, tree.size - 1)
    assert np.array_equal(np.sort(tree.edges[1].numpy()), np.arange(1, tree.size))
    assert list(trees.mesh_trees(tmp_path)) == []
