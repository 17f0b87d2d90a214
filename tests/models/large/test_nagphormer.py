from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data
from torch_geometric.transforms import ToUndirected

from graphpe import transforms as T
from graphpe.errors import GraphPEError, GraphPEValueError
from graphpe.models.encoders.hop_tokens import HopTokens
from graphpe.models.large.nagphormer import NAGphormer
from graphpe.models.layers.inputs import LinearNodes

WIDTH, HEADS, HOPS = 8, 2, 3


class Zeros(nn.Module):
    """Node embeddings of nothing."""

    def forward(self, batch: Data) -> Tensor:
        return batch.x.new_zeros(batch.num_nodes, WIDTH)


def undirected(nodes: int, edges: int = 12) -> Data:
    data = Data(x=torch.randn(nodes, 3), edge_index=torch.randint(0, max(nodes, 1), (2, edges * (nodes > 0))))
    data.edge_index = data.edge_index[:, data.edge_index[0] != data.edge_index[1]]
    return T.HopFeatures(HOPS, features={"x": 3})(ToUndirected()(data))


def build(*, tokens: bool, encoder: nn.Module | None = None, **options) -> NAGphormer:
    encodings = [HopTokens("hop_features", hops=HOPS, channels=3, width=WIDTH)] if tokens else []
    return NAGphormer(
        width=WIDTH, hops=HOPS, heads=HEADS, readout="none", encodings=encodings,
        node_encoder=encoder if encoder is not None else LinearNodes(3, WIDTH), **options,
    )  # fmt: skip


def by_loops(model: NAGphormer, tokens: Tensor) -> Tensor:
    """The equations for the tokens of one node, `[S, D]`, head by head."""
    for layer in model.layers:
        q, k, v = layer.query_key_value(layer.attention_norm(tokens)).chunk(3, dim=1)
        heads = []
        for a, b, c in zip(*(x.chunk(HEADS, 1) for x in (q, k, v)), strict=True):
            heads.append((a @ b.t() / (WIDTH // HEADS) ** 0.5).softmax(1) @ c)
        tokens = tokens + layer.out(torch.cat(heads, dim=1))
        ffn = layer.feed_forward
        tokens = tokens + ffn.contract(nn.functional.gelu(ffn.expand(layer.norm(tokens))))
    tokens = model.norm(tokens)
    logits = torch.cat([model.weigh(torch.cat([tokens[0], tokens[hop]])) for hop in range(1, len(tokens))])
    return tokens[0] + logits.softmax(0) @ tokens[1:]


def test_equals_its_equations() -> None:
    data = undirected(9)
    model = build(tokens=True, layers=2).double().eval()
    own, encoder = model.node_encoder(data), model.encodings[0]
    rows = []
    for node in range(9):
        hops = data.hop_features[node].double().view(HOPS + 1, 3)
        tokens = hops @ encoder.linear.weight.t() + encoder.linear.bias
        tokens[0] = tokens[0] + own[node]
        rows.append(by_loops(model, tokens))
    torch.testing.assert_close(model(data), torch.stack(rows))


def test_hops_of_embeddings_are_those_of_features() -> None:
    """With a linear embedding without a bias, on an undirected graph, nothing tells the two ways apart."""
    data = undirected(9)
    precomputed = build(tokens=True, encoder=Zeros()).eval()
    with torch.no_grad():
        precomputed.encodings[0].linear.bias.zero_()
    on_the_way = build(tokens=False).eval()
    on_the_way.load_state_dict(precomputed.state_dict(), strict=False)
    on_the_way.node_encoder.linear.load_state_dict(precomputed.encodings[0].linear.state_dict())
    torch.testing.assert_close(on_the_way(data), precomputed(data))


def test_tokens_travel_with_nodes() -> None:
    """Any nodes, without their edges, get what they get in the whole graph; also in a batch that is not in order."""
    data = undirected(12)
    model = build(tokens=True).eval()
    some = torch.tensor([7, 2, 11, 3])
    torch.testing.assert_close(model(data.subgraph(some)), model(data)[some])
    batch = Batch.from_data_list([undirected(5), undirected(1), undirected(4)])
    order = torch.randperm(10)
    mixed = Data(x=batch.x[order], hop_features=batch.hop_features[order], batch=batch.batch[order],
                 edge_index=torch.zeros(2, 0, dtype=torch.long))  # fmt: skip
    torch.testing.assert_close(model(mixed), model(batch)[order])


def test_missing_features_are_named() -> None:
    data = undirected(5)
    del data.hop_features
    with pytest.raises(GraphPEValueError, match=r"batch has no `hop_features`: add T.HopFeatures\(hops=..., features"):
        build(tokens=True)(data)


@pytest.mark.parametrize("hops", [2, 4])
def test_hops_of_tokens_and_model_agree(hops: int) -> None:
    tokens = HopTokens("hop_features", hops=hops, channels=3, width=WIDTH)
    with pytest.raises(GraphPEValueError, match=rf"NAGphormer\(hops=3\) takes .* got hops=\[{hops}\]"):
        NAGphormer(width=WIDTH, hops=3, heads=HEADS, node_encoder=nn.Identity(), encodings=[tokens])
    with pytest.raises(GraphPEValueError, match="one HopFeatures"):
        NAGphormer(width=WIDTH, hops=hops, heads=HEADS, node_encoder=nn.Identity(), encodings=[tokens, tokens])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hops": 0}, "hops must be from 1"),
        ({"heads": 3}, "multiple of heads"),
        ({"hops": 2.0}, "hops must be an integer"),
    ],
)
def test_bad_arguments(options, message: str) -> None:
    with pytest.raises(GraphPEError, match=message):
        NAGphormer(**{"width": WIDTH, "heads": HEADS, **options}, node_encoder=nn.Identity())
