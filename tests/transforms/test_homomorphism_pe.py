from __future__ import annotations

import copy
import itertools
import pickle

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Batch, Data

from graphpe import transforms as T
from graphpe.benchmarks.calls.build import build_encodings
from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.homomorphisms.counts import graph_homomorphism_counts, homomorphism_counts
from graphpe.structure.weisfeiler_lehman import refined_colours


def data_of(graph: nx.Graph) -> Data:
    edges = torch.tensor(list(graph.edges), dtype=torch.long).reshape(-1, 2).T
    return Data(edge_index=torch.cat([edges, edges.flip(0)], dim=1), num_nodes=len(graph))


def test_logarithms_of_the_counts_or_the_counts():
    packed = PackedGraphs.from_networkx([nx.petersen_graph(), nx.grid_2d_graph(3, 3)])
    expected = homomorphism_counts(packed, "Connected(4)")
    out = T.HomomorphismPE("Connected(4)")(packed).node["homomorphism_pe"]
    assert out.dtype == torch.float32
    torch.testing.assert_close(out.double().expm1(), expected.double(), rtol=1e-5, atol=1e-5)
    assert torch.equal(T.HomomorphismPE("Connected(4)", scale="none")(packed).node["homomorphism_pe"], expected.float())


def test_columns_have_names():
    encoding = T.HomomorphismPE(["Path(3)", "Cycles(4)", [(0, 1), (0, 2), (0, 3), (1, 2)]])
    assert encoding.column_names == [
        "Path(3) at 0", "Path(3) at 1", "Cycle(3) at 0", "Cycle(4) at 0",
        "[(0, 1), (0, 2), (0, 3), (1, 2)] at 0", "[(0, 1), (0, 2), (0, 3), (1, 2)] at 1",
        "[(0, 1), (0, 2), (0, 3), (1, 2)] at 3",
    ]  # fmt: skip
    out = encoding(data_of(nx.complete_graph(4)))
    assert out.homomorphism_pe.shape == (4, encoding.columns) == (4, 7)
    of_graphs = T.HomomorphismPE(["Path(3)", "Cycles(4)"], level="graph")
    assert of_graphs.column_names == ["Path(3)", "Cycle(3)", "Cycle(4)"]
    assert of_graphs.columns == 3


def test_values_of_graphs():
    graphs = [nx.complete_graph(4), nx.path_graph(3), nx.empty_graph(1)]
    encoding = T.HomomorphismPE("Connected(4)", level="graph", scale="none", attr_name="homs")
    batch = encoding(Batch.from_data_list([data_of(each) for each in graphs]))
    expected = graph_homomorphism_counts(PackedGraphs.from_networkx(graphs), "Connected(4)").float()
    assert torch.equal(batch.homs, expected)
    alone = [encoding(data_of(each)).homs for each in graphs]
    assert torch.equal(torch.cat(alone), expected)
    assert all(each.shape == (1, 9) for each in alone)
    assert encoding.keys == []
    assert encoding.graph_keys == ["homs"]
    with pytest.raises(GraphPEValueError, match="attr_name=None means x, where values of graphs have no place"):
        T.HomomorphismPE("Path(3)", level="graph", attr_name=None)


def test_text_and_copies_are_the_same():
    graph = nx.Graph([("a", "b"), ("b", "c")])
    graph.nodes["b"]["root"] = True
    encoding = T.HomomorphismPE([graph, "Trees(4)", [(0, 1)]], weights="inverse_degree")
    data = data_of(nx.gnp_random_graph(9, 0.4))
    (read,) = build_encodings([repr(encoding)])
    for again in (read, copy.deepcopy(encoding), pickle.loads(pickle.dumps(encoding))):
        assert repr(again) == repr(encoding)
        assert torch.equal(again(data).homomorphism_pe, encoding(data).homomorphism_pe)


def test_weighted_cycles_are_random_walks():
    data = data_of(nx.gnp_random_graph(25, 0.2))
    out = T.HomomorphismPE("Cycles(12)", weights="inverse_degree", scale="none")(data)
    walks = T.RandomWalkPE(12)(data).random_walk_pe
    torch.testing.assert_close(out.homomorphism_pe, walks[:, 2:], rtol=1e-5, atol=1e-6)


@settings(max_examples=20, deadline=None)
@given(n=st.integers(2, 8), seed=st.integers(0, 2**16))
def test_trees_see_what_colour_refinement_sees(n, seed):
    # Nodes that refinement gives equal colours have equal counts of rooted trees; up to so many nodes and rounds.
    rng = np.random.default_rng(seed)
    graph = nx.gnp_random_graph(n, 0.5, seed=seed)
    tree = nx.random_labeled_tree(n, seed=seed)
    data = [data_of(graph), data_of(tree), data_of(nx.relabel_nodes(graph, dict(enumerate(rng.permutation(n)))))]
    packed = PackedGraphs.from_data_list(data)
    colours = refined_colours(packed, 6)[:, -1]
    counts = homomorphism_counts(packed, "Trees(7)")
    for a, b in itertools.combinations(range(len(colours)), 2):
        if colours[a] == colours[b]:
            assert torch.equal(counts[a], counts[b])


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"patterns": "Ring(4)"}, "there is no pattern Ring"),
        ({"level": "pair"}, "level must be one of 'node', 'graph', got 'pair'"),
        ({"scale": "sqrt"}, "scale must be one of 'log', 'none', got 'sqrt'"),
        ({"attr_name": "node_counts"}, "contains 'node'"),
    ],
)
def test_arguments(wrong, words):
    with pytest.raises(GraphPEValueError, match=words):
        T.HomomorphismPE(**{"patterns": "Path(3)"} | wrong)
