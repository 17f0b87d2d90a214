"""Attention along edges: values and gradients of the formulas in float64."""

from __future__ import annotations

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from torch import Tensor

from graphpe.errors import GraphPEValueError
from graphpe.models.attention.clamped.edge_list import edge_attention_reference
from graphpe.models.attention.gpu.edges import edge_order, sorted_edge_attention

from .conftest import DEVICE, check_gradients, error

_KINDS = [(torch.float32, 1e-5), (torch.bfloat16, 1.5e-2)]


def _compare(
    edge_index: Tensor,
    nodes: int,
    heads: int,
    channels: int,
    dtype: torch.dtype,
    least: float,
    *,
    factor: bool,
    scores: bool,
) -> None:
    width, edges = heads * channels, edge_index.shape[1]
    # Twice as large as usual: some logits reach the clamp.
    rows = [2 * torch.randn(nodes, width, device=DEVICE) for _ in range(3)]
    rows += [torch.randn(edges, width, device=DEVICE)] if factor else []
    rows = [x.to(dtype).requires_grad_() for x in rows]
    exact = [x.detach().double().requires_grad_() for x in rows]
    order = edge_order(edge_index, nodes)
    pair = sorted_edge_attention(*rows[:3], order, *rows[3:], heads=heads, return_scores=scores)
    expected = edge_attention_reference(*exact[:3], edge_index, *exact[3:], heads=heads, return_scores=scores)
    upstream = [None if x is None else torch.randn_like(x) for x in pair]
    assert (pair[1] is not None) == scores
    losses = []
    for outputs in (pair, expected):
        parts = [(x * g.to(x.dtype)).sum() for x, g in zip(outputs, upstream, strict=True) if x is not None]
        losses.append(torch.stack(parts).sum())
        losses[-1].backward()
    for value, reference in zip(pair, expected, strict=True):
        if value is not None:
            assert value.dtype == dtype
            assert error(value, reference) < least
    check_gradients(rows, exact, least)


def _edges(nodes: int, edges: int) -> Tensor:
    # Parallel edges and loops; nothing ends or begins in the last node.
    return torch.randint(0, max(nodes - 1, 1), (2, edges), device=DEVICE)


@pytest.mark.parametrize("scores", [False, True])
@pytest.mark.parametrize("factor", [False, True])
@pytest.mark.parametrize(("dtype", "least"), _KINDS)
def test_values_and_gradients_are_those_of_the_reference(
    dtype: torch.dtype, least: float, factor: bool, scores: bool
) -> None:
    _compare(_edges(9, 40), 9, 3, 5, dtype, least, factor=factor, scores=scores)


@pytest.mark.parametrize(("nodes", "edges"), [(1, 1), (3, 0), (2, 70)])
def test_sizes(nodes: int, edges: int) -> None:
    _compare(_edges(nodes, edges), nodes, 2, 8, torch.float32, 1e-5, factor=True, scores=True)


@settings(max_examples=5, deadline=None, phases=[Phase.generate])
@given(st.integers(1, 12), st.integers(0, 40), st.integers(1, 4), st.integers(1, 9))
def test_any_shape(nodes: int, edges: int, heads: int, channels: int) -> None:
    _compare(_edges(nodes, edges), nodes, heads, channels, torch.float32, 1e-5, factor=True, scores=False)


def test_half_precision_where_keys_have_a_mean() -> None:
    """What rounding adds to delta would be times that mean in the gradient of queries."""
    edge_index = _edges(20, 160)
    rows = [(torch.randn(20, 16, device=DEVICE) + mean) / scale for mean, scale in ((0, 4), (2, 1), (2, 1))]
    given_ = [x.bfloat16().requires_grad_() for x in rows]
    exact = [x.detach().double().requires_grad_() for x in given_]
    out, _ = sorted_edge_attention(*given_, edge_order(edge_index, 20), heads=2)
    upstream = torch.randn_like(out)
    out.backward(upstream)
    edge_attention_reference(*exact, edge_index, heads=2)[0].backward(upstream.double())
    for value, reference in zip(given_, exact, strict=True):
        assert value.grad is not None
        assert error(value.grad, reference.grad) < 0.012


def test_results_repeat_and_parts_of_wider_rows_are_read_in_place() -> None:
    edge_index = _edges(20, 100)
    order = edge_order(edge_index, 20)
    wide = torch.randn(20, 24, device=DEVICE, requires_grad=True)

    def run() -> tuple[Tensor, Tensor]:
        out, _ = sorted_edge_attention(*wide.chunk(3, dim=1), order, heads=2)
        return out, torch.autograd.grad(out.square().sum(), wide)[0]

    expected, _ = edge_attention_reference(*wide.chunk(3, dim=1), edge_index, heads=2)
    first, second = run(), run()
    assert error(first[0].detach(), expected.detach()) < 1e-5
    assert error(first[1], torch.autograd.grad(expected.square().sum(), wide)[0]) < 1e-5
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


def test_no_nodes_and_wrong_shapes() -> None:
    order = edge_order(torch.zeros(2, 0, dtype=torch.long, device=DEVICE), 0)
    out, _ = sorted_edge_attention(*torch.zeros(3, 0, 8, device=DEVICE), order, heads=2)
    assert out.shape == (0, 8)
    order = edge_order(_edges(4, 3), 4)
    with pytest.raises(IndexError):
        edge_order(torch.tensor([[0], [4]]), 4)
    with pytest.raises(GraphPEValueError, match="edge must have the shape"):
        sorted_edge_attention(*torch.zeros(3, 4, 8), order, torch.zeros(4, 8), heads=2)
