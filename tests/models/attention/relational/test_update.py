from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from graphpe.models.attention import threads as parts
from graphpe.models.attention.pairs import PairSet, all_pairs, edge_pairs
from graphpe.models.attention.relational import update as relational_update
from graphpe.models.attention.relational import update_kernels as relational_update_kernels
from graphpe.models.attention.relational.update import PairWeights, update_pairs, update_pairs_reference
from graphpe.models.batches.nodes import NodeToGraph


def make_pairs(sizes: list[int], *, complete: bool) -> PairSet:
    ptr = torch.tensor([0, *sizes]).cumsum(0)
    members = NodeToGraph(torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes)), ptr)
    edges = [torch.randint(0, n, (2, 2 * n)) + ptr[g] for g, n in enumerate(sizes) if n]
    edge_index = torch.cat([torch.zeros(2, 0, dtype=torch.long), *edges], dim=1)
    return (all_pairs if complete else edge_pairs)(members, edge_index)


def random_inputs(pairs: PairSet, width: int, narrow: int, narrower: int, dtype=torch.double) -> list[Tensor]:
    """Pairs, both terms of nodes, then the parameters."""
    nodes = pairs.ptr.numel() - 1
    shapes = [(pairs.num_pairs, width), (nodes, narrow), (nodes, narrow), (narrow, width), (narrow, width)]
    shapes += [(width, narrow), (width,), (width,), (width,), (narrower, width), (narrower,), (width, narrower)]
    shapes += [(width,), (width,), (width,)]
    return [torch.randn(shape, dtype=dtype).requires_grad_() for shape in shapes]


def run(function, inputs: list[Tensor], pairs: PairSet) -> Tensor:
    return function(*inputs[:3], PairWeights(*inputs[3:]), pairs)


@pytest.mark.parametrize("function", [update_pairs, update_pairs_reference])
def test_equals_the_published_formulas(function) -> None:
    """Pair by pair, with one map of the four vectors side by side; pairs without a reverse are among them."""
    pairs = make_pairs([4, 1, 5], complete=False)
    assert bool((pairs.reverse < 0).any())
    inputs = [x.detach() for x in random_inputs(pairs, 8, 6, 4)]
    w = PairWeights(*inputs[3:])
    e = inputs[0]
    n = torch.randn(10, 8, dtype=torch.double)
    of_source, of_target, bias = torch.randn(6, 8).double(), torch.randn(6, 8).double(), torch.randn(6).double()
    first = torch.cat([w.forward, w.reverse, of_source, of_target], dim=1)
    rows = []
    for p, (j, i) in enumerate(zip(pairs.source, pairs.target, strict=True)):
        back = ((pairs.source == i) & (pairs.target == j)).nonzero().flatten().tolist()
        e_back = e[back[0]] if back else torch.zeros(8, dtype=torch.double)
        hidden = (first @ torch.cat([e[p], e_back, n[j], n[i]]) + bias).relu()
        y = nn.functional.layer_norm(e[p] + w.out_1 @ hidden + w.out_bias_1, (8,), w.scale_1, w.shift_1)
        hidden = (w.hidden @ y + w.hidden_bias).relu()
        rows.append(nn.functional.layer_norm(y + w.out_2 @ hidden + w.out_bias_2, (8,), w.scale_2, w.shift_2))
    out = function(e, n @ of_source.t(), n @ of_target.t() + bias, w, pairs)
    torch.testing.assert_close(out, torch.stack(rows))


def both(inputs: list[Tensor], pairs: PairSet, **options: float) -> None:
    """The two paths give the same values and gradients."""
    cotangent = torch.randn_like(inputs[0])
    results = []
    for function in (update_pairs, update_pairs_reference):
        out = run(function, inputs, pairs)
        results.append((out, *torch.autograd.grad(out, inputs, cotangent)))
    for fast, reference in zip(*results, strict=True):
        torch.testing.assert_close(fast, reference, **options)


@settings(deadline=None, max_examples=20)
@given(
    sizes=st.lists(st.integers(0, 12), min_size=1, max_size=5),
    width=st.sampled_from([8, 16, 40]),
    narrow=st.integers(1, 17),
    narrower=st.integers(1, 17),
    complete=st.booleans(),
    threads=st.integers(1, 3),
)
def test_fast_path_and_reference_agree(sizes, width, narrow, narrower, complete, threads) -> None:
    pairs = make_pairs(sizes, complete=complete)
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(parts, "_PAIRS_PER_THREAD", 5)
        torch.set_num_threads(threads)
        try:
            both(random_inputs(pairs, width, narrow, narrower), pairs)
        finally:
            torch.set_num_threads(before)


