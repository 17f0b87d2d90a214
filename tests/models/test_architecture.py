from __future__ import annotations

import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data

from graphpe import models as M
from graphpe.errors import GraphPEError, GraphPERuntimeError


class Sum(M.Architecture):
    def __init__(self, *, layers: int = 2, scale: float = 1.0, **ends):
        super().__init__(**ends)
        self.scale = scale
        self.layers = nn.ModuleList(nn.Linear(self.width, self.width) for _ in range(layers))

    def forward(self, batch):
        members, _, x = M.read_nodes(self, batch)
        for layer in self.layers:
            x = x + self.scale * layer(x)
        return self.head(M.pool(x, members, self.readout))


def batch() -> Batch:
    sizes = (3, 1, 4)
    return Batch.from_data_list([Data(x=torch.randn(n, 2), edge_index=torch.zeros(2, 0).long()) for n in sizes])


def test_repr_is_the_call_that_builds_it() -> None:
    model = Sum(layers=3, width=8, readout="sum", node_encoder=M.LinearNodes(2, 8))
    assert repr(model) == "Sum(layers=3, scale=1.0, width=8, readout='sum')"
    assert (model.attention_layout, model.attends_to_all_pairs) == ("edges", False)


def test_what_it_computes() -> None:
    model = Sum(layers=1, scale=0.5, width=8, readout="sum", node_encoder=M.LinearNodes(2, 8), head=nn.Linear(8, 1))
    graphs = batch()
    x = model.node_encoder.linear(graphs.x)
    x = x + 0.5 * model.layers[0](x)
    expected = torch.stack([part.sum(0) for part in x.split([3, 1, 4])])
    torch.testing.assert_close(model(graphs), model.head(expected))


def test_half_precision() -> None:
    model = Sum(width=8, node_encoder=M.LinearNodes(2, 8), head=nn.Linear(8, 1)).bfloat16()
    assert model(batch()).dtype == torch.bfloat16


def test_an_argument_that_is_not_stored() -> None:
    class Forgets(Sum):
        def __init__(self, *, depth: int = 1, **ends):
            super().__init__(**ends)

    with pytest.raises(GraphPERuntimeError, match=r"Forgets has an argument depth, .*self.depth = depth"):
        repr(Forgets(node_encoder=nn.Identity()))


@pytest.mark.parametrize("bad", [{"width": 0}, {"width": 4.0}, {"readout": "median"}])
def test_bad_arguments(bad: dict) -> None:
    with pytest.raises(GraphPEError):
        Sum(**bad, node_encoder=nn.Identity())
