from __future__ import annotations

import torch

from graphpe.benchmarks.measure.speed import tree_attention


def test_tables(tmp_path, capsys) -> None:
    out = tmp_path / "attention.md"
    tree_attention.main(["--sizes", "8", "40", "--channels", "2", "--heads", "2", "--repeats", "1", "--out", str(out)])
    text = out.read_text()
    assert text in capsys.readouterr().out
    rows = [line.strip("| ").split(" | ") for line in text.splitlines()]
    assert [row[:3] for row in rows if row[0] == "forward" and len(row) > 4] == [
        ["forward", "2", "8"],
        ["forward", "2", "40"],
    ]
    assert sum(row[0] == "forward and backward" for row in rows) == 3


def test_the_dense_side_computes_the_same() -> None:
    case = tree_attention.make_case(50, 3, 2, seed=4)
    torch.nn.init.normal_(case.masked.decay.rate)
    x = torch.randn(50, 6)
    expected = case.masked(x, case.where)
    torch.testing.assert_close(tree_attention.dense_attention(case.masked, x, case.distance), expected)


def test_crossing() -> None:
    assert tree_attention.crossing([100, 1000, 10_000], [0.1, 0.5, 5.0]) == f"{round(1000 * 10 ** (0.30103)):,} nodes"
    assert tree_attention.crossing([100, 1000], [2.0, 3.0]) == "100 nodes or fewer"
    assert tree_attention.crossing([100, 1000], [0.1, 0.9]) == "not up to 1,000 nodes"
