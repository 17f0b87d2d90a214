from __future__ import annotations

from pathlib import Path

import networkx as nx
import numpy as np
import pytest
import torch

from graphpe import models as M
from graphpe.benchmarks.calls.build import build_encodings, build_model, build_task
from graphpe.benchmarks.tasks.generated.playground import Playground, random_digraphs
from graphpe.errors import GraphPEError

SMALL = {"train": 12, "valid": 5, "test": 6}


@pytest.mark.parametrize("acyclic", [False, True])
def test_random_digraphs(acyclic: bool) -> None:
    arrays = random_digraphs(200, (10, 14), (1.0, 2.0), acyclic, np.uint64(3))
    edges, ptr, edge_ptr = arrays["edge_index"], arrays["ptr"], arrays["edge_ptr"]
    degrees = []
    for b in range(200):
        part = edges[:, edge_ptr[b] : edge_ptr[b + 1]] - ptr[b]
        n = int(ptr[b + 1] - ptr[b])
        assert 1 <= n <= 14
        graph = nx.DiGraph()
        graph.add_nodes_from(range(n))
        graph.add_edges_from(part.T.tolist())
        assert graph.number_of_edges() == part.shape[1]
        assert nx.is_weakly_connected(graph)
        assert not any(u == v for u, v in graph.edges())
        if acyclic:
            assert nx.is_directed_acyclic_graph(graph)
        degrees.append(part.shape[1] / n)
    # The acyclic ones lose half of their edges to the order. Components are a little denser than the graphs.
    assert np.mean(degrees) == pytest.approx(0.95 if acyclic else 1.6, abs=0.2)
    # The order of an acyclic graph is not that of its nodes.
    assert (edges[0] > edges[1]).mean() == pytest.approx(0.5, abs=0.1)
    again = random_digraphs(20, (10, 14), (1.0, 2.0), acyclic, np.uint64(3))
    np.testing.assert_array_equal(again["edge_index"], edges[:, : edge_ptr[20]])


@pytest.mark.parametrize("question", ["adjacency", "connectivity", "distance"])
def test_targets(tmp_path: Path, question: str) -> None:
    task = Playground(question=question, **SMALL)  # type: ignore[arg-type]
    assert build_task(repr(task)) == task
    data = task.load(cache=tmp_path, progress=False)
    assert task.load(cache=tmp_path, progress=False).fingerprint == data.fingerprint
    sizes = {"distance": (16, 83)}.get(question, (16, 27))
    assert int(data.graphs.sizes.max()) <= sizes[1]
    for b in range(len(data.graphs)):
        graph = data.graphs.to_networkx(b)
        n = graph.number_of_nodes()
        lengths = dict(nx.all_pairs_shortest_path_length(graph))
        rows = data.graphs.pair["y"][data.graphs.pair_ptr[b] : data.graphs.pair_ptr[b + 1]].view(n, n)
        for u in range(n):
            for v in range(n):
                expected = {
                    "adjacency": int(graph.has_edge(u, v)),
                    "connectivity": int(v in lengths[u]),
                    "distance": lengths[u].get(v, -1),
                }[question]
                assert rows[u, v] == (-1 if u == v else expected)


@pytest.mark.parametrize("question", ["connectivity", "distance"])
def test_loss_and_metric_are_their_formulas(tmp_path: Path, question: str) -> None:
    data = Playground(question=question, **SMALL).load(cache=tmp_path, progress=False)  # type: ignore[arg-type]
    ids = torch.tensor([3, 0, 7])
    graphs = data.graphs.select(ids)
    parts = torch.randn(graphs.num_nodes, 130)
    scores, targets = [], []
    for b in range(3):
        rows = parts[graphs.ptr[b] : graphs.ptr[b + 1]]
        n = len(rows)
        answer = graphs.pair["y"][graphs.pair_ptr[b] : graphs.pair_ptr[b + 1]].view(n, n)
        for u in range(n):
            for v in range(n):
                hidden = torch.relu(rows[u, :64] + rows[v, 64:128])
                score = (hidden[:32].sum() - hidden[32:].sum()) / 8 + rows[u, 128] + rows[v, 129]
                if answer[u, v] >= 0:
                    scores.append(score)
                    targets.append(answer[u, v].float())
    score, target = torch.stack(scores), torch.stack(targets)
    loss = data.adapter.loss(parts, data.adapter.model_graphs(graphs).to_batch())
    if question == "distance":
        error = (torch.nn.functional.softplus(score) - target).square().mean()
        torch.testing.assert_close(loss, error)
        assert data.evaluate(parts, ids) == pytest.approx(float(error.sqrt()), rel=1e-5)
        assert data.constant_baseline(data.split["train"])[0] < data.evaluate(torch.zeros_like(parts), ids)
    else:
        torch.testing.assert_close(loss, torch.nn.functional.binary_cross_entropy_with_logits(score, target))
        guess = score > 0
        precision, recall = target[guess].mean(), guess[target > 0].float().mean()
        assert data.evaluate(parts, ids) == pytest.approx(float(2 * precision * recall / (precision + recall)))


def test_a_model_learns_from_encodings_and_sees_no_edges(tmp_path: Path) -> None:
    data = Playground(question="adjacency", **SMALL).load(cache=tmp_path, progress=False)
    encodings = build_encodings(["MagneticLaplacianPE(k=8, sign='none')"])
    graphs = data.adapter.model_graphs(encodings[0](data.graphs.select([0, 1, 2])))
    assert graphs.num_edges == 0
    torch.manual_seed(0)
    text = "GraphTransformer(width=32, layers=1, attention='full', readout='none')"
    model = build_model(text, data.adapter, encodings, encoder="MagLapNet")
    assert isinstance(model, M.GraphTransformer)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(200):
        optimizer.zero_grad()
        loss = data.adapter.loss(model(graphs.to_batch()), graphs.to_batch())
        loss.backward()
        optimizer.step()
    target = graphs.pair["y"][graphs.pair["y"] >= 0].double()
    rate = target.mean()
    entropy = -(rate * rate.log() + (1 - rate) * (1 - rate).log())
    assert float(loss.detach()) < 0.5 * float(entropy)  # far better than the best constant
    pooled = build_model("GraphTransformer(width=32, layers=1)", data.adapter, encodings)
    with pytest.raises(GraphPEError, match=r"3 rows for .* nodes: give it readout='none'"):
        data.adapter.loss(pooled(graphs.to_batch()), graphs.to_batch())


def test_bad_arguments() -> None:
    for text, message in (
        ("playground(question='edge')", "question must be one of 'adjacency'"),
        ("playground(train=0)", "train must be from 1"),
        ("playground(acyclic=2)", "acyclic must be True or False"),
    ):
        with pytest.raises(GraphPEError, match=message):
            build_task(text)
