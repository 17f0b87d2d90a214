from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from torch_geometric.data import Data

import graphpe.transforms as T
from graphpe.errors import GraphPEValueError
from graphpe.models.attention.positions.rotations.magnetic_rotary import MagneticRotary

WIDTH = 16


def eigenvectors(edge_index: Tensor, size: int, q: float = 0.11) -> Tensor:
    """All of the magnetic Laplacian I - D^-1/2 (S exp(i Theta)) D^-1/2, dense in complex128."""
    a = torch.zeros(size, size, dtype=torch.float64)
    a[edge_index[0], edge_index[1]] = 1
    s = torch.maximum(a, a.T)
    d = s.sum(1).clamp(min=1).rsqrt()
    theta = 2 * math.pi * q * (a - a.T)
    return torch.linalg.eigh(torch.eye(size) - d[:, None] * d * s * torch.exp(1j * theta))[1]


def graph(edge_index: Tensor, size: int, vectors: Tensor) -> Data:
    return Data(edge_index=edge_index, num_nodes=size, u=vectors)


@pytest.fixture
def edges() -> Tensor:
    """A directed triangle, which is frustrated, with tails."""
    return torch.tensor([[0, 1, 2, 2, 4, 4], [1, 2, 0, 3, 3, 5]])


def test_is_rope_on_a_directed_path(path, attend, inputs, heads_of) -> None:
    size, q_turns = 7, 0.03
    data, (q, k, v, x) = path(size), inputs(size, WIDTH)
    encoded = T.MagneticLaplacianPE(1, q=q_turns, relative_q=False)(data)
    positions = MagneticRotary("magnetic_eigenvector_pe", 1, WIDTH, 2, charges=4)
    logits, _ = attend(positions, encoded, q, k, v, x)
    angle = 2 * math.pi * q_turns * torch.arange(1, 5, dtype=torch.float64)  # n = 1, 2, 3, 4
    place = torch.arange(size, dtype=torch.float64)
    turn = torch.exp(1j * place[:, None] * angle)
    zq, zk = (torch.view_as_complex(heads_of(part).reshape(2, size, 4, 2)) * turn for part in (q, k))
    expected = torch.einsum("hic,hjc->hij", zq.conj(), zk).real
    torch.testing.assert_close(logits, expected, rtol=1e-4, atol=1e-4)


def test_a_phase_of_each_eigenvector_changes_nothing(edges, attend, inputs) -> None:
    u, given = eigenvectors(edges, 6)[:, :2], inputs(6, WIDTH)
    positions = MagneticRotary("u", 2, WIDTH, 2)
    before = attend(positions, graph(edges, 6, u), *given)
    phase = torch.exp(1j * torch.rand(2, dtype=torch.float64) * 6)
    after = attend(positions, graph(edges, 6, u * phase), *given)
    torch.testing.assert_close(after, before)
    other = attend(positions, graph(edges, 6, u.roll(1, 0)), *given)
    assert not torch.allclose(other[1], before[1], atol=1e-3)


def test_a_change_of_gauge_turns_results_along(edges, attend, inputs) -> None:
    u, (q, k, v, x) = eigenvectors(edges, 6)[:, :1], inputs(6, WIDTH)
    positions = MagneticRotary("u", 1, WIDTH, 2, charges=3)
    phi = torch.randn(6, 1, dtype=torch.float64)
    charge = torch.tensor([1, 2, 3, 1] * 2)

    def moved(part: Tensor, sign: int) -> Tensor:
        channels = torch.view_as_complex(part.reshape(6, -1, 2)) * torch.exp(1j * sign * charge * phi)
        return torch.view_as_real(channels).flatten(1)

    logits, out = attend(positions, graph(edges, 6, u), q, k, v, x)
    # conj(u) turns by -phi, so that what is compared turns by +phi to stay
    again, turned = attend(
        positions, graph(edges, 6, u * torch.exp(1j * phi)), moved(q, 1), moved(k, 1), moved(v, 1), x
    )
    torch.testing.assert_close(again, logits)
    torch.testing.assert_close(turned, moved(out, 1))


def test_reversing_all_edges_conjugates(edges, attend, inputs, mirror) -> None:
    q, k, v, x = inputs(6, WIDTH)
    positions = MagneticRotary("u", 2, WIDTH, 2)
    logits, out = attend(positions, graph(edges, 6, eigenvectors(edges, 6)[:, :2]), q, k, v, x)
    back = graph(edges.flip(0), 6, eigenvectors(edges.flip(0), 6)[:, :2])
    reversed_logits, reversed_out = attend(positions, back, mirror(q), mirror(k), mirror(v), x)
    torch.testing.assert_close(reversed_logits, logits)
    torch.testing.assert_close(mirror(reversed_out), out)


def test_phases_count_steps_on_every_path_of_a_balanced_graph_only(attend) -> None:
    """Two ways of as many steps from 0 to 3, then a third that is shorter."""
    balanced = torch.tensor([[0, 1, 0, 2], [1, 3, 2, 3]])
    frustrated = torch.cat([balanced, torch.tensor([[0], [3]])], 1)
    one = torch.zeros(4, 2, dtype=torch.float64)
    one[:, 0] = 1

    def phase(edge_index: Tensor) -> float:
        data = graph(edge_index, 4, eigenvectors(edge_index, 4, q=0.1)[:, :1])
        wide = one.repeat(1, 2)
        logits, _ = attend(MagneticRotary("u", 1, 4, 2), data, wide, wide, wide, wide)
        return float(torch.arccos(logits[0, 0, 3]))

    assert phase(balanced) == pytest.approx(2 * 2 * math.pi * 0.1, abs=1e-6)
    assert abs(phase(frustrated) - 4 * math.pi * 0.1) > 0.1


def test_where_an_eigenvector_vanishes_rounding_is_no_phase(attend, inputs) -> None:
    u, given = torch.ones(4, 1, dtype=torch.complex128) / 2, inputs(4, 8)
    edges = torch.tensor([[0, 1, 2], [1, 2, 3]])
    results = []
    for noise in (1e-17, -1e-17j, 1e-15):
        v = u.clone()
        v[2] = noise
        results.append(attend(MagneticRotary("u", 1, 8, 2), graph(edges, 4, v), *given))
    torch.testing.assert_close(results[1], results[0])
    torch.testing.assert_close(results[2], results[0])


def test_errors(attend, inputs) -> None:
    edges = torch.tensor([[0], [1]])
    with pytest.raises(GraphPEValueError, match="is real"):
        attend(MagneticRotary("u", 1, 8, 2), graph(edges, 2, torch.ones(2, 1)), *inputs(2, 8))
    with pytest.raises(GraphPEValueError, match="charges must be from 1 on"):
        MagneticRotary("u", 1, 8, 2, charges=0)
