from __future__ import annotations

import pytest
import torch
from torch_geometric.nn import GATConv, SAGEConv

from graphpe.models.attention.neighbours import sums
from graphpe.models.attention.neighbours.neighbours import Neighbours
from graphpe.models.attention.recording import record_attention
from graphpe.models.layers.neighbour_convolutions import AttentionConvolution, MeanConvolution

WIDTH = 8


def graph(itself: bool, nodes: int = 7, edges: int = 15):
    """Random parallel edges, self-loops and at least one node without any."""
    edge_index = torch.randint(0, nodes - 1, (2, edges))
    return torch.randn(nodes, WIDTH, dtype=torch.float64), Neighbours(edge_index, nodes, itself)


def listed(pairs: Neighbours) -> torch.Tensor:
    """The pairs as edges."""
    node = torch.arange(pairs.num_nodes)
    return torch.cat([pairs.edge_index, torch.stack([node, node])], 1) if pairs.itself else pairs.edge_index


@pytest.mark.parametrize("itself", [False, True])
def test_means_are_those_of_pyg(itself: bool) -> None:
    x, pairs = graph(itself)
    layer, theirs = MeanConvolution(WIDTH).double(), SAGEConv(WIDTH, WIDTH).double()
    theirs.lin_l.load_state_dict(layer.of_neighbours.state_dict())
    theirs.lin_r.load_state_dict(layer.own.state_dict())
    torch.testing.assert_close(layer(x, pairs), theirs(x, listed(pairs)))


@pytest.mark.parametrize("itself", [False, True])
@pytest.mark.parametrize("scale", [1.0, 300.0])  # of logits: exponentials of these overflow
def test_attention_is_that_of_pyg(itself: bool, scale: float) -> None:
    x, pairs = graph(itself)
    layer = AttentionConvolution(WIDTH, 2).double()
    theirs = GATConv(WIDTH, WIDTH // 2, 2, add_self_loops=False, bias=False).double()
    theirs.lin.load_state_dict(layer.linear.state_dict())
    with torch.no_grad():
        for vector, other in ((layer.source, theirs.att_src), (layer.target, theirs.att_dst)):
            vector.mul_(scale)
            other.copy_(vector.unsqueeze(0))
    with record_attention() as noted:
        out = layer(x.requires_grad_(), pairs)
    expected, (edges, weight) = theirs(x, listed(pairs), return_attention_weights=True)
    torch.testing.assert_close(out, expected)
    (seen,) = noted
    dense = torch.zeros(2, 7, 7, dtype=x.dtype)
    for head in range(2):
        dense[head].index_put_((edges[1], edges[0]), weight[:, head].detach(), accumulate=True)
    torch.testing.assert_close(seen.matrix(), dense)
    ours = torch.autograd.grad(out.square().sum(), [x, layer.source, layer.target, layer.linear.weight])
    wanted = torch.autograd.grad(expected.square().sum(), [x, theirs.att_src, theirs.att_dst, theirs.lin.weight])
    for mine, other in zip(ours, wanted, strict=True):
        torch.testing.assert_close(mine, other.view_as(mine))


def test_many_pairs_give_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    x, pairs = graph(True)
    layers = [MeanConvolution(WIDTH).double(), AttentionConvolution(WIDTH, 2).double()]
    few = [layer(x, pairs) for layer in layers]
    monkeypatch.setattr(sums, "MANY_PAIRS", 1)
    torch.testing.assert_close([layer(x, pairs) for layer in layers], few)


def test_autocast_sums_in_float32() -> None:
    x, pairs = graph(True)
    layer = AttentionConvolution(WIDTH, 2)
    with torch.autocast("cpu", torch.bfloat16):
        low = layer(x.float(), pairs)
    assert low.dtype == torch.float32
    torch.testing.assert_close(low, layer(x.float(), pairs), rtol=0.05, atol=0.05)
