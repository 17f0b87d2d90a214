"""Sums of rows of tables through the kernels: values and gradients of one-hot products in float64."""

from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data

from graphpe import models as M
from graphpe.models.layers import inputs
from graphpe.models.layers.gpu.ends import tables

from ....attention.gpu.conftest import DEVICE, error


@pytest.mark.parametrize(("kind", "least"), [(torch.float32, 1e-6), (torch.bfloat16, 1e-2)])
@pytest.mark.parametrize(("rows", "counts", "width"), [(300, [3, 1, 7], 5), (1, [1], 1), (9, [40, 2], 130)])
def test_values_and_gradients(
    rows: int, counts: list[int], width: int, kind: torch.dtype, least: float, launched: list[str]
) -> None:
    ids = torch.stack([torch.randint(0, count, (rows,)) for count in counts], dim=1).to(DEVICE)
    offset = torch.tensor([0, *counts[:-1]], device=DEVICE).cumsum(0)
    table = torch.randn(sum(counts), width, device=DEVICE).to(kind).requires_grad_()
    hot = torch.nn.functional.one_hot(ids + offset, sum(counts)).sum(1).double()
    upstream = torch.randn(rows, width, device=DEVICE).to(kind)
    out = tables.table_sums(ids, offset, table)
    out.backward(upstream)
    assert launched == ["_forward", "_backward"]
    assert out.dtype == kind
    assert table.grad is not None
    assert error(out, hot @ table.double()) < least
    assert error(table.grad, hot.t() @ upstream.double()) < least
    assert not table.grad[hot.sum(0) == 0].any()


def test_an_id_outside_gives_nan(launched: list[str]) -> None:
    table, offset = torch.ones(3, 2, device=DEVICE), torch.zeros(1, dtype=torch.long, device=DEVICE)
    out = tables.table_sums(torch.tensor([[2], [3], [-1]], device=DEVICE), offset, table)
    assert out.isnan().all(1).tolist() == [False, True, True]


@pytest.mark.parametrize("columns", [1, 2])
def test_encoders_are_those_without_kernels(columns: int, launched: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    counts = [4, 3][:columns]
    torch.manual_seed(0)
    nodes, edges = M.CategoricalNodes(6, counts).to(DEVICE), M.CategoricalEdges(6, counts).to(DEVICE)
    graph = Data(
        x=torch.randint(0, 3, (5, columns)),
        edge_attr=torch.randint(0, 3, (8, columns)),
        edge_index=torch.randint(0, 5, (2, 8)),
    ).to(DEVICE)
    monkeypatch.setattr(inputs, "has_kernels", lambda device: True)
    found = [nodes(graph), edges(graph)]
    assert launched == ["_forward", "_forward"]
    monkeypatch.setattr(inputs, "has_kernels", lambda device: False)
    monkeypatch.setattr(tables, "has_kernels", lambda device: False)
    for value, expected in zip(found, [nodes(graph), edges(graph)], strict=True):
        torch.testing.assert_close(value, expected)


def test_large_tables_of_many_rows_are_left_to_pytorch(launched: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    ids, table = torch.zeros(5, 1, dtype=torch.long, device=DEVICE), torch.zeros(4, 2, device=DEVICE)
    assert tables.sums_run(ids, table)
    assert not tables.sums_run(ids, table.double())
    assert not tables.sums_run(ids[:0], table)
    monkeypatch.setattr(tables, "_MOST", 19)
    assert not tables.sums_run(ids, table)
