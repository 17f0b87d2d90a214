from __future__ import annotations

import json
from pathlib import Path

import networkx as nx
import pytest

from graphpe.benchmarks.calls.data import data_task, own_task
from graphpe.benchmarks.console.data import DataOptions
from graphpe.benchmarks.tasks import DataFile, EdgeListFolder, NetworkxList, PythonSource, SmilesTable
from graphpe.errors import GraphPEError


@pytest.fixture
def files(tmp_path: Path) -> Path:
    (tmp_path / "y.csv").write_text("SMILES,y,other\nCC,1,2\n")
    (tmp_path / "one.tsv").write_text("name of it\tsmiles\nx\tCC\n")
    (tmp_path / "split.csv").write_text("smiles;a;split\nCC;1;train\nC;2;test\nO;;\n")
    (tmp_path / "many.csv").write_text("smiles,a,b\nCC,1,2\n")
    (tmp_path / "graphs.pt").touch()
    (tmp_path / "nx.json").write_text(json.dumps([nx.node_link_data(nx.path_graph(2), edges="edges")]))
    (tmp_path / "folder" / "edges").mkdir(parents=True)
    (tmp_path / "folder" / "labels.csv").write_text("graph,act\na,1\n")
    (tmp_path / "src").mkdir()
    (tmp_path / "src" / "a.py").touch()
    return tmp_path


def test_what_is_there_says_what_it_is(files: Path) -> None:
    def read(name: str, *targets: str, **options: object) -> object:
        data = str(files / name)
        return data_task(data, DataOptions(data, targets, **options))  # type: ignore[arg-type]

    def path(name: str) -> str:
        return str(files / name)

    assert read("y.csv") == SmilesTable(path=path("y.csv"), smiles="SMILES", targets=("y",))
    assert read("one.tsv") == SmilesTable(path=path("one.tsv"), targets=("name of it",))
    assert read("split.csv") == SmilesTable(path=path("split.csv"), targets=("a",), split="split")
    assert read("many.csv", "b", "a") == SmilesTable(path=path("many.csv"), targets=("b", "a"))
    assert read("many.csv", "a", valid="v.csv", test="t.csv", skip_bad=True) == SmilesTable(
        path=path("many.csv"), targets=("a",), valid="v.csv", test="t.csv", skip_bad=True
    )
    assert read("graphs.pt") == DataFile(path=path("graphs.pt"))
    assert read("graphs.pt", "a", "b", skip_bad=True) == DataFile(
        path=path("graphs.pt"), target=("a", "b"), skip_bad=True
    )
    assert read("nx.json", "a") == NetworkxList(path=path("nx.json"), target="a")
    assert read("folder") == EdgeListFolder(path=path("folder"), targets=("act",))
    assert read("src") == PythonSource(root=path("src"))


def test_options_belong_to_a_task_too() -> None:
    call = own_task(DataOptions(targets=("a",), skip_bad=True), "DataFile('x.pt')", given_by="--task")
    assert call == repr(DataFile(path="x.pt", target="a", skip_bad=True))
    assert own_task(DataOptions(), "zinc", given_by="--task") is None
    assert own_task(DataOptions(), None, given_by="--task") is None


def test_what_cannot_be_told_is_one_line(files: Path) -> None:
    (files / "dataset" / "raw").mkdir(parents=True)
    for name, targets, message in (
        (
            "many.csv",
            (),
            r"many.csv: what is to be predicted\? Give --target with a column, or .*; its columns are a, b",
        ),
        ("many.csv", ("c",), "many.csv has no column 'c' for --target: there are a, b"),
        ("none.csv", (), "none.csv is not there"),
        ("src/a.py", (), "a.py is one file: give a folder of Python source"),
        ("dataset", (), "dataset holds no graphs: .*; it has raw files: load the dataset with PyG once"),
        ("src", ("y",), "--target is for tables and graphs of one's own, and not for python-source"),
    ):
        with pytest.raises(GraphPEError, match=message) as caught:
            data_task(str(files / name), DataOptions(None, targets))
        assert "\n" not in str(caught.value)
    for options, task, message in (
        (DataOptions("zinc"), None, "zinc is no path, but a task: give --task zinc"),
        (DataOptions("a.csv"), "zinc", "a.csv and --task zinc are two tasks: give one of them"),
        (DataOptions(skip_bad=True), None, "--skip-bad says more of DATA, which is missing: give its path first"),
        (DataOptions(targets=("y",)), "zinc", "--target is for tables and graphs of one's own, and not for zinc"),
    ):
        with pytest.raises(GraphPEError, match=message):
            own_task(options, task, given_by="--task")
