from __future__ import annotations

import torch

from graphpe.models.encoders.set_attention import SetAttention, SetTransformerLayer


def test_masked_tokens_are_not_attended_to() -> None:
    attention, layer = SetAttention(6, 2, 5, bias=False, dropout=0.0), SetTransformerLayer(6, 2, dropout=0.0)
    x, mask = torch.randn(3, 4, 6), torch.tensor([[True, True, False, True]] * 3)
    for module in (attention, layer):
        out = module(x, mask)
        changed = x.clone()
        changed[:, 2] = 50.0
        torch.testing.assert_close(module(changed, mask)[mask], out[mask])
        torch.testing.assert_close(module(x[:, [0, 1, 3]], mask[:, [0, 1, 3]]), out[:, [0, 1, 3]])


def test_a_set_without_a_token_is_finite() -> None:
    attention = SetAttention(6, 2, 3, bias=True, dropout=0.0)
    x, mask = torch.randn(2, 4, 6, requires_grad=True), torch.tensor([[False] * 4, [True] * 4])
    out = attention(x, mask)
    assert bool(out.isfinite().all())
    out.sum().backward()
    assert bool(x.grad.isfinite().all())
