from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

import graphpe.models as M
import graphpe.transforms as T
from graphpe.errors import GraphPEError
from graphpe.models.attention.recording import record_attention
from graphpe.models.ppgt import PPGT, AdaptiveRMSNorm

WIDTH, HEADS, STEPS = 12, 3, 4


def graph(size: int, *, directed: bool = False) -> Data:
    """A random graph, with parallel edges and loops if it is directed, and its walks."""
    joined = torch.rand(size, size) < 0.4
    joined = joined if directed else torch.triu(joined, 1)
    pairs = joined.nonzero().t()
    edge_index = torch.cat([pairs, pairs[:, :2] if directed else pairs.flip(0)], 1)
    data = Data(x=torch.randn(size, 3), edge_index=edge_index, edge_attr=torch.randn(edge_index.shape[1], 2))
    return T.RelativeRandomWalkPE(STEPS)(data)


def build(*, edges: bool = True, walks: bool = True, **options) -> PPGT:
    options = {"width": WIDTH, "layers": 2, "heads": HEADS, **options}
    model = PPGT(
        node_encoder=M.LinearNodes(3, WIDTH),
        edge_encoder=M.LinearEdges(2, WIDTH) if edges else None,
        pair_encodings=[M.PairMLP("rrwp", STEPS, WIDTH, node_width=WIDTH, hidden=7, frequencies=2)] if walks else [],
        **options,
    )
    for parameter in model.parameters():  # as after much training
        nn.init.normal_(parameter, std=0.3)
    return model.double()


def rms(x: Tensor) -> Tensor:
    return (x**2).mean(-1, keepdim=True).add(1e-6).sqrt()


def normed(norm: AdaptiveRMSNorm, x: Tensor) -> Tensor:
    return x / rms(x) * rms(norm.alpha * x + norm.beta)


def network(module: nn.Module, x: Tensor) -> Tensor:
    return module.contract(nn.functional.gelu(module.expand(normed(module.norm, x))))


