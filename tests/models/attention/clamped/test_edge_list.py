from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from graphpe.models.attention.clamped import edge_list
from graphpe.models.attention.clamped.edge_list import edge_attention, edge_attention_reference
from graphpe.models.attention.neighbours import sums
from graphpe.models.attention.neighbours.neighbours import Neighbours


def random_inputs(
    nodes: int, edges: int, heads: int, channels: int, *, with_edge: bool, scale: float = 1.0
) -> tuple[Tensor, list[Tensor]]:
    width = heads * channels
    edge_index = torch.randint(0, max(nodes, 1), (2, edges))
    tensors = [scale * torch.randn(nodes, width, dtype=torch.double) for _ in range(3)]
    if with_edge:
        tensors.append(torch.randn(edges, width, dtype=torch.double))
    return edge_index, [x.requires_grad_() for x in tensors]


def by_loops(q: Tensor, k: Tensor, v: Tensor, edge_index: Tensor, edge: Tensor | None, heads: int) -> Tensor:
    """The published formulas, one edge and one head at a time."""
    out = torch.zeros_like(q)
    channels = q.shape[1] // heads
    for node in range(q.shape[0]):
        for head in range(heads):
            part = slice(head * channels, (head + 1) * channels)
            incoming = (edge_index[1] == node).nonzero().flatten().tolist()
            weights = []
            for e in incoming:
                score = k[edge_index[0, e], part] * q[node, part] / math.sqrt(channels)
                if edge is not None:
                    score = score * edge[e, part]
                weights.append(math.exp(min(5.0, max(-5.0, float(score.sum())))))
            for e, weight in zip(incoming, weights, strict=True):
                out[node, part] += weight / sum(weights) * v[edge_index[0, e], part]
    return out


@pytest.mark.parametrize("with_edge", [False, True])
@pytest.mark.parametrize("function", [edge_attention, edge_attention_reference])
def test_equals_the_published_formulas(function, with_edge: bool) -> None:
    edge_index, tensors = random_inputs(7, 25, 2, 3, with_edge=with_edge, scale=3.0)  # some scores are clamped
    q, k, v, edge = (*[x.detach() for x in tensors], None)[:4]
    out, scores = function(q, k, v, edge_index, edge, heads=2, return_scores=True)
    torch.testing.assert_close(out, by_loops(q, k, v, edge_index, edge, 2))
    expected = k[edge_index[0]] * q[edge_index[1]] / math.sqrt(3)
    torch.testing.assert_close(scores, expected if edge is None else expected * edge)
    assert function(q, k, v, edge_index, edge, heads=2)[1] is None


@settings(deadline=None, max_examples=25)
@given(
    nodes=st.integers(1, 12),
    edges=st.integers(0, 40),
    heads=st.integers(1, 3),
    channels=st.integers(1, 4),
    with_edge=st.booleans(),
    with_scores=st.booleans(),
    rows=st.integers(1, 50),
)
def test_fast_path_and_reference_agree(nodes, edges, heads, channels, with_edge, with_scores, rows) -> None:
    edge_index, tensors = random_inputs(nodes, edges, heads, channels, with_edge=with_edge, scale=2.0)
    edge = tensors[3] if with_edge else None
    cotangents = [torch.randn(nodes, heads * channels).double(), torch.randn(edges, heads * channels).double()]
    results = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(edge_list._BLOCK_BYTES, "cpu", rows * heads * channels * 8)  # blocks of `rows` edges
        for function in (edge_attention, edge_attention_reference):
            outputs = function(*tensors[:3], edge_index, edge, heads=heads, return_scores=with_scores)
            outputs = outputs if with_scores else outputs[:1]
            grads = torch.autograd.grad(outputs, tensors, cotangents[: len(outputs)])
            results.append((*outputs, *grads))
    for fast, reference in zip(*results, strict=True):
        torch.testing.assert_close(fast, reference)


@pytest.mark.parametrize("with_edge", [False, True])
def test_gradcheck(with_edge: bool) -> None:
    edge_index, tensors = random_inputs(5, 12, 2, 2, with_edge=with_edge)

    def function(*inputs: Tensor) -> tuple[Tensor, Tensor]:
        edge = inputs[3] if with_edge else None
        return edge_attention(*inputs[:3], edge_index, edge, heads=2, return_scores=True)

    assert torch.autograd.gradcheck(function, tensors)


def test_clamped_scores_have_no_gradient() -> None:
    edge_index = torch.tensor([[0, 1], [2, 2]])
    q, k, v = (torch.randn(3, 4, dtype=torch.double).requires_grad_() for _ in range(3))
    big = 100 * torch.ones(2, 4, dtype=torch.double)
    out, _ = edge_attention(q, k, v, edge_index, big * torch.sign(q[2] * k[:2]).detach(), heads=1)
    # Both logits are clamped to 5: a plain mean, which only values move.
    torch.testing.assert_close(out[2], v[:2].mean(0))
    grads = torch.autograd.grad(out.square().sum(), (q, k, v))
    assert [bool(g.any()) for g in grads] == [False, False, True]


def test_a_node_without_incoming_edges_gets_zero() -> None:
    edge_index = torch.tensor([[0, 1, 1], [1, 0, 0]])
    q, k, v = (torch.randn(4, 6, requires_grad=True) for _ in range(3))
    out, _ = edge_attention(q, k, v, edge_index, heads=3)
    assert not out[2:].any()
    torch.testing.assert_close(out[1], v[0])  # one edge: all the weight
    grads = torch.autograd.grad(out.square().sum(), (q, k, v))
    assert all(bool(g.isfinite().all()) for g in grads)


