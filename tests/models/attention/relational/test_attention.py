from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from graphpe.models.attention import threads as parts
from graphpe.models.attention.pairs import PairSet, all_pairs, edge_pairs, pairs_of_keys
from graphpe.models.attention.relational import attention as relational
from graphpe.models.attention.relational import kernels as relational_kernels
from graphpe.models.attention.relational.attention import relational_attention, relational_attention_reference
from graphpe.models.batches.nodes import NodeToGraph


def make_pairs(sizes: list[int], *, complete: bool) -> PairSet:
    ptr = torch.tensor([0, *sizes]).cumsum(0)
    members = NodeToGraph(torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes)), ptr)
    edges = [torch.randint(0, n, (2, 2 * n)) + ptr[g] for g, n in enumerate(sizes) if n]
    edge_index = torch.cat([torch.zeros(2, 0, dtype=torch.long), *edges], dim=1)
    return (all_pairs if complete else edge_pairs)(members, edge_index)


def random_inputs(pairs: PairSet, width: int, dtype: torch.dtype = torch.double, scale: float = 1.0) -> list[Tensor]:
    nodes = pairs.ptr.numel() - 1
    shapes = [(nodes, width)] * 3 + [(pairs.num_pairs, width)] + [(width, width)] * 3
    return [(scale * torch.randn(shape, dtype=dtype)).requires_grad_() for shape in shapes]


def by_loops(inputs: list[Tensor], pairs: PairSet, heads: int) -> Tensor:
    """The published formulas, one node and one head at a time."""
    q, k, v, e, w_q, w_k, w_v = inputs
    out, channels = torch.zeros_like(q), q.shape[1] // heads
    for i in range(len(q)):
        around = (pairs.target == i).nonzero().flatten().tolist()
        for h in range(heads):
            part = slice(h * channels, (h + 1) * channels)
            query = [(q[i] + w_q @ e[p])[part] for p in around]
            key = [(k[pairs.source[p]] + w_k @ e[p])[part] for p in around]
            value = [(v[pairs.source[p]] + w_v @ e[p])[part] for p in around]
            logits = [float(a @ b) / math.sqrt(channels) for a, b in zip(query, key, strict=True)]
            weights = torch.tensor(logits, dtype=torch.double).softmax(0)
            for weight, row in zip(weights, value, strict=True):
                out[i, part] += weight * row
    return out


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize("function", [relational_attention, relational_attention_reference])
def test_equals_the_published_formulas(function, complete: bool) -> None:
    pairs = make_pairs([4, 0, 1, 5], complete=complete)
    inputs = [x.detach() for x in random_inputs(pairs, 8)]
    torch.testing.assert_close(function(*inputs, pairs, heads=2), by_loops(inputs, pairs, 2))


def both(inputs: list[Tensor], pairs: PairSet, heads: int, **options: Any) -> None:
    """The paths give the same values and gradients."""
    cotangent = torch.randn_like(inputs[0])
    results = []
    fast, reference = relational_attention, relational_attention_reference
    for function, checkpoint in ((reference, False), (fast, False), (fast, True)):
        out = function(*inputs, pairs, heads=heads, checkpoint=checkpoint)
        results.append((out, *torch.autograd.grad(out, inputs, cotangent)))
    for expected, plain, checkpointed in zip(*results, strict=True):
        torch.testing.assert_close(plain, expected, **options)
        torch.testing.assert_close(checkpointed, expected, **options)


@settings(deadline=None, max_examples=20)
@given(
    sizes=st.lists(st.integers(0, 12), min_size=1, max_size=5),
    heads=st.integers(1, 5),
    channels=st.sampled_from([2, 4, 8, 10]),
    complete=st.booleans(),
    threads=st.integers(1, 3),
)
def test_fast_path_and_reference_agree(sizes, heads, channels, complete, threads) -> None:
    pairs = make_pairs(sizes, complete=complete)
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "_PAIRS_PER_THREAD", 5)
        torch.set_num_threads(threads)
        try:
            both(random_inputs(pairs, heads * channels), pairs, heads)
        finally:
            torch.set_num_threads(before)


def test_blocks_of_many_nodes_and_of_one() -> None:
    """Graphs of more nodes than a block has pairs, and blocks that end within a graph."""
    both(random_inputs(pairs := make_pairs([2, relational_kernels.BLOCK + 3, 30], complete=True), 16), pairs, 2)


