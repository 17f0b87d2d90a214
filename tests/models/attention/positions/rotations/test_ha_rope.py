from __future__ import annotations

import pytest
import torch

from graphpe.models.attention.positions.rotations.ha_rope import HARoPE
from graphpe.models.attention.softmax.rotary import RotaryAttention


@pytest.mark.parametrize("head_map", ["svd", "orthogonal"])
def test_is_rope_after_a_matrix_of_each_head(head_map, path, attend, inputs, heads_of) -> None:
    size, width = 6, 16
    q, k, v, x = inputs(size, width)
    positions = HARoPE("r", 1, width, 2, head_map=head_map, frequencies="geometric").double()
    rotary = RotaryAttention("r", 1, width, 2, frequencies="geometric").double()
    torch.testing.assert_close(attend(positions, path(size), q, k, v, x), attend(rotary, path(size), q, k, v, x))
    with torch.no_grad():
        for parameter in positions.parameters():
            if parameter is not positions.omega:
                parameter.normal_()
    logits, _ = attend(positions, path(size), q, k, v, x)
    a = torch.matrix_exp(positions.left - positions.left.mT)
    if head_map == "svd":
        right = torch.matrix_exp(positions.right - positions.right.mT)
        a = a @ torch.diag_embed(positions.log_singular.exp()) @ right.mT
    theta = torch.tensor([10000.0 ** (-2 * c / 8) for c in range(4)], dtype=torch.float64)
    turn = torch.exp(1j * torch.arange(size, dtype=torch.float64)[:, None] * theta)
    zq, zk = (torch.view_as_complex((heads_of(p) @ a.mT).reshape(2, size, 4, 2)) * turn for p in (q, k))
    torch.testing.assert_close(logits, torch.einsum("hic,hjc->hij", zq.conj(), zk).real, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(attend(positions, path(size, path(size).r - 5), q, k, v, x)[0], logits)
