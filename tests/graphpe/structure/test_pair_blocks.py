from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphpe.graphs.packed import PackedGraphs
from graphpe.structure.adjacency import adjacency, dense_pairs
from graphpe.structure.pair_blocks import PairLayout, diagonal_rows, pair_blocks
from graphpe.structure.plan import Plan

all_sizes = st.lists(st.integers(0, 6), max_size=7)


def some_graphs(make_graphs, sizes, weights=False) -> PackedGraphs:
    return PackedGraphs.from_data_list(make_graphs(sizes, seed=1, weights=weights), keys=())


@settings(deadline=None, max_examples=40)
@given(sizes=all_sizes, extra=st.integers(0, 2), channels=st.sampled_from([(), (3,), (2, 2)]))
def test_padding_graph_by_graph(sizes, extra, channels):
    n = max(sizes, default=0) + extra
    total = sum(size**2 for size in sizes)
    values = torch.randn(total, *channels, generator=torch.Generator().manual_seed(0))
    layout = PairLayout.of(sizes, size=n)
    padded = layout.pad(values, fill=7.0)
    assert padded.shape == (len(sizes), n, n, *channels)
    expected = torch.full_like(padded, 7.0)
    inside = torch.zeros(len(sizes), n, n, dtype=torch.bool)
    start = 0
    for b, size in enumerate(sizes):
        expected[b, :size, :size] = values[start : start + size**2].view(size, size, *channels)
        inside[b, :size, :size] = True
        start += size**2
    assert torch.equal(padded, expected)
    assert torch.equal(layout.mask, inside)
    assert torch.equal(layout.flatten(padded), values)


def test_gradients_pass_both_ways():
    layout = PairLayout.of([2, 3])
    values = torch.randn(13, 2, requires_grad=True)
    layout.flatten(layout.pad(values) * 3).sum().backward()
    assert torch.equal(values.grad, torch.full((13, 2), 3.0))


@pytest.mark.parametrize(("ratio", "max_pairs"), [(1.0, 1 << 20), (1.25, 1 << 20), (4.0, 40), (1.25, 1)])
def test_blocks_hold_each_pair_once(make_graphs, ratio, max_pairs):
    graphs = some_graphs(make_graphs, [3, 0, 5, 3, 1, 6, 5, 2])
    values = torch.arange(graphs.num_pairs)
    seen = torch.zeros_like(values)
    for block in pair_blocks(graphs, ratio=ratio, max_pairs=max_pairs):
        sizes = graphs.sizes[block.graphs]
        assert block.size == sizes.max() <= ratio * sizes.min()
        assert len(sizes) == 1 or len(sizes) * block.size**2 <= max_pairs
        padded = block.pad(values, fill=-1)
        for graph, stack in zip(block.graphs.tolist(), padded, strict=True):
            n = int(graphs.sizes[graph])
            own = values[graphs.pair_ptr[graph] : graphs.pair_ptr[graph + 1]].view(n, n)
            assert torch.equal(stack[:n, :n], own)
            assert (stack == -1).sum() == block.size**2 - n**2
        assert torch.equal(block.flatten(padded), block.rows)
        seen[block.rows] += 1
    assert (seen == 1).all()


def test_dense_pairs_and_diagonals(make_graphs):
    graphs = some_graphs(make_graphs, [4, 0, 1, 6], weights=True)
    matrix = Plan(graphs).once(adjacency)
    values, diagonal = dense_pairs(matrix, graphs), diagonal_rows(graphs)
    expected = np.zeros((graphs.num_nodes, graphs.num_nodes))
    np.add.at(expected, tuple(graphs.edge_index.numpy()), graphs.edge_weight.numpy())
    for b in range(len(graphs)):
        start, stop = graphs.ptr[b], graphs.ptr[b + 1]
        own = values[graphs.pair_ptr[b] : graphs.pair_ptr[b + 1]].view(int(stop - start), int(stop - start))
        np.testing.assert_allclose(own, expected[start:stop, start:stop])
    np.testing.assert_allclose(values[diagonal], expected.diagonal())


def test_nothing_at_all():
    layout = PairLayout.of([])
    assert layout.pad(torch.empty(0, 3)).shape == (0, 0, 0, 3)
    assert list(pair_blocks(PackedGraphs.from_data_list([]))) == []
