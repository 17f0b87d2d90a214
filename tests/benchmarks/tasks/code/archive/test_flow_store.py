from __future__ import annotations

import gzip
import os
import signal
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch

from graphpe.benchmarks.tasks import Code2
from graphpe.benchmarks.tasks.code.archive import flow_store
from graphpe.benchmarks.tasks.code.data import CodeData
from graphpe.errors import GraphPERuntimeError
from graphpe.files.ogb import load_graph_dataset
from graphpe.graphs.packed import PackedGraphs

Write = Callable[..., tuple[CodeData, list[str]]]
Put = Callable[[Path, object], Path]


def load(root: Path, cache: Path | None = None, **options: object) -> CodeData:
    task = Code2(root=str(root / "dataset"), graph="dataflow", download=False)
    return task.load(cache=cache or root / "stores", **{"workers": 1, "progress": False, **options})  # type: ignore[arg-type]


def assert_same_graph(one: PackedGraphs, two: PackedGraphs, index: int) -> None:
    mine, theirs = (graphs.select([index]) for graphs in (one, two))
    assert torch.equal(mine.edge_index, theirs.edge_index)
    for level in ("node", "edge", "graph"):
        values, others = getattr(mine, level), getattr(theirs, level)
        assert values.keys() == others.keys()
        for key, value in values.items():
            assert value.dtype == others[key].dtype, key
            assert torch.equal(value, others[key]), (key, index)


def is_nested(name: str) -> bool:
    return name.startswith("add_")


