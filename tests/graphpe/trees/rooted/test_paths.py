from __future__ import annotations

import networkx as nx
import pytest
import torch
from torch_geometric.data import Data

from graphpe.errors import GraphPEError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.structure.plan import Plan
from graphpe.structure.weisfeiler_lehman import refined_colours
from graphpe.trees.rooted.paths import rooted_forest, tree_paths


def random_tree(size: int) -> Data:
    """A directed tree with the nodes in any order; the root anywhere."""
    name = torch.randperm(size)
    above = torch.tensor([int(torch.randint(node, ())) for node in range(1, size)]).long()
    edges = torch.stack([name[above], name[torch.arange(1, max(size, 1))]])
    return Data(edge_index=edges[:, torch.randperm(edges.shape[1])], num_nodes=size)


def random_graph(size: int, edges: int, undirected: bool) -> Data:
    index = torch.randint(size, (2, edges)) if size else torch.zeros(2, 0, dtype=torch.long)
    return Data(edge_index=torch.cat([index, index.flip(0)], 1) if undirected else index, num_nodes=size)


def by_recursion(parent: dict[int, int], key: dict[int, int], size: int, max_depth: int, most: int) -> list[list[int]]:
    """Each node's row from its parent's, children ranked by a set of their keys."""
    rows: dict[int, list[int]] = {}

    def row(node: int) -> list[int]:
        if node not in rows:
            if node not in parent:
                rows[node] = []
            else:
                keys = sorted({key[other] for other, above in parent.items() if above == parent[node]})
                rows[node] = [*row(parent[node]), min(keys.index(key[node]) + 1, most)]
        return rows[node]

    return [(row(node) + [0] * max_depth)[:max_depth] for node in range(size)]


def test_directed_trees_are_their_own() -> None:
    trees = [random_tree(int(torch.randint(1, 12, ()))) for _ in range(20)]
    found = tree_paths(PackedGraphs.from_data_list(trees), 4, 3)
    assert found.dtype == torch.int64
    expected = []
    for tree in trees:
        parent = {head: tail for tail, head in tree.edge_index.T.tolist()}
        number = {node: node for node in range(tree.num_nodes)}
        expected += by_recursion(parent, number, tree.num_nodes, 4, 3)
    assert found.tolist() == expected


def test_spanning_trees_are_breadth_first_and_children_have_the_order_of_colours() -> None:
    for _ in range(20):
        size = int(torch.randint(1, 12, ()))
        data = random_graph(size, int(torch.randint(1, 3 * size + 1, ())), bool(torch.randint(2, ())))
        packed = PackedGraphs.from_data_list([data])
        parent, given = rooted_forest(Plan(packed))
        graph = nx.Graph([*data.edge_index.T.tolist(), *([node, node] for node in range(size))])
        directed = nx.DiGraph([*data.edge_index.T.tolist(), *([node, node] for node in range(size))])
        directed.remove_edges_from([(node, node) for node in range(size)])
        for nodes in nx.connected_components(graph):
            inside = sorted(nodes)
            assert set(given[inside]) == {nx.is_arborescence(directed.subgraph(nodes))}
            (root,) = [node for node in inside if parent[node] < 0]
            if not given[root]:
                degree = dict(nx.Graph([e for e in graph.edges if e[0] != e[1]]).degree)
                assert degree[root] == max(degree[node] for node in inside)
                hops = nx.single_source_shortest_path_length(graph, root)
                assert all(hops[parent[node]] == hops[node] - 1 for node in inside if node != root)
            assert all(graph.has_edge(parent[node], node) for node in inside if node != root)
        pointers = {node: int(above) for node, above in enumerate(parent) if above >= 0}
        both = PackedGraphs.from_data_list(
            [Data(edge_index=torch.tensor([*graph.edges, *((v, u) for u, v in graph.edges)]).T, num_nodes=size)]
        )
        loops = both.edge_index[0] == both.edge_index[1]
        plain = PackedGraphs.from_data_list([Data(edge_index=both.edge_index[:, ~loops], num_nodes=size)])
        colour = dict(enumerate(refined_colours(plain, 16)[:, -1].tolist()))
        expected = by_recursion(pointers, colour, size, 12, 12)
        assert tree_paths(packed, 12, 12, "colour").tolist() == expected
        mixed = {node: (node if given[node] else colour[node]) for node in range(size)}
        assert tree_paths(packed, 12, 12).tolist() == by_recursion(pointers, mixed, size, 12, 12)
        number = {node: node for node in range(size)}
        assert tree_paths(packed, 12, 12, "number").tolist() == by_recursion(pointers, number, size, 12, 12)


