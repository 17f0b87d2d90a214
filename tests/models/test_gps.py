from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data
from torch_geometric.nn import GENConv, GPSConv, SAGEConv

from graphpe.errors import GraphPEError, GraphPEValueError
from graphpe.models import CategoricalEdges, CategoricalNodes, LinearEdges, MLPReadout
from graphpe.models.attention.biases.named_biases import graphormer_bias
from graphpe.models.gps import GPS


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


class Concatenated(nn.Module):
    """GraphGPS's input: an embedding beside a batch norm and a linear map of an encoding of `steps` columns."""

    def __init__(self, width: int, categories, steps: int, out: int) -> None:
        super().__init__()
        self.nodes = CategoricalNodes(width - out, categories)
        self.norm, self.linear = nn.BatchNorm1d(steps), nn.Linear(steps, out)


def test_published_parameter_count_on_molhiv() -> None:
    """558,625 (table A.5): 10 x 54,656 in layers, with GatedGCN 5 (64^2 + 64) + 4 x 64, attention 4 (64^2 + 64), three
    norms 6 x 64 and the feed-forward network 2 x 64 x 128 + 128 + 64; atoms 173 x 48, bonds 13 x 64, random walks
    2 x 16 + 16 x 16 + 16, head 2,625."""
    model = GPS(
        heads=4,
        dropout=0.05,
        attention_dropout=0.5,
        node_encoder=Concatenated(64, [119, 4, 12, 12, 10, 6, 6, 2, 2], 16, 16),
        edge_encoder=CategoricalEdges(64, [5, 6, 2]),
        head=MLPReadout(64, 1),
    )
    assert [count(layer) for layer in model.layers] == [54_656] * 10
    assert count(model) == 558_625


def test_published_parameter_count_on_zinc() -> None:
    """423,717: 10 x 41,920 in layers with GINE, atoms 28 x 36, bonds 4 x 64, random walks 2 x 20 + 20 x 28 + 28, head
    2,625."""
    model = GPS(
        heads=4,
        local="GINE",
        node_encoder=Concatenated(64, 28, 20, 28),
        edge_encoder=CategoricalEdges(64, 4),
        head=MLPReadout(64, 1),
    )
    assert [count(layer) for layer in model.layers] == [41_920] * 10
    assert count(model) == 423_717


class Fixed(nn.Module):
    def __init__(self, x: Tensor) -> None:
        super().__init__()
        self.x = x

    def forward(self, batch: Data) -> Tensor:
        return self.x


def graphs(*sizes: int) -> Batch:
    out = []
    for size in sizes:
        edge_index = torch.randint(0, size, (2, 3 * size))
        out.append(Data(edge_index=edge_index, edge_attr=torch.randn(3 * size, 3), num_nodes=size))
    return Batch.from_data_list(out)


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_a_layer_is_that_of_pyg(norm: str) -> None:
    """PyG's `GPSConv` around the same GENConv, with the parameters of ours."""
    batch = graphs(6, 3, 1)
    x = torch.randn(10, 8)
    model = GPS(
        width=8, layers=1, heads=2, norm=norm, readout="none", local=lambda width: GENConv(width, width, edge_dim=8),
        node_encoder=Fixed(x), edge_encoder=LinearEdges(3, 8),
    )  # fmt: skip
    layer = model.layers[0]
    theirs = GPSConv(8, layer.local.conv, heads=2, norm="batch_norm" if norm == "batch" else None)
    theirs.attn.in_proj_weight.data = torch.cat([layer.attention.query_key.weight, layer.attention.value.weight])
    theirs.attn.in_proj_bias.data = torch.cat([layer.attention.query_key.bias, layer.attention.value.bias])
    theirs.attn.out_proj.load_state_dict(layer.attention.out.state_dict())
    theirs.mlp[0].load_state_dict(layer.feed_forward.expand.state_dict())
    theirs.mlp[3].load_state_dict(layer.feed_forward.contract.state_dict())
    if norm == "layer":  # PyG's "layer_norm" is over a graph: put nn.LayerNorm in
        theirs.norm1, theirs.norm2, theirs.norm3 = (nn.LayerNorm(8) for _ in range(3))
    pairs = ((layer.local_norm, theirs.norm1), (layer.attention_norm, theirs.norm2), (layer.norm, theirs.norm3))
    for ours, other in pairs:
        nn.init.normal_(ours.weight)
        (getattr(other, "module", other)).load_state_dict(ours.state_dict())
    edge = model.edge_encoder(batch)
    for mode in (True, False):
        model.train(mode)
        theirs.train(mode)
        expected = theirs(x, batch.edge_index, batch.batch, edge_attr=edge)
        torch.testing.assert_close(model(batch), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("edge_encoder", [None, LinearEdges(3, 8)])
def test_layers_of_pyg_that_take_no_edge_features(edge_encoder) -> None:
    batch = graphs(5, 2)
    model = GPS(
        width=8,
        layers=2,
        heads=2,
        local=lambda width: SAGEConv(width, width),
        node_encoder=Fixed(torch.randn(7, 8)),
        edge_encoder=edge_encoder,
    )
    assert model(batch).shape == (2, 8)


def test_pair_biases_belong_to_attention_over_pairs() -> None:
    for attention in ("linear", "none"):
        with pytest.raises(GraphPEValueError, match="takes no pair encodings"):
            GPS(attention=attention, pair_encodings=[graphormer_bias(4, 3)], node_encoder=nn.Identity())


def test_rotary_attention_reads_its_coordinates() -> None:
    batch = graphs(5, 3)
    model = GPS(
        width=8, layers=1, heads=2, attention="rotary", rotary_channels=2, node_encoder=Fixed(torch.randn(8, 8))
    ).eval()
    with pytest.raises(GraphPEValueError, match=r"add T.SpectralCoordinates\(k=2\) to the transforms"):
        model(batch)
    batch.spectral_coordinates = torch.randn(8, 2)
    out = model(batch)
    moved = batch.clone()
    moved.spectral_coordinates = batch.spectral_coordinates + torch.tensor([3.0, -1.0])
    torch.testing.assert_close(model(moved), out, rtol=1e-4, atol=1e-5)
    moved.spectral_coordinates = batch.spectral_coordinates * 2
    assert not torch.allclose(model(moved), out, atol=1e-4)


def test_linear_attention_keeps_nothing_of_the_size_of_pairs() -> None:
    size = 20_000  # 400 million pairs
    data = Data(edge_index=torch.randint(0, size, (2, size)), num_nodes=size)
    model = GPS(width=8, layers=1, heads=2, attention="linear", node_encoder=Fixed(torch.randn(size, 8)))
    assert bool(model(data).isfinite().all())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"local": "SAGE"}, "local must be one of 'GatedGCN'"),
        ({"local": 3}, "local must be one of"),
        ({"attention": "performer"}, "attention must be one of 'softmax'"),
        ({"local": "none", "attention": "none"}, "leave nothing in a layer"),
        ({"rotary_key": 1}, "rotary_key must be a string"),
        ({"rotary_channels": 0}, "rotary_channels must be from 1"),
        ({"width": 6, "heads": 2, "attention": "rotary"}, r"multiple of 2 \* heads"),
    ],
)
def test_bad_arguments(options, message: str) -> None:
    with pytest.raises(GraphPEError, match=message):
        GPS(**options, node_encoder=nn.Identity())
