from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.errors import GraphPEError
from graphpe.models.large.polynormer import Polynormer
from graphpe.models.layers.inputs import LinearNodes

WIDTH, HEADS = 8, 2


def local_attention(conv: nn.Module, x: Tensor, edge_index: Tensor) -> Tensor:
    """Graph attention with matrices of all pairs, each node among its own neighbours."""
    matrix = torch.eye(len(x), dtype=x.dtype)
    matrix.index_put_((edge_index[1], edge_index[0]), torch.ones(1, dtype=x.dtype), accumulate=True)
    out = []
    for rows, source, target in zip(
        (x @ conv.linear.weight.t()).chunk(HEADS, 1), conv.source, conv.target, strict=True
    ):
        weight = nn.functional.leaky_relu((rows @ target)[:, None] + (rows @ source)[None], 0.2).exp() * matrix
        out.append(weight / weight.sum(1, keepdim=True) @ rows)
    return torch.cat(out, dim=1)


def global_attention(key: Tensor, value: Tensor) -> Tensor:
    out = []
    for k, v in zip(key.sigmoid().chunk(HEADS, 1), value.chunk(HEADS, 1), strict=True):
        weight = k @ k.t()
        out.append(weight / weight.sum(1, keepdim=True) @ v)
    return torch.cat(out, dim=1)


@pytest.mark.parametrize("beta", [None, 0.3])
def test_equals_its_equations(beta: float | None) -> None:
    data = Data(x=torch.randn(9, 3, dtype=torch.double), edge_index=torch.randint(0, 8, (2, 20)))
    model = Polynormer(
        width=WIDTH, layers=3, global_layers=2, heads=HEADS, beta=beta, readout="none",
        node_encoder=LinearNodes(3, WIDTH),
    ).double().eval()  # fmt: skip
    for name, parameter in model.named_parameters():
        if "shares" in name:
            assert float(parameter.detach().unique()) == pytest.approx(0.0 if beta is None else beta)
            nn.init.normal_(parameter)
    x, total = model.node_encoder(data), 0
    for layer in model.layers:
        share = layer.shares.numbers if beta is not None else layer.shares.numbers.sigmoid()
        factor, own = layer.maps(x).chunk(2, dim=1)
        y = (local_attention(layer.attention, x, data.edge_index) + own).relu()
        x = (1 - share) * layer.norm(factor.relu() * y) + share * y
        total = total + x
    y = model.norm(total)
    for layer in model.global_layers:
        share = layer.shares.numbers if beta is not None else layer.shares.numbers.sigmoid()
        factor, key, value = layer.maps(y).chunk(3, dim=1)
        y = model.out(layer.norm(global_attention(key, value)) * (factor + share)).relu()
    torch.testing.assert_close(model(data), y)


def test_published_size() -> None:
    """Two maps, and three vectors, of a local layer and the projections of the attention, as in the released code."""
    with torch.device("meta"):
        model = Polynormer(
            width=512, layers=10, global_layers=3, node_encoder=LinearNodes(7, 512), head=nn.Linear(512, 2)
        )
    assert sum(p.numel() for p in model.layers[0].parameters()) == 3 * 512**2 + 7 * 512
    assert sum(p.numel() for p in model.global_layers[0].parameters()) == 3 * 512**2 + 6 * 512
    assert sum(p.numel() for p in model.parameters()) == 10_537_474


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"beta": 2}, "beta must be from 0 to 1"),
        ({"beta": "0.5"}, "beta must be a number"),
        ({"global_layers": 0}, "global_layers must be from 1"),
        ({"global_dropout": 1}, r"global_dropout must be a number in \[0, 1\)"),
    ],
)
def test_bad_arguments(options, message: str) -> None:
    with pytest.raises(GraphPEError, match=message):
        Polynormer(**{"width": WIDTH, "heads": HEADS, **options}, node_encoder=nn.Identity())
