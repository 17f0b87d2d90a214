from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
import torch

from graphpe.benchmarks.tasks import PythonSource
from graphpe.benchmarks.tasks.code.data import CodeData
from graphpe.benchmarks.tasks.code.dataflow.edge_types import EDGE_TYPES
from graphpe.benchmarks.tasks.code.source import read
from graphpe.benchmarks.tasks.code.source.edges import RELATIONS, add_inverse_edges
from graphpe.benchmarks.tasks.code.source.names import subtokens
from graphpe.benchmarks.tasks.code.source.parse import FIELD_NAMES
from graphpe.errors import GraphPEError, GraphPEValueError


def load(root: Path, **options: object) -> CodeData:
    return PythonSource(root=str(root), **options).load(workers=1, cache=root.parent / "cache", progress=False)


def assert_same(one: CodeData, two: CodeData) -> None:
    assert one.fingerprint == two.fingerprint
    assert one.adapter.state() == two.adapter.state()
    assert one.graphs.objects == two.graphs.objects


def test_every_function_is_a_graph_with_its_name_as_label(tree, modules):
    data = load(tree(modules))
    assert len(data.graphs) == 60
    assert data.graphs.objects["name"][:6] == [
        "parse_alpha",
        "first_alpha",
        "first_alpha",
        "__init__",
        "add_alpha",
        "fetch_alpha",
    ]
    assert data.graphs.objects["where"][0] == "alpha.py:5"
    assert data.graphs.objects["name_tokens"][3] == ["init"]
    assert sum(len(ids) for ids in data.split.values()) == 60
    assert data.graphs.graph["y"].shape == (60, 5)


def test_nodes_carry_the_words_of_their_attribute(tree, modules):
    root = tree(modules)
    data, none = load(root, words=2), load(root, words=0)
    tokens, words = data.adapter.tokens, data.graphs.node["node_words"]
    known = list(data.adapter.attributes.words)
    seen = set()
    for attribute, row in zip(data.graphs.node["x"][:, 1].tolist(), words.tolist(), strict=True):
        if known[attribute] == "__UNK__":
            continue
        expected = [] if known[attribute] in ("_mask_", "__NONE__") else subtokens(known[attribute])
        expected = [tokens.index_of[word] for word in expected if word in tokens.index_of][:2]
        assert row == expected + [len(tokens)] * (2 - len(expected)), known[attribute]
        seen.add(len(expected))
    assert seen == {0, 1, 2}
    assert "node_words" not in none.graphs.node
    torch.testing.assert_close(none.graphs.node["x"], data.graphs.node["x"])
    assert data.adapter.keys == ("x", "node_depth", "edge_attr", "node_words")
    assert none.adapter.keys == ("x", "node_depth", "edge_attr")


def test_a_masked_name_has_no_words(tree):
    names = ("load_data", "data_load", "load_other", "other_data")
    files = {f"{name}{i}.py": f"def {name}(x):\n    return self.{name}(x)\n" for i in range(5) for name in names}
    data = load(tree(files))
    x, words = data.graphs.node["x"], data.graphs.node["node_words"]
    masked = x[:, 1] == data.adapter.attributes.index_of["_mask_"]
    assert masked.sum() == 2 * len(files)
    assert (words[masked] == len(data.adapter.tokens)).all()
    shown = load(tree(files), mask="definition").graphs.node["node_words"]
    assert (shown != len(data.adapter.tokens)).any(1).sum() >= len(files)


def test_graphs_of_the_source_in_order(tree, modules, reference):
    root = tree(modules)
    data = load(root, graph="ast", mask="definition")
    functions = [
        node
        for path in sorted(root.glob("*.py"))
        for node in sorted(
            (n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef)),
            key=lambda node: node.lineno,
        )
    ]
    for graph, function in zip(data.graphs, functions, strict=True):
        expected = reference(function, "definition")
        assert graph.edge_index.T.tolist() == [list(edge) for edge in expected.edges]
        assert [data.adapter.types.words[index] for index in graph.x[:, 0]] == expected.types
        words = [data.adapter.attributes.words[index] for index in graph.x[:, 1]]
        assert all(
            word == ("__NONE__" if attribute is None else attribute) or word == "__UNK__"
            for word, attribute in zip(words, expected.attributes, strict=True)
        )


