"""Softmax attention over ragged graphs: values and gradients of the formulas in float64."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from torch import Tensor

from graphpe.errors import GraphPEValueError
from graphpe.models.attention.biases.pair_factors import PairFactors, RelationBias
from graphpe.models.attention.gpu.ragged import ragged_nodes
from graphpe.models.attention.gpu.softmax import ragged_softmax
from graphpe.models.attention.softmax.softmax import softmax_attention_reference

from .conftest import DEVICE, check_gradients, error, members_of


def _draw(sizes: Sequence[int], heads: int, channels: int, dtype: torch.dtype, parts: str) -> list[Tensor]:
    nodes, pairs, width = sum(sizes), sum(n * n for n in sizes), heads * channels
    shapes = {"q": (nodes, width), "k": (nodes, width), "v": (nodes, width), "a": (pairs, heads), "m": (pairs, heads)}
    shapes |= {"A": (_RELATIONS, heads), "M": (_RELATIONS, heads), "l": (nodes, heads, 3), "r": (nodes, heads, 3)}
    return [torch.randn(shapes[x], device=DEVICE).to(dtype).requires_grad_() for x in "qkv" + parts]


_RELATIONS = 70


def _factors(rest: list[Tensor], parts: str, relation: Tensor) -> PairFactors | None:
    named = dict(zip(parts, rest, strict=True))
    tables = named.get("A"), named.get("M")
    relations = () if tables == (None, None) else (RelationBias(relation, *tables),)
    ends = named.get("l"), named.get("r")
    return PairFactors(named.get("a"), named.get("m"), *ends, relations=relations) if parts else None


def _compare(sizes: Sequence[int], heads: int, channels: int, dtype: torch.dtype, parts: str, *, least: float) -> None:
    members = members_of(sizes)
    given_ = _draw(sizes, heads, channels, dtype, parts)
    relation = torch.randint(0, _RELATIONS, (sum(n * n for n in sizes),), device=DEVICE, dtype=torch.int32)
    exact = [x.detach().double().requires_grad_() for x in given_]
    nodes = ragged_nodes(members)
    out = ragged_softmax(*given_[:3], nodes, _factors(given_[3:], parts, relation), heads=heads)
    expected = softmax_attention_reference(
        *exact[:3], nodes.pairs, _factors(exact[3:], parts, relation.long()), heads=heads
    )
    upstream = torch.randn_like(out)
    out.backward(upstream)
    expected.backward(upstream.double())
    assert out.dtype == dtype
    assert error(out, expected) < least
    check_gradients(given_, exact, least)


@pytest.mark.parametrize(
    ("dtype", "least", "parts"),
    [
        *((torch.float32, 1e-5, parts) for parts in ("", "a", "m", "am", "A", "lr", "amAMlr")),
        *((torch.bfloat16, 1e-2, parts) for parts in ("", "amAMlr")),
    ],
)
def test_values_and_gradients_are_those_of_the_reference(dtype: torch.dtype, least: float, parts: str) -> None:
    _compare([5, 0, 1, 17, 0, 20], 2, 5, dtype, parts, least=least)


@pytest.mark.parametrize("sizes", [[1], [0, 0, 3, 0], [16, 32], [200, 3]])
def test_sizes(sizes: list[int]) -> None:
    _compare(sizes, 1, 16, torch.float32, "am", least=1e-5)


@settings(max_examples=5, deadline=None, phases=[Phase.generate])
@given(st.lists(st.integers(0, 40), min_size=1, max_size=4), st.integers(1, 3), st.integers(1, 20))
def test_any_shape(sizes: list[int], heads: int, channels: int) -> None:
    if sum(sizes):
        _compare(sizes, heads, channels, torch.float32, "a", least=1e-5)


def test_parts_of_wider_rows_are_read_in_place_and_results_repeat() -> None:
    members = members_of([7, 20])
    wide = torch.randn(27, 24, device=DEVICE, requires_grad=True)
    nodes = ragged_nodes(members)

    def run() -> tuple[Tensor, Tensor]:
        out = ragged_softmax(*wide.chunk(3, dim=1), nodes, heads=2)
        return out, torch.autograd.grad(out.square().sum(), wide)[0]

    expected = softmax_attention_reference(*wide.double().chunk(3, dim=1), nodes.pairs, heads=2)
    first, second = run(), run()
    assert error(first[0], expected) < 1e-5
    assert error(first[1], torch.autograd.grad(expected.square().sum(), wide)[0]) < 1e-5
    assert torch.equal(first[0], second[0])
    assert torch.equal(first[1], second[1])


def test_gradients_of_tables_repeat() -> None:
    nodes = ragged_nodes(members_of([7, 20]))
    table = torch.randn(300, 2, device=DEVICE, requires_grad=True)
    relation = torch.randint(0, 300, (449,), device=DEVICE)
    rows = torch.randn(3, 27, 8, device=DEVICE)
    factors = PairFactors(relations=(RelationBias(relation, table),))

    def run() -> Tensor:
        return torch.autograd.grad(ragged_softmax(*rows, nodes, factors, heads=2).square().sum(), table)[0]

    expected = softmax_attention_reference(*rows.double(), nodes.pairs, factors, heads=2)
    first, second = run(), run()
    assert error(first, torch.autograd.grad(expected.square().sum(), table)[0]) < 1e-5
    assert torch.equal(first, second)


def test_half_precision_where_keys_have_a_mean() -> None:
    """What rounding adds to delta would be times that mean in the gradient of queries."""
    nodes = ragged_nodes(members_of([9, 20]))
    rows = [torch.randn(29, 16, device=DEVICE) + mean for mean in (0, 2, 2)]
    given_ = [x.bfloat16().requires_grad_() for x in rows]
    exact = [x.detach().double().requires_grad_() for x in given_]
    out = ragged_softmax(*given_, nodes, heads=2)
    upstream = torch.randn_like(out)
    out.backward(upstream)
    softmax_attention_reference(*exact, nodes.pairs, heads=2).backward(upstream.double())
    for value, reference in zip(given_, exact, strict=True):
        assert value.grad is not None
        assert error(value.grad, reference.grad) < 0.012


def test_large_logits_and_keys_without_weight() -> None:
    members = members_of([20])
    q, k, v = (30 * torch.randn(20, 8, device=DEVICE) for _ in range(3))
    add = torch.zeros(400, 1, device=DEVICE)
    add.view(20, 20)[:, 5] = -torch.inf
    nodes = ragged_nodes(members)
    out = ragged_softmax(q, k, v, nodes, PairFactors(add), heads=1)
    expected = softmax_attention_reference(q.double(), k.double(), v.double(), nodes.pairs, PairFactors(add), heads=1)
    assert error(out, expected) < 1e-4
    add.view(20, 20)[3] = -torch.inf
    out = ragged_softmax(q, k, v, nodes, PairFactors(add), heads=1)
    assert not out[3].any()
    assert out.isfinite().all()


def test_no_nodes_and_wrong_shapes() -> None:
    nodes = ragged_nodes(members_of([0, 0]))
    assert ragged_softmax(*torch.zeros(3, 0, 8, device=DEVICE), nodes, heads=2).shape == (0, 8)
    nodes = ragged_nodes(members_of([2, 3]))
    rows = torch.zeros(3, 5, 8, device=DEVICE)
    with pytest.raises(GraphPEValueError, match="add must have the shape"):
        ragged_softmax(*rows, nodes, PairFactors(torch.zeros(12, 2, device=DEVICE)), heads=2)
    with pytest.raises(GraphPEValueError, match="multiple of heads"):
        ragged_softmax(*rows, nodes, heads=3)
