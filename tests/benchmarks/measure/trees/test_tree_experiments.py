"""The experiments at a small size, on data of the same form."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from graphpe.benchmarks.measure.trees import classification, hidden_atoms, metrics, normals, training
from graphpe.benchmarks.measure.trees.mesh import read_mesh
from graphpe.benchmarks.measure.trees.sections import write_section
from graphpe.trees.functions.closed_form import Exponential
from graphpe.trees.spectrum import tree_spectra


def write_ball(folder: Path, side: int = 7) -> Path:
    """The surface of a cube of a grid, blown up to a ball; its faces are quadrilaterals, corners stand there often."""
    lines: list[str] = []
    grid = np.linspace(-1, 1, side)
    for axis in range(3):
        for sign in (-1, 1):
            for i in range(side - 1):
                for j in range(side - 1):
                    corners = [(i, j), (i + 1, j), (i + 1, j + 1), (i, j + 1)]
                    for a, b in corners if sign == 1 else corners[::-1]:
                        point = np.roll([sign, grid[a], grid[b]], axis)
                        lines.append("v " + " ".join(f"{x:.9f}" for x in point / np.linalg.norm(point)))
                    count = sum(line.startswith("v") for line in lines)
                    lines.append("f " + " ".join(f"{k}/1/1" for k in range(count - 3, count + 1)))
    path = folder / "meshes" / "ball.obj"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines))
    return path


def test_a_mesh_of_a_ball(tmp_path) -> None:
    mesh = read_mesh(write_ball(tmp_path))
    vertices, faces = 7**3 - 5**3, 2 * 6 * 36
    assert len(mesh.position) == vertices
    assert mesh.edges.shape == (2, vertices + faces - 2)  # Euler
    assert float((mesh.position * mesh.normal).sum(1).min()) > 0.97  # outwards
    assert mesh.graph().edge_weight.min() > 0.05


def test_normals(tmp_path) -> None:
    write_ball(tmp_path)
    out = tmp_path / "out.md"
    common = ["--mesh", "ball.obj", "--hidden", "0.5", "--trees", "4", "--seeds", "1"]
    normals.main([*common, "--data", str(tmp_path), "--out", str(out)])
    rows = [line.strip("| ").split(" | ") for line in out.read_text().splitlines() if line.startswith("|")]
    value = {row[0]: float(row[1].split()[0]) for row in rows[2:]}
    assert len(value) == 7
    assert value["all pairs, distances of the mesh"] > 0.98
    assert 0.9 < value["tree field, minimum spanning tree"] < value["tree field, mean over 4 random trees"] + 0.05
    assert value["mean of all known normals"] < 0.5
    assert (tmp_path / "tree_normals.png").stat().st_size > 5_000


def test_metrics(tmp_path) -> None:
    out = tmp_path / "out.md"
    metrics.main(["--nodes", "60", "--extra", "40", "--pairs", "2000", "--data", str(tmp_path), "--out", str(out)])
    rows = [line.strip("| ").split(" | ") for line in out.read_text().splitlines() if line.startswith("| path")]
    assert [row[2] for row in rows] == ["minimum", "shortest"]
    for row in rows:
        tree, scaled, rational, product = map(float, row[3:])
        assert tree > scaled >= rational - 1e-3
        assert product < 1e-5
    assert (tmp_path / "tree_metrics.png").stat().st_size > 5_000


def test_rational_functions_are_found() -> None:
    x = torch.rand(500, dtype=torch.float64)
    top, bottom = metrics.fit_rational(x, (1 + 4 * x) / (1 + 2 * x + x.square()), steps=300)
    found = (top[0] + top[1] * x + top[2] * x**2) / (bottom[0] + bottom[1] * x + bottom[2] * x**2)
    assert float((found - (1 + 4 * x) / (1 + 2 * x + x.square())).square().mean().sqrt()) < 2e-3


def write_classes(folder: Path) -> None:
    """Paths and stars, in the form of TU datasets, the edges of all graphs shuffled."""
    raw = folder / "tudataset" / "TOY" / "raw"
    raw.mkdir(parents=True)
    owner, edges, label = [], [], []
    for graph in range(40):
        start, size = len(owner), 6 + graph % 5
        owner += [graph + 1] * size
        label.append(graph % 2 * 2 - 1)
        for v in range(1, size):
            u = v - 1 if graph % 2 else 0
            edges += [(start + u + 1, start + v + 1), (start + v + 1, start + u + 1)]
    edges = np.random.default_rng().permutation(np.array(edges))
    np.savetxt(raw / "TOY_graph_indicator.txt", owner, fmt="%d")
    np.savetxt(raw / "TOY_A.txt", edges, fmt="%d", delimiter=", ")
    np.savetxt(raw / "TOY_graph_labels.txt", label, fmt="%d")


def test_classification(tmp_path) -> None:
    write_classes(tmp_path)
    out = tmp_path / "out.md"
    small = ["--sets", "TOY", "--eigenvalues", "4", "--forest", "10", "--seeds", "1"]
    classification.main([*small, "--data", str(tmp_path), "--out", str(out)])
    (row,) = [line.strip("| ").split(" | ") for line in out.read_text().splitlines() if line.startswith("| TOY")]
    assert row[1:3] == ["40", "50.0"]
    assert row[4] == row[5] == "100.0 ± 0.0"  # of trees, all distances are those of the tree


def test_spectra_of_trees_are_those_of_the_graph(tmp_path) -> None:
    write_classes(tmp_path)
    graphs, label = classification.read_graphs(tmp_path / "tudataset" / "TOY" / "raw", "TOY")
    assert np.array_equal(label, np.arange(40) % 2)
    f = Exponential(0.5)
    torch.testing.assert_close(classification.graph_spectra(graphs, f, 8), tree_spectra(graphs, f, 8))


def test_training(write_molecules: Callable[..., object], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write_molecules(tmp_path / "data" / "ogbg_molesol", 24, [[float(i % 5)] for i in range(24)])
    arguments = ["--root", str(tmp_path / "data"), "--epochs", "1", "--seeds", "2", "--width", "8", "--layers", "1"]
    arguments += ["--folder", str(tmp_path / "runs"), "--out", str(tmp_path / "out.md")]
    training.main(arguments)
    text = (tmp_path / "out.md").read_text()
    assert all(f"| {name} |" in text for name in training.MASKS.values())
    before = (tmp_path / "runs" / "molesol-heads-1" / "metrics.jsonl").read_bytes()
    training.main(arguments)  # nothing is trained again
    assert (tmp_path / "runs" / "molesol-heads-1" / "metrics.jsonl").read_bytes() == before


def test_hidden_atoms(tmp_path: Path) -> None:
    out = tmp_path / "out.md"
    small = ["--molecules", "80", "--steps", "2", "--seeds", "2", "--width", "8", "--layers", "1"]
    hidden_atoms.main([*small, "--data", str(tmp_path), "--out", str(out)])  # random graphs stand for the molecules
    text = out.read_text()
    assert all(f"| {name} |" in text for name in (*hidden_atoms.MASKS.values(), "(frequencies of elements)"))


def test_hidden_atoms_are_hidden_and_asked_for(tmp_path: Path) -> None:
    graphs = hidden_atoms.molecules(50, tmp_path, np.random.default_rng())[1]
    graphs = graphs.with_values(node={"x": graphs.node["x"][:, 0]})
    batch, hidden, element = hidden_atoms.hide(graphs, 0.3, torch.Generator().manual_seed(2))
    assert 0.2 < float(hidden.float().mean()) < 0.4
    assert torch.equal(hidden, batch.x == hidden_atoms.HIDDEN)
    assert torch.equal(element, graphs.node["x"][hidden])
    assert torch.equal(batch.x[~hidden], graphs.node["x"][~hidden])
    most = int(graphs.node["x"].bincount().argmax())
    score = hidden_atoms.evaluate(hidden_atoms.frequencies(graphs), graphs, 0.3)
    asked = hidden_atoms.hide(graphs, 0.3, torch.Generator().manual_seed(0))[2]
    assert score.accuracy == pytest.approx(100 * float((asked == most).float().mean()), abs=0.01)


def test_sections_take_their_places(tmp_path) -> None:
    path = tmp_path / "out.md"
    for title, line in (("One", "first"), ("Two", "second"), ("One", "third")):
        write_section(path, title, [line], "command")
    text = path.read_text()
    assert text.index("third") < text.index("## Two") < text.index("second")
    assert "first" not in text
    assert text.count("## ") == 2
    write_section(path, "Two", ["fourth"], "command")
    assert "second" not in (again := path.read_text())
    assert again.startswith("# Experiments with tree fields\n\n## One\n\nthird\n")
    assert again.endswith("    command\n")
