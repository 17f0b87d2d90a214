from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

from graphpe.models.attention import threads as parts
from graphpe.models.attention.grit.attention import grit_attention
from graphpe.models.attention.grit.reference import (
    Dropped,
    PairAttention,
    PairUpdate,
    grit_attention_reference,
    signed_root,
)
from graphpe.models.attention.pairs import PairSet, all_pairs, edge_pairs
from graphpe.models.batches.nodes import NodeToGraph


def pairs_of(sizes: list[int], edges: int | None = None) -> PairSet:
    """All pairs of graphs of these sizes; of one graph, those of random edges without self-pairs."""
    ptr = torch.tensor([0, *sizes]).cumsum(0)
    members = NodeToGraph(torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes)), ptr)
    if edges is None:
        return all_pairs(members, torch.zeros(2, 0, dtype=torch.long))
    return edge_pairs(members, torch.randint(0, sizes[0], (2, edges)), self_pairs=False)


def random_inputs(pairs: PairSet, width: int, dtype: torch.dtype = torch.double, update: bool = True) -> list[Tensor]:
    p, n, d = pairs.num_pairs, pairs.ptr.numel() - 1, width
    shapes = [(p, d), (n, d), (n, d), (n, d), (2 * d, d), (2 * d,), (d,)]
    shapes += [(d, d), (d,), (d,)] if update else []
    return [torch.randn(shape, dtype=dtype).requires_grad_() for shape in shapes]


def call(function: Any, inputs: list[Tensor], pairs: PairSet, **options: Any) -> PairAttention:
    update = PairUpdate(*inputs[7:]) if len(inputs) > 7 else None
    return function(*inputs[:7], pairs, update=update, **options)


def by_loops(inputs: list[Tensor], pairs: PairSet, heads: int) -> list[Tensor]:
    """The published formulas, one pair and one head at a time."""
    z, q, k, v, weight, bias, score, w_out, scale, shift = (x.detach() for x in inputs)
    width = z.shape[1]
    channels = width // heads
    features, logits = [], []
    for p, (j, i) in enumerate(zip(pairs.source.tolist(), pairs.target.tolist(), strict=True)):
        t = (q[i] + k[j]) * (weight[:width] @ z[p] + bias[:width])
        s = t.clamp(min=0).sqrt() - (-t).clamp(min=0).sqrt() + weight[width:] @ z[p] + bias[width:]
        features.append(s.clamp(min=0))
        logits.append((features[p] * score).view(heads, channels).sum(1).clamp(-5, 5))
    message, edge_message = torch.zeros_like(q), torch.zeros_like(q)
    for i in range(len(q)):
        incoming = (pairs.target == i).nonzero().flatten().tolist()
        for h in range(heads):
            part = slice(h * channels, (h + 1) * channels)
            total = sum(float(logits[p][h].exp()) for p in incoming)
            for p in incoming:
                a = float(logits[p][h].exp()) / total
                message[i, part] += a * v[pairs.source[p], part]
                edge_message[i, part] += a * features[p][part]
    out = torch.stack([scale * z[p] + shift + w_out @ features[p] for p in range(len(z))])
    return [message, edge_message, out, out.mean(0), out.var(0, correction=0)]


@pytest.mark.parametrize("function", [grit_attention, grit_attention_reference])
@pytest.mark.parametrize("edges", [None, 9])
def test_equals_the_published_formulas(function: Any, edges: int | None) -> None:
    pairs = pairs_of([6] if edges else [3, 1, 5], edges)
    inputs = random_inputs(pairs, 8)
    found = call(function, inputs, pairs, heads=2)
    for one, other in zip(found, by_loops(inputs, pairs, 2), strict=True):
        torch.testing.assert_close(one, other)
    assert call(function, inputs[:7], pairs, heads=2)[2:] == (None, None, None)


