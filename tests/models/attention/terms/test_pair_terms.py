"""The seam: terms in every path of attention, beside biases, positions and extra nodes."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data

import graphpe.models as M
import graphpe.transforms as T
from graphpe.errors import GraphPEValueError
from graphpe.models.attention.biases.pair_bias import PairBias
from graphpe.models.attention.biases.pair_factors import combine
from graphpe.models.attention.gpu.ragged import ragged_nodes
from graphpe.models.attention.pairs import all_pairs
from graphpe.models.attention.softmax.softmax import softmax_attention, softmax_attention_reference
from graphpe.models.batches.nodes import node_to_graph
from graphpe.models.layers import multi_head
from graphpe.models.layers.multi_head import MultiHeadAttention, all_pairs_of
from graphpe.models.layers.virtual_nodes import extend

WIDTH, HEADS = 16, 4


def every_term() -> list[nn.Module]:
    terms = [
        M.RelationTerms("shortest_path", HEADS, WIDTH, size=4, on=("query", "key", "value", "product"), directed=True),
        M.EdgeTerms(HEADS, WIDTH, types=3, on=("key", "value"), shared=False),
        M.PathCounts(HEADS, WIDTH, size=4),
        M.PathDecays(HEADS, WIDTH, paths="tree"),
        M.DirectedHeads("shortest_path", HEADS, WIDTH),
    ]
    for term in terms:
        for parameter in term.parameters():
            nn.init.normal_(parameter)
    return [term.double() for term in terms]


def gradients(out: torch.Tensor, inputs: list[torch.Tensor]) -> list[torch.Tensor]:
    torch.manual_seed(2)
    return torch.autograd.grad((out * torch.randn_like(out)).sum(), inputs, retain_graph=True)


@pytest.mark.parametrize("multiply", [False, True])
def test_every_path_is_the_reference(batch, multiply: bool, monkeypatch) -> None:
    terms: list[nn.Module] = every_term()
    bias = PairBias("shortest_path", HEADS, mode="both" if multiply else "add").double()
    weights = [p for term in terms for p in term.parameters()]
    query, key, value = torch.randn(3, batch.num_nodes, WIDTH, dtype=torch.float64, requires_grad=True).unbind()
    inputs = [query, key, value, *weights]
    members = node_to_graph(batch)
    pairs = all_pairs(members, batch.edge_index)
    factors = combine([bias(batch, pairs), *(term(query, key, term.prepare(batch, pairs, members)) for term in terms)])
    expected = softmax_attention_reference(query, key, value, pairs, factors, heads=HEADS)
    wanted = gradients(expected, inputs)
    made = all_pairs_of(batch, members, [bias, *terms])
    monkeypatch.setattr(multi_head, "has_kernels", lambda device: True)
    ragged = all_pairs_of(batch, members, [bias, *terms])
    for found in (
        softmax_attention(query, key, value, pairs, factors, heads=HEADS),
        softmax_attention(query, key, value, made.nodes, made.factors_of(query, key), heads=HEADS),
        softmax_attention(query, key, value, ragged.nodes, ragged.factors_of(query, key), heads=HEADS),
    ):
        torch.testing.assert_close(found, expected)
        for mine, theirs in zip(gradients(found, inputs), wanted, strict=True):
            torch.testing.assert_close(mine, theirs)


def test_values_of_relations_beside_wider_queries(batch) -> None:
    (terms, *_) = every_term()
    members = node_to_graph(batch)
    pairs = all_pairs(members, batch.edge_index)
    query, key = torch.randn(2, batch.num_nodes, 2 * WIDTH, dtype=torch.float64)
    value = torch.randn(batch.num_nodes, WIDTH, dtype=torch.float64)
    factors = terms(query[:, :WIDTH], key[:, :WIDTH], terms.prepare(batch, pairs, members))
    expected = softmax_attention_reference(query, key, value, pairs, factors, heads=HEADS)
    made = all_pairs_of(batch, members, [terms])
    padded = made.factors_of(query[:, :WIDTH], key[:, :WIDTH])
    for found in (
        softmax_attention(query, key, value, pairs, factors, heads=HEADS),
        softmax_attention(query, key, value, made.nodes, padded, heads=HEADS),
        softmax_attention(query, key, value, ragged_nodes(members), factors, heads=HEADS),
    ):
        torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("kernels", [False, True])
def test_extra_nodes_have_no_terms(batch, kernels: bool, monkeypatch) -> None:
    """Against matrices: rows and columns of the extra node have the virtual bias alone, and no vectors of relations."""
    monkeypatch.setattr(multi_head, "has_kernels", lambda device: kernels)
    terms = every_term()
    virtual = torch.randn(HEADS, dtype=torch.float64)
    for data in batch.to_data_list():
        n = data.num_nodes
        if not n:
            continue
        members = node_to_graph(data)
        extended = extend(members)
        layer, x = MultiHeadAttention(WIDTH, HEADS).double(), torch.randn(n + 1, WIDTH, dtype=torch.float64)
        found = layer(x, all_pairs_of(data, members, terms, extended=extended, virtual=virtual))
        q, k, v = (*layer.query_key(x).chunk(2, 1), layer.value(x))
        pairs = all_pairs(members, data.edge_index)
        factors = combine(term(q[:n], k[:n], term.prepare(data, pairs, members)) for term in terms)
        add = virtual.view(-1, 1, 1).repeat(1, n + 1, n + 1)
        add[:, :n, :n] = factors.add.view(n, n, HEADS).permute(2, 0, 1)
        q, k, v = (part.view(n + 1, HEADS, -1).transpose(0, 1) for part in (q, k, v))
        weight = torch.softmax(q @ k.transpose(1, 2) / 2 + add, -1)
        out = weight @ v
        for each in factors.values:
            vectors = each.table.expand(-1, HEADS, -1)[each.relation.view(n, n)]
            out[:, :n] += torch.einsum("hij,ijhc->hic", weight[:, :n, :n], vectors)
        torch.testing.assert_close(found, layer.out(out.transpose(0, 1).reshape(n + 1, WIDTH)))


@pytest.mark.parametrize(("name", "options"), [("GPS", {}), ("SAT", {"readout": "cls"}), ("Graphormer", {})])
def test_a_batch_is_its_graphs_and_every_weight_is_trained(batch, name: str, options) -> None:
    model = getattr(M, name)(
        width=WIDTH,
        layers=2,
        heads=HEADS,
        node_encoder=M.LinearNodes(16, WIDTH),
        pair_encodings=every_term(),
        **options,
    )
    model = model.double()
    model.eval()
    out = model(batch)
    alone = torch.cat([model(data) for data in batch.to_data_list() if data.num_nodes])
    torch.testing.assert_close(out[[0, 1, 3]], alone, atol=1e-6, rtol=1e-6)
    out.sin().sum().backward()
    for module in model.pair_encodings:
        assert all(float(p.grad.norm()) > 0 for p in module.parameters()), module


def test_renumbering_changes_nothing(batch) -> None:
    data = batch.to_data_list()[3]
    terms = [term for term in every_term() if getattr(term, "paths", None) != "tree"]
    model = M.GPS(width=WIDTH, layers=2, heads=HEADS, local="GCN", readout="none",
                  node_encoder=M.LinearNodes(16, WIDTH), pair_encodings=terms)  # fmt: skip
    model = model.double().eval()
    n, order = data.num_nodes, torch.randperm(data.num_nodes)
    place = torch.empty_like(order)
    place[order] = torch.arange(n)
    other = data.clone()
    other.x, other.edge_index = data.x[order], place[data.edge_index]
    other.shortest_path = data.shortest_path.view(n, n)[order][:, order].reshape(-1, 1)
    torch.testing.assert_close(model(other), model(data)[order], atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("sizes", [[0], [0, 0], [1]])
def test_graphs_without_pairs(sizes: list[int]) -> None:
    data = Data(edge_index=torch.zeros(2, 0, dtype=torch.long), edge_attr=torch.zeros(0, dtype=torch.long))
    graphs = [data.clone().update({"x": torch.randn(n, 16).double(), "num_nodes": n}) for n in sizes]
    batch = Batch.from_data_list([T.ShortestPathPE(undirected=False)(graph) for graph in graphs])
    for name in ("GPS", "Graphormer"):
        model = getattr(M, name)(
            width=WIDTH, layers=2, heads=HEADS, node_encoder=M.LinearNodes(16, WIDTH), pair_encodings=every_term()
        )
        model = model.double().eval()
        model.positions.append(M.LogLength(HEADS, WIDTH).double())
        out = model(batch)
        assert out.shape == (len(sizes), WIDTH)
        assert bool(out.isfinite().all())


def test_other_heads_are_told(batch) -> None:
    for module in (
        M.EdgeTerms(2, WIDTH, types=3, on=("query",)),
        M.EdgeTerms(1, WIDTH, types=3),
        PairBias("shortest_path", 1),
    ):
        model = M.Graphormer(
            width=WIDTH, layers=1, heads=HEADS, node_encoder=M.LinearNodes(16, WIDTH), pair_encodings=[module]
        )
        with pytest.raises(GraphPEValueError, match=r"heads: build all|must have the shape"):
            model.double()(batch)


def test_half_precision_and_dropout(batch) -> None:
    batch.x = batch.x.float()
    terms = [term.float() for term in every_term()]
    parts = {"node_encoder": M.LinearNodes(16, WIDTH), "pair_encodings": terms}
    model = M.Graphormer(width=WIDTH, layers=2, heads=HEADS, attention_dropout=0.3, **parts)
    draws = [model(batch) for _ in range(2)]
    assert not torch.equal(*draws)
    model.eval()
    with torch.no_grad():
        exact = model(batch)
        low = model.bfloat16()(batch).float()
    assert float((low - exact).norm() / exact.norm()) < 0.1
