from __future__ import annotations

import torch

from graphpe.models.attention.positions.rotations.orthogonal import apply_blocks, rotation


def test_rotations_are_exponentials() -> None:
    p = torch.randn(3, 5, 5, dtype=torch.float64) * 3
    found = rotation(p)
    torch.testing.assert_close(found, torch.matrix_exp(p - p.mT))
    torch.testing.assert_close(found @ found.mT, torch.eye(5, dtype=torch.float64).expand(3, 5, 5))
    torch.testing.assert_close(rotation(torch.zeros(4, 4)), torch.eye(4))
    long = rotation(torch.randn(8, 8) * 4)
    torch.testing.assert_close(long @ long.T, torch.eye(8), rtol=1e-5, atol=1e-5)
    angle = torch.tensor(0.7, dtype=torch.float64)
    expected = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()]).view(2, 2)
    torch.testing.assert_close(rotation(torch.tensor([[0.0, 0.0], [0.7, 0.0]], dtype=torch.float64)), expected)
    assert torch.autograd.gradcheck(rotation, p[:1].requires_grad_())


def test_maps_of_blocks() -> None:
    x, maps = torch.randn(4, 12), torch.randn(4, 2, 3, 2, 2)
    found = apply_blocks(x, maps)
    for n in range(4):
        whole = torch.block_diag(*maps[n].flatten(0, 1))
        torch.testing.assert_close(found[n], whole @ x[n])
    torch.testing.assert_close(apply_blocks(x, maps[0]), x @ torch.block_diag(*maps[0].flatten(0, 1)).T)
    assert apply_blocks(x.bfloat16(), maps).dtype == torch.bfloat16