def test_vocabularies_come_from_the_training_part_only(tree, modules):
    data = load(tree(modules))
    train = data.graphs.select(data.split["train"])
    said = {token for name in train.objects["name_tokens"] for token in name}
    assert set(data.adapter.tokens.words) == said | {"__UNK__", "__EOS__"}
    for part in ("valid", "test"):
        (word,) = {name.split("_")[-1] for name in data.graphs.select(data.split[part]).objects["name"]} - {""}
        assert word not in data.adapter.tokens.words
        assert word not in data.adapter.attributes.words
    used = train.node["x"]
    assert int(used[:, 0].max()) < data.adapter.types.unknown  # every type of the training part is known
    assert (used[:, 1] != data.adapter.attributes.unknown).all()


def test_modules_are_on_one_side(tree, modules):
    data = load(tree(modules))
    sides = [{data.graphs.objects["where"][i].split(":")[0] for i in ids.tolist()} for ids in data.split.values()]
    assert sum(map(len, sides)) == len(set.union(*sides)) == 10


def test_masking_and_edges_are_options(tree, modules):
    root = tree(modules)
    everywhere, definition = load(root, graph="ast"), load(root, graph="ast", mask="definition")
    masks = [
        data.graphs.node["x"][:, 1] == data.adapter.attributes.index_of["_mask_"] for data in (everywhere, definition)
    ]
    assert masks[0].sum() > masks[1].sum() >= 60
    assert any("keep their name" in note for note in definition.notes)
    with_tokens = load(root)
    assert with_tokens.graphs.num_edges > everywhere.graphs.num_edges
    flags = with_tokens.graphs.edge["edge_attr"]
    assert flags[:, 0].sum() == with_tokens.graphs.num_edges - everywhere.graphs.num_edges
    assert flags[:, 1].sum() == 0  # inverse edges are for the model, not for encodings
    both = with_tokens.adapter.model_graphs(with_tokens.graphs)
    assert both.edge["edge_attr"][:, 1].sum() == with_tokens.graphs.num_edges


def test_two_loads_are_equal_with_and_without_cache_and_in_another_folder(tree, modules, tmp_path):
    first = load(tree(modules))
    second = load(tmp_path / "source")
    assert any("taken from" in note for note in second.notes)
    moved = (tmp_path / "source").rename(tmp_path / "elsewhere")
    third = PythonSource(root=str(moved)).load(workers=2, cache=tmp_path / "other", progress=False)
    assert_same(first, second)
    assert_same(first, third)


def test_a_change_of_the_source_changes_the_fingerprint(tree, modules):
    first = load(tree(modules))
    assert load(tree({"alpha.py": "def other(): pass\n"})).fingerprint != first.fingerprint


def test_sizes_of_vocabularies_are_bounded(tree, modules):
    data = load(tree(modules), tokens=3, attributes=7)
    assert len(data.adapter.tokens) == 5
    assert len(data.adapter.attributes) == 9
    assert int(data.graphs.graph["y"].max()) == 4


def test_functions_without_a_word_are_left_out_and_counted(tree, modules):
    data = load(tree(modules | {"blank.py": "def _(): pass\ndef __(x): return x\n"}))
    assert len(data.graphs) == 60
    assert "left out 2 functions whose name has no word in it" in data.notes


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a.py": "x = 1"}, "there is no function in"),
        ({"a.py": "def _(): pass"}, "has a word in its name"),
        ({"a.py": "def f(:"}, "is not Python source that can be read"),
        ({"a.py": "def f(): pass", "b.py": "def g(): pass"}, "2 modules with functions cannot be split"),
    ],
)
def test_source_that_cannot_be_used(tree, files, message):
    with pytest.raises(GraphPEValueError, match=message) as error:
        load(tree(files))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"graph": "cfg"}, "graph must be one of 'ast', 'ast\\+tokens', 'dataflow', got 'cfg'"),
        ({"mask": "never"}, "mask must be one of"),
        ({"tokens": 0}, "tokens must be from 1"),
        ({"attributes": 1.5}, "attributes must be an integer"),
        ({"root": 3}, "root must be a path"),
    ],
)
def test_bad_options(options, message):
    with pytest.raises(GraphPEError, match=message):
        PythonSource(**options)


