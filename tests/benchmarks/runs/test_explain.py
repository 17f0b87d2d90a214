from __future__ import annotations

import json

import networkx as nx
import numpy as np
import pytest
import torch
from torch_geometric.data import Batch, Data
from torch_geometric.explain import Explainer, GNNExplainer

import graphpe
from graphpe.benchmarks.runs.explain import numbers_of, without_encoding
from graphpe.benchmarks.runs.inputs import read_inputs
from graphpe.errors import GraphPEValueError


@pytest.fixture(scope="module")
def run(train, classes_run):
    """A run of two encodings, one of them of pairs."""
    path = train(
        f"DataFile({str(classes_run[1])!r})",
        model="GPS(width=16, layers=2, heads=2)",
        encodings=("LaplacianPE(k=3, sign='canonical')", "RandomWalkPE(walk_length=3)"),
    )
    return graphpe.load_run(path)


def test_without_an_encoding(run, graph_list) -> None:
    frame = run.explain(graph_list[:5], batch_size=2)
    texts = [repr(encoding) for encoding in run.encodings]
    assert frame["encoding"].tolist() == texts * 5
    assert frame["graph"].tolist() == [graph for graph in range(5) for _ in texts]
    changes = [f"change_probability_{word}" for word in ("cat", "dog", "eel")]
    assert list(frame) == ["graph", "encoding", *changes]
    np.testing.assert_allclose(frame[changes].sum(axis=1), 0, atol=1e-6)  # probabilities before and after sum to 1
    batch = run.batch(graph_list[:5])
    whole = run.model(batch).softmax(1)
    batch.random_walk_pe = torch.zeros_like(batch.random_walk_pe)
    expected = whole - run.model(batch).softmax(1)
    assert expected.abs().max() > 1e-4
    np.testing.assert_allclose(frame[changes][1::2], expected, atol=1e-5)


def test_without_an_encoding_that_the_model_makes(train, classes_run, graph_list) -> None:
    path = train(
        f"DataFile({str(classes_run[1])!r})",
        model="GPS(width=16, layers=2, heads=2)",
        encodings=("PEARLEncoding(samples=2, layers=1)", "RandomWalkPE(walk_length=3)"),
    )
    run = graphpe.load_run(path)
    torch.nn.init.normal_(run.model.encodings[0].out.weight)  # one epoch leaves little of it
    frame = run.explain(graph_list[:5], batch_size=2)
    assert frame["encoding"].tolist() == [repr(encoding) for encoding in run.encodings] * 5
    batch = run.batch(graph_list[:5])
    whole = run.model(batch).softmax(1)
    torch.nn.init.zeros_(run.model.encodings[0].out.weight)
    torch.nn.init.zeros_(run.model.encodings[0].out.bias)
    expected = whole - run.model(batch).softmax(1)
    assert expected.abs().max() > 1e-4
    np.testing.assert_allclose(frame.filter(like="change_")[::2], expected, atol=1e-5)
    module = run.as_pyg()
    torch.testing.assert_close(module(**module.inputs(graph_list[:4])), run.model(run.batch(graph_list[:4])))
    assert [repr(each) for each in run.transform.transforms] == [repr(run.encodings[1])]
    path = train(f"DataFile({str(classes_run[1])!r})", encodings=("ConditionalEncoding()",))
    with pytest.raises(GraphPEValueError, match="is made of node features, in whose place as_pyg has embeddings"):
        graphpe.load_run(path).as_pyg()


def test_without_a_node(run, graph_list) -> None:
    few = graph_list[:4]
    frame = run.explain(few, of="nodes", batch_size=3)
    assert frame["changed_node"].tolist() == [node for graph in few for node in range(graph.num_nodes)]
    assert run.explain(few, of="nodes").equals(frame) or np.allclose(
        run.explain(few, of="nodes").filter(like="change_p"), frame.filter(like="change_p"), atol=1e-5
    )
    module = run.as_pyg()
    given = module.inputs([few[2]])
    whole = module(**given).softmax(1)
    start = few[0].num_nodes + few[1].num_nodes
    for node in range(few[2].num_nodes):
        x = given["x"].clone()
        x[node] = given["x"].mean(0)
        expected = (whole - module(**(given | {"x": x})).softmax(1))[0]
        row = frame.iloc[start + node]
        assert (row["graph"], row["changed_node"]) == (2, node)
        np.testing.assert_allclose(row.filter(like="change_probability_").to_numpy(float), expected, atol=1e-5)
    # The same node over and over says nothing.
    same = Data(x=torch.ones(4, 3), edge_index=few[0].edge_index % 4, edge_attr=few[0].edge_attr)
    assert np.abs(run.explain([same], of="nodes").filter(like="change_p").to_numpy()).max() < 1e-6