def test_a_component_is_a_tree_or_not_whatever_else_is_in_the_graph() -> None:
    # A tree 3 -> {5, 0}, 0 -> 4; a triangle 1, 2, 6; below a cycle 7 <-> 8 the node 9; 10 alone, with a loop.
    edges = [[3, 5], [3, 0], [0, 4], [1, 2], [2, 6], [6, 1], [7, 8], [8, 7], [8, 9], [10, 10], [3, 5]]
    graph = Data(edge_index=torch.tensor(edges).T, num_nodes=11)
    parent, given = rooted_forest(Plan(PackedGraphs.from_data_list([graph])))
    assert given.tolist() == [node in (0, 3, 4, 5, 10) for node in range(11)]
    assert parent[[3, 5, 0, 4, 10]].tolist() == [-1, 3, 3, 0, -1]
    assert parent[[7, 8, 9]].tolist() == [8, -1, 8]
    weighted = Data(edge_index=torch.tensor([[0, 1], [1, 0]]), edge_weight=torch.tensor([2.0, 0.0]), num_nodes=2)
    assert rooted_forest(Plan(PackedGraphs.from_data_list([weighted]))).given.all()  # weight 0 is no edge


def test_deep_and_wide_trees_are_cut() -> None:
    path = Data(edge_index=torch.stack([torch.arange(4999), torch.arange(1, 5000)]), num_nodes=5000)
    rows = tree_paths(PackedGraphs.from_data_list([path]), 3, 2)
    assert rows[:4].tolist() == [[0, 0, 0], [1, 0, 0], [1, 1, 0], [1, 1, 1]]
    assert torch.equal(rows[3:], rows[3].expand(4997, -1))
    star = Data(edge_index=torch.stack([torch.zeros(9, dtype=torch.long), torch.arange(1, 10)]), num_nodes=10)
    assert tree_paths(PackedGraphs.from_data_list([star]), 2, 4)[:, 0].tolist() == [0, 1, 2, 3, *[4] * 6]
    # A node below the cut has the row of its own ancestor there, not of another.
    comb = nx.DiGraph([(0, 1), (0, 2), (2, 3), (1, 4), (4, 5), (5, 6)])
    rows = tree_paths(PackedGraphs.from_networkx([comb]), 1, 4)
    assert rows.flatten().tolist() == [{0: 0, 2: 2, 3: 2}.get(node, 1) for node in comb]


def test_colours_do_not_see_the_numbering() -> None:
    for _ in range(20):
        tree = random_tree(int(torch.randint(1, 12, ())))
        order = torch.randperm(tree.num_nodes)
        moved = Data(edge_index=order[tree.edge_index], num_nodes=tree.num_nodes)
        here, there = (tree_paths(PackedGraphs.from_data_list([each]), 12, 12, "colour") for each in (tree, moved))
        assert torch.equal(there[order], here)
    numbered = Data(edge_index=torch.tensor([[0, 0], [1, 2]]), num_nodes=3)
    paths = [tree_paths(PackedGraphs.from_data_list([numbered]), 1, 2, order) for order in ("number", "colour")]
    assert [each.flatten().tolist() for each in paths] == [[0, 1, 2], [0, 1, 1]]


def test_a_batch_is_its_graphs_and_empty_graphs_have_no_rows() -> None:
    graphs = [random_tree(5), random_graph(0, 0, False), random_graph(7, 12, True), random_graph(1, 2, False)]
    alone = [tree_paths(PackedGraphs.from_data_list([graph]), 3, 5) for graph in graphs]
    assert torch.equal(tree_paths(PackedGraphs.from_data_list(graphs), 3, 5), torch.cat(alone))
    assert tree_paths(PackedGraphs.from_data_list([]), 3, 5).shape == (0, 3)
    assert tree_paths(PackedGraphs.from_data_list([random_graph(0, 0, False)]), 3, 5).shape == (0, 3)


def test_errors() -> None:
    packed = PackedGraphs.from_data_list([random_tree(3)])
    with pytest.raises(GraphPEValueError, match="order must be one of 'auto', 'number', 'colour', got 'size'"):
        tree_paths(packed, 2, 2, "size")
    for depth, children in ((0, 2), (2, 0), (2.0, 2), (2, None)):
        with pytest.raises(GraphPEError, match=r"max_(depth|children) must be"):
            tree_paths(packed, depth, children)
    negative = Data(edge_index=torch.tensor([[0], [1]]), edge_weight=torch.tensor([-1.0]), num_nodes=2)
    with pytest.raises(GraphPEValueError, match="edge_weight"):
        tree_paths(PackedGraphs.from_data_list([negative]), 2, 2)
