from __future__ import annotations

import pytest
import torch
from torch import Tensor

from graphpe.models.attention.padding import padded_nodes
from graphpe.models.attention.pairs import all_pairs, edge_pairs
from graphpe.models.attention.softmax.linear import PairMask, linear_attention
from graphpe.models.batches.nodes import NodeToGraph

HEADS, WIDTH = 2, 6


def members_of(sizes: list[int]) -> NodeToGraph:
    count = torch.tensor(sizes, dtype=torch.long)
    ptr = torch.cat([count.new_zeros(1), count.cumsum(0)])
    return NodeToGraph(torch.arange(len(sizes)).repeat_interleave(count), ptr)


def no_edges() -> Tensor:
    return torch.zeros(2, 0, dtype=torch.long)


def rows(members: NodeToGraph, dtype=torch.float64) -> list[Tensor]:
    return [torch.randn(members.graph.numel(), WIDTH, dtype=dtype, requires_grad=True) for _ in range(3)]


def dense(query: Tensor, key: Tensor, value: Tensor, mask: Tensor, feature: str) -> Tensor:
    """Row-normalised (phi(Q) phi(K)^T * M) V with the matrices written out, for every head."""
    phi = (lambda x: torch.where(x > 0, x + 1, x.exp())) if feature == "elu" else (lambda x: x.clamp(min=0))
    out = []
    for part in torch.arange(WIDTH).chunk(HEADS):
        weight = phi(query[:, part]) @ phi(key[:, part]).t() * mask
        total = weight.sum(1, keepdim=True)
        out.append(weight @ value[:, part] / torch.where(total == 0, 1.0, total))
    return torch.cat(out, 1)


def same(a: Tensor, b: Tensor, given: list[Tensor]) -> None:
    torch.testing.assert_close(a, b)
    seed = torch.randn_like(a)
    for ours, theirs in zip(torch.autograd.grad(a, given, seed), torch.autograd.grad(b, given, seed), strict=True):
        torch.testing.assert_close(ours, theirs)


@pytest.mark.parametrize("feature", ["elu", "relu"])
@pytest.mark.parametrize("sizes", [[5, 3], [1], [4, 0, 1, 9]])
def test_without_a_mask_is_the_dense_form(sizes: list[int], feature) -> None:
    members = members_of(sizes)
    given = rows(members)
    blocks = (members.graph[:, None] == members.graph).double()
    found = linear_attention(*given, padded_nodes(members), heads=HEADS, feature=feature)
    same(found, dense(*given, blocks, feature), given)


@pytest.mark.parametrize("feature", ["elu", "relu"])
@pytest.mark.parametrize("complete", [True, False])
def test_with_a_mask_is_the_dense_form(feature, complete: bool) -> None:
    members = members_of([5, 1, 4])
    edges = torch.tensor([[0, 1, 2, 6, 7], [1, 2, 0, 7, 9]])
    pairs = all_pairs(members, edges) if complete else edge_pairs(members, edges, self_pairs=False)
    weights = torch.rand(pairs.num_pairs, dtype=torch.float64, requires_grad=True)
    matrix = torch.zeros(10, 10, dtype=torch.float64).index_put((pairs.target, pairs.source), weights)
    given = [*rows(members), weights]
    found = linear_attention(
        *given[:3], padded_nodes(members), heads=HEADS, feature=feature, mask=PairMask(pairs, weights)
    )
    same(found, dense(*given[:3], matrix, feature), given)


def test_only_products_of_the_mask_are_used() -> None:
    """Any object with `apply` is a mask: here exp(-|p_i - p_j|) on a path in two running sums, without pairs."""

    class Decay:
        def apply(self, x: Tensor) -> Tensor:
            decay, n = torch.exp(torch.tensor(-1.0, dtype=x.dtype)), len(x)
            forward, backward = [x[0]], [x[-1]]
            for i in range(1, n):
                forward.append(forward[-1] * decay + x[i])
                backward.append(backward[-1] * decay + x[n - 1 - i])
            return torch.stack(forward) + torch.stack(backward[::-1]) - x

    members = members_of([7])
    given = rows(members)
    place = torch.arange(7, dtype=torch.float64)
    matrix = torch.exp(-(place[:, None] - place).abs())
    found = linear_attention(*given, padded_nodes(members), heads=HEADS, mask=Decay())
    same(found, dense(*given, matrix, "elu"), given)


def test_a_mask_of_ones_is_none() -> None:
    members = members_of([3, 5])
    pairs = all_pairs(members, no_edges())
    given = rows(members)
    nodes = padded_nodes(members)
    mask = PairMask(pairs, torch.ones(pairs.num_pairs, dtype=torch.float64))
    same(linear_attention(*given, nodes, heads=HEADS, mask=mask), linear_attention(*given, nodes, heads=HEADS), given)


def test_nothing_grows_with_pairs() -> None:
    """A graph of 100,000 nodes: its pairs would be 10^10."""
    members = members_of([100_000])
    given = [x.detach() for x in rows(members, torch.float32)]
    assert bool(linear_attention(*given, padded_nodes(members), heads=HEADS).isfinite().all())


def test_features_that_vanish_and_no_nodes() -> None:
    members = members_of([3])
    query, key, value = rows(members)
    out = linear_attention(-query.abs(), key, value, padded_nodes(members), heads=HEADS, feature="relu")
    assert torch.equal(out, torch.zeros_like(out))
    empty = members_of([0, 0])
    for mask in (None, PairMask(all_pairs(empty, no_edges()), torch.zeros(0))):
        assert linear_attention(*rows(empty), padded_nodes(empty), heads=HEADS, mask=mask).shape == (0, WIDTH)


def test_bfloat16_sums_in_float32() -> None:
    members = members_of([300])
    given = [x.detach().bfloat16() for x in rows(members, torch.float32)]
    exact = linear_attention(*(x.float() for x in given), padded_nodes(members), heads=HEADS)
    low = linear_attention(*given, padded_nodes(members), heads=HEADS)
    assert low.dtype == torch.bfloat16
    assert float((low.float() - exact).norm() / exact.norm()) < 0.01
