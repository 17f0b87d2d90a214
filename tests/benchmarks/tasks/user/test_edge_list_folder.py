from __future__ import annotations

from pathlib import Path

import networkx as nx
import pytest
import torch

from graphpe.benchmarks.calls.build import build_task
from graphpe.benchmarks.tasks.user.edge_list_folder import EdgeListFolder
from graphpe.errors import GraphPERuntimeError


def write(folder: Path, files: dict[str, str], labels: str | None = None) -> str:
    for name, text in files.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    if labels is not None:
        (folder / "labels.csv").write_text(labels)
    return str(folder)


def ten(folder: Path, **changes: str) -> str:
    """Ten paths of different lengths, with labels."""
    files = {f"g{i}.txt": "".join(f"{j} {j + 1}\n" for j in range(i + 1)) for i in range(10)}
    labels = "graph,y\n" + "".join(f"g{i},{i}.5\n" for i in range(10))
    return write(folder, files | {key.replace("__", "."): text for key, text in changes.items()}, labels)


@pytest.mark.parametrize("directed", [False, True])
def test_edge_lists(tmp_path: Path, directed: bool) -> None:
    task = EdgeListFolder(path=ten(tmp_path), directed=directed)
    assert build_task(repr(task)) == task
    data = task.load()
    assert data.metric == "RMSE"
    assert data.graphs.graph["y"].flatten().tolist() == [i + 0.5 for i in range(10)]
    for i in range(10):
        expected = nx.path_graph(i + 2, create_using=nx.DiGraph)
        expected = expected if directed else expected.to_undirected().to_directed()
        assert set(data.graphs.to_networkx(i).edges()) == set(expected.edges())
        assert data.graphs[i].edge_index.shape[1] == expected.number_of_edges()


def test_features_names_and_comments(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        {
            "edges/a.csv": "source,target,kind,weight\n# a comment\nx,y,single,1.5\ny,x,single,1.5\ny,z,double,2\n",
            "nodes/a.csv": "node,colour,size\ny,red,1\nx,blue,2\nz,red,0.5\nalone,green,3\n",
            "edges/b.tsv": "u\tv\tkind\tweight\n10\t2\tdouble\t1\n",
            "nodes/b.csv": "node,colour,size\n2,red,7\n10,red,8\n",
            "edges/c": "source target kind weight\n",
            "nodes/c": "node colour size\n1 blue 4\n",
        },
        "graph,y,part\na.csv,1,train\nb,2.5,valid\nc,3,test\n",
    )
    (tmp_path / "edges" / "a.csv").rename(tmp_path / "edges" / "a.csv.csv")  # the label has the ending
    (tmp_path / "nodes" / "a.csv").rename(tmp_path / "nodes" / "a.csv.csv")
    data = EdgeListFolder(path=path, split="part").load()
    assert data.graphs.sizes.tolist() == [4, 2, 1]
    a = data.graphs[0]
    # blue, green, red as columns of 0 and 1, then the size; nodes in the order of their file.
    assert a.x.tolist() == [[0, 0, 1, 1], [1, 0, 0, 2], [0, 0, 1, 0.5], [0, 1, 0, 3]]
    assert a.edge_index.t().tolist() == [[1, 0], [0, 1], [0, 2], [2, 0]]
    assert a.edge_attr.tolist() == [[0, 1, 1.5], [0, 1, 1.5], [1, 0, 2], [1, 0, 2]]
    assert a.edge_weight.tolist() == [1.5, 1.5, 2, 2]
    assert data.graphs[1].edge_index.t().tolist() == [[1, 0], [0, 1]]
    assert data.adapter.node_channels == 4
    assert data.adapter.edge_channels == 3


def test_separators_between_quotes_separate_nothing(tmp_path: Path) -> None:
    files = {
        f"edges/{name}.csv": '"source","target","kind"\n"a, the first","b","x;y"\n"b","c ""d""",z\n' for name in "uvw"
    }
    files |= {
        f"nodes/{name}.csv": 'node,f,y\n"a, the first",1.5,"[0, 1]"\nb,2,"[1,1]"\n"c ""d""",3,"[1, 0]"\n'
        for name in "uvw"
    }
    path = write(tmp_path, files, "graph,part\nu,train\nv,valid\nw,test\n")
    data = EdgeListFolder(path=path, level="node", split="part", directed=True).load()
    assert data.graphs.node["y"][:3].tolist() == [[0, 1], [1, 1], [1, 0]]
    assert data.graphs.edge_index[:, :2].tolist() == [[0, 1], [1, 2]]
    assert data.graphs.edge["edge_attr"].flatten().tolist() == [0, 1] * 3  # x;y and z


def test_a_byte_order_mark_is_no_node(tmp_path: Path) -> None:
    data = EdgeListFolder(path=ten(tmp_path, g4__txt="\ufeffsource,target\n0,1\n")).load()
    assert data.graphs.sizes[4] == 2


