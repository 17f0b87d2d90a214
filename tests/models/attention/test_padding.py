from __future__ import annotations

import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphpe.models.attention.padding import padded_layout, padded_nodes
from graphpe.models.batches.nodes import NodeToGraph

SIZES = st.lists(st.integers(0, 20), min_size=1, max_size=8)


def members_of(sizes: list[int]) -> NodeToGraph:
    ptr = torch.tensor([0, *sizes]).cumsum(0)
    return NodeToGraph(torch.arange(len(sizes)).repeat_interleave(torch.tensor(sizes)), ptr)


def random_edges(sizes: list[int], members: NodeToGraph) -> torch.Tensor:
    parts = [torch.randint(0, n, (2, 2 * n)) + members.ptr[g] for g, n in enumerate(sizes) if n]
    return torch.cat(parts, dim=1) if parts else torch.zeros(2, 0, dtype=torch.long)


@settings(deadline=None, max_examples=25)
@given(sizes=SIZES, heads=st.integers(1, 3))
def test_padded_layout_places_every_node_and_edge(sizes: list[int], heads: int) -> None:
    members = members_of(sizes)
    edge_index = random_edges(sizes, members)
    layout = padded_layout(members, edge_index, heads)
    if not sum(sizes):
        assert layout.blocks == []
        return
    assert torch.equal(layout.node[layout.place], torch.arange(sum(sizes)))

    # A table (query, key, head) of each block in the layout of its scores: each edge must find its own.
    tables, real = [], []
    parts = layout.node.split([block.graphs * block.size for block in layout.blocks])
    for block, part in zip(layout.blocks, parts, strict=True):
        node = part.view(block.graphs, block.size)
        shape = (block.graphs, heads, block.size, block.size)
        tables.append(
            torch.stack(
                [
                    node[:, None, :, None].expand(shape),
                    node[:, None, None, :].expand(shape),
                    torch.arange(heads)[None, :, None, None].expand(shape),
                ],
                dim=-1,
            ).reshape(-1, 3)
        )
        real.append((block.key_mask == 0).sum())
    table = torch.cat(tables)
    assert table.shape[0] == layout.num_places
    for head in range(heads):
        found = table[layout.offset + head * layout.head_stride]
        assert torch.equal(found[:, 0], edge_index[1])
        assert torch.equal(found[:, 1], edge_index[0])
        assert bool((found[:, 2] == head).all())
    assert int(sum(real)) == sum(sizes)

    parallel = (edge_index[:, :, None] == edge_index[:, None, :]).all(0).sum(1)
    assert torch.equal(layout.multiplicity.long(), parallel)


def test_padding_follows_graphs_of_similar_size() -> None:
    sizes = [1000] + [10] * 63
    members = members_of(sizes)
    layout = padded_layout(members, torch.zeros(2, 0, dtype=torch.long), heads=1)
    assert [(block.graphs, block.size) for block in layout.blocks] == [(63, 10), (1, 1000)]
    assert layout.num_places == 1000**2 + 63 * 100


@settings(deadline=None, max_examples=25)
@given(sizes=SIZES)
def test_padded_nodes_are_those_of_the_layout(sizes: list[int]) -> None:
    members = members_of(sizes)
    nodes, layout = padded_nodes(members), padded_layout(members, torch.zeros(2, 0, dtype=torch.long), heads=1)
    assert torch.equal(nodes.node, layout.node)
    assert torch.equal(nodes.place, layout.place)
    for ours, theirs in zip(nodes.blocks, layout.blocks, strict=True):
        assert (ours.graphs, ours.size) == (theirs.graphs, theirs.size)
        assert torch.equal(ours.key_mask, theirs.key_mask)
    x = torch.randn(sum(sizes), 3)
    parts = nodes.split(x)
    assert [part.shape[:2] for part in parts] == [(block.graphs, block.size) for block in nodes.blocks]
    assert not parts or torch.equal(nodes.join(parts), x)
    # Each row of the blocks starts with the first node of its graph.
    first = [row[0] for part in parts for row in part]
    for graph, row in zip(nodes.graph.tolist(), first, strict=True):
        if sizes[graph]:
            assert torch.equal(row, x[members.ptr[graph]])
