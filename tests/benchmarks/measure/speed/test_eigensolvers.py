from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch

from graphpe.benchmarks.measure.inputs.large_graphs import Graph
from graphpe.benchmarks.measure.limited import Stopped
from graphpe.benchmarks.measure.peers import eigensolvers as sides
from graphpe.benchmarks.measure.peers.eigensolvers import OURS, PEERS, Outcome
from graphpe.benchmarks.measure.speed import eigensolvers


def grid(size: int, directed: bool) -> Graph:
    graph = nx.convert_node_labels_to_integers(nx.grid_2d_graph(size, size + 1))
    return Graph("grid", len(graph), np.array(graph.edges).T, directed)


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize("side", [*OURS, *PEERS])
def test_every_side_computes_the_same(side, directed, tmp_path):
    if "AMG" in side:
        pytest.importorskip("pyamg")
    graph = grid(14, directed)
    if side not in sides.sides(graph.num_nodes, directed):
        pytest.skip("complex operators are not supported there")
    operator = graph.operator()
    sides.save(operator, tmp_path / "operator.npz")
    outcome = sides.measure(side, tmp_path / "operator.npz", 6, 1e-7, 1)
    expected = torch.linalg.eigvalsh(operator.to_dense())[:6].numpy()
    np.testing.assert_allclose(outcome.values, expected, rtol=0, atol=1e-7)
    assert outcome.residual <= 2e-7 * (1.5 if side == "torch LOBPCG" else 1)
    assert outcome.seconds > 0


def test_sides_that_make_no_sense_are_left_out():
    assert "Dense" not in sides.sides(10_000, False)
    assert "torch LOBPCG" not in sides.sides(100, True)
    assert sides.sides(100, False) == [*OURS, *PEERS]


def test_cells_tell_what_is_wrong(monkeypatch):
    """A side is marked if its residual is large, if it missed an eigenvalue, and if it did not end."""
    answers = {
        "auto": Outcome(0.5, np.array([0.0, 1.0]), 1e-7, "Dense(): small"),
        "SciPy SA": Outcome(4.0, np.array([0.0, 1.0]), 1e-7, ""),
        "SciPy sigma": Outcome(1.0, np.array([0.0, 1.5]), 1e-7, ""),
        "SciPy LOBPCG": Outcome(0.1, np.array([0.0, 0.5]), 1e-3, ""),
        "SciPy LOBPCG, AMG": Outcome(3.0, np.array([0.0, 1.0]), 1e-7, ""),
    }
    calls = []

    def call(_, side, *arguments, **limits):
        calls.append(side)
        if side not in answers:
            raise Stopped("> 5 s")
        return answers[side]

    monkeypatch.setattr(eigensolvers, "call_limited", call)
    options = eigensolvers._parser().parse_args(["--time-limit=5", "--repeats=2"])
    given_up: set[tuple[str, str]] = set()
    row = eigensolvers.measure_graph(grid(5, False), options, given_up)
    text = {side: cell.text for side, cell in row.cells.items()}
    assert text["auto"] == "0.500"
    assert text["SciPy sigma"] == "1.00, missed one"
    assert text["SciPy LOBPCG"] == "0.100, residual 1e-03"
    assert text["Lanczos"] == "> 5 s"
    assert row.best_peer == ("SciPy LOBPCG, AMG", 3.0)
    assert eigensolvers._line(row).endswith("| 6.00 (SciPy LOBPCG, AMG) | 8.0 |")
    assert calls.count("auto") == 2
    assert calls.count("Lanczos") == 1
    calls.clear()
    eigensolvers.measure_graph(grid(5, False), options, given_up)
    assert set(calls) == set(answers)


@pytest.mark.slow
def test_tables_and_plot_are_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("GRAPHPE_DATA", str(tmp_path))
    out = tmp_path / "eigensolvers.md"
    arguments = ["--sizes", "60", "120", "--graphs", "Barabasi", "minnesota", "--sides", "auto", "SciPy SA"]
    eigensolvers.main([*arguments, "--repeats=1", "--threads=1", "--time-limit=30", "--out", str(out)])
    printed, text = capsys.readouterr().out, out.read_text()
    assert "minnesota is left out" in printed
    rows = [line.split("|") for line in text.splitlines() if line.startswith("| Barabasi")]
    assert [row[2].strip() for row in rows] == ["60", "120"] * 2
    for row in rows[:2]:
        auto, plain, ratio = float(row[4]), float(row[12]), float(row[-2])
        half = 0.0005  # seconds are printed to a millisecond, the ratio is of what they were
        assert (plain - half) / (auto + half) - 0.1 <= ratio <= (plain + half) / max(auto - half, 1e-9) + 0.1
    assert "Dense" in rows[2][5]
    assert "in the geometric mean over 2 of 2 graphs" in text
    assert all(line in printed for line in text.splitlines())
    assert out.with_suffix(".png").read_bytes()[:4] == b"\x89PNG"
