from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from graphpe.benchmarks.measure.peers.grit import Grit, GritLayer, full_pairs, scattered_softmax


@pytest.mark.parametrize(
    ("width", "heads", "parameters"), [(64, 8, 46_656), (52, 4, 31_304), (96, 4, 105_312), (256, 8, 733_440)]
)
def test_parameters_of_a_layer(width, heads, parameters):
    assert sum(parameter.numel() for parameter in GritLayer(width, heads).parameters()) == parameters


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_values_of_the_released_layer(mode: str, golden: Path) -> None:
    with np.load(golden / "grit_layer.npz") as file:
        values = {key: torch.from_numpy(file[key]) for key in file.files}
    layer = GritLayer(16, 4)
    layer.load_state_dict({key[len("param:") :]: value for key, value in values.items() if key.startswith("param:")})
    layer.train(mode == "train")
    x, pair = layer(*(values[key] for key in ("x", "pair", "source", "target", "degree")))
    torch.testing.assert_close(x, values[f"x_{mode}"], atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(pair, values[f"pair_{mode}"], atol=1e-5, rtol=1e-5)


def test_softmax_over_incoming_pairs():
    logit = torch.randn(9, 2, 1, generator=torch.Generator().manual_seed(0))
    target = torch.tensor([0, 2, 2, 0, 0, 3, 2, 3, 0])
    weight = scattered_softmax(logit, target, 4)
    for node in (0, 2, 3):
        torch.testing.assert_close(weight[target == node], logit[target == node].softmax(dim=0))


def test_pairs_are_row_major():
    source, target = full_pairs(torch.tensor([0, 2, 3]))
    assert source.tolist() == [0, 1, 0, 1, 2]
    assert target.tolist() == [0, 0, 1, 1, 2]


def test_gradients_reach_every_parameter_and_graphs_stay_apart():
    torch.manual_seed(0)
    model = Grit(3, width=8, heads=2, layers=2).eval()
    node_type, degree = torch.randint(0, 9, (5,)), torch.rand(5)
    rrwp, diagonal = torch.rand(13, 3), torch.tensor([0, 3, 4, 8, 12])
    out = model(node_type, rrwp, diagonal, torch.tensor([0, 2, 5]), degree)
    out.sum().backward()
    unused = {name for name, parameter in model.named_parameters() if parameter.grad is None}
    last = ("O_e.weight", "O_e.bias", "batch_norm1_e.weight", "batch_norm1_e.bias")
    assert unused == {f"layers.1.{name}" for name in last}  # features of pairs that no layer reads
    alone = model(node_type[2:], rrwp[4:], diagonal[2:] - 4, torch.tensor([0, 3]), degree[2:])
    torch.testing.assert_close(alone, out[1:])