def test_words_alone_are_categories(tmp_path: Path) -> None:
    files = {f"nodes/g{i}.txt": "\n".join(f"{j},{'ab'[j % 2]}" for j in range(i + 2)) for i in range(10)}
    data = EdgeListFolder(path=write(Path(ten(tmp_path)), files)).load()
    assert data.adapter.node_categories == (2,)
    assert data.graphs[3].x.flatten().tolist() == [0, 1, 0, 1, 0]
    assert data.graphs.node["x"].dtype == torch.long


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"g4__txt": "0 1\n5\n"}, r"g4.txt, line 2: '5' is not a source and a target"),
        ({"g4__txt": "0 1 7\n1 2 8\n"}, r"labels.csv, line 6: edges have the features \['column 2'\], those of"),
        ({"g4__txt": "0 1\n1 2 3\n"}, "g4.txt, line 2: '1 2 3' is not a source and a target"),
        ({"g4__txt": ""}, r"labels.csv, line 6: the graph has no nodes; .*give --skip-bad"),
        ({"nodes/g4__txt": "0\n1\n2\n3\n4\n"}, r"g4.txt has an edge of '5', which is not in .*nodes/g4.txt"),
        ({"nodes/g4__txt": "0\n0\n"}, "names a node twice"),
    ],
)
def test_a_wrong_line_is_named(tmp_path: Path, changes: dict[str, str], message: str) -> None:
    with pytest.raises(GraphPERuntimeError, match=message) as caught:
        EdgeListFolder(path=ten(tmp_path, **changes)).load()
    assert "\n" not in str(caught.value)


def test_bad_folders(tmp_path: Path) -> None:
    with pytest.raises(GraphPERuntimeError, match=r"none is no folder: give one with edge lists and labels.csv"):
        EdgeListFolder(path=str(tmp_path / "none")).load()
    (tmp_path / "empty").mkdir()
    with pytest.raises(GraphPERuntimeError, match=r"labels.csv is not in .*empty"):
        EdgeListFolder(path=str(tmp_path / "empty")).load()
    path = Path(ten(tmp_path / "ten"))
    for labels, message in (
        ("name,y\ng1,1\n", "has no column 'graph', only 'name', 'y'"),
        ("graph,y\ng1,1\ng77,2\n", r"labels.csv, line 3: there is no edge list 'g77'"),
        ("graph,y\ng1,1.5\ng1,2\n", r"labels.csv, line 3: graph 'g1' is there twice, first in line 2"),
        ("graph,y\ng1,\ng2,\n", r"labels.csv, line 2: y is not known for any graph"),
        ("graph,y\n../g1,1.5\ng2,2\n", r"there is no edge list '../g1'"),
    ):
        (path / "labels.csv").write_text(labels)
        with pytest.raises(GraphPERuntimeError, match=message):
            EdgeListFolder(path=str(path)).load()


def test_semicolons_tabs_and_decimal_commas(tmp_path: Path) -> None:
    for mark in (";", "\t"):
        lines = [f"{j}{mark}{j + 1}{mark}{j},5" for j in range(3)]
        labels = [f"g{i}{mark}{i},25{mark}[{i}, {i % 4}.5]" for i in range(10)]
        folder = tmp_path / str(ord(mark))
        files = {f"g{i}.txt": "\n".join(lines) for i in range(10)}
        path = write(folder, files, "\n".join([f"graph{mark}y{mark}z", *labels]))
        data = EdgeListFolder(path=path, targets=("y", "z")).load()
        assert data.adapter.target_names == ("y", "z[0]", "z[1]")
        assert data.graphs.graph["y"][:, 0].tolist() == [i + 0.25 for i in range(10)]
        assert sorted(set(data.graphs.edge["edge_attr"].flatten().tolist())) == [0.5, 1.5, 2.5]
        assert "decimal commas are read as points in column 2" in data.notes
    (folder / "g3.txt").write_text("0 1 1,5\n")
    with pytest.raises(GraphPERuntimeError, match=r"g3.txt, line 1: '0 1 1,5' mixes commas with other separators"):
        EdgeListFolder(path=path, targets=("y",)).load()
    for i in range(10):
        (folder / f"g{i}.txt").write_text("0\t1\t1,234\n")
    with pytest.raises(GraphPERuntimeError, match=r"column 2 is '1,234', which may be 1.234 or 1234"):
        EdgeListFolder(path=path, targets=("y",)).load()


def test_bad_graphs_are_skipped_and_parts_are_folders(tmp_path: Path) -> None:
    path = Path(ten(tmp_path / "a", g4__txt="0 1\n5\n", g6__txt="0 1 7\n", g7__txt="# nothing\n"))
    (path / "g2.txt").unlink()
    other = ten(tmp_path / "b")
    with pytest.raises(GraphPERuntimeError, match=r"no edge list 'g2' .*; correct it, or give --skip-bad"):
        EdgeListFolder(path=str(path)).load()
    data = EdgeListFolder(path=str(path), test=other, skip_bad=True).load()
    assert data.graphs.graph["y"].flatten().tolist() == [i + 0.5 for i in [0, 1, 3, 5, 8, 9, *range(10)]]
    assert data.split["test"].tolist() == list(range(6, 16))
    at = data.notes.index("skipped, for they cannot be read: 4 of 20 rows")
    assert "there is no edge list 'g2'" in data.notes[at + 1]
    assert "line 2: '5' is not a source and a target" in data.notes[at + 2]
    assert "line 8: its edges have the features column 2, those of most graphs (none)" in data.notes[at + 3]
    assert "line 9: the graph has no nodes" in data.notes[at + 4]
