from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from graphpe.benchmarks.tasks.links import contacts
from graphpe.benchmarks.tasks.links.contacts import ContactAdapter, ContactData, Negatives, products
from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.models.batches.nodes import node_to_graph

SIZES = (5, 1, 8, 3)


def of_labels(labels: list[torch.Tensor]) -> PackedGraphs:
    ptr = torch.tensor([0, *(len(each) for each in labels)]).cumsum(0)
    y = torch.cat([each.flatten() for each in labels]).view(-1, 1).to(torch.int8)
    return PackedGraphs(torch.zeros(2, 0, dtype=torch.long), ptr, torch.zeros_like(ptr), pair={"y": y})


def labels(sizes: tuple[int, ...] = SIZES) -> list[torch.Tensor]:
    found = [torch.randint(-1, 2, (n, n)) for n in sizes]
    for each in found:
        each.diagonal().clamp_(max=0)
    found[0][0, 1] = 1
    return found


@pytest.mark.parametrize("sizes", [SIZES, (6,), (4, 4)])
def test_products_are_those_of_each_pair(sizes: tuple[int, ...]) -> None:
    graphs = of_labels(labels(sizes))
    vectors = torch.randn(sum(sizes), 3, requires_grad=True)
    expected = torch.cat([(part @ part.t()).flatten() for part in vectors.split(sizes)])
    found = products(vectors, node_to_graph(graphs.to_batch()), graphs.num_pairs)
    torch.testing.assert_close(found, expected)
    weight = torch.randn_like(found)
    (one,) = torch.autograd.grad(found @ weight, vectors)
    (other,) = torch.autograd.grad(expected @ weight, vectors)
    torch.testing.assert_close(one, other)
    assert products(vectors.bfloat16(), node_to_graph(graphs.to_batch()), graphs.num_pairs).dtype == torch.float32


def by_hand(score: torch.Tensor, label: torch.Tensor, negatives: Negatives) -> tuple[float, float]:
    """Sum of losses and of weights of a graph, pair by pair."""
    total, weights = 0.0, 0.0
    for i in range(len(score)):
        links = int((label[i] == 1).sum())
        for k in range(len(score)):
            if label[i, k] == 1:
                weight = 1.0
            elif negatives == "listed":
                weight = float(label[i, k] == 0)
            else:  # two draws for each link, different ones, of all pairs (i, .) that are none
                weight = min(1.0, 2 * links / (len(score) - links))
            logit = float(score[i, k])
            total += weight * float(functional.softplus(torch.tensor(-logit if label[i, k] == 1 else logit)))
            weights += weight
    return total, weights


@pytest.mark.parametrize("negatives", ["drawn", "listed"])
def test_the_loss(negatives: Negatives) -> None:
    label = labels()
    graphs, vectors = of_labels(label), torch.randn(sum(SIZES), 3)
    adapter = ContactAdapter((1,), (), 1, "binary", negatives=negatives)
    parts = [by_hand(part @ part.t(), each, negatives) for part, each in zip(vectors.split(SIZES), label, strict=True)]
    expected = sum(total for total, _ in parts) / sum(weights for _, weights in parts)
    assert float(adapter.loss(vectors, graphs.to_batch())) == pytest.approx(expected, rel=1e-5)
    nothing = of_labels([torch.full((n, n), -1) for n in SIZES]).to_batch()
    assert float(adapter.loss(vectors, nothing)) == 0
    with pytest.raises(GraphPEValueError, match="give it readout='none'"):
        adapter.loss(vectors[:4], graphs.to_batch())


def test_drawn_is_the_mean_over_draws() -> None:
    """Of many draws as published: two a link with the same first node, different ones, no link."""
    label = torch.zeros(6, 6)
    label[0, [2, 3]] = label[4, [1]] = 1
    vectors = torch.randn(6, 3)
    score = vectors @ vectors.t()
    total, count = 0.0, 1500
    generator = torch.Generator().manual_seed(0)
    for _ in range(count):
        chosen = [(i, int(k)) for i, k in label.nonzero()]
        for i in (0, 4):
            free = (label[i] == 0).nonzero().flatten()
            some = free[torch.randperm(len(free), generator=generator)[: 2 * int(label[i].sum())]]
            chosen += [(i, int(k)) for k in some]
        at = tuple(torch.tensor(chosen).t())
        total += float(functional.binary_cross_entropy_with_logits(score[at], label[at]))
    adapter = ContactAdapter((1,), (), 1, "binary")
    assert float(adapter.loss(vectors, of_labels([label]).to_batch())) == pytest.approx(total / count, rel=0.03)


def test_data(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(contacts, "_CHUNK_PAIRS", 64)
    graphs = of_labels(labels())
    ids = torch.tensor([2, 0])
    split = {"train": torch.tensor([0]), "valid": ids, "test": torch.tensor([2])}
    adapter = ContactAdapter((1,), (), 1, "binary", negatives="listed")
    data = ContactData(graphs, split, adapter, "", variant="filtered")
    assert data.metric == "MRR filtered"
    vectors = torch.randn(13, 3)
    scores = data.target_scores(vectors, ids)
    assert data.evaluate(vectors, ids) == scores["MRR filtered"]
    assert len(scores) == 12
    assert 0 < scores["MRR raw"] <= scores["MRR filtered"] <= scores["MRR extended filtered"] <= 1  # type: ignore[operator]
    places, columns = data.table(vectors, ids)
    link = graphs.select(ids).pair["y"].view(-1) > 0
    assert len(places["graph"]) == int(link.sum()) == len(columns["rank_raw"])
    parts = dict(zip(ids.tolist(), vectors.split([8, 5]), strict=True))
    for graph, i, j, chance in zip(*places.values(), columns["probability_link"], strict=True):
        assert chance == pytest.approx(float((parts[graph][i] @ parts[graph][j]).sigmoid()), rel=1e-5)
    means: dict[int, list[float]] = {}
    for graph, rank in zip(places["graph"].tolist(), columns["rank_filtered"], strict=True):
        means.setdefault(graph, []).append(1 / rank)
    assert data.evaluate(vectors, ids) == pytest.approx(sum(sum(each) / len(each) for each in means.values()) / 2)
    assert 0 < data.constant_baseline(ids)[0] < 1
    assert ContactAdapter.from_state(adapter.state()) == adapter
    with pytest.raises(GraphPEValueError, match="expected the adapter of contacts, but negatives=None"):
        ContactAdapter.from_state({key: value for key, value in adapter.state().items() if key != "negatives"})
    with pytest.raises(GraphPEValueError, match=r"predictions must be \[13, width\], one row a node, got \[4, 3\]"):
        data.evaluate(vectors[:4], ids)
    with pytest.raises(GraphPEValueError, match="the test part of the split has no contacts"):
        ContactData(graphs, split | {"test": torch.tensor([1])}, adapter, "", variant="raw")