def test_the_text_of_a_task_builds_it_again():
    task = PythonSource(root="src", graph="ast")
    assert eval(repr(task)) == task


def test_functions_to_predict_use_the_vocabularies_of_the_run(tree, modules, tmp_path):
    root = tree(modules)
    data = load(root)
    task = PythonSource(root=str(root))
    adapter = task.adapter(data.adapter.state())
    graphs, notes = task.functions([root], adapter, workers=1)
    assert notes == []
    for key in ("x", "node_depth", "node_is_attributed", "node_dfs_order"):
        assert torch.equal(graphs.node[key], data.graphs.node[key])
    assert torch.equal(graphs.edge_index, data.graphs.edge_index)
    assert torch.equal(graphs.graph["y"], data.graphs.graph["y"])
    assert graphs.objects["where"][0] == f"{root}/alpha.py:5"


def test_functions_to_predict_may_be_new_nameless_or_beside_broken_files(tree, modules, tmp_path):
    data = load(tree(modules))
    task = PythonSource()
    new = tmp_path / "new"
    (new / "tests").mkdir(parents=True)
    (new / "one.py").write_text("def _(unheard): return unheard\n")
    (new / "tests" / "two.py").write_text("def test_it(): pass\n")
    (new / "broken.py").write_text("def (:\n")
    graphs, notes = task.functions([new, new / "one.py"], data.adapter)
    assert graphs.objects["name"] == ["_", "test_it", "_"]
    assert graphs.objects["where"][2] == f"{new / 'one.py'}:1"
    assert graphs.graph["y"][0].tolist() == [len(data.adapter.tokens) - 1] * 5
    assert "broken.py" in notes[0]
    with pytest.raises(GraphPEValueError, match=r"broken\.py is not Python source that can be read: .*line 1"):
        task.functions([new / "broken.py"], data.adapter)
    with pytest.raises(GraphPEValueError, match="there is no file or folder"):
        task.functions([new / "gone.py"], data.adapter)


def test_data_flow_graphs(tree, modules):
    root = tree(modules)
    data, plain = load(root, graph="dataflow"), load(root, graph="ast")
    assert torch.equal(data.graphs.node["x"], plain.graphs.node["x"])
    assert data.fingerprint != plain.fingerprint
    kind, inverse = data.graphs.edge["edge_attr"].T[:2]
    for graph, tree_graph in zip(data.graphs, plain.graphs, strict=True):
        is_field = graph.edge_attr[:, 0] == 0
        assert torch.equal(graph.edge_index[:, is_field], tree_graph.edge_index)
        assert (graph.edge_attr[is_field, 2] > 0).all()
        assert (graph.edge_attr[~is_field, 2] == 0).all()
    assert not inverse.any()  # these are for the model, not for encodings
    assert set(kind.tolist()) == {0, 1, 2, 3, 4, 5}

    words, graph = data.adapter.attributes.words, data.graphs[0]  # parse_alpha(text, *, limit=10)
    assert data.graphs.objects["name"][0] == "parse_alpha"

    def named(edge_type: str) -> list[tuple[str, str]]:
        chosen = graph.edge_index[:, graph.edge_attr[:, 0] == EDGE_TYPES.index(edge_type)]
        return sorted((words[graph.x[source, 1]], words[graph.x[target, 1]]) for source, target in chosen.T.tolist())

    assert named("LAST_WRITE") == [("_mask_", "_mask_"), ("limit", "limit"), ("part", "part"), *[("text", "text")] * 3]
    assert named("COMPUTED_FROM") == [("text", "part")]
    assert named("CALLS") == [("__NONE__", "_mask_")]
    assert named("RETURNS_TO") == [("__NONE__", "__NONE__")] * 2
    fields = [FIELD_NAMES[index - 1] for index in graph.edge_attr[graph.edge_attr[:, 0] == 0, 2].tolist()]
    assert fields[:4] == ["body", "args", "body", "body"]


