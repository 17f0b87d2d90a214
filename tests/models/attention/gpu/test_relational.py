"""Relational attention and the update of pairs through the kernels: values and gradients of the formulas in float64."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from torch import Tensor

from graphpe.compiled.kernel import Kernel
from graphpe.models.attention.pairs import PairSet
from graphpe.models.attention.relational import attention, update
from graphpe.models.attention.relational.update import PairWeights

from .conftest import DEVICE, check_gradients, error, moved, pairs_of

_KINDS = [(torch.float32, 1e-5), (torch.bfloat16, 3e-2)]
_TURNED = 7  # how much larger errors of gradients are where bfloat16 turns a number before a ReLU around


def _attend(function: Callable[..., Tensor], rows: Sequence[Tensor], pairs: PairSet, heads: int) -> Tensor:
    return function(*rows, pairs, heads=heads)


def _update(function: Callable[..., Tensor], rows: Sequence[Tensor], pairs: PairSet, heads: int) -> Tensor:
    return function(*rows[:3], PairWeights(*rows[3:]), pairs)


def _of_attention(pairs: PairSet, width: int) -> list[tuple[int, ...]]:
    return [(pairs.num_nodes, width)] * 3 + [(pairs.num_pairs, width)] + [(width, width)] * 3


def _of_update(pairs: PairSet, width: int, narrow: int = 6, narrower: int = 3) -> list[tuple[int, ...]]:
    shapes = [(pairs.num_pairs, width), (pairs.num_nodes, narrow), (pairs.num_nodes, narrow), (narrow, width)]
    shapes += [(narrow, width), (width, narrow), *[(width,)] * 3, (narrower, width), (narrower,), (width, narrower)]
    return [*shapes, *[(width,)] * 3]


def _compare(
    pairs: PairSet, shapes: list[tuple[int, ...]], heads: int, dtype: torch.dtype, least: float, *, updates: bool
) -> list[str]:
    """Raise unless kernels give the reference's values and gradients; the kernels that ran."""
    rows = [(torch.randn(shape, device=DEVICE) / 2).to(dtype).requires_grad_() for shape in shapes]
    exact = [x.detach().double().requires_grad_() for x in rows]
    launched: list[str] = []
    launch = Kernel.__call__
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(
            Kernel, "__call__", lambda self, *a, **c: [launched.append(self.function.__name__), launch(self, *a, **c)]
        )
        for module in (attention, update):
            patch.setattr(module, "has_kernels", lambda device: True)
        if updates:
            found = _update(update.update_pairs, rows, pairs, heads)
            expected = _update(update.update_pairs_reference, exact, pairs, heads)
        else:
            found = _attend(attention.relational_attention, rows, pairs, heads)
            expected = _attend(attention.relational_attention_reference, exact, pairs, heads)
        upstream = torch.randn_like(found)
        found.backward(upstream)
    expected.backward(upstream.double())

    def reference(x: list[Tensor]) -> list[Tensor]:
        run, function = (
            (_update, update.update_pairs_reference) if updates else (_attend, attention.relational_attention_reference)
        )
        out = run(function, x, pairs, heads)
        return [out.detach(), *torch.autograd.grad(out, x, upstream.double())]

    of_out, *of_gradients = moved(reference, exact)
    assert found.dtype == dtype
    assert float((found - expected).detach().norm()) <= least * float(expected.detach().norm()) + of_out
    check_gradients(rows, exact, least * (_TURNED if updates and dtype == torch.bfloat16 else 1), of_gradients)
    return launched


def test_half_precision_where_keys_have_a_mean(monkeypatch: pytest.MonkeyPatch) -> None:
    """What rounding adds to delta would be times that mean in the gradient of queries."""
    pairs = pairs_of([9, 20], complete=True)
    rows = [torch.randn(shape, device=DEVICE) / 4 for shape in _of_attention(pairs, 16)]
    rows = [4 * rows[0], *(2 + 4 * x for x in rows[1:3]), *rows[3:]]
    given_ = [x.bfloat16().requires_grad_() for x in rows]
    exact = [x.detach().double().requires_grad_() for x in given_]
    monkeypatch.setattr(attention, "has_kernels", lambda device: True)
    out = attention.relational_attention(*given_, pairs, heads=2)
    upstream = torch.randn_like(out)
    out.backward(upstream)
    attention.relational_attention_reference(*exact, pairs, heads=2).backward(upstream.double())
    for value, reference in zip(given_, exact, strict=True):
        assert value.grad is not None
        assert error(value.grad, reference.grad) < 0.012


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize(("dtype", "least"), _KINDS)
def test_attention(dtype: torch.dtype, least: float, complete: bool) -> None:
    pairs = pairs_of([3, 0, 1, 9, 0], complete)
    launched = _compare(pairs, _of_attention(pairs, 15), 3, dtype, least, updates=False)
    assert launched == ["_forward", "_backward", "_sums"]


@pytest.mark.parametrize("complete", [True, False])
@pytest.mark.parametrize(("dtype", "least"), _KINDS)
def test_update(dtype: torch.dtype, least: float, complete: bool) -> None:
    pairs = pairs_of([3, 0, 1, 9, 0], complete)
    assert complete or bool((pairs.reverse < 0).any())
    launched = _compare(pairs, _of_update(pairs, 10), 1, dtype, least, updates=True)
    assert launched == ["_forward", "_backward", "_sums", "_sums"]


