from __future__ import annotations

import math

import pytest
import torch
from torch_geometric.data import Batch, Data

from graphpe.errors import GraphPEValueError
from graphpe.models.attention.positions.node_positions import Attending
from graphpe.models.attention.positions.rotations.yarn import YaRN
from graphpe.models.attention.softmax.rotary import RotaryAttention
from graphpe.models.batches.nodes import node_to_graph


@pytest.mark.parametrize("size", [4, 40, 400])
def test_is_the_original_on_a_path(path, attend, inputs, heads_of, size: int) -> None:
    """Peng et al., definitions 2 and 3, with alpha = 1, beta = 32, of one head after the other."""
    width, span = 16, 20.0
    data, (q, k, v, x) = path(size), inputs(size, width)
    logits, _ = attend(YaRN("r", 1, width, 2, span=span).double(), data, q, k, v, x)
    larger = max(1.0, (size - 1) / span)
    frequencies = []
    for c in range(4):
        theta = 10000.0 ** (-2 * c / 8)
        turns = span * theta / (2 * math.pi)
        ramp = 0.0 if turns < 1 else 1.0 if turns > 32 else (turns - 1) / 31
        frequencies.append((1 - ramp) * theta / larger + ramp * theta)
    position = torch.arange(size, dtype=torch.float64)
    turned = torch.exp(1j * position.unsqueeze(1) * torch.tensor(frequencies, dtype=torch.float64))
    root = 0.1 * math.log(larger) + 1  # of 1 / t
    for head, (hq, hk) in enumerate(zip(heads_of(q), heads_of(k), strict=True)):
        a, b = (
            torch.view_as_real(torch.view_as_complex(h.reshape(size, 4, 2)) * turned).flatten(1) * root
            for h in (hq, hk)
        )
        torch.testing.assert_close(logits[head], a @ b.T, rtol=1e-5, atol=1e-5)


def test_fast_planes_are_kept() -> None:
    """A plane with 32 turns over the span turns as before in a graph four times as large."""
    data = Data(edge_index=torch.zeros(2, 0, dtype=torch.long), num_nodes=3, r=torch.tensor([[0.0], [1.0], [64.0]]))
    yarn = YaRN("r", 1, 2, 1, span=16.0, scale=4 * math.pi)
    angles, _ = yarn.prepare(data, Attending(node_to_graph(data), 3))
    torch.testing.assert_close(angles.flatten(), data.r.flatten() * 4 * math.pi)
    with torch.no_grad():
        yarn.omega.fill_(math.pi / 8)  # one turn
    angles, sharper = yarn.prepare(data, Attending(node_to_graph(data), 3))
    torch.testing.assert_close(angles.flatten(), data.r.flatten() * math.pi / 32)
    torch.testing.assert_close(sharper.flatten(), torch.full((3,), (0.1 * math.log(4) + 1) ** 2))


def test_each_graph_has_its_own_size_and_small_ones_are_as_in_training(path, attend, inputs) -> None:
    small, (q, k, v, x) = path(5, torch.randn(5, 2)), inputs(5, 8)
    yarn = YaRN("r", 2, 8, 2, span=100.0, frequencies="normal").double()
    rotary = RotaryAttention("r", 2, 8, 2).double()
    rotary.load_state_dict(yarn.state_dict())
    torch.testing.assert_close(attend(yarn, small, q, k, v, x), attend(rotary, small, q, k, v, x))
    yarn.span = 0.5
    large = path(3, torch.randn(3, 2) * 50)
    batch = Batch.from_data_list([small, large])
    order = torch.randperm(8)  # nodes that do not stand graph by graph
    mixed = Data(edge_index=batch.edge_index[:, :0], r=batch.r[order], batch=batch.batch[order], num_nodes=8)
    angles, sharper = yarn.prepare(mixed, Attending(node_to_graph(mixed), 8))
    members = node_to_graph(mixed)
    for number, data in enumerate((small, large)):
        alone, factor = yarn.prepare(data, Attending(node_to_graph(data), data.num_nodes))
        rows = members.graph == number
        place = members.sort(torch.arange(8)[order])[rows] - (0 if number == 0 else 5)
        torch.testing.assert_close((angles[rows], sharper[rows]), (alone[place], factor[place]))


def test_depends_on_differences_only(path, attend, inputs) -> None:
    r, (q, k, v, x) = torch.randn(6, 2, dtype=torch.float64) * 9, inputs(6, 8)
    yarn = YaRN("r", 2, 8, 2, span=3.0, frequencies="normal").double()
    torch.testing.assert_close(
        attend(yarn, path(6, r + 7), q, k, v, x), attend(yarn, path(6, r), q, k, v, x), rtol=1e-6, atol=1e-6
    )


def test_bad_span() -> None:
    with pytest.raises(GraphPEValueError, match="span must be positive"):
        YaRN("r", 1, 8, 2, span=0.0)
