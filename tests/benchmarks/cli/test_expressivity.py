from __future__ import annotations

import csv
from collections import Counter
from pathlib import Path

import networkx as nx
import pytest

from graphpe.benchmarks.cli.main import main
from graphpe.benchmarks.expressivity.sets import DEFAULT_ENCODINGS


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    lines = [nx.to_graph6_bytes(graph, header=False) for graph in connected(5)]
    (tmp_path / "graph8c.g6").write_bytes(b"".join(lines))
    return tmp_path


def connected(nodes: int) -> list[nx.Graph]:
    return [graph for graph in nx.graph_atlas_g() if len(graph) == nodes and nx.is_connected(graph)]


def alike(keys: list[object]) -> int:
    return sum(count * (count - 1) // 2 for count in Counter(keys).values())


DEGREES = alike([tuple(sorted(degree for _, degree in graph.degree())) for graph in connected(5)])


def test_encodings(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["expressivity", "--data", str(folder), "--sets", "graph8c", "--quiet", "--encodings", "DegreePE()"]
    assert main([*arguments, "SVDPE(k=2)"]) == 0
    printed = capsys.readouterr().out
    assert f"| `DegreePE()` | 1-WL | {210 - DEGREES} ({DEGREES}) |" in printed
    assert "| signs |" in printed
    assert "| `2-FWL` | 210 |" in printed
    assert "In none of the 2 rows with a bound is a pair told apart" in printed
    outs = [str(folder / name) for name in ("a.csv", "a.md", "a.tex")]
    assert main([*arguments, "--out", *outs, "--picture", str(folder / "a.png")]) == 0
    assert capsys.readouterr().out.split() == [*outs, str(folder / "a.png")]
    with (folder / "a.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["apart"] for row in rows] == ["210", "210", "210", "0", str(210 - DEGREES)]
    assert "DegreePE()" in (folder / "a.tex").read_text()
    assert (folder / "a.png").read_bytes().startswith(b"\x89PNG")


def test_values_of_graphs_are_refused(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["expressivity", "--data", str(folder), "--sets", "graph8c", "--quiet"]
    for more in ([], ["--models", "GINE(width=8, layers=1)"]):
        assert main([*arguments, *more, "--encodings", "HomomorphismPE('Cycle(4)', level='graph')"]) != 0
        assert "has values of graphs, which are not read here" in capsys.readouterr().err


def test_models(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["expressivity", "--data", str(folder), "--sets", "graph8c", "--quiet", "--seeds", "1"]
    arguments += ["--out", str(folder / "a.csv"), str(folder / "a.md"), "--models", "GINE(width=8, layers=3)"]

    def models(*more: str) -> list[tuple[str, str]]:
        assert main([*arguments, *more]) == 0
        with (folder / "a.csv").open() as file:
            return [(row["encoding"], row["apart"]) for row in csv.DictReader(file) if row["kind"] == "model"]

    assert models() == [("none", "210"), ("RandomWalkPE(16)", "210")]
    found = models("--encodings", "DegreePE() + CyclePE(4)", "ShortestPathPE()", "PEARLEncoding(samples=2)")
    # All pairs are tested, and of random node features the test sees what it can.
    assert [name for name, _ in found] == ["none", "DegreePE() + CyclePE(4)", "PEARLEncoding(samples=2)"]
    table = (folder / "a.md").read_text()
    assert "Left out: GINE(width=8, layers=3) + ShortestPathPE(): GINE takes no encoding of pairs" in table
    assert "| `DegreePE()` |" in table
    assert "| `CyclePE(max_length=4)` |" in table
    assert "| `PEARL" not in table  # alone it has no values
    capsys.readouterr()


def test_training(folder: Path) -> None:
    arguments = ["expressivity", "--data", str(folder), "--sets", "graph8c", "--quiet", "--seeds", "1"]
    pair = [nx.path_graph(4), nx.star_graph(3)]
    (folder / "graph8c.g6").write_bytes(b"".join(nx.to_graph6_bytes(graph, header=False) for graph in pair))
    out = folder / "a.md"
    more = ["--models", "GINE(width=8, layers=2)", "--encodings", "none", "--epochs", "1"]
    assert main([*arguments, *more, "--out", str(out)]) == 0
    table = out.read_text()
    assert "## Models, trained on each pair" in table
    assert "| `GINE(width=8, layers=2)` | 1-WL | 1 |" in table


def test_default_list() -> None:
    assert len(set(DEFAULT_ENCODINGS)) == len(DEFAULT_ENCODINGS) == 39


def test_mistakes(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    arguments = ["expressivity", "--data", str(folder), "--sets", "graph8c", "--quiet", "--encodings", "DegreePE()"]
    for extra, message in (
        (["--out", str(folder / "a.txt")], "it must end in .md, .csv or .tex"),
        (["--picture", str(folder / "a.txt")], "--picture is"),
        (["--out", str(folder / "none" / "a.md")], "is no folder"),
        (["--encodings", "Nothing()"], "unknown encoding 'Nothing'"),
        (["--encodings", "PEARLEncoding()"], "has no values without a model"),
        (["--models", "Nothing()"], "unknown model 'Nothing'"),
        (["--sets", "x"], "unknown set 'x'"),
        (["--seeds", "0"], "--seeds must be at least 1, got 0"),
        (["--epochs", "-1"], "--epochs must be at least 0, got -1"),
    ):
        assert main([*arguments, *extra]) in (1, 2)
        error = capsys.readouterr().err
        assert message in error
        assert error.count("\n") == 1
    assert main(["expressivity"]) == 2
    assert "--data is missing: the folder that holds graph8c.g6" in capsys.readouterr().err
    assert main(["expressivity", "--sets", "CSL", "sr25"]) == 2
    assert "--data is missing: the folder that holds sr251256.g6" in capsys.readouterr().err


def test_a_set_that_is_made_needs_no_folder(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["expressivity", "--sets", "CSL", "--quiet", "--encodings", "DegreePE()"]) == 0
    printed = capsys.readouterr().out
    assert "| `DegreePE()` | 1-WL | 0 (45) |" in printed
    assert "| `2-FWL` | 45 |" in printed


def test_training_on_too_many_pairs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lines = nx.to_graph6_bytes(nx.path_graph(2), header=False) * 300
    (folder / "graph8c.g6").write_bytes(lines)
    arguments = ["expressivity", "--data", str(folder), "--sets", "graph8c", "--quiet", "--encodings", "none"]
    assert main([*arguments, "--models", "GINE(width=8)", "--epochs", "1"]) == 1
    assert "graph8c has 44,850: name other --sets" in capsys.readouterr().err
