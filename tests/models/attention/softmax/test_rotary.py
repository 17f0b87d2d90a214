from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphpe.errors import GraphPEValueError
from graphpe.models.attention.padding import padded_nodes
from graphpe.models.attention.pairs import all_pairs
from graphpe.models.attention.positions.node_positions import Placed
from graphpe.models.attention.positions.rotations.angles import rotate
from graphpe.models.attention.softmax.linear import linear_attention
from graphpe.models.attention.softmax.rotary import RotaryAttention
from graphpe.models.attention.softmax.softmax import softmax_attention_reference
from graphpe.models.batches.nodes import node_to_graph

WIDTH, HEADS = 16, 2


def path(size: int, coordinates: Tensor) -> Data:
    place = torch.arange(size)
    return Data(edge_index=torch.stack([place[:-1], place[1:]]), num_nodes=size, coordinates=coordinates)


def rope(x: Tensor, position: Tensor) -> Tensor:
    """RoPE of one head as Su et al. write it: complex numbers x_2c + i x_2c+1 times exp(i p 10000^(-2c/C))."""
    channels = x.shape[1]
    theta = torch.tensor([10000.0 ** (-2 * c / channels) for c in range(channels // 2)], dtype=torch.float64)
    turned = torch.view_as_complex(x.reshape(len(x), -1, 2)) * torch.exp(1j * position.unsqueeze(1) * theta)
    return torch.view_as_real(turned).flatten(1)


def test_is_rope_on_a_path() -> None:
    size = 9
    position = torch.arange(size, dtype=torch.float64)
    data = path(size, position.unsqueeze(1))
    attention = RotaryAttention("coordinates", 1, WIDTH, HEADS, frequencies="geometric", learned=False).double()
    query, key, value = torch.randn(3, size, WIDTH, dtype=torch.float64)
    found = attention(query, key, value, padded_nodes(node_to_graph(data)), angles=attention.angles(data))
    expected = []
    for h in range(HEADS):
        part = slice(8 * h, 8 * h + 8)
        q, k = rope(query[:, part], position), rope(key[:, part], position)
        expected.append(torch.softmax(q @ k.t() / math.sqrt(8), 1) @ value[:, part])
    torch.testing.assert_close(found, torch.cat(expected, 1), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("frequencies", ["normal", "geometric"])
def test_logits_depend_on_differences_only(frequencies) -> None:
    coordinates, shift = torch.randn(7, 3, dtype=torch.float64), torch.randn(1, 3, dtype=torch.float64) * 10
    attention = RotaryAttention("coordinates", 3, WIDTH, HEADS, frequencies=frequencies).double()
    query, key = torch.randn(2, 7, WIDTH, dtype=torch.float64)

    def logits(r: Tensor) -> Tensor:
        angles = attention.angles(path(7, r))
        q, k = (rotate(x, angles).view(7, HEADS, -1) for x in (query, key))
        return torch.einsum("ihc,jhc->hij", q, k)

    torch.testing.assert_close(logits(coordinates), logits(coordinates + shift))
    plain = torch.einsum("ihc,jhc->hij", query.view(7, HEADS, -1), key.view(7, HEADS, -1))
    assert not torch.allclose(logits(coordinates), plain)
    torch.testing.assert_close(logits(coordinates).diagonal(dim1=1, dim2=2), plain.diagonal(dim1=1, dim2=2))


def test_mean_logit_falls_with_squared_distance() -> None:
    """Over random Omega, E = q.k (1 - scale^2 |r_i - r_j|^2 / 2) to leading order."""
    torch.manual_seed(0)
    coordinates = torch.randn(2, 4, dtype=torch.float64)
    distance = float((coordinates[0] - coordinates[1]).square().sum())
    query = key = torch.ones(2, 2 * 20_000, dtype=torch.float64)
    attention = RotaryAttention("coordinates", 4, 40_000, 1, scale=0.05).double()
    angles = attention.angles(path(2, coordinates))
    logit = (rotate(query, angles)[0] * rotate(key, angles)[1]).mean()
    torch.testing.assert_close(float(logit.detach()), 1 - 0.05**2 * distance / 2, rtol=0, atol=5e-4)


def test_linear_attention_with_angles() -> None:
    data = path(6, torch.randn(6, 2, dtype=torch.float64))
    attention = RotaryAttention("coordinates", 2, WIDTH, HEADS).double()
    query, key, value = torch.randn(3, 6, WIDTH, dtype=torch.float64)
    angles = attention.angles(data)
    found = linear_attention(
        query, key, value, padded_nodes(node_to_graph(data)), heads=HEADS, positions=[Placed(attention, angles)]
    )
    phi_q, phi_k = (torch.nn.functional.elu(x) + 1 for x in (query, key))
    turned = torch.einsum(
        "ihc,jhc->hij", rotate(phi_q, angles).view(6, HEADS, -1), rotate(phi_k, angles).view(6, HEADS, -1)
    )
    total = torch.einsum("ihc,jhc->hi", phi_q.view(6, HEADS, -1), phi_k.view(6, HEADS, -1))
    weight = turned / total.unsqueeze(2)
    expected = torch.einsum("hij,jhc->ihc", weight, value.view(6, HEADS, -1)).flatten(1)
    torch.testing.assert_close(found, expected)
    moved = path(6, data.coordinates + 5)
    again = linear_attention(
        query,
        key,
        value,
        padded_nodes(node_to_graph(data)),
        heads=HEADS,
        positions=[Placed(attention, attention.angles(moved))],
    )
    torch.testing.assert_close(again, expected)


def test_a_set_of_pairs_and_gradients() -> None:
    data = path(5, torch.randn(5, 2))
    attention = RotaryAttention("coordinates", 2, WIDTH, HEADS)
    members = node_to_graph(data)
    pairs = all_pairs(members, data.edge_index)
    query, key, value = torch.randn(3, 5, WIDTH)
    angles = attention.angles(data)
    found = attention(query, key, value, pairs, angles=angles)
    expected = softmax_attention_reference(rotate(query, angles), rotate(key, angles), value, pairs, heads=HEADS)
    torch.testing.assert_close(found, expected)
    found.square().sum().backward()
    assert bool((attention.omega.grad != 0).any())


def test_angles_are_exact_under_autocast() -> None:
    data = path(5, torch.randn(5, 2) * 100)
    attention = RotaryAttention("coordinates", 2, WIDTH, HEADS)
    with torch.autocast("cpu", torch.bfloat16):
        low = attention.angles(data)
    assert torch.equal(low, attention.angles(data))


def test_geometric_frequencies_of_several_coordinates_are_axial() -> None:
    omega = RotaryAttention("coordinates", 2, 8, 1, frequencies="geometric").omega[0]
    expected = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.01, 0.0], [0.0, 0.01]])
    torch.testing.assert_close(omega.detach(), expected)


def test_errors() -> None:
    with pytest.raises(GraphPEValueError, match="multiple of 2"):
        RotaryAttention("coordinates", 2, 9, 3)
    with pytest.raises(GraphPEValueError, match="frequencies must be"):
        RotaryAttention("coordinates", 2, 8, 2, frequencies="log")
    with pytest.raises(GraphPEValueError, match=r"add T.SpectralCoordinates\(k=2\)"):
        RotaryAttention("spectral_coordinates", 2, 8, 2).angles(path(3, torch.randn(3, 2)))
    with pytest.raises(GraphPEValueError, match="is complex"):
        RotaryAttention("coordinates", 2, 8, 2).angles(path(3, torch.randn(3, 2, dtype=torch.complex64)))
