from __future__ import annotations

import math

import torch

from graphpe.models.attention.positions.rotations.orthogonal import apply_blocks, cayley


def test_cayley_gives_rotations() -> None:
    p = torch.randn(3, 5, 5, dtype=torch.float64) * 3
    rotation = cayley(p)
    torch.testing.assert_close(rotation @ rotation.mT, torch.eye(5, dtype=torch.float64).expand(3, 5, 5))
    torch.testing.assert_close(torch.linalg.det(rotation), torch.ones(3, dtype=torch.float64))
    torch.testing.assert_close(cayley(torch.zeros(4, 4)), torch.eye(4))
    plane = torch.tensor([[0.0, math.tan(0.35)], [0.0, 0.0]], dtype=torch.float64)
    angle = torch.tensor(0.7, dtype=torch.float64)
    expected = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()]).view(2, 2)
    torch.testing.assert_close(cayley(plane), expected)
    assert torch.autograd.gradcheck(cayley, p[:1].requires_grad_())


def test_maps_of_blocks() -> None:
    x, maps = torch.randn(4, 12), torch.randn(4, 2, 3, 2, 2)
    found = apply_blocks(x, maps)
    for n in range(4):
        whole = torch.block_diag(*maps[n].flatten(0, 1))
        torch.testing.assert_close(found[n], whole @ x[n])
    torch.testing.assert_close(apply_blocks(x, maps[0]), x @ torch.block_diag(*maps[0].flatten(0, 1)).T)
    assert apply_blocks(x.bfloat16(), maps).dtype == torch.bfloat16