# Every length of a head and every precision is compiled, once in the life of a machine: not too many of them.
@pytest.mark.parametrize(
    ("dtype", "width", "heads"),
    [(torch.double, 8, 2), (torch.float, 8, 2), (torch.float, 64, 8), (torch.double, 39, 3), (torch.double, 2, 2)],
)
@pytest.mark.parametrize("update", [True, False])
@pytest.mark.parametrize("edges", [None, 300])
@pytest.mark.parametrize("variant", ["plain", "checkpoint", "dropout", "dropout and checkpoint"])
def test_fast_path_is_the_reference(
    dtype: torch.dtype, width: int, heads: int, update: bool, edges: int | None, variant: str
) -> None:
    pairs = pairs_of([70] if edges else [5, 1, 0, 33, 40], edges)  # more than one block, longer than a segment

    def agree() -> bool:
        masks: dict[str, Any] = {}
        if "dropout" in variant:
            masks["attention_dropout"] = Dropped(torch.rand(pairs.num_pairs, heads) < 0.7, 1 / 0.7)
            masks["feature_dropout"] = Dropped(torch.rand(pairs.num_pairs, width) < 0.9, 1 / 0.9)
        inputs = random_inputs(pairs, width, dtype, update)
        for x in inputs[4:5]:
            x.data.mul_(0.3)
        results = []
        weights = None
        for function, options in (
            (grit_attention_reference, {}),
            (grit_attention, {"checkpoint": "checkpoint" in variant}),
        ):
            found = [x for x in call(function, inputs, pairs, heads=heads, **masks, **options) if x is not None]
            weights = weights or [torch.randn_like(x) for x in found]
            loss = sum((x * w).sum() for x, w in zip(found, weights, strict=True))
            results.append((found, torch.autograd.grad(loss, inputs)))
        values = zip(results[0][0], results[1][0], strict=True)
        gradients = zip(results[0][1], results[1][1], strict=True)
        return all(torch.allclose(other, one, rtol=rtol, atol=atol) for one, other in values) and all(
            float((one - other).abs().max()) <= relative * float(one.abs().max()) for one, other in gradients
        )

    # The root magnifies rounding where its argument is small, and its derivative does without bound: in float32 once in
    # some hundred draws, so one draw of three has to be right there.
    rtol, atol, relative, draws = {torch.double: (1e-9, 1e-6, 1e-9, 1), torch.float: (1e-4, 1e-4, 3e-3, 3)}[dtype]
    assert any(agree() for _ in range(draws))


@pytest.mark.parametrize("update", [True, False])
@pytest.mark.parametrize("checkpoint", [True, False])
@pytest.mark.parametrize("dropout", [True, False])
def test_gradients(update: bool, checkpoint: bool, dropout: bool) -> None:
    pairs = pairs_of([4, 1, 2])
    masks: dict[str, Any] = {}
    if dropout:
        masks["attention_dropout"] = Dropped(torch.rand(pairs.num_pairs, 2) < 0.7, 1 / 0.7)
        masks["feature_dropout"] = Dropped(torch.rand(pairs.num_pairs, 8) < 0.9, 1 / 0.9)

    def function(*inputs: Tensor) -> tuple[Tensor, ...]:
        found = call(grit_attention, list(inputs), pairs, heads=2, checkpoint=checkpoint, **masks)
        return tuple(x for x in found if x is not None)

    inputs = random_inputs(pairs, 8, update=update)
    with torch.no_grad():  # arguments of the root away from 0, where it has no derivative
        inputs[1].abs_().add_(0.3)
        inputs[2].abs_().add_(0.3)
        inputs[4][:8] *= 0.05
        inputs[5][:8] = 1
    assert torch.autograd.gradcheck(function, inputs)


def test_clamped_scores_have_no_gradient() -> None:
    pairs = pairs_of([5])
    for function in (grit_attention, grit_attention_reference):
        inputs = random_inputs(pairs, 8, update=False)
        with torch.no_grad():
            inputs[6].fill_(1e4)
            inputs[5][8:] = 90
        found = call(function, inputs, pairs, heads=2)
        (grad,) = torch.autograd.grad(found.message.square().sum(), inputs[6])
        assert bool((grad == 0).all())
        average = inputs[3].mean(0).expand(5, 8)  # all scores are 5
        torch.testing.assert_close(found.message, average)


def test_derivative_of_the_root_is_bounded() -> None:
    x = torch.tensor([0.0, 1e-30, -1e-12, 1e-8, -4.0], requires_grad=True)
    signed_root(x).sum().backward()
    torch.testing.assert_close(x.grad, torch.tensor([0.0, 500.0, 500.0, 500.0, 0.25]))
    torch.testing.assert_close(signed_root(x).detach(), x.detach().sign() * x.detach().abs().sqrt(), rtol=0, atol=0)
    # The same in the compiled pass: one pair, q + k = 1, so that the argument is b_s.
    pairs = pairs_of([1])
    for t, slope in ((0.0, 0.0), (1e-12, 500.0), (-4.0, 0.25)):
        inputs = [x.detach().clone().requires_grad_() for x in random_inputs(pairs, 1, update=False)]
        with torch.no_grad():
            inputs[1].fill_(1.0), inputs[2].zero_(), inputs[4].zero_()
            inputs[5][0], inputs[5][1] = t, 9.0
        found = call(grit_attention, inputs, pairs, heads=1)
        (grad,) = torch.autograd.grad(found.edge_message.sum(), inputs[5])
        torch.testing.assert_close(grad, torch.tensor([slope, 1.0]).double())