def test_float32() -> None:
    pairs = make_pairs([20, 1, 30], complete=True)
    both(random_inputs(pairs, 32, torch.float32, scale=0.3), pairs, 4, rtol=1e-3, atol=1e-4)


def test_compiled_passes_run_where_they_should(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []
    monkeypatch.setattr(relational, "forward_rows", lambda *_: ran.append(True))
    pairs = make_pairs([3], complete=True)

    def run(width: int, dtype: torch.dtype) -> bool:
        ran.clear()
        relational_attention(*random_inputs(pairs, width, dtype), pairs, heads=2)
        return bool(ran)

    assert run(16, torch.float32)
    assert run(8, torch.float64)
    assert not run(12, torch.float64)
    assert not run(16, torch.bfloat16)
    with torch.autocast("cpu", torch.bfloat16):
        assert not run(16, torch.float32)


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize("checkpoint", [True, False])
def test_gradcheck(complete: bool, checkpoint: bool) -> None:
    pairs = make_pairs([3, 2], complete=complete)

    def function(*inputs: Tensor) -> Tensor:
        return relational_attention(*inputs, pairs, heads=2, checkpoint=checkpoint)

    assert torch.autograd.gradcheck(function, random_inputs(pairs, 8))


def test_a_node_without_pairs_gets_zero() -> None:
    members = NodeToGraph(torch.zeros(3, dtype=torch.long), torch.tensor([0, 3]))
    pairs = pairs_of_keys(members, torch.tensor([1, 2]), torch.arange(0))  # 1 -> 0 and 2 -> 0
    for width in (8, 6):
        inputs = random_inputs(pairs, width)
        out = relational_attention(*inputs, pairs, heads=2)
        assert bool(out[0].any())
        assert not out[1:].any()
        both(inputs, pairs, 2)


def test_no_pairs() -> None:
    for sizes in ([0], [0, 0]):
        pairs = make_pairs(sizes, complete=True)
        inputs = random_inputs(pairs, 8)
        out = relational_attention(*inputs, pairs, heads=2)
        assert out.shape == (0, 8)
        assert all(not grad.any() for grad in torch.autograd.grad(out.sum(), inputs))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_large_logits_are_a_choice_of_the_largest(dtype: torch.dtype) -> None:
    pairs = make_pairs([6], complete=True)
    inputs = random_inputs(pairs, 16, dtype, scale=30.0)
    out = relational_attention(*inputs, pairs, heads=2)
    assert bool(out.isfinite().all())
    torch.testing.assert_close(out, relational_attention_reference(*inputs, pairs, heads=2), rtol=1e-3, atol=1e-3)
    assert all(bool(grad.isfinite().all()) for grad in torch.autograd.grad(out.sum(), inputs))


@pytest.mark.parametrize("checkpoint", [True, False])
def test_the_reference_runs_twice_if_asked_to(monkeypatch: pytest.MonkeyPatch, checkpoint: bool) -> None:
    """Where the compiled passes do not run: of half precision here, on other devices."""
    runs = []

    def counted(*inputs: Any, **options: Any) -> Tensor:
        runs.append(True)
        return relational_attention_reference(*inputs, **options)

    monkeypatch.setattr(relational, "relational_attention_reference", counted)
    pairs = make_pairs([4], complete=True)
    inputs = random_inputs(pairs, 8, torch.bfloat16)
    relational_attention(*inputs, pairs, heads=2, checkpoint=checkpoint).sum().backward()
    assert len(runs) == 1 + checkpoint


@pytest.mark.parametrize(("checkpoint", "numbers"), [(False, 2 * 64 + 8), (True, 8)])
def test_what_is_kept_for_the_backward_pass(checkpoint: bool, numbers: int) -> None:
    """Beyond the inputs, products and weights of pairs, or weights alone."""
    pairs = make_pairs([40], complete=True)
    inputs = random_inputs(pairs, 64, torch.float32)
    given_storages = {x.untyped_storage().data_ptr() for x in inputs}
    kept: dict[int, int] = {}

    def pack(x: Tensor) -> Tensor:
        storage = x.untyped_storage()
        if storage.data_ptr() not in given_storages:
            kept[storage.data_ptr()] = storage.nbytes() // 4
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        out = relational_attention(*inputs, pairs, heads=8, checkpoint=checkpoint)
    assert sum(kept.values()) <= pairs.num_pairs * numbers + 3 * out.numel()
