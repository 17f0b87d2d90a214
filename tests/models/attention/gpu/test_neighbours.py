"""Sums and products over neighbours through the kernels: values and gradients of the formulas in float64."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from graphpe.compiled.kernel import Kernel
from graphpe.models.attention.neighbours import sums
from graphpe.models.attention.neighbours.neighbours import Neighbours

from .conftest import DEVICE, check_gradients, error


def _both(rows: list[Tensor], pairs: Neighbours, heads: int) -> Tensor:
    """All functions of pairs, one after the other."""
    a, b, weight = rows
    out = sums.neighbour_sums(weight * sums.neighbour_products(a, b, pairs, heads), b, pairs)
    total = sums.neighbour_totals(weight + sums.of_sources(a[:, :heads], pairs), pairs)
    return torch.cat([out, total, sums.of_targets(b[:, :1], pairs).sum(0).expand(len(out), 1)], dim=1)


@pytest.mark.parametrize(
    ("nodes", "edges", "heads", "channels"), [(9, 40, 3, 5), (1, 1, 1, 1), (4, 0, 2, 8), (3, 90, 2, 150)]
)
def test_values_and_gradients_are_those_of_float64(
    nodes: int, edges: int, heads: int, channels: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    edge_index = torch.randint(0, nodes, (2, edges), device=DEVICE)
    pairs = Neighbours(edge_index, nodes, itself=nodes == 4)
    shapes = [(nodes, heads * channels)] * 2 + [(pairs.num_pairs, heads)]
    rows = [torch.randn(shape, device=DEVICE, requires_grad=True) for shape in shapes]
    exact = [x.detach().double().requires_grad_() for x in rows]
    expected = _both(exact, pairs, heads)
    launched: set[str] = set()
    launch = Kernel.__call__
    monkeypatch.setattr(
        Kernel, "__call__", lambda self, *a, **c: [launched.add(self.function.__name__), launch(self, *a, **c)]
    )
    monkeypatch.setattr(sums, "has_kernels", lambda device: True)
    found = _both(rows, pairs, heads)
    again = _both(rows, pairs, heads)
    upstream = torch.randn_like(found)
    found.backward(upstream)
    expected.backward(upstream.double())
    assert launched == {"_sums", "_products"}
    assert torch.equal(found, again)
    assert error(found, expected) < 1e-5
    check_gradients(rows, exact, 1e-5)
    launched.clear()
    _both(exact, pairs, heads)  # float64 is PyTorch's
    assert not launched
