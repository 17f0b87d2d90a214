from __future__ import annotations

import torch
from torch.nn.functional import softplus

from graphpe.models.attention.positions.rotations.pope import PoPE


def test_is_pope_on_a_path(path, attend, inputs, heads_of) -> None:
    size, width = 6, 16
    q, k, v, x = inputs(size, width)
    positions = PoPE("r", 1, width, 2, frequencies="geometric").double()
    with torch.no_grad():
        positions.delta.uniform_(-8, 1)
    logits, out = attend(positions, path(size), q, k, v, x)
    delta = positions.delta.clamp(-2 * torch.pi, 0)
    theta = torch.tensor([10000.0 ** (-c / 8) for c in range(8)], dtype=torch.float64)
    place = torch.arange(size, dtype=torch.float64)
    difference = (place[None, :] - place[:, None])[..., None] * theta  # [i, j, c]
    mq, mk = softplus(heads_of(q)), softplus(heads_of(k))
    expected = torch.einsum("hic,hjc,hijc->hij", mq, mk, torch.cos(difference + delta[:, None, None, :]))
    torch.testing.assert_close(logits, expected, rtol=1e-6, atol=1e-6)
    weight = torch.softmax(expected / 8**0.5, 2)
    torch.testing.assert_close(out, (weight @ heads_of(v)).transpose(0, 1).reshape(size, width), rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(attend(positions, path(size, path(size).r + 4), q, k, v, x)[0], logits)


def test_takes_any_width_of_heads(path, attend, inputs) -> None:
    logits, _ = attend(PoPE("r", 1, 6, 2).double(), path(4), *inputs(4, 6))
    assert logits.shape == (2, 4, 4)
