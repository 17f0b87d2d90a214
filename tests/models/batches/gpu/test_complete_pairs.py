"""All pairs by the kernel: those of two loops over the nodes of each graph."""

from __future__ import annotations

import pytest
import torch

from graphpe.models.attention import pairs
from graphpe.models.batches.gpu.complete_pairs import complete_pairs

from ...attention.gpu.conftest import DEVICE, members_of

_SIZES = [[1], [3, 1, 5], [0, 2, 0, 0, 4], [130, 2], [1] * 140 + [3]]


@pytest.mark.parametrize("sizes", _SIZES)
def test_are_those_of_loops(sizes: list[int]) -> None:
    members, start = members_of(sizes), 0
    listed: list[tuple[int, int]] = []
    for size in sizes:
        listed += [(j, i) for i in range(start, start + size) for j in range(start, start + size)]
        start += size
    found = complete_pairs(members.graph, members.ptr, len(listed))
    number = {pair: p for p, pair in enumerate(listed)}
    assert list(zip(found.source.tolist(), found.target.tolist(), strict=True)) == listed
    assert found.reverse.tolist() == [number[i, j] for j, i in listed]
    assert found.itself.tolist() == [number[i, i] for i in range(start)]
    firsts = {i: p for p, (_, i) in reversed(list(enumerate(listed)))}
    assert found.ptr.tolist() == [*(firsts[i] for i in range(start)), len(listed)]
    assert (torch.arange(len(listed), device=DEVICE) + found.shift[found.target]).tolist() == found.source.tolist()


@pytest.mark.parametrize("sizes", _SIZES)
def test_a_set_of_pairs_is_that_without_the_kernel(sizes: list[int], monkeypatch: pytest.MonkeyPatch) -> None:
    members, start = members_of(sizes), 0
    ends = []
    for size in sizes:
        ends += [torch.randint(start, start + size, (2, size))] if size else []
        start += size
    edge_index = torch.cat(ends, dim=1).to(DEVICE)
    expected = pairs.all_pairs(members, edge_index)
    monkeypatch.setattr(pairs, "has_kernels", lambda device: True)
    found = pairs.all_pairs(members, edge_index)
    assert found.total == expected.total
    for name in ("source", "target", "ptr", "slot", "reverse"):
        assert torch.equal(getattr(found, name), getattr(expected, name)), name
    assert torch.equal(found.itself, (expected.source == expected.target).nonzero().flatten())
    pairs.PairSet(found.source, found.target, found.ptr, found.slot, None).check()


def test_one_graph_whose_numbers_are_expanded() -> None:
    graph, ptr = torch.zeros(1, dtype=torch.long).expand(3), torch.tensor([0, 3])
    assert complete_pairs(graph, ptr, 9).source.tolist() == [0, 1, 2] * 3