@pytest.mark.parametrize(("nodes", "edges"), [(0, 0), (1, 0), (3, 0)])
def test_no_edges(nodes: int, edges: int) -> None:
    edge_index, tensors = random_inputs(nodes, edges, 2, 2, with_edge=True)
    out, scores = edge_attention(*tensors[:3], edge_index, tensors[3], heads=2, return_scores=True)
    assert out.shape == (nodes, 4)
    assert scores is not None
    assert scores.shape == (0, 4)
    assert not out.any()
    (out.sum() + scores.sum()).backward()
    assert not tensors[0].grad.any()


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_low_precision_is_summed_in_float32(dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    # 3000 messages into one node, in many blocks: a running sum in 8 bits stalls far from 3000 times the mean.
    monkeypatch.setitem(edge_list._BLOCK_BYTES, "cpu", 16 * 4 * 4)
    edges = 3000
    edge_index = torch.stack([torch.arange(edges), torch.zeros(edges, dtype=torch.long)])
    q, k = (torch.zeros(edges, 4) for _ in range(2))
    v = torch.rand(edges, 4) + 1
    out, _ = edge_attention(*(x.to(dtype) for x in (q, k, v)), edge_index, heads=2)
    assert out.dtype == dtype
    torch.testing.assert_close(out[0].float(), v.mean(0), rtol=0.01, atol=0)


def test_low_precision_gradients_follow_float32() -> None:
    edge_index, tensors = random_inputs(20, 100, 2, 4, with_edge=True)
    low = [x.detach().bfloat16().requires_grad_() for x in tensors]
    exact = [x.detach().float().requires_grad_() for x in low]
    cotangent = torch.randn(20, 8)
    grads = []
    for inputs in (low, exact):
        out, scores = edge_attention(*inputs[:3], edge_index, inputs[3], heads=2, return_scores=True)
        loss = (out.float() * cotangent).sum() + scores.float().sum()
        grads.append(torch.autograd.grad(loss, inputs))
    for x, (low_grad, exact_grad) in zip(low, zip(*grads, strict=True), strict=True):
        assert low_grad.dtype == x.dtype
        torch.testing.assert_close(low_grad.float(), exact_grad, rtol=0.05, atol=0.05)


def test_stores_nothing_of_edge_size_for_the_backward_pass() -> None:
    edge_index, tensors = random_inputs(30, 4000, 2, 32, with_edge=False)
    saved: list[Tensor] = []

    def pack(x: Tensor) -> Tensor:
        saved.append(x)
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        edge_attention(*tensors, edge_index, heads=2)
    assert saved
    assert max(x.numel() for x in saved) <= 4000 * 2  # logits, not [E, D]


@pytest.mark.parametrize("with_edge", [False, True])
def test_compiles_in_one_graph(with_edge: bool) -> None:
    edge_index, tensors = random_inputs(6, 14, 2, 2, with_edge=with_edge)
    edge = tensors[3] if with_edge else None

    def function(q: Tensor, k: Tensor, v: Tensor) -> tuple[Tensor, Tensor | None]:
        return edge_attention(q, k, v, edge_index, edge, heads=2, return_scores=True)

    compiled = torch.compile(function, backend="eager", fullgraph=True)
    for fast, expected in zip(compiled(*tensors[:3]), function(*tensors[:3]), strict=True):
        torch.testing.assert_close(fast, expected)


@pytest.mark.parametrize("channels", [3, 8])  # rows that fill registers, and such that do not
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.bfloat16])
def test_many_edges_without_factors(monkeypatch: pytest.MonkeyPatch, channels: int, dtype: torch.dtype) -> None:
    """Node by node, with two threads; some scores are clamped, and one node has most edges."""
    for module in (edge_list, sums):
        monkeypatch.setattr(module, "MANY_PAIRS", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    monkeypatch.setattr("graphpe.models.attention.threads._PAIRS_PER_THREAD", 10)
    edge_index, tensors = random_inputs(12, 60, 2, channels, with_edge=False, scale=2.0)
    edge_index = torch.cat([edge_index, torch.stack([torch.arange(50) % 12, torch.full((50,), 3)])], dim=1)
    inputs = [x.detach().to(dtype).requires_grad_() for x in tensors]
    cotangent = torch.randn(12, 2 * channels, dtype=torch.double)
    expected = edge_attention_reference(*tensors, edge_index, heads=2)[0]
    wanted = torch.autograd.grad(expected, tensors, cotangent)
    for edges in (edge_index, Neighbours(edge_index, 12)):
        out, _ = edge_attention(*inputs, edges, heads=2)
        assert out.dtype == dtype
        tolerance = {torch.float32: 1e-4, torch.float64: 1e-9, torch.bfloat16: 0.3}[dtype]
        found = torch.autograd.grad(out, inputs, cotangent.to(dtype))
        for ours, theirs in zip((out, *found), (expected, *wanted), strict=True):
            torch.testing.assert_close(ours.double(), theirs, rtol=tolerance, atol=tolerance)


def test_many_edges_gradcheck(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (edge_list, sums):
        monkeypatch.setattr(module, "MANY_PAIRS", 1)
    edge_index, tensors = random_inputs(5, 12, 2, 4, with_edge=False)
    assert torch.autograd.gradcheck(lambda *inputs: edge_attention(*inputs, edge_index, heads=2)[0], tensors)
