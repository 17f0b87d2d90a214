from __future__ import annotations

import math

import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data

from graphpe import models as M
from graphpe.errors import GraphPEError, GraphPETypeError

N, K = 4_000, 3


class Shown(nn.Module):
    """An encoder that gives what it reads."""

    key = "pe"

    def forward(self, batch: Data) -> torch.Tensor:
        return batch.pe


def batch_of(*values: torch.Tensor) -> Batch:
    edges = torch.zeros(2, 0, dtype=torch.long)
    return Batch.from_data_list([Data(pe=value, edge_index=edges, num_nodes=len(value)) for value in values])


@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
def test_noise_is_a_share_of_each_column_of_each_graph(dtype: torch.dtype) -> None:
    first, second = (size * torch.randn(N, K, dtype=dtype) for size in (1.0, 100.0))
    first[:, 2] = 0  # a column that the graph does not have
    batch = batch_of(first, second)
    module = M.Perturbed(Shown(), K, noise=0.1)
    found = module(batch)
    assert torch.equal(batch.pe, torch.cat([first, second]))  # the batch stays as it is
    assert torch.equal(found[:N, 2], first[:, 2])
    for values, change in zip((first, second), (found - batch.pe).split(N), strict=True):
        for column in range(K):
            expected = 0.1 * float(values[:, column].abs().square().mean().sqrt())
            spread = float(change[:, column].abs().square().mean().sqrt())
            # chi-square over N numbers: the relative standard deviation is at most 1 / sqrt(2 N)
            assert spread == pytest.approx(expected, rel=6 / math.sqrt(2 * N))
    assert torch.equal(module.eval()(batch), batch.pe)


def test_rows_are_dropped_for_a_learned_vector() -> None:
    batch = batch_of(torch.ones(N, K))
    module = M.Perturbed(Shown(), K, drop=0.25)
    assert module.hidden is not None
    with torch.no_grad():
        module.hidden += 5
    found = module(batch)
    hidden = (found == 5).all(1)
    assert bool((hidden | (found == 1).all(1)).all())
    assert abs(float(hidden.float().mean()) - 0.25) < 6 * math.sqrt(0.25 * 0.75 / N)
    found.sum().backward()
    assert module.hidden.grad is not None
    assert module.hidden.grad.tolist() == [float(hidden.sum())] * K
    assert torch.equal(module.eval()(batch), batch.pe)


def test_whole_numbers_keep_their_order() -> None:
    depths = [torch.tensor([0, 1, 2, 2, 5])[:, None], torch.tensor([3, 0, 1])[:, None]]
    batch = batch_of(*depths)
    module = M.Perturbed(Shown(), 1, randomized=40)
    for found in module(batch).split([5, 3]):
        assert found.dtype == torch.long
    first, second = (found.flatten().tolist() for found in module(batch).split([5, 3]))
    assert 0 == first[0] < first[1] < first[2] == first[3] < first[4] <= 40
    assert 0 == second[1] < second[2] < second[0] <= 40
    first, second = (found.flatten().tolist() for found in module.eval()(batch).split([5, 3]))
    assert first == [round(depth * 41 / 6) for depth in (0, 1, 2, 2, 5)]
    assert second == [round(depth * 41 / 4) for depth in (3, 0, 1)]


def test_the_same_seed_gives_the_same_step() -> None:
    batch = batch_of(torch.randn(6, K), torch.randn(4, K))
    module = M.Perturbed(M.LinearEncoding("pe", K, 8), 8, noise=0.3, drop=0.5)
    nn.init.normal_(module.encoder.linear.weight)  # type: ignore[union-attr, arg-type]
    torch.manual_seed(1)
    found = module(batch)
    assert not torch.equal(module(batch), found)
    torch.manual_seed(1)
    assert torch.equal(module(batch), found)
    assert module.key == "pe"


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"noise": -1}, "noise must"),
        ({"drop": 1.0}, r"drop must be a number in \[0, 1\)"),
        ({"randomized": -1}, "randomized must be from 0"),
        ({"noise": 0.1, "randomized": 4}, "give one of them"),
    ],
)
def test_bad_arguments(options: dict, message: str) -> None:
    with pytest.raises(GraphPEError, match=message):
        M.Perturbed(Shown(), K, **options)


@pytest.mark.parametrize("encoder", [None, nn.Linear(2, 3), M.PEARLEncoding(8)], ids=lambda each: type(each).__name__)
def test_what_reads_no_encoding(encoder: nn.Module) -> None:
    with pytest.raises(GraphPETypeError, match=rf"encoder must read an encoding .* got {type(encoder).__name__}"):
        M.Perturbed(encoder, 8)


def test_an_encoder_of_another_width() -> None:
    module = M.Perturbed(M.LinearEncoding("pe", K, 8), 1, drop=0.5)  # one number would be spread over eight
    for each in (module, module.eval()):
        with pytest.raises(GraphPEError, match=r"width=1, but LinearEncoding gives \[8\] numbers"):
            each(batch_of(torch.randn(3, K)))


def test_encodings_of_another_kind() -> None:
    with pytest.raises(GraphPEError, match=r"noise=0\.1 is added to numbers, and batch\.pe holds torch\.int64"):
        M.Perturbed(Shown(), 1, noise=0.1)(batch_of(torch.ones(3, 1).long()))
    with pytest.raises(GraphPEError, match=r"randomized=4 is for whole numbers in order, and batch\.pe holds"):
        M.Perturbed(Shown(), 1, randomized=4)(batch_of(torch.ones(3, 1)))
