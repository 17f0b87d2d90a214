from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from graphpe.errors import GraphPEValueError
from graphpe.models.attention.pairs import all_pairs, edge_pairs
from graphpe.models.attention.recording import record_attention
from graphpe.models.attention.triplet import attention as triplet
from graphpe.models.attention.triplet import blocked
from graphpe.models.attention.triplet.attention import triplet_attention
from graphpe.models.attention.triplet.blocked import attend_in_blocks, kept, triplet_attention_reference
from graphpe.models.attention.triplet.triplets import Triplets
from graphpe.models.batches.nodes import NodeToGraph

PATHS = [triplet_attention, attend_in_blocks, triplet_attention_reference]
each_path = pytest.mark.parametrize("attend", PATHS)


def make_triplets(sizes: list[int]) -> Triplets:
    ptr = torch.tensor([0, *sizes]).cumsum(0)
    members = NodeToGraph(torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes, dtype=torch.long)), ptr)
    return Triplets(all_pairs(members, torch.zeros(2, 0, dtype=torch.long)), members)


def random_inputs(
    triplets: Triplets, width: int, dtype: torch.dtype = torch.double, scale: float = 1.0
) -> list[Tensor]:
    shape = (triplets.pairs.num_pairs, width)
    return [(scale * torch.randn(shape, dtype=dtype)).requires_grad_() for _ in range(4)]


def by_loops(inputs: list[Tensor], sizes: list[int], heads: int) -> Tensor:
    """The published formula, one pair and one head at a time, in float64."""
    q, k, u, v = (x.detach().double() for x in inputs)
    out, channels, start = torch.zeros_like(q), q.shape[1] // heads, 0
    for n in sizes:
        for i in range(n):
            for j in range(n):
                for h in range(heads):
                    part = slice(h * channels, (h + 1) * channels)
                    il = [start + i * n + middle for middle in range(n)]
                    lj = [start + middle * n + j for middle in range(n)]
                    logits = [float(q[a, part] @ k[b, part]) / channels**0.5 for a, b in zip(il, lj, strict=True)]
                    weights = torch.tensor(logits, dtype=torch.double).softmax(0)
                    for weight, a, b in zip(weights, il, lj, strict=True):
                        out[start + i * n + j, part] += weight * u[a, part] * v[b, part]
        start += n * n
    return out


@each_path
@pytest.mark.parametrize(("heads", "channels"), [(2, 8), (3, 5), (1, 2)])
def test_equals_the_published_formula(attend: Any, heads: int, channels: int) -> None:
    sizes = [4, 0, 1, 9]
    triplets = make_triplets(sizes)
    inputs = random_inputs(triplets, heads * channels)
    torch.testing.assert_close(attend(*inputs, triplets, heads=heads).detach(), by_loops(inputs, sizes, heads))


def all_paths(inputs: list[Tensor], triplets: Triplets, heads: int, **options: Any) -> None:
    """They give the same values and gradients."""
    cotangent, results = torch.randn_like(inputs[0]), []
    for attend in PATHS:
        out = attend(*inputs, triplets, heads=heads)
        results.append((out, *torch.autograd.grad(out, inputs, cotangent)))
    for fast, blocks, expected in zip(*results, strict=True):
        torch.testing.assert_close(fast, expected, **options)
        torch.testing.assert_close(blocks, expected, **options)


@settings(deadline=None, max_examples=25)
@given(
    sizes=st.lists(st.integers(0, 18), min_size=1, max_size=5),
    heads=st.integers(1, 4),
    channels=st.integers(1, 9),
    threads=st.integers(1, 3),
    at_once=st.sampled_from([1, 2000, 1 << 22]),
)
def test_all_paths_agree(sizes: list[int], heads: int, channels: int, threads: int, at_once: int) -> None:
    triplets = make_triplets(sizes)
    before = torch.get_num_threads()
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(triplet, "_TRIPLETS_PER_THREAD", 5)
        patch.setattr(blocked, "_AT_ONCE", at_once)
        torch.set_num_threads(threads)
        try:
            all_paths(random_inputs(triplets, heads * channels), triplets, heads)
        finally:
            torch.set_num_threads(before)


def test_float32() -> None:
    triplets = make_triplets([20, 1, 33])
    all_paths(random_inputs(triplets, 32, torch.float32, scale=0.5), triplets, 4, rtol=1e-5, atol=1e-5)


def test_threads_give_the_same_bits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(triplet, "_TRIPLETS_PER_THREAD", 5)
    triplets, found = make_triplets([7, 20, 3]), []
    inputs = random_inputs(triplets, 16, torch.float32)
    cotangent = torch.randn_like(inputs[0])
    for threads in (1, 3):
        torch.set_num_threads(threads)
        try:
            out = triplet_attention(*inputs, triplets, heads=2)
            found.append((out, *torch.autograd.grad(out, inputs, cotangent)))
        finally:
            torch.set_num_threads(1)
    assert all(torch.equal(one, other) for one, other in zip(*found, strict=True))


