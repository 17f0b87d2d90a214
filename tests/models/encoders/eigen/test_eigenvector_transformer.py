from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch_geometric.data import Batch

from graphpe.models.encoders import EigenvectorTransformer


def test_layers_are_those_of_torch(build: Callable[..., nn.Module], eigen_batch: Callable[..., Batch]) -> None:
    batch = eigen_batch([6, 3, 8])
    module = build(EigenvectorTransformer, hidden=8, heads=2).eval()
    mask = batch.eigenmask[batch.batch]
    x = module.embed(torch.stack([batch.vectors, batch.eigenvalues[batch.batch]], dim=2))
    for layer in module.stack:
        oracle = nn.TransformerEncoderLayer(8, 2, 32, 0.0, batch_first=True).double()  # in training mode, as written
        oracle.self_attn.in_proj_weight = layer.attention.query_key_value.weight
        oracle.self_attn.in_proj_bias = layer.attention.query_key_value.bias
        oracle.self_attn.out_proj.load_state_dict(layer.attention.out.state_dict())
        oracle.linear1.load_state_dict(layer.expand.state_dict())
        oracle.linear2.load_state_dict(layer.contract.state_dict())
        oracle.norm1, oracle.norm2 = layer.norm_1, layer.norm_2
        x = oracle(x, src_key_padding_mask=~mask)
    torch.testing.assert_close(module(batch), module.rho((x * mask.unsqueeze(2)).sum(1)))


def test_dropout_is_for_training(build: Callable[..., nn.Module], eigen_batch: Callable[..., Batch]) -> None:
    batch, module = eigen_batch(), build(EigenvectorTransformer, dropout=0.5, random_signs=False)
    assert not torch.allclose(module(batch), module(batch))
    assert torch.equal(module.eval()(batch), module(batch))
