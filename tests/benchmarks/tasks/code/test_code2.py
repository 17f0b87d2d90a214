from __future__ import annotations

import builtins
import gzip

import pytest
import torch

from graphpe.benchmarks.tasks import Code2, PythonSource
from graphpe.benchmarks.tasks.code.data import CodeData
from graphpe.benchmarks.tasks.code.export import export_ogb
from graphpe.errors import GraphPERuntimeError, GraphPEValueError
from graphpe.files.ogb import load_graph_dataset

WORDS = """
def null(): return None
def none(): return 'None', 'nan'
def nan(x): return 'nan', 'null', 'NA', 'N/A', ''
def NA(x): return x['a,b'], x['say "x"'], x['two\\nlines'], x['\\r']
def _1(): return 1
def true(): return True
def inf(): return 1e400
def get_null_value_or_none_at_all(): return 0
"""


@pytest.fixture(autouse=True)
def no_questions(monkeypatch):
    def fail(*_: object) -> None:
        raise AssertionError("a question was asked")

    monkeypatch.setattr(builtins, "input", fail)


@pytest.fixture(params=["ast", "ast+tokens"])
def source(request, tree, modules, tmp_path) -> CodeData:
    files = {f"{name}.py": WORDS for name in ("one", "two", "three")}  # in every part, by number
    task = PythonSource(root=str(tree(modules | files)), graph=request.param, words=0)
    return task.load(workers=1, cache=tmp_path / "cache", progress=False)


def load(root, source) -> CodeData:
    graph = "ast+tokens" if source.graphs.edge["edge_attr"][:, 0].any() else "ast"
    return Code2(root=str(root), graph=graph, download=False).load(progress=False)


def assert_same(one: CodeData, two: CodeData) -> None:
    for name in ("edge_index", "ptr", "edge_ptr"):
        assert torch.equal(getattr(one.graphs, name), getattr(two.graphs, name)), name
    for level in ("node", "edge", "graph"):
        values, others = getattr(one.graphs, level), getattr(two.graphs, level)
        assert values.keys() == others.keys()
        for key, value in values.items():
            assert value.dtype == others[key].dtype, key
            assert torch.equal(value, others[key]), key
    assert one.graphs.objects["name_tokens"] == two.graphs.objects["name_tokens"]
    assert one.split.keys() == two.split.keys()
    assert all(torch.equal(one.split[part], two.split[part]) for part in one.split)
    assert one.adapter.state() == two.adapter.state()
    assert one.fingerprint == two.fingerprint


def test_exported_source_loads_through_ogb_with_identical_tensors(source, tmp_path, capsys):
    export_ogb(source, tmp_path / "dataset")
    assert_same(load(tmp_path / "dataset", source), source)  # read from CSV by OGB
    again = load(tmp_path / "dataset", source)  # loaded from OGB's processed file
    assert_same(again, source)
    assert "ogbg-code2 from" in again.notes[0]
    assert capsys.readouterr().out == ""


def test_the_syntax_trees_of_data_flow_graphs_are_exported(tree, modules, tmp_path):
    root = str(tree(modules))
    flow, plain = (
        PythonSource(root=root, graph=graph, words=0).load(workers=1, cache=tmp_path / "cache", progress=False)
        for graph in ("dataflow", "ast")
    )
    export_ogb(flow, tmp_path / "dataset")
    assert_same(Code2(root=str(tmp_path / "dataset"), graph="ast", download=False).load(progress=False), plain)


def test_words_that_pandas_takes_for_missing_survive(source, tmp_path):
    export_ogb(source, tmp_path)
    data = load(tmp_path, source)
    names = data.graphs.objects["name_tokens"]
    for name in (["null"], ["none"], ["nan"], ["na"], ["1"], ["get", "null", "value", "or", "none", "at", "all"]):
        assert names.count(name) == 3
    assert {"None", "nan", "null", "NA", "N/A", "", "a,b", 'say "x"', "two\nlines", "\r"} <= set(
        data.adapter.attributes.words
    )
    # What stock OGB makes of the same file, which is why it is read again here.
    assert load_graph_dataset("ogbg-code2", tmp_path, progress=False).dataset._data.y != names


def test_a_missing_release_file_is_a_note_not_a_question(source, tmp_path):
    folder = export_ogb(source, tmp_path)
    (folder / "RELEASE_v1.txt").unlink()
    data = load(tmp_path, source)
    assert any("RELEASE" in note for note in data.notes)
    assert_same(data, source)


def test_without_mappings_words_are_numbers(source, tmp_path):
    folder = export_ogb(source, tmp_path)
    for path in (folder / "mapping").iterdir():
        path.unlink()
    data = load(tmp_path, source)
    assert sum("goes by numbers" in note for note in data.notes) == 2
    assert torch.equal(data.graphs.node["x"], source.graphs.node["x"])
    assert len(data.adapter.attributes) > int(data.graphs.node["x"][:, 1].max())
    assert Code2().adapter(data.adapter.state()).state() == data.adapter.state()


def test_a_damaged_processed_file_is_an_error(source, tmp_path):
    folder = export_ogb(source, tmp_path)
    load(tmp_path, source)
    path = folder / "processed" / "geometric_data_processed.pt"
    path.write_bytes(path.read_bytes()[:1000])
    with pytest.raises(GraphPERuntimeError, match=r"geometric_data_processed.pt is damaged .* move .*processed away"):
        load(tmp_path, source)


def test_labels_that_do_not_fit_are_an_error(source, tmp_path):
    folder = export_ogb(source, tmp_path)
    load(tmp_path, source)
    with gzip.open(folder / "raw" / "graph-label.csv.gz", "wt") as file:
        file.write("one\n")
    with pytest.raises(GraphPERuntimeError, match="1 labels for"):
        load(tmp_path, source)


def test_nothing_is_overwritten(source, tmp_path):
    export_ogb(source, tmp_path)
    with pytest.raises(GraphPEValueError, match="not empty"):
        export_ogb(source, tmp_path)


def test_missing_data_is_one_line(tmp_path):
    with pytest.raises(GraphPERuntimeError, match="ogbg-code2 is not in") as error:
        Code2(root=str(tmp_path / "nowhere"), download=False).load(progress=False)
    assert "\n" not in str(error.value)


def test_bad_options():
    with pytest.raises(GraphPEValueError, match="graph must be one of"):
        Code2(graph="dfg")
    with pytest.raises(GraphPEValueError, match="tokens must be"):
        Code2(tokens=-1)
