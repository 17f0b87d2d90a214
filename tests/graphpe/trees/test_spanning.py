from __future__ import annotations

import itertools
import math

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare
from torch_geometric.data import Data

from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.trees import Exponential
from graphpe.trees.hierarchical import hierarchical_trees
from graphpe.trees.spanning import (
    SpanningTree,
    average,
    distortion,
    minimum_spanning_trees,
    random_spanning_trees,
    shortest_path_trees,
)

MAKERS = {
    "minimum": minimum_spanning_trees,
    "shortest": shortest_path_trees,
    "random": lambda graphs, weighted=True: random_spanning_trees(graphs, 1, 3, weighted)[0],
}
each = pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS.keys())


def pack(*graphs: nx.Graph) -> PackedGraphs:
    return PackedGraphs.from_networkx(graphs)


def as_networkx(tree: SpanningTree) -> nx.Graph:
    out = nx.Graph()
    out.add_nodes_from(range(tree.num_tree_nodes))
    out.add_weighted_edges_from(zip(*tree.edge_index.tolist(), tree.length.tolist(), strict=True))
    return out


def random_graph(size: int, edges: int, seed: int, values: list[float] | None = None) -> nx.Graph:
    generator = np.random.default_rng(seed)
    out = nx.gnm_random_graph(size, edges, seed=seed)
    for u, v in out.edges:
        out.edges[u, v]["weight"] = float(generator.choice(values)) if values else generator.uniform(0.1, 2.0)
    return out


def relabelled(graph: nx.Graph, seed: int) -> tuple[nx.Graph, np.ndarray]:
    number = np.random.default_rng(seed).permutation(len(graph))
    out = nx.Graph()
    out.add_nodes_from(range(len(graph)))
    edges = list(graph.edges(data=True))
    np.random.default_rng(seed).shuffle(edges)
    out.add_edges_from((int(number[v]), int(number[u]), data) for u, v, data in edges)
    return out, number


@each
@pytest.mark.parametrize("weighted", [True, False])
def test_trees_span_every_component(make, weighted) -> None:
    parts = [random_graph(n, m, n) for n, m in ((1, 0), (7, 9), (30, 60), (30, 20), (60, 200), (2, 1))]
    graphs = pack(*parts)
    tree = as_networkx(make(graphs, weighted=weighted))
    whole = nx.disjoint_union_all(parts)
    assert nx.is_forest(tree)
    assert set(map(frozenset, nx.connected_components(tree))) == set(map(frozenset, nx.connected_components(whole)))
    for u, v, length in tree.edges(data="weight"):
        assert length == pytest.approx(whole.edges[u, v]["weight"] if weighted else 1.0)


@pytest.mark.parametrize("values", [None, [1.0], [1.0, 2.0]])
def test_minimum_spanning_trees_are_minimal(values) -> None:
    for seed in range(6):
        graph = random_graph(40, 90, seed, values)
        tree = minimum_spanning_trees(pack(graph))
        expected = nx.minimum_spanning_tree(graph)
        assert float(tree.length.sum()) == pytest.approx(expected.size(weight="weight"))
        if values is None:
            assert set(map(frozenset, tree.edge_index.t().tolist())) == set(map(frozenset, expected.edges))


@pytest.mark.parametrize("weighted", [True, False])
def test_shortest_path_trees_keep_distances_from_the_root(weighted) -> None:
    for seed in range(6):
        graph = random_graph(40, 90, seed, None if seed % 2 else [1.0, 2.0])
        graph = nx.convert_node_labels_to_integers(graph.subgraph(max(nx.connected_components(graph), key=len)))
        for roots in ([5], None):
            tree = as_networkx(shortest_path_trees(pack(graph), roots, weighted))
            degrees = dict(graph.degree(weight="weight" if weighted else None))
            root = 5 if roots else max(degrees, key=lambda v: degrees[v])
            if roots is None and list(degrees.values()).count(degrees[root]) > 1:
                continue
            expected = nx.single_source_dijkstra_path_length(graph, root, weight="weight" if weighted else None)
            found = nx.single_source_dijkstra_path_length(tree, root)
            assert found == pytest.approx(expected)