def test_numbers_that_are_none_are_not_hidden() -> None:
    pairs = pairs_of([3])
    inputs = random_inputs(pairs, 8)
    with torch.no_grad():
        inputs[0][4, 2] = torch.nan  # pair (1, 1)
    found = call(grit_attention, inputs, pairs, heads=2)
    assert found.edge_message.isnan().any(1).tolist() == [False, True, False]
    assert bool(found.mean.isnan().all())


def test_statistics_far_from_zero() -> None:
    """Variance of float32 rows whose mean is 10,000 times their deviation."""
    pairs = pairs_of([40, 30])
    inputs = random_inputs(pairs, 8, torch.float)
    with torch.no_grad():
        inputs[9].fill_(1e4)
    found = call(grit_attention, inputs, pairs, heads=2)
    exact = found.out.double()
    torch.testing.assert_close(found.variance.double(), exact.var(0, correction=0), rtol=1e-5, atol=0)
    torch.testing.assert_close(found.mean.double(), exact.mean(0), rtol=1e-7, atol=0)


@pytest.mark.parametrize("checkpoint", [False, True])
def test_threads_give_the_same(monkeypatch: pytest.MonkeyPatch, checkpoint: bool) -> None:
    monkeypatch.setattr(parts, "_PAIRS_PER_THREAD", 100)
    pairs = pairs_of([30, 3, 0, 20])
    inputs = random_inputs(pairs, 8)
    before = torch.get_num_threads()
    results = []
    try:
        for threads in (1, 3):
            torch.set_num_threads(threads)
            assert len(parts.parts_of(pairs.ptr)) == threads
            found = call(grit_attention, inputs, pairs, heads=2, checkpoint=checkpoint)
            loss = sum(x.square().sum() for x in found)
            results.append([*found, *torch.autograd.grad(loss, inputs)])
    finally:
        torch.set_num_threads(before)
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


def test_parts_are_whole_nodes_of_about_equally_many_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(parts, "_PAIRS_PER_THREAD", 1)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 4)
    for sizes in ([40], [1, 2, 3, 40, 0], [1], [0], [1, 1]):
        pairs = pairs_of(sizes)
        found = parts.parts_of(pairs.ptr)
        nodes = sum(sizes)
        assert [found[0][0], *(last for _, last in found)] == [0, *(first for first, _ in found[1:]), nodes]
        if nodes >= 40:
            lengths = [int(pairs.ptr[last] - pairs.ptr[first]) for first, last in found]
            assert max(lengths) - min(lengths) <= 40 * 2


@pytest.mark.parametrize("checkpoint", [False, True])
@pytest.mark.parametrize("autocast", [False, True])
def test_kept_for_the_backward_pass(checkpoint: bool, autocast: bool) -> None:
    pairs = pairs_of([40, 50])
    inputs = random_inputs(pairs, 64, torch.float)
    storages: dict[int, int] = {}

    def pack(x: Tensor) -> Tensor:
        storages[x.untyped_storage().data_ptr()] = x.untyped_storage().nbytes()
        return x

    with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
        with torch.autocast("cpu", torch.bfloat16, enabled=autocast):
            found = call(grit_attention, inputs, pairs, heads=8, checkpoint=checkpoint)
    of_nodes = 16 * 90 * 64 * 4 + 10 * 64 * 64 * 4
    storages.pop(found.out.untyped_storage().data_ptr(), None)  # the next layer's z
    per_pair = (sum(storages.values()) - of_nodes) / (4 * 64 * pairs.num_pairs)
    if autocast and not checkpoint:  # the reference keeps what autograd wants
        assert per_pair > 3.0
    else:
        limit = 1.0 if autocast else (1.2 if checkpoint else 3.2)
        assert per_pair < limit, f"{per_pair} D numbers a pair"


def test_without_gradients_nothing_is_kept() -> None:
    pairs = pairs_of([20])
    inputs = random_inputs(pairs, 8)
    with torch.no_grad():
        quiet = call(grit_attention, inputs, pairs, heads=2)
    assert quiet.out.grad_fn is None
    torch.testing.assert_close(quiet.out, call(grit_attention, inputs, pairs, heads=2).out)
