from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from graphpe.errors import GraphPEValueError
from graphpe.models.attention.positions.node_positions import Attending
from graphpe.models.attention.positions.transport.rooted import (
    AGAINST,
    ALONG,
    BOTH,
    RootedTrees,
    products,
    root_trees,
    sums,
)
from graphpe.models.batches.nodes import node_to_graph


def roots_of(edges: list[tuple[int, int]], size: int, tree: str = "edges") -> RootedTrees:
    data = Data(edge_index=torch.tensor(edges, dtype=torch.long).view(-1, 2).T, num_nodes=size)
    return root_trees(data, Attending(node_to_graph(data), size), tree)


def parents(trees: RootedTrees) -> list[int]:
    size = len(trees.below)
    above = trees.ancestors[0] if trees.ancestors else torch.full((size,), size)
    return [-1 if p == size else int(p) for p in above]


def test_syntax_trees_keep_their_roots_whatever_is_added_behind_their_edges() -> None:
    tree = [(0, 1), (0, 4), (1, 2), (1, 3), (4, 5)]
    tokens = [(2, 3), (3, 5)]
    inverse = [(b, a) for a, b in tree + tokens]
    for edges in (tree, tree + tokens, tree + inverse, tree + tokens + inverse, [(3, 3), *tree, *tree]):
        trees = roots_of(edges, 6)
        assert parents(trees) == [-1, 0, 1, 1, 0, 4]
        assert trees.depth == 2
        assert trees.rank.tolist() == [0, 0, 0, 1, 1, 0]
        assert [edges[e] for e in trees.edge[1:].tolist()] == [(0, 1), (1, 2), (1, 3), (0, 4), (4, 5)]


def test_shortest_trees_and_directions_of_their_edges() -> None:
    trees = roots_of([(0, 2), (2, 1), (1, 2), (3, 2), (3, 4)], 6, "shortest")
    assert parents(trees) == [2, 2, -1, 2, 3, -1]
    assert trees.direction.tolist() == [AGAINST, BOTH, ALONG, AGAINST, ALONG, ALONG]
    assert trees.edge.tolist() == [0, 1, 0, 3, 4, 0]
    assert trees.depth == 2


def test_edges_without_a_root_are_an_error() -> None:
    with pytest.raises(GraphPEValueError, match="use tree='shortest'"):
        roots_of([(0, 1), (1, 2), (2, 0), (2, 3)], 4)
    assert parents(roots_of([(0, 1), (1, 2), (2, 0)], 3, "shortest")) == [-1, 0, 0]


@pytest.mark.parametrize("size", [0, 1, 3])
def test_graphs_without_edges(size: int) -> None:
    for tree in ("edges", "shortest"):
        trees = roots_of([], size, tree)
        assert (trees.ancestors, trees.depth) == ((), 0)
        assert not trees.below.any()


def random_parents(size: int) -> list[int]:
    return [-1] + [int(torch.randint(0, v, ())) for v in range(1, size)]


def test_products_and_sums_against_a_loop() -> None:
    up = [*random_parents(9), *(p + 9 if p >= 0 else p for p in random_parents(7)), -1]
    trees = roots_of([(p, v) for v, p in enumerate(up) if p >= 0], 17)
    maps, values = torch.randn(17, 2, 3, 3, dtype=torch.float64), torch.randn(17, 4, dtype=torch.float64)
    expected_maps, expected_sums = list(maps), list(values)
    for v, p in enumerate(up):
        if p >= 0:
            expected_maps[v] = expected_maps[p] @ maps[v]
            expected_sums[v] = expected_sums[p] + values[v]
    torch.testing.assert_close(products(maps, trees), torch.stack(expected_maps))
    torch.testing.assert_close(sums(values, trees), torch.stack(expected_sums))


def test_a_long_chain_takes_few_rounds() -> None:
    size = 10_000
    trees = roots_of([(v, v + 1) for v in range(size - 1)], size)
    assert (trees.depth, len(trees.ancestors)) == (size - 1, 14)
    angle = torch.full((size,), 0.37, dtype=torch.float64)
    turn = torch.stack([angle.cos(), -angle.sin(), angle.sin(), angle.cos()], 1).view(size, 2, 2)
    turn[0] = torch.eye(2)
    found = products(turn, trees)[-1]
    total = torch.tensor(0.37 * (size - 1), dtype=torch.float64)
    torch.testing.assert_close(found[0], torch.stack([total.cos(), -total.sin()]), atol=1e-9, rtol=1e-9)


def test_rows_with_extra_nodes_and_batches_out_of_order(make_batch) -> None:
    first, second = (Data(edge_index=torch.tensor(e), num_nodes=3) for e in ([[0, 1], [1, 2]], [[2, 2], [0, 1]]))
    batch = Batch.from_data_list([first, second])
    place = torch.tensor([0, 1, 2, 4, 5, 6])
    wide = root_trees(batch, Attending(node_to_graph(batch), 8, place), "edges")
    assert parents(wide) == [-1, 0, 1, -1, 6, 6, -1, -1]
    order = torch.tensor([4, 0, 3, 1, 5, 2])
    number: Tensor = torch.empty_like(order)
    number[order] = torch.arange(6)
    mixed = batch.clone()
    mixed.edge_index, mixed.batch = number[batch.edge_index], batch.batch[order]
    del mixed.ptr
    members = node_to_graph(mixed)
    rows = root_trees(mixed, Attending(members, 6), "edges")
    at = members.order  # number in the batch of each row
    back = [-1 if p < 0 else int(order[at[p]]) for p in parents(rows)]
    assert [back[i] for i in torch.argsort(order[at])] == [-1, 0, 1, 5, 5, -1]
