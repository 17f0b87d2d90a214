from __future__ import annotations

import pytest
import torch
from torch_geometric.nn import GCNConv
from torch_geometric.utils import remove_self_loops

from graphpe.benchmarks.measure.peers.tuned_gcn import TunedGCN, normalised


@pytest.mark.parametrize("more", [True, False])
def test_it_is_a_stack_of_pygs_convolutions(more: bool) -> None:
    edges = remove_self_loops(torch.randint(0, 12, (2, 40)))[0].unique(dim=1)
    x = torch.randn(12, 5, requires_grad=True)
    model = TunedGCN([5, 4, 4], 3, dropout=0.5, norm=more, residual=more).eval()
    h = x
    for layer, (matrix, bias) in enumerate(zip(model.matrices, model.biases, strict=True)):
        conv = GCNConv(*matrix.shape)
        with torch.no_grad():
            conv.lin.weight.copy_(matrix.t())
            bias.normal_()
            conv.bias.copy_(bias)
        update = conv(h, edges)
        if more:
            update = model.norms[layer](update + model.beside[layer](h))
        h = update.relu()
    found = model(x, normalised(edges, 12))
    torch.testing.assert_close(found, model.last(h))
    weight = torch.randn_like(found)
    one, other = (torch.autograd.grad(out, x, weight)[0] for out in (found, model.last(h)))
    torch.testing.assert_close(one, other)