def test_the_source_of_python_source_gives_its_graphs(write_archive: Write, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(flow_store, "KEPT_GRAPHS", 7)
    monkeypatch.setattr("graphpe.storage.shards.KEPT_GRAPHS", 7)
    data, _ = write_archive()
    found = load(tmp_path)
    assert found.store is not None
    assert found.graphs.objects["name_tokens"] == data.graphs.objects["name_tokens"]
    assert all(torch.equal(found.split[part], data.split[part]) for part in data.split)
    assert found.adapter.state() == data.adapter.state()
    for index, name in enumerate(data.graphs.objects["name"]):
        if not is_nested(name):  # alone, a function that stood in another has other names around it
            assert_same_graph(found.graphs, data.graphs, index)
    assert found.notes[1:] == [f"all functions were parsed, and are read from {found.store.root}"]
    predictions = torch.randint(0, len(found.adapter.tokens), (len(found.split["test"]), 5))
    assert found.evaluate(predictions, found.split["test"]) == data.evaluate(predictions, data.split["test"])
    again = load(tmp_path)
    assert again.fingerprint == found.fingerprint
    assert not list((tmp_path / "stores" / "graphs").glob("*-parts"))


def test_the_standard_library_function_by_function(write_archive: Write, tmp_path: Path) -> None:
    top = Path(os.__file__).parent
    files = {name: (top / name).read_text() for name in ("textwrap.py", "bisect.py", "fnmatch.py")}
    data, texts = write_archive(files)
    found = load(tmp_path)
    nested = sum(1 for text in texts if "    def " in text or "    class " in text)
    same = 0
    for index in range(len(texts)):
        mine, theirs = (graphs.select([index]) for graphs in (found.graphs, data.graphs))
        same += torch.equal(mine.edge_index, theirs.edge_index)
        assert torch.equal(mine.node["x"], theirs.node["x"])
    assert same >= len(texts) - nested


def test_processes_give_the_same(write_archive: Write, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(flow_store, "KEPT_GRAPHS", 9)
    monkeypatch.setattr("graphpe.storage.shards.KEPT_GRAPHS", 9)
    write_archive()
    one = load(tmp_path)
    several = load(tmp_path, tmp_path / "others", workers=3)
    assert one.store is not None
    assert several.store is not None
    bytes_of = [(data.store.root / "graphs.safetensors").read_bytes() for data in (one, several)]
    assert bytes_of[0] == bytes_of[1]


def test_what_is_not_python_has_the_tree_of_ogb(
    write_archive: Write, put_archive: Put, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(flow_store, "KEPT_GRAPHS", 8)
    monkeypatch.setattr("graphpe.storage.shards.KEPT_GRAPHS", 8)
    data, texts = write_archive()
    broken = {3: "def f(self):\n    print 'two'\n", 20: "", 21: "x = 1", 40: "def f():\n    \ud800\x00"}
    broken |= {number: "def f(): exec 'x' in y" for number in range(8, 16)}  # all of a part
    texts = [broken.get(number, text) for number, text in enumerate(texts)]
    folder = tmp_path / "dataset" / "ogbg_code2"
    put_archive(folder, {str(number): text for number, text in enumerate(texts)})
    found = load(tmp_path)
    note = found.notes[-1]
    assert f"{len(broken)} of {len(texts)} functions ({len(broken) / len(texts):.1%})" in note
    assert "OGB's own syntax tree" in note
    trees = load_graph_dataset("ogbg-code2", tmp_path / "dataset", progress=False).dataset
    types, attributes = found.adapter.types, found.adapter.attributes
    for number in broken:
        graph, tree = found.graphs[number], trees[number]
        assert torch.equal(graph.edge_index, tree.edge_index)
        for column, mine, theirs in ((0, types, data.adapter.types), (1, attributes, data.adapter.attributes)):
            expected = mine.encode(theirs.words[index] for index in tree.x[:, column].tolist())
            np.testing.assert_array_equal(graph.x[:, column].numpy(), expected)
        for key in ("node_depth", "node_is_attributed", "node_dfs_order"):
            assert torch.equal(graph[key], tree[key])
        assert graph.edge_attr.tolist() == [[0, 0, 0]] * tree.num_edges
    whole = [number for number in range(len(texts)) if number not in broken]
    assert {graph.edge_attr[:, 0].max().item() for graph in map(found.graphs.__getitem__, whole)} != {0}


def test_older_types_of_nodes_are_those_of_today(write_archive: Write, put_archive: Put, tmp_path: Path) -> None:
    _, texts = write_archive()
    folder = tmp_path / "dataset" / "ogbg_code2"
    path = folder / "mapping" / "typeidx2type.csv.gz"
    path.write_bytes(gzip.compress(gzip.decompress(path.read_bytes()).replace(b",Constant", b",Str")))
    put_archive(folder, ["print 1", *texts[1:]])
    found = load(tmp_path)
    words = found.adapter.types.words
    assert "Constant" in [words[index] for index in found.graphs[0].x[:, 0].tolist()]


@pytest.mark.skipif(sys.platform != "linux", reason="processes are forked here")
@pytest.mark.parametrize("moment", ["codes.npy", "journal.jsonl"])
def test_killed_it_goes_on(write_archive: Write, tmp_path: Path, moment: str, monkeypatch) -> None:
    monkeypatch.setattr(flow_store, "KEPT_GRAPHS", 10)
    monkeypatch.setattr("graphpe.storage.shards.KEPT_GRAPHS", 10)
    write_archive()
    replace = os.replace

    def stop(old: Path, new: Path) -> None:
        replace(old, new)
        if str(new).endswith(moment):
            os.kill(os.getpid(), signal.SIGKILL)

    if not (child := os.fork()):
        os.replace = stop
        load(tmp_path)
        os._exit(0)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL
    resumed = load(tmp_path)
    assert load(tmp_path, tmp_path / "others").fingerprint == resumed.fingerprint
    left = [path.name for path in (tmp_path / "stores" / "graphs").rglob("*") if path.is_file()]
    assert set(left) - {"journal.jsonl"} == {"graphs.safetensors", "manifest.json"}


def test_a_damaged_archive_is_one_line_and_leaves_nothing(
    write_archive: Write, put_archive: Put, tmp_path: Path
) -> None:
    _, texts = write_archive()
    folder = tmp_path / "dataset" / "ogbg_code2"
    path = folder / "mapping" / "graphidx2code.json.gz"
    whole = path.read_bytes()
    count = len(texts)
    flipped = bytearray(whole)
    flipped[len(whole) // 2] ^= 0xFF
    cases: list[tuple[bytes | object, str]] = [
        (whole[: len(whole) // 2], "cannot be read|damaged"),
        (bytes(flipped), "cannot be read|damaged"),
        (b"", "damaged"),
        (b"no gzip at all", "cannot be read"),
        (gzip.compress(b'{"columns": ["code"], "index": [0], "data": [["def f'), "damaged"),
        (gzip.compress(b"[1, 2"), "int where its code should be"),
        (gzip.compress("é".encode("latin-1")), "cannot be read"),
        (texts[:-1], f"lacks the code of graph {count - 1}: get"),
        ({str(number): text for number, text in enumerate(texts) if number % 2}, "lacks the code of graph 0 and"),
        ([*texts, "def f(): pass"], f"has graph {count}, but there are {count} graphs"),
        ([None, *texts[1:]], "graph 0 has NoneType where its code should be"),
        ({"one": texts[0]}, "'one' is no number of a graph"),
        ({"columns": ["code"], "index": [0] * count, "data": [[text] for text in texts]}, "has graph 0 twice"),
        ({"columns": ["code"], "index": [0], "data": [[text] for text in texts]}, "1 entries, and there are more rows"),
    ]
    for content, message in cases:
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            put_archive(folder, content)
        with pytest.raises(GraphPERuntimeError, match=message) as error:
            load(tmp_path)
        assert "\n" not in str(error.value)
        assert not [left for left in (tmp_path / "stores").rglob("*") if left.is_file()], message
    path.unlink()
    with pytest.raises(GraphPERuntimeError, match="is not there, of which data-flow graphs are made"):
        load(tmp_path)


def test_what_it_takes_is_said_first(write_archive: Write, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    write_archive()
    load(tmp_path, progress=True)
    first = capsys.readouterr().out.splitlines()[0]
    assert "of memory" in first
    assert "on disk in" in first


def test_plain_trees_from_a_store_are_those_of_ogb(write_archive: Write, tmp_path: Path, monkeypatch) -> None:
    write_archive()
    monkeypatch.setattr("graphpe.storage.shards.KEPT_GRAPHS", 11)
    for graph in ("ast", "ast+tokens"):
        task = Code2(root=str(tmp_path / "dataset"), graph=graph, download=False)  # type: ignore[arg-type]
        memory = task.load(progress=False)
        with monkeypatch.context() as small:
            small.setattr("graphpe.benchmarks.tasks.stored.memory_limit", lambda: 1)
            data = task.load(cache=tmp_path / "stores", progress=False)
        assert memory.store is None
        assert data.store is not None
        assert data.fingerprint == memory.fingerprint
        assert data.adapter.state() == memory.adapter.state()
