from __future__ import annotations

import networkx as nx
import numpy as np
import pytest

from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.structure.adjacency import symmetric_adjacency
from graphpe.structure.plan import Plan
from graphpe.walks import cycles
from graphpe.walks.cycle_effort import _estimate, _walks
from graphpe.walks.cycles import cycle_counts


def steps(graph: nx.Graph, max_length: int) -> int:
    """The search, written down again: an edge looked at is a step."""

    def search(path: list[int]) -> int:
        near = list(graph[path[-1]])
        below = (search([*path, v]) for v in near if v > path[0] and v not in path and len(path) < max_length - 1)
        return len(near) + sum(below)

    return sum(search([root]) for root in graph)


@pytest.mark.parametrize(
    "graph",
    [
        nx.complete_graph(9),
        nx.gnp_random_graph(14, 0.5, seed=1),
        nx.barabasi_albert_graph(3000, 2, seed=1),  # most of the search is at a few hubs
        nx.disjoint_union(nx.cycle_graph(20_000), nx.complete_graph(10)),
    ],
)
def test_the_estimate_is_of_the_steps_that_the_search_takes(graph: nx.Graph) -> None:
    matrix = Plan.of(PackedGraphs.from_networkx([graph])).once(symmetric_adjacency)
    walks = _walks(matrix.indptr, matrix.indices, 4)
    estimate = _estimate(matrix.indptr, matrix.indices, np.arange(len(graph)), walks)
    assert estimate == pytest.approx(steps(graph, 5), rel=0.3)


def test_of_long_paths_a_few_are_followed() -> None:
    size = 1500
    matrix = Plan.of(PackedGraphs.from_networkx([nx.cycle_graph(size)])).once(symmetric_adjacency)
    estimate = _estimate(
        matrix.indptr, matrix.indices, np.arange(size), _walks(matrix.indptr, matrix.indices, size - 1)
    )
    # A root looks at two neighbours of each node above it; the first, whose path goes round both ways, twice at that.
    assert estimate == pytest.approx(size**2, rel=0.5)


def test_a_hopeless_graph_is_refused_before_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cycles, "_count_cycles", None)  # who searches, fails
    graphs = PackedGraphs.from_networkx([nx.path_graph(3), nx.complete_graph(500)])
    with pytest.raises(GraphPEValueError, match=r"graph 1 of 500 nodes .* 6 nodes: about [23]e\+15 steps"):
        cycle_counts(graphs, 6)


def test_many_walks_without_many_paths_are_no_reason() -> None:
    assert not cycle_counts(PackedGraphs.from_networkx([nx.star_graph(60_000)]), 6).any()