@each_path
def test_gradcheck(attend: Any) -> None:
    triplets = make_triplets([3, 2])
    assert torch.autograd.gradcheck(lambda *x: attend(*x, triplets, heads=2), random_inputs(triplets, 6))


def test_compiled_passes_run_where_they_should(monkeypatch: pytest.MonkeyPatch) -> None:
    ran = []
    monkeypatch.setattr(triplet, "forward_units", lambda *_: ran.append(True))
    triplets = make_triplets([3])

    def run(dtype: torch.dtype) -> bool:
        ran.clear()
        triplet_attention(*random_inputs(triplets, 6, dtype), triplets, heads=2)
        return bool(ran)

    assert run(torch.float32)
    assert run(torch.float64)
    assert not run(torch.bfloat16)
    monkeypatch.setattr(triplet, "enough_pairs", lambda number: number > 9)
    assert not run(torch.float32)


def kept_weights(triplets: Triplets, n: int, heads: int, dropout: float) -> Tensor:
    """Which weights of one graph are kept, `[H, i, l, j]`, read off the result: equal weights, and u that tells l."""
    nothing = torch.zeros(n * n, heads * n, dtype=torch.double)
    tells = torch.eye(n, dtype=torch.double).repeat(n, heads)
    out = triplet_attention(nothing, nothing, tells, nothing + 1, triplets, heads=heads, dropout=dropout)
    return out.view(n, n, heads, n).permute(2, 0, 3, 1) * n * (1 - dropout)


def test_dropout_is_of_weights_and_its_gradients_are_right() -> None:
    n, heads, dropout = 11, 3, 0.3
    triplets = make_triplets([n])
    torch.manual_seed(seed := int(torch.randint(1 << 30, ())))
    keep = kept_weights(triplets, n, heads, dropout)
    torch.testing.assert_close(keep, keep.round())
    assert set(keep.round().unique().tolist()) == {0.0, 1.0}
    assert abs(float(keep.mean()) - 0.7) < 5 * (0.21 / keep.numel()) ** 0.5
    for one, other in ((0, 1), (1, 2)):
        assert abs(float((keep[one] * keep[other]).mean()) - 0.49) < 0.06  # heads drop others

    inputs = random_inputs(triplets, heads * 4)
    q, k, u, v = (x.view(n, n, heads, 4) for x in inputs)
    weight = (torch.einsum("ilhc,ljhc->hilj", q, k) / 2).softmax(2) * keep.round() / (1 - dropout)
    expected = torch.einsum("hilj,ilhc,ljhc->ijhc", weight, u, v).reshape(n * n, -1)
    torch.manual_seed(seed)
    out = triplet_attention(*inputs, triplets, heads=heads, dropout=dropout)
    torch.testing.assert_close(out, expected)
    cotangent = torch.randn_like(out)
    got, wanted = (torch.autograd.grad(x, inputs, cotangent) for x in (out, expected))
    torch.testing.assert_close(got, wanted)


def test_dropout_of_graphs_and_steps_differs() -> None:
    n = 9
    ones = torch.ones(2 * n * n, 2, dtype=torch.double)
    triplets = make_triplets([n, n])
    first, second = (triplet_attention(*[ones] * 4, triplets, heads=2, dropout=0.5) for _ in range(2))
    assert not torch.equal(first, second)
    assert not torch.equal(first[: n * n], first[n * n :])
    assert abs(float(first.mean()) - 1) < 0.1
    for attend in (triplet_attention, attend_in_blocks):
        assert not attend(*[ones] * 4, triplets, heads=2, dropout=1.0).any()


@pytest.mark.parametrize("dropout", [0.2, 0.5])
def test_what_blocks_drop_is_independent_along_rows_columns_and_around_four_triplets(dropout: float) -> None:
    """Of `(i, l, j), (i', l, j), (i', l, j'), (i, l, j')` sums of the numbers that are drawn are one of the others'."""
    numbers = (torch.randint(-(1 << 31), 1 << 31, (1, 40, 40, 9), dtype=torch.int32) for _ in range(2))
    dropped = (~kept(*numbers, dropout)).double().permute(0, 2, 4, 1, 3).flatten(0, 2)  # [l and head, i, j]
    a, b, c, d = (dropped[:, i::2, j::2] for i, j in ((0, 0), (1, 0), (1, 1), (0, 1)))
    for product, factors in ((a, 1), (a * b, 2), (a * c, 2), (a * d, 2), (a * b * c, 3), (a * b * c * d, 4)):
        expected = dropout**factors
        # Products share numbers: their mean is of less than as many independent ones.
        assert abs(float(product.mean()) - expected) < 12 * (expected / product.numel()) ** 0.5, factors
    assert not kept(*(torch.randint(-9, 9, (1, 4, 4, 2), dtype=torch.int32) for _ in range(2)), 1.0).any()


