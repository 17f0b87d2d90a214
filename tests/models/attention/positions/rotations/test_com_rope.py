from __future__ import annotations

import pytest
import torch

from graphpe.errors import GraphPEValueError
from graphpe.models.attention.positions.rotations.com_rope import ComRoPE
from graphpe.models.attention.positions.rotations.orthogonal import rotation


def angle_matrices(positions: ComRoPE, coordinates: int) -> torch.Tensor:
    """A_m of every head and block, [M, H, blocks, b, b], from the parameters."""
    basis, rate = rotation(positions.basis), positions.rate
    j = torch.tensor([[0.0, -1.0], [1.0, 0.0]], dtype=torch.float64)
    planes = torch.stack([torch.block_diag(*(r * j for r in each)) for each in rate.flatten(0, 1)]).unflatten(
        0, rate.shape[:2]
    )
    a = basis @ planes @ basis.mT
    if positions.theta is not None:
        return positions.theta.movedim(2, 0)[..., None, None] * a
    turning = torch.nn.functional.one_hot(torch.arange(rate.shape[1]) % coordinates, coordinates).T
    return turning[:, None, :, None, None] * a


@pytest.mark.parametrize("family", ["dependent", "axial"])
@pytest.mark.parametrize("coordinates", [1, 2])
def test_is_the_exponential_of_commuting_angle_matrices(family, coordinates, path, attend, inputs, heads_of) -> None:
    size, width = 5, 16
    r = path(size).r if coordinates == 1 else torch.randn(size, 2, dtype=torch.float64)
    q, k, v, x = inputs(size, width)
    positions = ComRoPE("r", coordinates, width, 2, family=family).double()
    with torch.no_grad():
        positions.basis.normal_()
    logits, _ = attend(positions, path(size, r), q, k, v, x)
    a = angle_matrices(positions, coordinates)
    torch.testing.assert_close(a.mT, -a)
    for m in range(coordinates):
        torch.testing.assert_close(a[0] @ a[m], a[m] @ a[0])
    turn = torch.matrix_exp(torch.einsum("nm,mhkij->hnkij", r, a).contiguous())
    tq, tk = (torch.einsum("hnkij,hnkj->hnki", turn, heads_of(p).unflatten(2, (-1, 4))) for p in (q, k))
    torch.testing.assert_close(logits, torch.einsum("hikc,hjkc->hij", tq, tk))


def test_begins_as_rotations_of_planes_and_depends_on_differences(path, attend, inputs) -> None:
    q, k, v, x = inputs(6, 16)
    positions = ComRoPE("r", 1, 16, 2, family="axial", block=8).double()
    logits, _ = attend(positions, path(6), q, k, v, x)
    place = torch.arange(6, dtype=torch.float64)
    theta = torch.tensor([10000.0 ** (-2 * c / 8) for c in range(4)], dtype=torch.float64).repeat(2)
    zq, zk = (torch.view_as_complex(part.reshape(6, 8, 2)) * torch.exp(1j * place[:, None] * theta) for part in (q, k))
    expected = torch.einsum("ihc,jhc->hij", zq.unflatten(1, (2, 4)).conj(), zk.unflatten(1, (2, 4))).real
    torch.testing.assert_close(logits, expected, rtol=1e-6, atol=1e-6)
    with torch.no_grad():
        positions.basis.normal_()
    turned, _ = attend(positions, path(6), q, k, v, x)
    assert not torch.allclose(turned, logits, atol=1e-3)
    torch.testing.assert_close(attend(positions, path(6, path(6).r + 9), q, k, v, x)[0], turned)


def test_errors() -> None:
    with pytest.raises(GraphPEValueError, match="block must be even"):
        ComRoPE("r", 1, 18, 2, block=3)
    with pytest.raises(GraphPEValueError, match=r"multiple of 8 \* heads"):
        ComRoPE("r", 1, 24, 2, block=8)