@each
def test_graphs_that_decide_their_tree(make) -> None:
    """Where `unique` says so, another numbering gives the same tree."""
    names = {"minimum": minimum_spanning_trees, "shortest": shortest_path_trees}
    decided = 0
    for seed in range(30):
        graph = random_graph(14, 17, seed, [1.0, 2.0] if seed % 3 else None)
        other, number = relabelled(graph, seed)
        first, second = make(pack(graph)), make(pack(other))
        assert bool(first.unique) == bool(second.unique) or make not in names.values()
        if bool(first.unique):
            decided += 1
            moved = {frozenset(number[list(edge)].tolist()) for edge in first.edge_index.t().tolist()}
            assert moved == set(map(frozenset, second.edge_index.t().tolist()))
    assert decided >= 10 or make not in names.values()


def test_what_decides_a_tree_and_what_does_not() -> None:
    cycle, path = nx.cycle_graph(5), nx.path_graph(5)
    tadpole = nx.cycle_graph(5)
    tadpole.add_edge(0, 5)
    weighted = nx.cycle_graph(4)
    for i, edge in enumerate(weighted.edges):
        weighted.edges[edge]["weight"] = 1.0 + i
    tree = minimum_spanning_trees(pack(cycle, path))
    assert tree.unique.tolist() == [False, True]
    assert minimum_spanning_trees(pack(weighted)).unique.tolist() == [True]
    # A tie of two images of each other, and one that colours break.
    assert shortest_path_trees(pack(nx.cycle_graph(4)), [0]).unique.tolist() == [False]
    assert shortest_path_trees(pack(nx.path_graph(2))).unique.tolist() == [False]
    assert shortest_path_trees(pack(nx.star_graph(4))).unique.tolist() == [True]
    assert [bool(t.unique) for t in random_spanning_trees(pack(path), 2)] == [True, True]


def test_equal_sums_of_lengths_are_a_tie_in_every_numbering() -> None:
    """Two nodes with edges of the same lengths, whose sums differ by rounding if they are added as they stand."""
    edges = torch.tensor([[0, 0, 0, 0, 4, 4, 4, 0, 8, 1], [1, 2, 3, 4, 5, 6, 7, 8, 4, 9]])
    length = torch.tensor([0.1, 0.2, 0.3, 0.7, 0.3, 0.2, 0.1, 0.4, 0.4, 0.01], dtype=torch.float64)

    def tree(edge_index: torch.Tensor) -> SpanningTree:
        return shortest_path_trees(
            PackedGraphs.from_data(Data(edge_index=edge_index, edge_weight=length, num_nodes=10))
        )

    first = tree(edges)
    assert bool(first.unique)
    for seed in range(30):
        number = torch.randperm(10, generator=torch.Generator().manual_seed(seed))
        moved = set(map(frozenset, number[first.edge_index].t().tolist()))
        assert moved == set(map(frozenset, tree(number[edges]).edge_index.t().tolist()))


def test_random_spanning_trees_are_uniform() -> None:
    graph = nx.Graph([(0, 1), (1, 2), (2, 0), (2, 3), (3, 0), (3, 4)])
    edges = list(graph.edges)
    trees = [
        frozenset(map(frozenset, chosen))
        for chosen in itertools.combinations(edges, 4)
        if nx.is_connected(nx.Graph([*chosen, *((v, v) for v in range(5))]))
    ]
    assert len(trees) == 8
    drawn = random_spanning_trees(pack(graph), 4000, seed=11)
    counts = dict.fromkeys(trees, 0)
    for tree in drawn:
        counts[frozenset(map(frozenset, tree.edge_index.t().tolist()))] += 1
    assert chisquare(list(counts.values())).pvalue > 1e-4


