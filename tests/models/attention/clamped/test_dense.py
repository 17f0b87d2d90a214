from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphpe.models.attention import padding as layouts
from graphpe.models.attention.clamped.dense import dense_attention
from graphpe.models.attention.clamped.edge_list import edge_attention_reference
from graphpe.models.attention.padding import padded_layout
from graphpe.models.attention.pairs import all_pairs
from graphpe.models.batches.nodes import NodeToGraph


def members_of(sizes: list[int], max_size: int | None = None) -> NodeToGraph:
    ptr = torch.tensor([0, *sizes]).cumsum(0)
    return NodeToGraph(torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes)), ptr, max_size)


def random_edges(sizes: list[int], members: NodeToGraph) -> torch.Tensor:
    parts = [torch.randint(0, n, (2, 2 * n)) + members.ptr[g] for g, n in enumerate(sizes) if n]
    return torch.cat(parts, dim=1) if parts else torch.zeros(2, 0, dtype=torch.long)


@settings(deadline=None, max_examples=25)
@given(
    sizes=st.lists(st.integers(0, 9), min_size=1, max_size=5),
    heads=st.integers(1, 3),
    channels=st.integers(1, 3),
    with_edges=st.booleans(),
)
def test_equals_the_reference_over_all_pairs(sizes: list[int], heads: int, channels: int, with_edges: bool) -> None:
    """Parallel edges, self-loops, empty graphs and clamped scores included."""
    members, width = members_of(sizes), heads * channels
    edge_index = random_edges(sizes, members)
    inputs = [2 * torch.randn(sum(sizes), width).double() for _ in range(3)]
    if with_edges:
        inputs += [torch.randn(edge_index.shape[1], width).double(), torch.randn(width).double()]
    inputs = [x.requires_grad_() for x in inputs]
    pairs = all_pairs(members, edge_index)
    factor = pairs.scatter(inputs[3], inputs[4]) if with_edges else None
    expected, _ = edge_attention_reference(*inputs[:3], torch.stack([pairs.source, pairs.target]), factor, heads=heads)
    out = dense_attention(*inputs[:3], padded_layout(members, edge_index, heads), *inputs[3:], heads=heads)
    torch.testing.assert_close(out, expected)
    cotangent = torch.randn_like(out)
    grads = [torch.autograd.grad((x * cotangent).sum(), inputs, allow_unused=True) for x in (out, expected)]
    for x, *both in zip(inputs, *grads, strict=True):
        # Without a pair nothing depends on an input, which one side may report as None.
        torch.testing.assert_close(*(torch.zeros_like(x) if grad is None else grad for grad in both))


@pytest.mark.parametrize("extra", [0, 1, 7])
def test_does_not_depend_on_padding(extra: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """One block as a GPU has it, padded further than needed, against groups by size; an empty graph among them."""
    sizes, heads = [4, 0, 1, 6], 2
    members = members_of(sizes)
    edge_index = random_edges(sizes, members)
    inputs = [torch.randn(11, 6).double().requires_grad_() for _ in range(3)]
    edge, absent = torch.randn(edge_index.shape[1], 6).double(), torch.randn(6).double()

    def run() -> list[torch.Tensor]:
        layout = padded_layout(members, edge_index, heads)
        out = dense_attention(*inputs, layout, edge, absent, heads=heads)
        return [out, *torch.autograd.grad(out.square().sum(), inputs)]

    grouped = run()
    monkeypatch.setattr(layouts, "_size_groups", lambda members: [(torch.arange(4), 6 + extra)])
    for one, other in zip(run(), grouped, strict=True):
        assert bool(one.isfinite().all())
        torch.testing.assert_close(one, other)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_is_finite_and_close(dtype: torch.dtype) -> None:
    members = members_of([30])
    inputs = [torch.randn(30, 8) for _ in range(3)]
    layout = padded_layout(members, torch.zeros(2, 0, dtype=torch.long), 2)
    low = dense_attention(*(x.to(dtype) for x in inputs), layout, heads=2)
    assert low.dtype == dtype
    torch.testing.assert_close(low.float(), dense_attention(*inputs, layout, heads=2), rtol=0.05, atol=0.05)
