from __future__ import annotations

import ast

import numpy as np
import pytest
import torch

from graphpe.benchmarks.tasks.code.source.corpus import merge_files
from graphpe.benchmarks.tasks.code.source.graphs import FunctionNodes, function_nodes
from graphpe.benchmarks.tasks.code.source.parse import parse_source
from graphpe.benchmarks.tasks.code.vocabulary import MASK, NONE, UNKNOWN

SOURCE = """
def loop(n):
    return loop(n - 1)

def plain(n):
    return n

class C:
    @value.setter
    def value(self, x):
        self.value = x
        getattr(self, "value")
        f(value=x)

    def outer(self):
        def outer():
            pass
        return super().other()
"""


def nodes_of(source: str) -> FunctionNodes:
    corpus = merge_files([("m.py", parse_source(source.encode()))], [], "key")
    return function_nodes(corpus, np.arange(corpus.num_functions))


def texts(nodes: FunctionNodes, graph: int) -> list[str | None]:
    part = nodes.attribute[nodes.ptr[graph] : nodes.ptr[graph + 1]]
    return [None if index < 0 else nodes.strings[index] for index in part]


def test_names_leak_where_the_body_says_them():
    # loop: recursion; value: five places; the outer `outer` only defines another function of its name.
    assert nodes_of(SOURCE).name_leaks().tolist() == [True, False, True, False, False]


def test_everywhere_hides_every_mention():
    nodes = nodes_of(SOURCE)
    assert texts(nodes, 2).count("value") == 5
    hidden = nodes.masked("everywhere")
    assert "value" not in texts(hidden, 2)
    assert texts(hidden, 2).count(MASK) == 5
    assert texts(hidden, 1) == [None, MASK, None, "n", None, "n", None]  # and nothing else


def test_definition_hides_definitions_only():
    hidden = nodes_of(SOURCE).masked("definition")
    assert texts(hidden, 2).count(MASK) == 1
    assert texts(hidden, 2).count("value") == 4
    assert texts(hidden, 3).count(MASK) == 2  # a nested function of the same name is a definition too


def test_a_nested_function_has_its_own_name_hidden_and_its_outer_name_not():
    nodes = nodes_of("def f():\n    def g():\n        return f, g\n").masked("everywhere")
    assert [text for text in texts(nodes, 0) if text] == [MASK, "g", MASK, "g"]
    assert [text for text in texts(nodes, 1) if text] == [MASK, "f", MASK]


def test_vocabularies_count_the_chosen_graphs_only():
    nodes = nodes_of(SOURCE).masked("everywhere")
    types, attributes = nodes.vocabularies(np.array([0, 1]), 100)
    assert types.words[-1] == UNKNOWN
    assert "ClassDef" not in types.words
    assert set(attributes.words) == {MASK, "n", "1", NONE, UNKNOWN}
    assert attributes.words[-2:] == [NONE, UNKNOWN]
    assert nodes.vocabularies(np.array([0, 1]), 1)[1].words == ["n", NONE, UNKNOWN]
    graphs = nodes.pack(types, attributes)
    other = graphs[2].x
    assert (other[:, 1] == attributes.unknown).any()
    assert (other[:, 1] == attributes.index_of[NONE]).sum() == (graphs[2].node_is_attributed == 0).sum()


def test_shapes_and_types_are_those_of_ogbg_code2():
    nodes = nodes_of(SOURCE).masked("everywhere")
    graphs = nodes.pack(*nodes.vocabularies(np.arange(5), 100))
    graph = graphs[1]
    assert graph.x.shape == (7, 2)
    for key in ("node_depth", "node_is_attributed", "node_dfs_order"):
        assert graph[key].shape == (7, 1)
        assert graph[key].dtype == torch.int64
    assert graph.node_dfs_order.flatten().tolist() == list(range(7))
    assert graph.node_depth.flatten().tolist() == [0, 1, 2, 3, 2, 3, 4]
    assert graph.edge_index.T.tolist() == [[0, 1], [1, 2], [1, 4], [2, 3], [4, 5], [5, 6]]


def test_a_literal_mask_in_the_source_is_the_same_word():
    nodes = nodes_of("def f():\n    return '_mask_', f\n").masked("everywhere")
    assert texts(nodes, 0).count(MASK) == 3
    assert nodes.strings.count(MASK) == 1


@pytest.mark.parametrize("order", [[2, 0], [1, 1], []])
def test_any_choice_of_functions(order):
    corpus = merge_files([("m.py", parse_source(SOURCE.encode()))], [], "key")
    every, some = function_nodes(corpus, np.arange(5)), function_nodes(corpus, np.array(order, dtype=np.int64))
    assert [texts(some, i) for i in range(len(order))] == [texts(every, number) for number in order]


def test_node_count_is_that_of_the_syntax_tree():
    nodes = nodes_of(SOURCE)
    functions = [node for node in ast.walk(ast.parse(SOURCE)) if isinstance(node, ast.FunctionDef)]
    sizes = sorted(1 + sum(1 for _ in ast.walk(function)) for function in functions)
    assert sorted(np.diff(nodes.ptr).tolist()) == sizes