@pytest.mark.parametrize("dropout", [0.3])
def test_dropout_of_blocks_is_of_weights(dropout: float, monkeypatch: pytest.MonkeyPatch) -> None:
    """As of the compiled passes, with rows in several blocks, each of its own dropped weights."""
    n, heads = 11, 3
    triplets = make_triplets([n])
    nothing = torch.zeros(n * n, heads * n, dtype=torch.double)
    tells = torch.eye(n, dtype=torch.double).repeat(n, heads)
    monkeypatch.setattr("graphpe.models.attention.triplet.blocked._AT_ONCE", 2 * n * n * heads * n)
    out = attend_in_blocks(nothing, nothing, tells, nothing + 1, triplets, heads=heads, dropout=dropout)
    keep = out.view(n, n, heads, n).permute(2, 0, 3, 1) * n * (1 - dropout)  # [H, i, l, j]
    torch.testing.assert_close(keep, keep.round())
    assert set(keep.round().unique().tolist()) == {0.0, 1.0}
    assert abs(float(keep.mean()) - 0.7) < 0.05
    rows = keep.round().permute(1, 0, 2, 3).flatten(1)
    assert len(rows.unique(dim=0)) == n


def test_blocks_compute_again_what_they_dropped() -> None:
    """A gradient of other dropped weights than those of the result would not be its derivative."""
    triplets = make_triplets([4])
    inputs = random_inputs(triplets, 4)

    def function(*inputs: Tensor) -> Tensor:
        torch.manual_seed(3)
        return attend_in_blocks(*inputs, triplets, heads=2, dropout=0.4)

    assert torch.autograd.gradcheck(function, inputs)


def test_no_pairs() -> None:
    for sizes in ([0], [0, 0]):
        triplets = make_triplets(sizes)
        for attend in PATHS:
            inputs = random_inputs(triplets, 8)
            out = attend(*inputs, triplets, heads=2)
            assert out.shape == (0, 8)
            assert all(not grad.any() for grad in torch.autograd.grad(out.sum(), inputs))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_large_logits_are_a_choice_of_the_largest(dtype: torch.dtype) -> None:
    triplets = make_triplets([6, 21])
    inputs = random_inputs(triplets, 16, dtype, scale=30.0)
    all_paths(inputs, triplets, 2, rtol=1e-3, atol=1e-1)
    out = triplet_attention(*inputs, triplets, heads=2)
    assert all(bool(grad.isfinite().all()) for grad in torch.autograd.grad(out.sum(), inputs))


def test_what_is_not_a_number_stays_in_its_graph() -> None:
    triplets = make_triplets([3, 5])
    inputs = [x.detach() for x in random_inputs(triplets, 8)]
    inputs[0][10] = torch.nan
    out = triplet_attention(*inputs, triplets, heads=2)
    assert bool(out[:9].isfinite().all())
    assert bool(out[9:14].isnan().all())


def test_what_is_kept_for_the_backward_pass() -> None:
    """Beyond the inputs the result, and a number a head and pair: nothing of the size of the triplets."""
    triplets = make_triplets([40])
    inputs = random_inputs(triplets, 64, torch.float32)
    given_storages = {x.untyped_storage().data_ptr() for x in inputs}
    for attend, numbers in ((triplet_attention, 64 + 8), (attend_in_blocks, 5 * 64)):
        kept: dict[int, int] = {}

        def pack(x: Tensor, kept: dict[int, int] = kept) -> Tensor:
            storage = x.untyped_storage()
            if storage.data_ptr() not in given_storages:
                kept[storage.data_ptr()] = storage.nbytes() // 4
            return x

        with torch.autograd.graph.saved_tensors_hooks(pack, lambda x: x):
            attend(*inputs, triplets, heads=8)
        assert sum(kept.values()) <= 1600 * numbers + 2000


def test_noted_weights_are_means_over_the_other_end() -> None:
    sizes, heads = [3, 6], 2
    triplets = make_triplets(sizes)
    inputs = [x.detach() for x in random_inputs(triplets, 8)]
    with record_attention() as found:
        triplet_attention(*inputs, triplets, heads=heads)
    (noted,) = found
    start = 0
    for n in sizes:
        q, k = (x[start : start + n * n].view(n, n, heads, 4) for x in inputs[:2])
        weight = (torch.einsum("ilhc,ljhc->iljh", q, k) / 2).softmax(1).mean(2)
        torch.testing.assert_close(noted.weight[start : start + n * n], weight.flatten(0, 1))
        start += n * n


def test_errors_of_one_line() -> None:
    triplets = make_triplets([3])
    inputs = random_inputs(triplets, 8)
    with pytest.raises(GraphPEValueError, match=r"query must be \[9, D\] with D a multiple of heads, got \[9, 8\]"):
        triplet_attention(*inputs, triplets, heads=3)
    with pytest.raises(GraphPEValueError, match=r"left must have the shape \[9, 8\], got \[8, 8\]"):
        triplet_attention(*inputs[:2], inputs[2][1:], inputs[3], triplets, heads=2)
    members = triplets.members
    with pytest.raises(GraphPEValueError, match="triplets are made of all pairs of each graph"):
        Triplets(edge_pairs(members, torch.tensor([[0], [1]])), members)