def by_hand(model: PPGT, data: Data) -> Tensor:
    """Node embeddings of one graph by the paper's equations, pair by pair."""
    n = data.num_nodes
    degree = torch.bincount(data.edge_index[0], minlength=n).double()
    x = model.node_encoder(data)
    x = (
        x
        + model.of_degree(torch.log(1 + degree)[:, None])
        + model.of_size(torch.full((n, 1), math.log(1 + n)).double())
    )
    e = torch.zeros(n, n, WIDTH, dtype=torch.float64)  # [query, key]
    if model.edge_encoder is not None:
        for row, (j, i) in zip(model.edge_encoder(data), data.edge_index.t().tolist(), strict=True):
            e[i, j] = e[i, j] + row
    for stem in model.pair_encodings:
        walks = data.rrwp.view(n, n, STEPS).double()
        x = x + stem.node_linear(walks.diagonal().t())
        for i in range(n):
            for j in range(n):
                inverse = [1 / float(degree[k]) if degree[k] else 0.0 for k in (i, j)]
                f = torch.cat([walks[i, j], torch.tensor([1 / n, *inverse], dtype=torch.float64)])
                # column by column, then frequency by frequency, as the maps are laid out
                angle = [float(v) * math.pi * 2**k for v in f for k in range(2)]
                given = torch.tensor([*f.tolist(), *map(math.sin, angle), *map(math.cos, angle)]).double()
                e[i, j] = e[i, j] + stem.contract(nn.functional.gelu(stem.expand(given)))
    if model.plain_pair is not None:
        e = e + model.plain_pair
    for block in model.stem:
        e = e + network(block, e)
    e = normed(model.pair_norm, e)
    for layer in model.layers:
        q, k, v = layer.query_key_value(normed(layer.attention_norm, x)).view(n, 3, HEADS, -1).unbind(1)
        add, gate = layer.pair(e).view(n, n, 2, HEADS).unbind(2)
        out = torch.zeros(n, HEADS, WIDTH // HEADS, dtype=torch.float64)
        for h in range(HEADS):
            distance = torch.cdist(q[:, h], k[:, h]) ** 2
            weight = torch.softmax(-distance / 2 / math.sqrt(WIDTH // HEADS) + add[..., h], 1) * (1 + gate[..., h])
            out[:, h] = weight @ v[:, h]
        x = x + layer.out(out.flatten(1))
        x = x + network(layer.network, x)
    return normed(model.norm, x)


@pytest.mark.parametrize("directed", [False, True])
@pytest.mark.parametrize(("edges", "walks"), [(True, True), (False, True), (True, False), (False, False)])
def test_against_the_equations(edges: bool, walks: bool, directed: bool) -> None:
    graphs = [graph(size, directed=directed) for size in (5, 1, 8, 3)]
    model = build(edges=edges, walks=walks, readout="none").eval()
    for data in graphs:
        data.x, data.edge_attr = data.x.double(), data.edge_attr.double()
    expected = torch.cat([by_hand(model, data) for data in graphs])
    torch.testing.assert_close(model(Batch.from_data_list(graphs)), expected, rtol=1e-6, atol=1e-6)


def test_parameters_of_the_released_zinc_configuration() -> None:
    """12 layers of 34,512; stem 33,472 + 2 x 16,704 + 128; nodes 1,664 + 2 x 128; tables 21 and 4 x 64; head 8,385."""
    model = PPGT(
        readout="sum",
        node_encoder=M.CategoricalNodes(64, 21),
        edge_encoder=M.CategoricalEdges(64, 4),
        pair_encodings=[M.PairMLP("rrwp", 25, 64, node_width=64)],
        head=M.MLPReadout(64, 1, halve=False, activation="gelu"),
    )
    assert sum(p.numel() for p in model.parameters()) == 493_185
    assert sum(p.numel() for p in model.layers[0].parameters()) == 34_512


def test_adaptive_norm_keeps_lengths_or_not() -> None:
    x = torch.randn(7, WIDTH, dtype=torch.float64) * torch.tensor([[0.1], [1], [10], [3], [0.5], [2], [100]])
    norm = AdaptiveRMSNorm(WIDTH).double()
    expected = nn.functional.rms_norm(x, (WIDTH,), eps=1e-6)
    torch.testing.assert_close(norm(x), expected, rtol=1e-5, atol=1e-6)
    nn.init.ones_(norm.alpha), nn.init.zeros_(norm.beta)
    torch.testing.assert_close(norm(x), x)
    assert torch.equal(norm(torch.zeros(2, WIDTH).double()), torch.zeros(2, WIDTH).double())


def test_attention_is_recorded() -> None:
    model, data = build().eval(), graph(6)
    data.x, data.edge_attr = data.x.double(), data.edge_attr.double()
    with record_attention() as noted:
        model(data)
    assert len(noted) == 2


def test_paths_of_whole_graphs_are_dropped() -> None:
    """With a probability of nearly 1, most graphs keep the embeddings that they start with, and no graph in part."""
    graphs = [graph(4) for _ in range(30)]
    model = build(layers=1, drop_path=0.9, readout="none").float()
    model.norm = nn.Identity()
    batch = Batch.from_data_list(graphs)
    torch.manual_seed(int(np.random.default_rng().integers(1 << 30)))
    model.train()
    out = model(batch)
    with torch.no_grad():
        model.layers[0].drop_path = 0.0
        for part in (model.layers[0].out, model.layers[0].network.contract):
            part.weight.zero_(), part.bias.zero_()
        start = model(batch)
    same = (out == start).all(1).view(30, 4)
    assert bool((same.all(1) == same.any(1)).all())
    assert 10 < int(same.all(1).sum()) < 30
    assert torch.equal(model.eval()(batch), model(batch))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"heads": 5}, "heads"),
        ({"drop_path": 1.0}, "drop_path must be"),
        ({"stem_layers": -1}, "stem_layers must be"),
        ({"expansion": 0}, "expansion must be"),
        ({"readout": "last"}, "readout must be one of"),
    ],
)
def test_bad_options(options, message) -> None:
    with pytest.raises(GraphPEError, match=message):
        PPGT(node_encoder=nn.Identity(), **{"width": WIDTH, "heads": HEADS, **options})
    with pytest.raises(GraphPEError, match="frequencies must be"):
        M.PairMLP("rrwp", 4, 8, frequencies=-1)


def test_no_nodes_no_edges_and_half_precision() -> None:
    empty = T.RelativeRandomWalkPE(STEPS)(
        Data(x=torch.zeros(0, 3), edge_index=torch.zeros(2, 0).long(), edge_attr=torch.zeros(0, 2), num_nodes=0)
    )
    model = build().float().eval()
    out = model(Batch.from_data_list([graph(3), empty, graph(1)]))
    assert torch.isfinite(out).all()
    assert torch.equal(out[1], torch.zeros(WIDTH))
    close = model.bfloat16()(Batch.from_data_list([graph(5)]))
    assert torch.isfinite(close).all()
    assert model.pair_encodings[0].scale.dtype == torch.float32
