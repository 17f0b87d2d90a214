from __future__ import annotations

import pytest
import torch

from graphpe.models.encoders.eigen import relu_sums as module
from graphpe.models.encoders.eigen.relu_sums import relu_sums, relu_sums_reference

# In pieces of several graphs, of one graph, and of some rows of a graph; and nothing at all.
SHAPES = [(5, 6, 4, 3), (2, 900, 400, 5), (1, 9, 1 << 17, 2), (3, 0, 0, 2), (0, 4, 4, 2)]


@pytest.mark.parametrize(("graphs", "rows", "columns", "rank"), SHAPES)
def test_pieces_are_the_reference(graphs: int, rows: int, columns: int, rank: int) -> None:
    left = torch.randn(graphs, rows, rank, dtype=torch.double, requires_grad=True)
    right = torch.randn(graphs, columns, rank, dtype=torch.double, requires_grad=True)
    weight = torch.randn(graphs, rows, dtype=torch.double)
    results = []
    for path in (relu_sums, relu_sums_reference):
        out = path(left, right)
        results.append((out, *torch.autograd.grad((out * weight).sum(), (left, right))))
    for fast, reference in zip(*results, strict=True):
        torch.testing.assert_close(fast, reference)


def test_gradients(monkeypatch: pytest.MonkeyPatch) -> None:
    pieces = list(module._pieces(torch.zeros(2, 900, 5), torch.zeros(2, 400, 5)))
    assert len(pieces) > 2
    left = torch.randn(2, 5, 3, dtype=torch.double, requires_grad=True)
    right = torch.randn(2, 4, 3, dtype=torch.double, requires_grad=True)
    torch.autograd.gradcheck(relu_sums, (left, right))


def test_nothing_of_the_products_size_is_kept() -> None:
    left, right, kept = torch.randn(2, 300, 4, requires_grad=True), torch.randn(2, 200, 4, requires_grad=True), []

    def pack(tensor: torch.Tensor) -> torch.Tensor:
        kept.append(tensor.numel())
        return tensor

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda tensor: tensor):
        relu_sums(left, right)
    assert sorted(kept) == [1600, 2400]
