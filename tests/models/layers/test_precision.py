from __future__ import annotations

import copy

import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data

from graphpe import models as M
from graphpe.models.attention.pairs import all_pairs
from graphpe.models.batches.nodes import node_to_graph
from graphpe.models.layers.inputs import SinusoidalNodes
from graphpe.models.layers.normalization import RowBatchNorm, RowLayerNorm
from graphpe.models.layers.precision import in_half_precision

HALF = pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16], ids=str)


@HALF
@pytest.mark.parametrize("head", ["table", "t5"])
def test_large_distances_find_their_own_row(head: str, dtype: torch.dtype) -> None:
    n = 40  # bfloat16 has no 257, float16 no 2049
    distance = torch.arange(n * n).view(-1, 1) * 2 + 1
    batch = Batch.from_data_list([Data(edge_index=torch.zeros(2, 0, dtype=torch.long), num_nodes=n)])
    batch.d = distance
    bias = M.PairBias("d", 2, head=head, size=4000, **({"max_distance": 5000.0} if head == "t5" else {}))
    nn.init.normal_(bias.add.function.table.weight)  # type: ignore[union-attr]
    pairs = all_pairs(node_to_graph(batch), batch.edge_index)
    expected = bias(batch, pairs).add.to(dtype)
    found = copy.deepcopy(bias).to(dtype)(batch, pairs).add
    assert torch.equal(found, expected)


@HALF
def test_positions_keep_their_digits(dtype: torch.dtype) -> None:
    nodes = SinusoidalNodes(16, 1, 10_000.0)
    batch = Data(x=torch.tensor([[1001], [1003], [4099]]), num_nodes=3)
    expected, found = nodes(batch), copy.deepcopy(nodes).to(dtype)(batch)
    torch.testing.assert_close(found.float(), expected, atol=0.03, rtol=0.03)


@HALF
def test_running_statistics_stay_exact(dtype: torch.dtype) -> None:
    exact = RowBatchNorm(4)
    half = copy.deepcopy(exact).to(dtype)
    for step in range(50):
        x = torch.randn(64, 4, generator=torch.Generator().manual_seed(step)) * 3 + 7
        torch.testing.assert_close(half(x.to(dtype)).float(), exact(x), atol=0.05, rtol=0.05)
    assert half.weight.dtype == dtype
    torch.testing.assert_close(half.running_var, exact.running_var, rtol=0.01, atol=0)
    torch.testing.assert_close(half.running_mean, exact.running_mean, rtol=0.01, atol=0)
    assert int(half.num_batches_tracked) == 50
    half.load_state_dict(exact.state_dict())
    assert torch.equal(half.running_var, exact.running_var)
    assert half.double().running_var.dtype == torch.float64
    assert half.float().running_var.dtype == torch.float32


@HALF
def test_a_large_sum_of_squares_does_not_overflow(dtype: torch.dtype) -> None:
    x = torch.tensor([[3e4, -3e4, 1e4, 0.0]])  # squares beyond float16
    expected = RowLayerNorm(4)(x)
    for rows in (x, x.to(dtype)):
        torch.testing.assert_close(RowLayerNorm(4).to(dtype)(rows).float(), expected, atol=0.02, rtol=0.02)


def test_other_precisions_are_left_alone() -> None:
    class Says(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(2, 2)

        @in_half_precision
        def forward(self) -> tuple[bool, torch.dtype]:
            return torch.is_autocast_enabled("cpu"), torch.get_default_dtype()

    assert Says()() == Says().double()() == (False, torch.float32)
    torch.set_default_dtype(torch.bfloat16)
    try:
        assert Says().bfloat16()() == (True, torch.float32)
        assert torch.get_default_dtype() == torch.bfloat16
    finally:
        torch.set_default_dtype(torch.float32)