@pytest.mark.parametrize("updates", [False, True])
@pytest.mark.parametrize(("sizes", "complete"), [([1], True), ([0, 0, 2, 0], True), ([200], False), ([17, 16], True)])
def test_sizes(sizes: list[int], complete: bool, updates: bool) -> None:
    pairs = pairs_of(sizes, complete)
    shapes = _of_update(pairs, 16, 2, 1) if updates else _of_attention(pairs, 16)
    _compare(pairs, shapes, 2, torch.float32, 1e-5, updates=updates)


@settings(max_examples=4, deadline=None, phases=[Phase.generate])
@given(st.lists(st.integers(0, 9), min_size=1, max_size=3), st.integers(1, 3), st.integers(1, 9), st.booleans())
def test_any_shape(sizes: list[int], heads: int, channels: int, updates: bool) -> None:
    pairs = pairs_of(sizes, True)
    # LN of two or three numbers divides by what may be next to nothing: PyTorch's float32 has four digits less then.
    shapes = _of_update(pairs, 7 + heads * channels) if updates else _of_attention(pairs, heads * channels)
    _compare(pairs, shapes, heads, torch.float32, 1e-5, updates=updates)


def test_large_logits_are_a_choice_of_the_largest(monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = pairs_of([6], True)
    rows = [30 * torch.randn(shape, device=DEVICE) for shape in _of_attention(pairs, 8)]
    expected = attention.relational_attention_reference(*(x.double() for x in rows), pairs, heads=2)
    monkeypatch.setattr(attention, "has_kernels", lambda device: True)
    assert error(attention.relational_attention(*rows, pairs, heads=2), expected) < 1e-4


@pytest.mark.parametrize("updates", [False, True])
def test_results_repeat(updates: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (attention, update):
        monkeypatch.setattr(module, "has_kernels", lambda device: True)
    pairs = pairs_of([5, 12], False)
    shapes = (_of_update if updates else _of_attention)(pairs, 8)
    rows = [torch.randn(shape, device=DEVICE, requires_grad=True) for shape in shapes]
    function = update.update_pairs if updates else attention.relational_attention
    run = _update if updates else _attend

    def results() -> list[Tensor]:
        out = run(function, rows, pairs, 2)
        return [out, *torch.autograd.grad(out.square().sum(), rows)]

    for first, second in zip(results(), results(), strict=True):
        assert torch.equal(first, second)


@pytest.mark.parametrize("updates", [False, True])
def test_nothing_of_pairs_is_kept_but_their_vectors(updates: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    for module in (attention, update):
        monkeypatch.setattr(module, "has_kernels", lambda device: True)
    pairs = pairs_of([20], True)
    shapes = (_of_update if updates else _of_attention)(pairs, 8)
    rows = [torch.randn(shape, device=DEVICE, requires_grad=True) for shape in shapes]
    given_ = {x.untyped_storage().data_ptr() for x in rows}
    kept: dict[int, int] = {}

    def pack(x: Tensor) -> Tensor:
        storage = x.untyped_storage()
        if storage.data_ptr() not in given_:
            kept[storage.data_ptr()] = x.numel()
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        (_update if updates else _attend)(
            update.update_pairs if updates else attention.relational_attention, rows, pairs, 2
        )
    assert sum(kept.values()) < pairs.num_pairs  # maps side by side, and what nodes have


@pytest.mark.parametrize(("dtype", "least"), _KINDS)
def test_dropout(dtype: torch.dtype, least: float, monkeypatch: pytest.MonkeyPatch) -> None:
    pairs = pairs_of([3, 0, 9], False)
    rows = [(torch.randn(shape, device=DEVICE) / 2).to(dtype).requires_grad_() for shape in _of_update(pairs, 10)]
    exact = [x.detach().double().requires_grad_() for x in rows]
    drawn: list[Tensor] = []
    given_, run = update.updated_pairs, update.functional.dropout
    with monkeypatch.context() as patch:
        patch.setattr(update, "has_kernels", lambda device: True)
        patch.setattr(update, "updated_pairs", lambda *x: [drawn.extend(x[6].unbind()), given_(*x)][1])
        found = update.update_pairs(*rows[:3], PairWeights(*rows[3:]), pairs, dropout=0.4)
    kept = [float(x.float().mean()) for x in drawn]
    assert all(0.4 < share < 0.8 for share in kept), kept
    masks = [x / 0.6 for x in drawn]
    monkeypatch.setattr(update.functional, "dropout", lambda x, p: x * masks.pop(0))
    expected = update.update_pairs_reference(*exact[:3], PairWeights(*exact[3:]), pairs, dropout=0.4)
    monkeypatch.setattr(update.functional, "dropout", run)
    upstream = torch.randn_like(found)
    found.backward(upstream)
    expected.backward(upstream.double())
    assert error(found, expected) < least
    check_gradients(rows, exact, least * (_TURNED if dtype == torch.bfloat16 else 1))


def test_dropout_of_everything_leaves_the_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(update, "has_kernels", lambda device: True)
    pairs = pairs_of([4], True)
    rows = [torch.randn(shape, device=DEVICE) for shape in _of_update(pairs, 8)]
    found = update.update_pairs(*rows[:3], PairWeights(*rows[3:]), pairs, dropout=1.0)
    expected = update.update_pairs_reference(*rows[:3], PairWeights(*rows[3:]), pairs, dropout=1.0)
    torch.testing.assert_close(found, expected)
