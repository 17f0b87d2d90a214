from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphpe.models.attention.pairs import PairSet, all_pairs, edge_pairs
from graphpe.models.batches.nodes import NodeToGraph

SIZES = st.lists(st.integers(0, 12), min_size=1, max_size=6)


def members_of(sizes: list[int]) -> NodeToGraph:
    ptr = torch.tensor([0, *sizes]).cumsum(0)
    return NodeToGraph(torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes)), ptr)


def random_edges(sizes: list[int], members: NodeToGraph) -> torch.Tensor:
    parts = [torch.randint(0, n, (2, 2 * n)) + members.ptr[g] for g, n in enumerate(sizes) if n]
    return torch.cat(parts, dim=1) if parts else torch.zeros(2, 0, dtype=torch.long)


def listed(pairs: PairSet) -> list[tuple[int, int]]:
    return list(zip(pairs.target.tolist(), pairs.source.tolist(), strict=True))


@settings(deadline=None, max_examples=25)
@given(sizes=SIZES)
def test_all_pairs_are_every_ordered_pair_once_in_row_major_order(sizes: list[int]) -> None:
    members = members_of(sizes)
    edge_index = random_edges(sizes, members)
    pairs = all_pairs(members, edge_index)
    first = members.ptr.tolist()
    expected = [(first[g] + i, first[g] + j) for g, n in enumerate(sizes) for i in range(n) for j in range(n)]
    assert listed(pairs) == expected
    assert pairs.complete
    check_parts(pairs, members, edge_index)


@settings(deadline=None, max_examples=25)
@given(sizes=SIZES, self_pairs=st.booleans())
def test_edge_pairs_are_the_edges_each_once(sizes: list[int], self_pairs: bool) -> None:
    members = members_of(sizes)
    edge_index = random_edges(sizes, members)
    pairs = edge_pairs(members, edge_index, self_pairs=self_pairs)
    expected = {(i, j) for j, i in edge_index.t().tolist()}
    if self_pairs:
        expected |= {(v, v) for v in range(sum(sizes))}
    assert listed(pairs) == sorted(expected)
    check_parts(pairs, members, edge_index)


def check_parts(pairs: PairSet, members: NodeToGraph, edge_index: torch.Tensor) -> None:
    both = torch.stack([pairs.source, pairs.target])
    assert torch.equal(both[:, pairs.slot], edge_index)
    ends = torch.arange(members.graph.numel()).repeat_interleave(pairs.ptr.diff())
    assert torch.equal(ends, pairs.target)
    # Rows of all pairs: the numbers (target, source) of the complete set.
    complete = all_pairs(members, edge_index)
    for everything, some in ((complete.target, pairs.target), (complete.source, pairs.source)):
        assert torch.equal(pairs.take(everything), some)
    place = {pair: number for number, pair in enumerate(listed(pairs))}
    assert pairs.reverse.tolist() == [place.get((j, i), -1) for i, j in listed(pairs)]


def test_scatter_sums_parallel_edges_and_fills_the_rest() -> None:
    members = members_of([2, 1])
    edge_index = torch.tensor([[0, 0, 1, 2], [1, 1, 1, 2]])
    edge, absent = torch.randn(4, 3), torch.randn(3)
    pairs = all_pairs(members, edge_index)
    # Pairs (j -> i) in the order 0->0, 1->0, 0->1, 1->1, 2->2.
    expected = torch.stack([absent, absent, edge[0] + edge[1], edge[2], edge[3]])
    torch.testing.assert_close(pairs.scatter(edge, absent), expected)
    torch.testing.assert_close(pairs.scatter(edge), torch.cat([torch.zeros(2, 3), expected[2:]]))


def test_edge_pairs_of_a_known_number_are_those_that_are_counted() -> None:
    for sizes in ([3, 0, 1, 6], [1], [0, 0], [5]):
        members = members_of(sizes)
        edges = random_edges(sizes, members)
        joined = set(map(tuple, edges.T.tolist()))
        known = (len(joined), sum(a == b for a, b in joined))
        for self_pairs in (True, False):
            counted = edge_pairs(members, edges, self_pairs=self_pairs)
            told = edge_pairs(members, edges, self_pairs=self_pairs, joined=known)
            for name in ("source", "target", "ptr", "slot", "row"):
                assert torch.equal(getattr(told, name), getattr(counted, name)), name