def test_draws_depend_on_the_seed_and_the_graph_alone() -> None:
    graph = random_graph(20, 50, 1)
    one, same, other = (random_spanning_trees(pack(graph), 3, seed) for seed in (5, 5, 6))
    assert all(torch.equal(a.edge_index, b.edge_index) for a, b in zip(one, same, strict=True))
    assert not all(torch.equal(a.edge_index, b.edge_index) for a, b in zip(one, other, strict=True))
    assert not torch.equal(one[0].edge_index, one[1].edge_index)
    batch = random_spanning_trees(pack(random_graph(9, 20, 2), graph), 3, 5)
    for a, b in zip(one, batch, strict=True):
        assert torch.equal(a.edge_index + 9, b.edge_index[:, b.edge_index[0] >= 9])
    single, both = (hierarchical_trees(pack(*g), 4) for g in ([graph], [random_graph(9, 20, 2), graph]))
    f, x = Exponential(0.3), torch.arange(29.0, dtype=torch.float64)
    torch.testing.assert_close(both.integrate(f, x)[9:], single.integrate(f, x[9:]))


def test_averages() -> None:
    graph = nx.cycle_graph(6)
    trees = random_spanning_trees(pack(graph), 600, seed=2)
    field = torch.eye(6, dtype=torch.float64)
    mean = average(trees, Exponential(1.0), field)
    # By symmetry every row has the same sum; of neighbours 5 of 6 trees keep the edge.
    expected = 5 / 6 * math.exp(-1) + 1 / 6 * math.exp(-5)
    assert float(mean[0, 1]) == pytest.approx(expected, abs=0.03)
    torch.testing.assert_close(mean, mean.T)
    with pytest.raises(GraphPEValueError, match="at least one spanning tree"):
        average([], Exponential(1.0), field)


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10**6), size=st.integers(1, 25), weighted=st.booleans())
def test_hierarchical_trees_dominate(seed, size, weighted) -> None:
    graph = random_graph(size, min(2 * size, size * (size - 1) // 2), seed)
    tree = hierarchical_trees(pack(graph), seed, weighted)
    assert tree.num_tree_nodes <= max(2 * size - 1, size)
    forest = as_networkx(tree)
    assert nx.is_forest(forest)
    assert (tree.length > 0).all()
    exact = dict(nx.all_pairs_dijkstra_path_length(graph, weight="weight" if weighted else None))
    along = dict(nx.all_pairs_dijkstra_path_length(forest))
    for u, v in itertools.product(range(size), repeat=2):
        assert (v in exact[u]) == (v in along[u])
        if v in exact[u]:
            assert along[u][v] >= exact[u][v] * (1 - 1e-12)


def test_hierarchical_trees_have_logarithmic_distortion() -> None:
    graph = nx.cycle_graph(64)
    exact = torch.tensor([[min(abs(i - j), 64 - abs(i - j)) for j in range(64)] for i in range(64)]).double()
    total = torch.zeros(64, 64, dtype=torch.float64)
    for seed in range(40):
        forest = as_networkx(hierarchical_trees(pack(graph), seed))
        along = dict(nx.all_pairs_dijkstra_path_length(forest))
        total += torch.tensor([[along[i][j] for j in range(64)] for i in range(64)])
    # A spanning tree of the cycle stretches one edge 63-fold. All pairs at one distance are alike.
    for apart in range(1, 33):
        assert 1.0 <= float((total / 40)[exact == apart].mean()) / apart < 4 * math.log(64)


def test_distortion() -> None:
    graph = random_graph(30, 70, 4)
    tree = minimum_spanning_trees(pack(graph))
    exact = dict(nx.all_pairs_dijkstra_path_length(graph))
    along = dict(nx.all_pairs_dijkstra_path_length(as_networkx(tree)))
    pairs = [(along[u][v], exact[u][v]) for u in exact for v in exact[u] if u != v]
    ratios = [a / b for a, b in pairs]
    report = distortion(pack(graph), tree)
    assert report.pairs == len(pairs)
    assert report.mean == pytest.approx(np.mean(ratios))
    assert report.largest == pytest.approx(max(ratios))
    assert report.smallest == pytest.approx(min(ratios))
    error = math.sqrt(sum((a - b) ** 2 for a, b in pairs) / sum(b**2 for _, b in pairs))
    assert report.relative_error == pytest.approx(error)
    assert distortion(pack(graph), tree, sources=5).pairs < len(pairs)
    nothing = pack(nx.empty_graph(3))
    assert distortion(nothing, minimum_spanning_trees(nothing)) == (1.0, 1.0, 1.0, 0.0, 0)
    with pytest.raises(GraphPEValueError, match="30 nodes of graphs, which have 3"):
        distortion(nothing, tree)


def test_meaning_of_edges() -> None:
    """Directed, parallel, looped, and of weight 0."""
    data = Data(
        edge_index=torch.tensor([[0, 0, 1, 2, 2, 3, 0], [1, 1, 0, 1, 2, 2, 3]]),
        edge_weight=torch.tensor([1.0, 2.0, 5.0, 1.0, 9.0, 2.0, 0.0]),
        num_nodes=4,
    )
    graphs = PackedGraphs.from_data(data)
    for make in MAKERS.values():
        tree = as_networkx(make(graphs))
        assert {(*sorted((u, v)), w) for u, v, w in tree.edges(data="weight")} == {
            (0, 1, 5.0),
            (1, 2, 1.0),
            (2, 3, 2.0),
        }


def test_no_nodes_and_errors() -> None:
    none = PackedGraphs.from_data(Data(edge_index=torch.empty(2, 0, dtype=torch.long), num_nodes=0))
    for make in [*MAKERS.values(), hierarchical_trees]:
        assert make(none).integrate(Exponential(1.0), torch.zeros(0, 2)).shape == (0, 2)
    graphs = pack(nx.path_graph(3), nx.path_graph(2))
    for roots in ([0], [0, 1], [0, 7], [0, 2]):
        with pytest.raises(GraphPEValueError, match="one node of each of the 2 connected components"):
            shortest_path_trees(graphs, roots)
    with pytest.raises(GraphPEValueError, match="count must be from 1"):
        random_spanning_trees(graphs, 0)
    with pytest.raises(GraphPEValueError, match="seed must be from 0"):
        hierarchical_trees(graphs, -1)
    with pytest.raises(GraphPETypeError, match="count must be an integer"):
        random_spanning_trees(graphs, 1.5)
    bad = PackedGraphs.from_data(
        Data(edge_index=torch.tensor([[0], [1]]), edge_weight=torch.tensor([-1.0]), num_nodes=2)
    )
    for make in [*MAKERS.values(), hierarchical_trees]:
        with pytest.raises(GraphPEValueError, match="weights must be finite"):
            make(bad)


@pytest.mark.parametrize("make", [minimum_spanning_trees, shortest_path_trees, hierarchical_trees])
def test_lengths_beyond_float32(make) -> None:
    weight = torch.tensor([1e39], dtype=torch.float64)
    graph = PackedGraphs.from_data(Data(edge_index=torch.tensor([[0], [1]]), edge_weight=weight, num_nodes=2))
    with pytest.raises(GraphPEValueError, match=r"edge_weight holds 1e\+39 .* lengths must be at most 3.4e\+38"):
        make(graph)
    assert float(make(graph, weighted=False).length.max()) < 10


def test_forests_are_their_own_without_a_walk(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beside cycles, too, where they are large: a walk on a path takes as many steps as its length squared."""
    size = 3000
    node = torch.arange(size)
    path = torch.stack([node[:-1], node[1:]])
    triangle = torch.tensor([[0, 1, 2], [1, 2, 0]]) + size
    for edges, nodes in ((path, size), (torch.cat([path, triangle], dim=1), size + 3)):
        graphs = PackedGraphs.from_data_list([Data(edge_index=edges, num_nodes=nodes)])
        (tree,) = random_spanning_trees(graphs, 1)
        assert tree.edge_index.shape[1] == nodes - (1 if nodes == size else 2)
        assert bool((tree.edge_index[0, : size - 1] == node[:-1]).all())
        assert bool(tree.unique.all()) == (nodes == size)
