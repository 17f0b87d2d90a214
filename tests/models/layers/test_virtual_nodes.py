from __future__ import annotations

import torch

from graphpe.models.attention.pairs import all_pairs
from graphpe.models.batches.nodes import NodeToGraph
from graphpe.models.layers.virtual_nodes import extend

NO_EDGES = torch.zeros(2, 0, dtype=torch.long)


def members_of(sizes: list[int]) -> NodeToGraph:
    count = torch.tensor(sizes, dtype=torch.long)
    ptr = torch.cat([count.new_zeros(1), count.cumsum(0)])
    graph = torch.arange(len(sizes)).repeat_interleave(count)
    return NodeToGraph(graph, ptr, max(sizes, default=0), sum(n * n for n in sizes))


def test_one_more_node_a_graph() -> None:
    for sizes in ([3, 1, 0, 2], [0], []):
        extended = extend(members_of(sizes))
        expected = members_of([n + 1 for n in sizes])
        assert torch.equal(extended.members.graph, expected.graph)
        assert torch.equal(extended.members.ptr, expected.ptr)
        assert extended.members.num_pairs == expected.num_pairs
        assert extended.members.max_size == (expected.max_size if sizes else 1)
        both = torch.cat([extended.real, extended.virtual]).sort().values
        assert torch.equal(both, torch.arange(sum(sizes) + len(sizes)))
        assert torch.equal(extended.virtual, expected.ptr[1:] - 1)


def test_join() -> None:
    extended = extend(members_of([2, 0, 1]))
    x = torch.arange(3.0).unsqueeze(1)
    assert extended.join(x, torch.tensor([9.0])).flatten().tolist() == [0, 1, 9, 9, 2, 9]
    assert extended.join(x, torch.tensor([[7.0], [8.0], [9.0]])).flatten().tolist() == [0, 1, 7, 8, 2, 9]


def test_rows_of_pairs() -> None:
    members = members_of([2, 0, 1])
    extended = extend(members)
    pairs, wider = all_pairs(members, NO_EDGES), all_pairs(extended.members, NO_EDGES)
    value = torch.arange(1.0, 6.0).unsqueeze(1).requires_grad_()
    virtual = torch.tensor([0.5], requires_grad=True)
    found = extended.pair_rows(pairs, wider, value, virtual)
    h = 0.5
    assert found.flatten().tolist() == [1, 2, h, 3, 4, h, h, h, h, h, 5, h, h, h]
    found.sum().backward()
    assert value.grad.flatten().tolist() == [1] * 5
    assert virtual.grad.tolist() == [9]