def test_what_cannot_be_explained(train, run, classes_run, graph_list) -> None:
    with pytest.raises(GraphPEValueError, match="of must be one of 'encodings', 'nodes', got 'edges'"):
        run.explain(graph_list, of="edges")
    bare = graphpe.load_run(
        train(f"DataFile({str(classes_run[1])!r})", model="GCN(width=16, layers=1)", encodings=("none",))
    )
    with pytest.raises(GraphPEValueError, match="was trained without encodings"):
        bare.explain(graph_list)
    assert len(bare.explain(graph_list[:1], of="nodes")) == graph_list[0].num_nodes
    with pytest.raises(GraphPEValueError, match=r"GCN.* has no weights of pairs of nodes to show"):
        bare.attention(graph_list)
    with pytest.raises(GraphPEValueError, match="the run predicts predicted_name, no numbers"):
        numbers_of({"predicted_name": ["get", "set"]})


def test_units_are_those_of_the_prediction(networkx_run) -> None:
    run = graphpe.load_run(networkx_run[0])
    path = networkx_run[0].parent / "graphs.json"
    path.write_text(json.dumps([nx.node_link_data(graph) for graph in networkx_run[1][:3]]))
    frame, predicted = run.explain(str(path)), run.predict(str(path))
    (column,) = [name for name in predicted if name.startswith("predicted_")]
    batch = without_encoding(run.batch(str(path)), run.encodings[0])
    graphs = read_inputs(run.task, run.adapter, str(path)).graphs
    left = run.adapter.describe(run.model(batch), batch, graphs)[column]
    np.testing.assert_allclose(frame[f"change_{column}"], predicted[column] - left, atol=1e-5)


def test_attention(run, graph_list) -> None:
    found = run.attention(graph_list[:3])
    for graph, layers in zip(graph_list, found, strict=False):
        assert [layer.shape for layer in layers] == [(2, graph.num_nodes, graph.num_nodes)] * 2
        for layer in layers:
            torch.testing.assert_close(layer.sum(2), torch.ones(2, graph.num_nodes))


def test_the_model_as_pyg_calls_it(run, graph_list) -> None:
    module = run.as_pyg()
    given = module.inputs(graph_list[:4])
    expected = run.model(run.batch(graph_list[:4]))
    torch.testing.assert_close(module(**given), expected)
    assert module.inputs(graph_list[:4])["x"].shape[1] == 16
    # Encodings that are not given are computed from the edges.
    plain = module(given["x"], given["edge_index"], given["batch"], given["edge_attr"])
    torch.testing.assert_close(plain, expected, rtol=1e-4, atol=1e-5)
    one = module.inputs([graph_list[1]])
    torch.testing.assert_close(
        module(one["x"], one["edge_index"], edge_attr=one["edge_attr"]), expected[1:2], rtol=1e-4, atol=1e-5
    )
    with torch.no_grad():
        torch.testing.assert_close(run.model(run.batch(graph_list[:4])), expected)  # the run's model is its own still


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("kind", ["object", "attributes"])
def test_a_mask_of_nodes_by_gnn_explainer(run, graph_list, kind) -> None:
    torch.manual_seed(0)
    module = run.as_pyg()
    explainer = Explainer(
        module,
        GNNExplainer(epochs=8),
        explanation_type="model",
        node_mask_type=kind,
        model_config={"mode": "multiclass_classification", "task_level": "graph", "return_type": "raw"},
    )
    given = module.inputs([graph_list[1]])
    mask = explainer(**given).node_mask
    assert mask.shape == (graph_list[1].num_nodes, 1 if kind == "object" else 16)
    assert mask.std() > 0
    # The Explainer puts modules back as they were: the model's normalisation and dropout are still those of evaluation.
    torch.testing.assert_close(module(**given), run.model(run.batch([graph_list[1]])))


def test_what_are_no_embeddings_is_one_line(run, graph_list) -> None:
    data = graph_list[1]
    with pytest.raises(GraphPEValueError, match=r"\[N, 16\], got .*`inputs\(graphs\)`"):
        run.as_pyg()(data.x, data.edge_index, edge_attr=data.edge_attr)
    assert not any(parameter.requires_grad for parameter in run.model.parameters())
    assert Batch.from_data_list(graph_list[:1]).num_nodes == graph_list[0].num_nodes
