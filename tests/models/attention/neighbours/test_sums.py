from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from graphpe.errors import GraphPEValueError
from graphpe.models.attention.neighbours import sums
from graphpe.models.attention.neighbours.neighbours import Neighbours
from graphpe.models.attention.neighbours.sums import (
    largest_of_sources,
    neighbour_products,
    neighbour_sums,
    neighbour_totals,
    of_sources,
    of_targets,
)


def some_pairs(nodes: int, edges: int, itself: bool) -> Neighbours:
    """Parallel edges, self-loops and isolated nodes among them."""
    return Neighbours(torch.randint(0, max(nodes, 1), (2, edges if nodes else 0)), nodes, itself)


def one_by_one(pairs: Neighbours) -> list[tuple[int, int]]:
    """(source, target) in the order of the pairs: edges sorted by target, then by their number, a node itself last."""
    listed = [tuple(edge) for edge in pairs.edge_index.t().tolist()]
    listed += [(node, node) for node in range(pairs.num_nodes)] if pairs.itself else []
    return sorted(listed, key=lambda edge: edge[1])


def test_both_sides() -> None:
    for nodes, edges, itself in [
        (5, 12, False),
        (5, 12, True),
        (1, 0, True),
        (1, 0, False),
        (0, 0, True),
        (3, 0, False),
    ]:
        pairs = some_pairs(nodes, edges, itself)
        listed = one_by_one(pairs)
        assert pairs.num_pairs == len(listed)
        assert list(zip(pairs.entering.other.tolist(), pairs.entering.own.tolist(), strict=True)) == listed
        assert pairs.entering.place.tolist() == list(range(len(listed)))
        leaving = pairs.leaving
        found = zip(leaving.own.tolist(), leaving.other.tolist(), leaving.place.tolist(), strict=True)
        assert all(listed[place] == (source, target) for source, target, place in found)
        assert leaving.own.tolist() == sorted(source for source, _ in listed)
        for side in (pairs.entering, leaving):
            assert side.ptr.tolist() == [int((side.own < node).sum()) for node in range(nodes + 1)]
        assert pairs.degree.tolist() == [sum(target == node for _, target in listed) for node in range(nodes)]


def by_loops(weight: Tensor, x: Tensor, pairs: Neighbours) -> Tensor:
    out = torch.zeros_like(x)
    channels = x.shape[1] // weight.shape[1]
    for number, (source, target) in enumerate(one_by_one(pairs)):
        out[target] = out[target] + weight[number].repeat_interleave(channels) * x[source]
    return out


@settings(deadline=None, max_examples=25)
@given(
    nodes=st.integers(0, 7),
    edges=st.integers(0, 20),
    heads=st.integers(1, 3),
    channels=st.sampled_from([1, 3, 4, 8, 16]),
    itself=st.booleans(),
    rows=st.integers(1, 30),
)
def test_equals_loops(nodes: int, edges: int, heads: int, channels: int, itself: bool, rows: int) -> None:
    pairs, width = some_pairs(nodes, edges, itself), heads * channels
    a, b = torch.randn(2, nodes, width, dtype=torch.double)
    weight = torch.randn(pairs.num_pairs, heads, dtype=torch.double)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sums._BLOCK_BYTES, "cpu", rows * width * 8)
        compare_with_loops(pairs, a, b, weight)


def compare_with_loops(pairs: Neighbours, a: Tensor, b: Tensor, weight: Tensor) -> None:
    heads, listed = weight.shape[1], one_by_one(pairs)
    torch.testing.assert_close(neighbour_sums(weight, a, pairs), by_loops(weight, a, pairs))
    torch.testing.assert_close(neighbour_sums(None, a, pairs), by_loops(torch.ones_like(weight), a, pairs))
    rows = [(a[i] * b[j]).view(heads, -1).sum(1) for j, i in listed]
    expected = torch.stack(rows) if rows else torch.zeros(0, heads, dtype=torch.double)
    torch.testing.assert_close(neighbour_products(a, b, pairs, heads), expected)
    totals = torch.zeros(pairs.num_nodes, heads, dtype=torch.double)
    largest = torch.full_like(totals, -torch.inf)
    first = a[:, :heads].contiguous()
    for number, (j, i) in enumerate(listed):
        totals[i] += weight[number]
        largest[i] = torch.maximum(largest[i], first[j])
    torch.testing.assert_close(neighbour_totals(weight, pairs), totals)
    expected = torch.where(largest.isinf(), 0, largest)
    torch.testing.assert_close(largest_of_sources(first, pairs), expected)
    assert torch.equal(of_sources(first, pairs), first[torch.tensor([j for j, _ in listed], dtype=torch.long)])
    assert torch.equal(of_targets(first, pairs), first[torch.tensor([i for _, i in listed], dtype=torch.long)])


