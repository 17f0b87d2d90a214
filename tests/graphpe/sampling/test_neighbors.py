from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch

from graphpe.compiled.jit import everything_compiled
from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.sampling.neighbors import NeighborSampler
from graphpe.sampling.subgraph import Part


def random_graph(nodes: int, edges: int) -> PackedGraphs:
    """With parallel edges and loops."""
    index = torch.randint(0, nodes, (2, edges))
    return PackedGraphs(index, torch.tensor([0, nodes]), torch.tensor([0, edges]))


def check(graph: PackedGraphs, part: Part, seeds: np.ndarray, fanouts: tuple[int, ...]) -> None:
    """What a sample must be, from the graph alone."""
    tail, head = graph.edge_index.numpy()
    assert np.array_equal(part.nodes[: len(seeds)], seeds)
    assert len(np.unique(part.nodes)) == len(part.nodes)
    assert len(np.unique(part.edges)) == len(part.edges)
    assert np.array_equal(part.nodes[part.edge_index[0]], tail[part.edges])
    assert np.array_equal(part.nodes[part.edge_index[1]], head[part.edges])
    # Hop by hop: each node that was reached first in a hop has exactly its share of incoming edges.
    degree = np.bincount(head, minlength=graph.num_nodes)
    drawn = np.bincount(head[part.edges], minlength=graph.num_nodes)
    known, frontier = set(seeds.tolist()), set(seeds.tolist())
    for fanout in fanouts:
        reached = set()
        for node in frontier:
            assert drawn[node] == (degree[node] if fanout < 0 else min(fanout, degree[node]))
            reached |= set(tail[part.edges[head[part.edges] == node]].tolist())
        frontier = reached - known
        known |= frontier
    assert known == set(part.nodes.tolist())
    assert all(drawn[node] == 0 for node in frontier)


@pytest.mark.parametrize("fanouts", [(3,), (2, 4), (-1, 1, 3), (50, 50)])
def test_every_hop_has_its_share_of_edges(fanouts: tuple[int, ...]) -> None:
    graph = random_graph(40, 300)
    sampler = NeighborSampler(graph, fanouts)
    rng = np.random.default_rng(int(torch.randint(0, 1 << 30, ())))
    for count in (1, 5, 40):
        seeds = rng.permutation(40)[:count]
        check(graph, sampler.sample(seeds, rng), seeds, fanouts)


def test_all_neighbours_are_those_within_so_many_steps() -> None:
    graph = random_graph(60, 90)
    part = NeighborSampler(graph, (-1, -1)).sample(np.array([0]), np.random.default_rng(0))
    other = nx.MultiDiGraph(graph.edge_index.flip(0).t().tolist())
    other.add_nodes_from(range(60))
    near = nx.single_source_shortest_path_length(other, 0, cutoff=2)
    assert set(part.nodes.tolist()) == set(near)


def test_draws_are_uniform_without_replacement() -> None:
    degree, fanout, rounds = 7, 3, 4000
    index = torch.stack([torch.arange(1, degree + 1), torch.zeros(degree, dtype=torch.long)])
    graph = PackedGraphs(index, torch.tensor([0, degree + 1]), torch.tensor([0, degree]))
    sampler, rng = NeighborSampler(graph, (fanout,)), np.random.default_rng(1)
    subsets: dict[tuple[int, ...], int] = {}
    for _ in range(rounds):
        chosen = tuple(sorted(sampler.sample(np.array([0]), rng).edges.tolist()))
        subsets[chosen] = subsets.get(chosen, 0) + 1
    assert len(subsets) == 35
    expected = rounds / 35
    chi_squared = sum((count - expected) ** 2 / expected for count in subsets.values())
    assert chi_squared < 66.6  # of 34 degrees of freedom, exceeded with probability 7e-4


def test_a_sample_is_a_function_of_seeds_and_generator_in_python_and_compiled() -> None:
    graph = random_graph(50, 400)
    first = NeighborSampler(graph, (4, 4))
    one = [first.sample(np.arange(5), np.random.default_rng(7)) for _ in range(2)]
    with everything_compiled():
        one.append(NeighborSampler(graph, (4, 4)).sample(np.arange(5), np.random.default_rng(7)))
    for other in one[1:]:
        assert all(np.array_equal(a, b) for a, b in zip(one[0], other, strict=True))
    different = first.sample(np.arange(5), np.random.default_rng(8))
    assert not np.array_equal(one[0].edges, different.edges)


@pytest.mark.parametrize(
    ("fanouts", "error"), [((0,), GraphPEValueError), ((), GraphPEValueError), ((2.5,), GraphPETypeError)]
)
def test_bad_fanouts_are_refused(fanouts: tuple[int, ...], error: type[Exception]) -> None:
    with pytest.raises(error, match="fanout"):
        NeighborSampler(random_graph(4, 4), fanouts)


def test_several_graphs_are_refused() -> None:
    graphs = PackedGraphs(torch.zeros(2, 0, dtype=torch.long), torch.tensor([0, 1, 2]), torch.tensor([0, 0, 0]))
    with pytest.raises(GraphPEValueError, match="one graph, got 2"):
        NeighborSampler(graphs, (1,))
