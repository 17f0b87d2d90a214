from __future__ import annotations

import torch

from graphpe.models.attention.positions.rotations.gta import GTA
from graphpe.models.attention.softmax.rotary import RotaryAttention


def test_is_the_published_attention_with_the_group_of_planar_rotations(path, attend, inputs, heads_of) -> None:
    """Equation 6 of Miyato et al., pair by pair, with rho(g_i) = R(-theta_i); on a path RoPE's weights."""
    size, width = 6, 16
    data, (q, k, v, x) = path(size), inputs(size, width)
    gta = GTA("r", 1, width, 2, frequencies="geometric").double()
    _, found = attend(gta, data, q, k, v, x)
    theta = torch.tensor([10000.0 ** (-2 * c / 8) for c in range(4)], dtype=torch.float64)

    def rho(position: int) -> torch.Tensor:
        cos, sin = torch.cos(-position * theta), torch.sin(-position * theta)
        return torch.block_diag(*(torch.stack([c, -s, s, c]).view(2, 2) for c, s in zip(cos, sin, strict=True)))

    expected = torch.zeros(2, size, 8, dtype=torch.float64)
    for h, (hq, hk, hv) in enumerate(zip(heads_of(q), heads_of(k), heads_of(v), strict=True)):
        for i in range(size):
            move = [rho(i) @ torch.linalg.inv(rho(j)) for j in range(size)]
            logits = torch.stack([hq[i] @ move[j] @ hk[j] for j in range(size)])
            weight = torch.softmax(logits / 8**0.5, 0)
            expected[h, i] = sum(weight[j] * (move[j] @ hv[j]) for j in range(size))
    torch.testing.assert_close(found, expected.transpose(0, 1).reshape(size, width), rtol=1e-6, atol=1e-6)


def test_weights_are_those_of_rotary_attention_and_values_move_too(path, attend, inputs) -> None:
    data, (q, k, v, x) = path(5, torch.randn(5, 3)), inputs(5, 8)
    gta, rotary = GTA("r", 3, 8, 2).double(), RotaryAttention("r", 3, 8, 2).double()
    rotary.load_state_dict(gta.state_dict())
    logits, out = attend(gta, data, q, k, v, x)
    expected, plain = attend(rotary, data, q, k, v, x)
    torch.testing.assert_close(logits, expected)
    assert not torch.allclose(out, plain, atol=1e-3)


def test_differences_and_directions_of_coordinates(path, attend, inputs, mirror) -> None:
    r, (q, k, v, x) = torch.randn(5, 2, dtype=torch.float64), inputs(5, 8)
    gta = GTA("r", 2, 8, 2).double()
    logits, out = attend(gta, path(5, r), q, k, v, x)
    moved, again = attend(gta, path(5, r + 3), q, k, v, x)
    torch.testing.assert_close((moved, again), (logits, out))
    turned, back = attend(gta, path(5, -r), mirror(q), mirror(k), mirror(v), x)
    torch.testing.assert_close(turned, logits)
    torch.testing.assert_close(mirror(back), out)