def test_several_blocks() -> None:
    size = int(relational_update_kernels.BLOCK**0.5) + 5
    both(random_inputs(pairs := make_pairs([size, 3, size], complete=True), 16, 8, 8), pairs)


def test_float32() -> None:
    pairs = make_pairs([20, 1, 30], complete=True)
    both(random_inputs(pairs, 32, 16, 8, torch.float32), pairs, rtol=1e-3, atol=1e-3)


def test_gradcheck() -> None:
    pairs = make_pairs([3, 2], complete=False)
    inputs = random_inputs(pairs, 8, 5, 3)
    assert torch.autograd.gradcheck(lambda *x: run(update_pairs, list(x), pairs), inputs)


def test_compiled_passes_run_where_they_should(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []
    monkeypatch.setattr(relational_update, "update_rows", lambda *_: ran.append(True))
    pairs = make_pairs([3], complete=True)
    for width, dtype, expected in ((8, torch.float32, True), (6, torch.float64, False), (8, torch.bfloat16, False)):
        ran.clear()
        run(update_pairs, random_inputs(pairs, width, 4, 4, dtype), pairs)
        assert bool(ran) == expected


@pytest.mark.parametrize("checkpoint", [True, False])
def test_the_reference_runs_twice_if_asked_to(monkeypatch: pytest.MonkeyPatch, checkpoint: bool) -> None:
    """Where the compiled passes do not run: with dropout here, on other devices."""
    runs = []

    def counted(*inputs: Any, **options: Any) -> Tensor:
        runs.append(True)
        return update_pairs_reference(*inputs, **options)

    monkeypatch.setattr(relational_update, "update_pairs_reference", counted)
    pairs = make_pairs([4], complete=True)
    inputs = random_inputs(pairs, 8, 4, 4)
    options = {"dropout": 0.1, "checkpoint": checkpoint}
    update_pairs(*inputs[:3], PairWeights(*inputs[3:]), pairs, **options).sum().backward()
    assert len(runs) == 1 + checkpoint


@pytest.mark.parametrize("checkpoint", [True, False])
def test_dropout_keeps_the_expected_change_and_its_gradient(checkpoint: bool) -> None:
    """Computed again in the backward pass, too: with the same mask."""
    pairs = make_pairs([6], complete=True)
    inputs = random_inputs(pairs, 8, 8, 4)
    torch.manual_seed(7)
    out = update_pairs(*inputs[:3], PairWeights(*inputs[3:]), pairs, dropout=0.5, checkpoint=checkpoint)
    torch.manual_seed(7)
    expected = update_pairs_reference(*inputs[:3], PairWeights(*inputs[3:]), pairs, dropout=0.5)
    torch.testing.assert_close(out, expected)
    assert not torch.allclose(out, run(update_pairs, inputs, pairs))
    grads = [torch.autograd.grad(x.square().sum(), inputs) for x in (out, expected)]
    for fast, reference in zip(*grads, strict=True):
        torch.testing.assert_close(fast, reference)


def test_no_pairs() -> None:
    pairs = make_pairs([0, 0], complete=True)
    inputs = random_inputs(pairs, 8, 4, 4)
    out = run(update_pairs, inputs, pairs)
    assert out.shape == (0, 8)
    assert all(not grad.any() for grad in torch.autograd.grad(out.sum(), inputs))


def test_what_is_kept_for_the_backward_pass() -> None:
    """Beyond the inputs, the hidden layers; nothing of D numbers a pair."""
    pairs = make_pairs([40], complete=True)
    inputs = random_inputs(pairs, 64, 16, 8, torch.float32)
    given_storages = {x.untyped_storage().data_ptr() for x in inputs}
    kept: dict[int, int] = {}

    def pack(x: Tensor) -> Tensor:
        storage = x.untyped_storage()
        if storage.data_ptr() not in given_storages:
            kept[storage.data_ptr()] = storage.nbytes() // 4
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        run(update_pairs, inputs, pairs)
    assert sum(kept.values()) <= pairs.num_pairs * 32
