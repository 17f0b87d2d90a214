"""Biases of low rank: the same attention as with the matrix of all pairs, and nothing of its size."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data
from torch_geometric.utils import from_networkx

import graphpe.models as M
import graphpe.transforms as T
from graphpe.errors import GraphPEValueError
from graphpe.models.attention.biases.pair_bias import PairBias

WIDTH, HEADS, MOST = 16, 4, 12


def connected_graphs() -> Batch:
    """With resistances of all pairs, and coordinates whose squared distances they are."""
    out = []
    for nodes in (2, 7, MOST):
        seed = int(np.random.default_rng().integers(2**31))
        graph = nx.compose(nx.random_labeled_tree(nodes, seed=seed), nx.gnp_random_graph(nodes, 0.2, seed=seed))
        data = Data(edge_index=from_networkx(graph).edge_index, x=torch.randn(nodes, WIDTH), num_nodes=nodes)
        data = T.SpectralCoordinates(k=MOST - 1)(T.ResistancePE()(data))
        data = T.CommuteTimePE()(T.SpectralCoordinates(k=MOST - 1, scale="commute", attr_name="commute")(data))
        for kernel in ("heat", "ppr"):
            data = T.DiffusionPE(kernel=kernel, level="pair", attr_name=f"{kernel}_pairs")(data)
            data = T.DiffusionPE(MOST, kernel=kernel, drop_zero_modes=False, attr_name=kernel)(data)
        out.append(data)
    return Batch.from_data_list(out)


def model(name: str, bias: PairBias, **options) -> nn.Module:
    torch.manual_seed(3)
    made = getattr(M, name)(
        width=WIDTH, layers=2, heads=HEADS, node_encoder=M.LinearNodes(WIDTH, WIDTH), pair_encodings=[bias], **options
    )
    return made.double().eval()


@pytest.mark.parametrize(
    ("head", "coordinates", "pairs"),
    [
        ("alibi", "spectral_coordinates", "resistance"),
        ("linear", "commute", "commute_time"),
        ("kernel", "heat", "heat_pairs"),
        ("kernel", "ppr", "ppr_pairs"),
    ],
)
@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("GPS", {"local": "GCN"}),
        ("SAT", {"readout": "cls"}),
        ("Graphormer", {"virtual_node": True}),
        ("Graphormer", {}),
    ],
)
def test_is_the_bias_with_the_matrix(head: str, coordinates: str, pairs: str, name: str, options) -> None:
    batch = connected_graphs()
    batch.x = batch.x.double()
    dense = PairBias(pairs, HEADS, head=head)
    factored = PairBias(coordinates, HEADS, head=head, channels=batch[coordinates].shape[1], factored=True)
    with torch.no_grad():
        for weight in factored.parameters():
            weight.copy_(torch.randn(HEADS))
    dense.load_state_dict(factored.state_dict(), strict=False)  # which has a number for pairs without a path, too
    outs = []
    for bias in (dense, factored):
        made = model(name, bias, **options)
        out = made(batch)
        grads = torch.autograd.grad(out.square().sum(), [*made.parameters()], allow_unused=True)
        outs.append((out, [grad for grad in grads if grad is not None and grad.dim() != 1]))
    torch.testing.assert_close(outs[1], outs[0], atol=1e-4, rtol=1e-4)  # encodings are float32
    without = model(
        name, PairBias("spectral_coordinates", HEADS, head="kernel", channels=MOST - 1, factored=True), **options
    )
    assert not torch.allclose(without(batch), outs[0][0], atol=1e-4)


@pytest.mark.parametrize("pairs", ["padded", "list", "reference"])
def test_every_path(pairs: str) -> None:
    """Queries wider than values, and columns of low rank, in the kernels, along a list, and by the formula."""
    from graphpe.models.attention import PairFactors, all_pairs, pad_factors, padded_nodes
    from graphpe.models.attention.softmax.softmax import softmax_attention, softmax_attention_reference
    from graphpe.models.batches.nodes import node_to_graph

    batch = Batch.from_data_list([Data(edge_index=torch.zeros(2, 0, dtype=torch.long), num_nodes=n) for n in (3, 1, 6)])
    members = node_to_graph(batch)
    everything = all_pairs(members, batch.edge_index)
    query, key = torch.randn(2, 10, HEADS * 6, dtype=torch.float64, requires_grad=True).unbind()
    value = torch.randn(10, HEADS * 4, dtype=torch.float64, requires_grad=True)
    left, right = torch.randn(2, 10, HEADS, 5, dtype=torch.float64, requires_grad=True).unbind()
    add = torch.randn(everything.num_pairs, HEADS, dtype=torch.float64)
    factors = PairFactors(add, None, left, right)
    expected = []
    for graph in range(3):
        rows = members.graph == graph
        q, k, v = (x[rows].view(int(rows.sum()), HEADS, -1) for x in (query, key, value))
        logit = torch.einsum("ihc,jhc->hij", q, k) / 2 + torch.einsum("ihc,jhc->hij", left[rows], right[rows])
        logit = logit + add[members.graph[everything.target] == graph].view(len(q), len(q), HEADS).permute(2, 0, 1)
        expected.append(torch.einsum("hij,jhc->ihc", torch.softmax(logit, 2), v).flatten(1))
    if pairs == "padded":
        nodes = padded_nodes(members)
        padded = pad_factors(factors, everything, nodes)
        found = softmax_attention(query, key, value, nodes, padded, heads=HEADS)
    elif pairs == "list":
        found = softmax_attention(query, key, value, everything, factors, heads=HEADS)
    else:
        found = softmax_attention_reference(query, key, value, everything, factors, heads=HEADS)
    torch.testing.assert_close(found, torch.cat(expected))
    inputs = (query, key, value, left, right)
    grads = (torch.autograd.grad(x.sin().sum(), inputs, retain_graph=True) for x in (found, torch.cat(expected)))
    torch.testing.assert_close(*grads)


def test_distances_are_not_rounded_under_autocast() -> None:
    """Squared norms of 10^4 whose differences count: half precision has three digits."""
    n = 64
    data = Data(x=torch.randn(n, WIDTH), edge_index=torch.zeros(2, 0, dtype=torch.long), num_nodes=n)
    data.place = torch.arange(n).float().unsqueeze(1) + 100
    bias = PairBias("place", HEADS, head="alibi", channels=1, factored=True)
    made = model("Graphormer", bias).float()
    batch = Batch.from_data_list([data])
    with torch.autocast("cpu", torch.bfloat16):
        low = made(batch)
    expected = made(batch)
    assert float((low - expected).norm() / expected.norm()) < 0.1


def test_bad_arguments() -> None:
    with pytest.raises(GraphPEValueError, match="linear in its distance"):
        PairBias("coordinates", HEADS, head="table", factored=True)
    with pytest.raises(GraphPEValueError, match="give it to a model"):
        PairBias("coordinates", HEADS, head="alibi", channels=3, factored=True)(Data(), None)
    with pytest.raises(GraphPEValueError, match="factored=True"):
        PairBias("resistance", HEADS, head="alibi").of_nodes(Data(), None)
    made = model("Graphormer", PairBias("spectral_coordinates", HEADS, head="alibi", channels=3, factored=True))
    batch = Batch.from_data_list(
        [Data(x=torch.randn(3, WIDTH).double(), edge_index=torch.zeros(2, 0, dtype=torch.long))]
    )
    with pytest.raises(GraphPEValueError, match="spectral_coordinates"):
        made(batch)
