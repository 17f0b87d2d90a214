from __future__ import annotations

import ast

import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data

from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.models.encoders import MLPEncoding


def batch_of(*sizes: int) -> Batch:
    return Batch.from_data_list([Data(random_walk_pe=torch.rand(n, 4), num_nodes=n) for n in sizes])


def with_weights(module: nn.Module) -> nn.Module:
    for parameter in module.network[-1].parameters():
        nn.init.normal_(parameter)
    return module


def test_it_is_a_feed_forward_network_that_starts_at_zero() -> None:
    module, batch = MLPEncoding("random_walk_pe", 4, 6, hidden=64, layers=3), batch_of(3, 0, 2)
    out = module(batch)
    assert torch.equal(out, torch.zeros(5, 6))
    (out + 1).square().sum().backward()
    assert module.network[-1].weight.grad.abs().sum() > 0
    with_weights(module)
    x = batch.random_walk_pe
    for index, part in enumerate(part for part in module.network if isinstance(part, nn.Linear)):
        x = part(x.relu() if index else x)
    torch.testing.assert_close(module(batch), x)
    assert [tuple(p.shape) for p in module.parameters() if p.dim() == 2] == [(64, 4), (64, 64), (6, 64)]


def test_batch_norm_makes_the_columns_scales_alike() -> None:
    module, batch = with_weights(MLPEncoding("random_walk_pe", 4, 6, batch_norm=True)), batch_of(30)
    out = module(batch)
    batch.random_walk_pe = batch.random_walk_pe * torch.tensor([1.0, 10.0, 100.0, 3.0]) + 3
    torch.testing.assert_close(module(batch), out, rtol=1e-2, atol=1e-2)
    assert module(batch_of(1)).shape == (1, 6)
    assert module(batch_of(0)).shape == (0, 6)


@pytest.mark.parametrize("batch_norm", [False, True])
def test_nodes_are_on_their_own(batch_norm: bool) -> None:
    module, batch = with_weights(MLPEncoding("random_walk_pe", 4, 6, batch_norm=batch_norm)), batch_of(5, 1, 3)
    module(batch)
    module.double().eval()
    out, order = module(batch), torch.randperm(9)
    torch.testing.assert_close(torch.cat([module(data) for data in batch.to_data_list()]), out)
    torch.testing.assert_close(module(Data(random_walk_pe=batch.random_walk_pe[order])), out[order])


def test_bfloat16_autocast() -> None:
    module, batch = with_weights(MLPEncoding("random_walk_pe", 4, 6, batch_norm=True)), batch_of(5)
    with torch.autocast("cpu", torch.bfloat16):
        out = module(batch)
        out.float().square().sum().backward()
    assert bool(out.isfinite().all())
    assert all(bool(p.grad.isfinite().all()) for p in module.parameters())


def test_a_text_builds_it_again() -> None:
    module = MLPEncoding("random_walk_pe", 4, 6, hidden=7, layers=1, batch_norm=True)
    call = ast.parse(repr(module), mode="eval").body
    assert isinstance(call, ast.Call)
    literals = {word.arg: ast.literal_eval(word.value) for word in call.keywords}
    assert literals == {"hidden": 7, "layers": 1, "batch_norm": True}


def test_errors() -> None:
    with pytest.raises(GraphPEValueError, match=r"no `random_walk_pe`: add T.RandomWalkPE\(walk_length=4\)"):
        MLPEncoding("random_walk_pe", 4, 6)(Data(num_nodes=2))
    with pytest.raises(GraphPEValueError, match="complex: use EigenvectorMLP"):
        MLPEncoding("pe", 4, 6)(Data(pe=torch.zeros(2, 4, dtype=torch.cfloat)))
    with pytest.raises(GraphPEValueError, match="layers must be from 1 on, got 0"):
        MLPEncoding("pe", 4, 6, layers=0)
    with pytest.raises(GraphPETypeError, match="batch_norm must be True or False"):
        MLPEncoding("pe", 4, 6, batch_norm=None)