@pytest.mark.parametrize("channels", [4, 8, 16, 32])
def test_compiled_passes_equal_loops(monkeypatch: pytest.MonkeyPatch, channels: int) -> None:
    """On two threads, with a node of many neighbours, one without any, and the largest rows below zero."""
    monkeypatch.setattr(sums, "MANY_PAIRS", 1)
    monkeypatch.setattr("graphpe.models.attention.threads._PAIRS_PER_THREAD", 20)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 2)
    edge_index = torch.cat([torch.randint(0, 9, (2, 30)), torch.stack([torch.arange(70) % 9, torch.full((70,), 4)])], 1)
    pairs = Neighbours(edge_index, 11)
    a, b = torch.randn(2, 11, 2 * channels, dtype=torch.double) - 5
    compare_with_loops(pairs, a, b, torch.randn(100, 2, dtype=torch.double))


FUNCTIONS: dict[str, Callable[..., Tensor]] = {
    "sums": lambda w, a, b, pairs: neighbour_sums(w, a, pairs),
    "plain sums": lambda w, a, b, pairs: neighbour_sums(None, a, pairs),
    "products": lambda w, a, b, pairs: neighbour_products(a, b, pairs, w.shape[1]),
    "totals": lambda w, a, b, pairs: neighbour_totals(w, pairs),
    "sources": lambda w, a, b, pairs: of_sources(a, pairs),
    "targets": lambda w, a, b, pairs: of_targets(a, pairs),
}


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_gradients(monkeypatch: pytest.MonkeyPatch, name: str, compiled: bool) -> None:
    monkeypatch.setattr(sums, "MANY_PAIRS", 1 if compiled else 1000)
    pairs = some_pairs(5, 12, True)
    tensors = [torch.randn(pairs.num_pairs, 2, dtype=torch.double), *torch.randn(2, 5, 8, dtype=torch.double)]
    assert torch.autograd.gradcheck(
        lambda *inputs: FUNCTIONS[name](*inputs, pairs), [x.requires_grad_() for x in tensors]
    )


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_is_traced_is_the_same(name: str) -> None:
    pairs = some_pairs(5, 12, False)
    inputs = (torch.randn(12, 2), torch.randn(5, 8), torch.randn(5, 8))
    traced = torch.compile(lambda *inputs: FUNCTIONS[name](*inputs, pairs), backend="eager")
    torch.testing.assert_close(traced(*inputs), FUNCTIONS[name](*inputs, pairs))
    torch._dynamo.reset()


def test_half_precision_is_summed_in_float32() -> None:
    """A thousand times 1 is 256 where it is added in bfloat16."""
    pairs = Neighbours(torch.zeros(2, 1000, dtype=torch.long), 1)
    ones = torch.ones(1, 4, dtype=torch.bfloat16)
    assert neighbour_sums(None, ones, pairs).tolist() == [[1000.0] * 4]
    assert neighbour_products(ones, ones, pairs, 1).dtype == torch.float32


def test_what_does_not_fit_is_told() -> None:
    pairs = Neighbours(torch.tensor([[0, 1], [1, 2]]), 3)
    x = torch.zeros(3, 4)
    for call, message in [
        (lambda: neighbour_sums(torch.zeros(3, 1), x, pairs), r"weight must have the shape \[2, 1\]"),
        (lambda: neighbour_sums(torch.zeros(2, 3), x, pairs), "rows of 4 numbers cannot be split into 3 heads"),
        (lambda: neighbour_sums(None, x[:2], pairs), r"x must have the shape \[3, 4\]"),
        (lambda: neighbour_products(x, x[:, :2], pairs, 1), r"b must have the shape \[3, 4\]"),
        (lambda: neighbour_totals(torch.zeros(1, 1), pairs), r"weight must have the shape \[2, 1\]"),
        (lambda: Neighbours(torch.tensor([[0], [3]]), 3).entering, "edge_index holds node 3, but there are 3 nodes"),
        (lambda: Neighbours(torch.tensor([[-1], [2]]), 3).leaving, "edge_index holds node -1"),
    ]:
        with pytest.raises(GraphPEValueError, match=message):
            call()