def test_each_relation_of_data_flow_has_a_vector_and_its_inverse_another(tree, modules):
    data = load(tree(modules), graph="dataflow")
    graphs = data.adapter.model_graphs(data.graphs)
    assert graphs.num_edges == 2 * data.graphs.num_edges
    relation = graphs.edge["edge_attr"]
    assert relation.shape == (graphs.num_edges, 1)
    known = {}
    for attr, number in zip(add_inverse_edges(data.graphs).edge["edge_attr"].tolist(), relation.flatten(), strict=True):
        assert known.setdefault(tuple(attr), int(number)) == number
    assert len(set(known.values())) == len(known)
    assert max(known.values()) < 2 * RELATIONS
    batch = graphs.select([3, 0, 5]).to_batch()
    encoder = data.adapter.edge_encoder(16)
    assert encoder(batch).shape == (batch.num_edges, 16)
    again = PythonSource(graph="dataflow").adapter(data.adapter.state())
    assert again.dataflow
    assert again.state() == data.adapter.state()


def test_data_flow_is_cached_by_itself_and_the_same_with_many_processes(tree, modules, tmp_path, monkeypatch):
    monkeypatch.setattr(read, "SMALL", 0)
    root = tree(modules)
    first = load(root, graph="dataflow")
    assert not any("taken from" in note for note in load(root, graph="ast").notes)
    again = load(root, graph="dataflow")
    assert any("taken from" in note for note in again.notes)
    assert_same(first, again)
    task = PythonSource(root=str(root), graph="dataflow")
    assert_same(first, task.load(workers=2, cache=tmp_path / "other", progress=False))
    graphs, _ = task.functions([root], first.adapter, workers=1)
    assert torch.equal(graphs.edge_index, first.graphs.edge_index)
    assert torch.equal(graphs.edge["edge_attr"], first.graphs.edge["edge_attr"])


def test_a_nested_function_has_the_edges_between_its_nodes(tree, modules):
    data = load(tree(modules), graph="dataflow")
    index = data.graphs.objects["name"].index("add_alpha")
    outer, inner = data.graphs[index - 1], data.graphs[index]
    assert data.graphs.objects["name"][index - 1] == "__init__"
    attributes = outer.x[:, 1].tolist()
    start = next(
        i for i in range(len(attributes)) if outer.x[i:, 0].tolist()[: len(inner.x) - 1] == inner.x[1:, 0].tolist()
    )
    edges = {tuple(edge) for edge in torch.cat([inner.edge_index.T, inner.edge_attr], dim=1).tolist() if edge[0] > 0}
    moved = torch.cat([outer.edge_index.T - start + 1, outer.edge_attr], dim=1).tolist()
    inside = {tuple(edge) for edge in moved if all(1 <= end < len(inner.x) for end in edge[:2])}
    assert edges == inside


@pytest.mark.slow
def test_the_standard_library(tmp_path):
    data = PythonSource().load(cache=tmp_path, progress=False)
    assert len(data.graphs) > 10_000
    shares = {part: len(ids) / len(data.graphs) for part, ids in data.split.items()}
    assert shares == pytest.approx({"train": 0.8, "valid": 0.1, "test": 0.1}, abs=0.02)
    leaks = next(
        note for note in PythonSource(mask="definition").load(cache=tmp_path, progress=False).notes if "keep" in note
    )
    assert 10 < float(leaks.split("%")[0]) < 25  # the leak that OGB's rule leaves
    one, two = (
        PythonSource().load(workers=workers, cache=tmp_path / str(workers), progress=False) for workers in (1, 2)
    )
    assert_same(one, two)
    assert_same(one, data)
    score, words = data.constant_baseline(data.split["test"])
    assert 0.02 < score < 0.3
    assert "init" in words
    edges = data.graphs.edge_sizes - (data.graphs.sizes - 1)
    tokens = np.bincount(data.graphs.batch, weights=data.graphs.node["node_is_attributed"].flatten())
    assert np.array_equal(edges.numpy(), tokens - 1)
