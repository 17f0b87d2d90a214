from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Data

from graphpe.compiled.jit import everything_compiled
from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.structure.persistence import Persistence, persistence

seeds = st.integers(0, 2**32 - 1)


def packed(edges: np.ndarray, n: int) -> PackedGraphs:
    return PackedGraphs.from_data(Data(edge_index=torch.from_numpy(edges.reshape(2, -1)).long(), num_nodes=n))


def of_columns(*columns: list[float]) -> torch.Tensor:
    return torch.tensor(columns, dtype=torch.float64).t()


def drawn(seed: int, n: int, tied: bool, filtrations: int = 2) -> tuple[np.ndarray, torch.Tensor, torch.Tensor]:
    """Edges with loops, parallels and both directions, values of nodes and own values of edges."""
    rng = np.random.default_rng(seed)
    edges = rng.integers(0, max(n, 1), (2, int(rng.random() * 2.5 * n)))
    edges = np.concatenate([edges, edges[::-1, ::3]], axis=1)
    values = [
        rng.integers(0, 4, (rows, filtrations)) if tied else rng.random((rows, filtrations))
        for rows in (n, edges.shape[1])
    ]
    return edges, *(torch.from_numpy(each.astype(float)) for each in values)


def sublevel(edges: np.ndarray, value: np.ndarray, own: np.ndarray | None, t: float) -> nx.Graph:
    """The graph at t, from the definition."""
    graph = nx.Graph()
    graph.add_nodes_from(np.flatnonzero(value <= t).tolist())
    for e, (u, v) in enumerate(edges.T.tolist()):
        if u != v and max(value[u], value[v], value[u] if own is None else own[e]) <= t:
            graph.add_edge(u, v)
    return graph


@settings(deadline=None, max_examples=60)
@given(seed=seeds, n=st.integers(0, 14), tied=st.booleans(), with_own=st.booleans())
def test_diagrams_count_components_and_cycles_at_every_threshold(seed, n, tied, with_own):
    edges, value, own = drawn(seed, n, tied)
    found = persistence(packed(edges, n), value, own if with_own else None)
    np.testing.assert_allclose(found.share.sum(0), found.closes.sum(0), atol=1e-9)
    for f in range(2):
        column, of_edges = value[:, f].numpy(), own[:, f].numpy() if with_own else None
        for t in [-1.0, *np.unique(np.concatenate([column, *([] if of_edges is None else [of_edges])]))]:
            graph = sublevel(edges, column, of_edges, t)
            components = nx.number_connected_components(graph)
            alive = (found.birth[:, f] <= t) & (found.death[:, f] > t)
            assert alive.sum() == components
            entered = found.entry[:, f] <= t
            assert entered.sum() == graph.number_of_edges()
            cycles = graph.number_of_edges() - graph.number_of_nodes() + components
            assert (entered & found.closes[:, f]).sum() == cycles
            assert found.share[entered, f].sum() == pytest.approx(cycles)


def elder_rule(edges: np.ndarray, value: np.ndarray) -> np.ndarray:
    """The first t at which an older node is in the component of each node; all values are different."""
    death = np.full(len(value), np.inf)
    for t in np.sort(value):
        for nodes in nx.connected_components(sublevel(edges, value, None, t)):
            for v in nodes:
                if min(value[list(nodes)]) < value[v]:
                    death[v] = min(death[v], t)
    return death


@settings(deadline=None, max_examples=40)
@given(seed=seeds, n=st.integers(1, 14))
def test_each_node_ends_where_an_older_one_comes(seed, n):
    edges, value, _ = drawn(seed, n, tied=False)
    found = persistence(packed(edges, n), value)
    for f in range(2):
        np.testing.assert_array_equal(found.death[:, f], elder_rule(edges, value[:, f].numpy()))
        for nodes in nx.connected_components(sublevel(edges, value[:, f].numpy(), None, 1.0)):
            (oldest,) = [v for v in nodes if np.isinf(found.death[v, f])]
            last = found.last[oldest, f]
            assert found.entry[last, f] == found.birth[list(nodes), f].max() if len(nodes) > 1 else last == -1
    assert (found.tie == np.arange(n)[:, None]).all()


def shares_of(found: Persistence, f: int) -> list[list[tuple[float, float]]]:
    """The points that each node shares, in order."""
    points = list(zip(found.birth[:, f].tolist(), found.death[:, f].tolist(), strict=True))
    return [sorted(points[w] for w in np.flatnonzero(found.tie[:, f] == tie)) for tie in found.tie[:, f]]


@settings(deadline=None, max_examples=60)
@given(seed=seeds, n=st.integers(1, 14))
def test_ties_share_by_their_definition(seed, n):
    edges, value, _ = drawn(seed, n, tied=True)
    found = persistence(packed(edges, n), value)
    rng = np.random.default_rng(seed)
    for f in range(2):
        column = value[:, f].numpy()
        alike = np.eye(n, dtype=bool)
        cycles: dict[tuple[int, int], float] = {}
        for t in np.unique(column):
            graph = sublevel(edges, column, None, t)
            new = [tuple(sorted(e)) for e in graph.edges if max(column[list(e)]) == t]
            for nodes in nx.connected_components(graph):
                eldest = [v for v in nodes if column[v] == min(column[list(nodes)])]
                alike[np.ix_(eldest, eldest)] = True
                inside = [e for e in new if e[0] in nodes]
                lower = nx.Graph(graph.subgraph(nodes))
                lower.remove_edges_from(inside)
                joins = nx.number_connected_components(lower) - 1
                cycles |= {e: (len(inside) - joins) / len(inside) for e in inside}
        assert (alike == (found.tie[:, f, None] == found.tie[:, f])).all()
        assert {tuple(e): s for e, s in zip(found.edges.T.tolist(), found.share[:, f].tolist(), strict=True)} == cycles
        # Whoever is said to be older, nodes that share have the same points.
        order = rng.permutation(n)
        deaths = np.floor(elder_rule(edges, column + order / (2 * n)))
        for v, points in enumerate(shares_of(found, f)):
            assert sorted(deaths[alike[v]]) == [death for _, death in points]


@settings(deadline=None, max_examples=40)
@given(seed=seeds, n=st.integers(1, 14), tied=st.booleans())
def test_shares_are_renumbered_with_the_nodes(seed, n, tied):
    edges, value, own = drawn(seed, n, tied)
    rng = np.random.default_rng(seed)
    place, order = rng.permutation(n), rng.permutation(edges.shape[1])
    found = persistence(packed(edges, n), value, own)
    other = persistence(packed(place[edges][:, order], n), value[place.argsort()], own[order])
    for f in range(2):
        there = shares_of(other, f)
        assert [there[place[v]] for v in range(n)] == shares_of(found, f)
        shares = [
            {frozenset(e): share for e, share in zip(names.T.tolist(), each.share[:, f], strict=True)}
            for names, each in ((place[found.edges], found), (other.edges, other))
        ]
        assert shares[0] == shares[1]


def test_a_path_and_a_cycle_by_hand():
    path = packed(np.array([[0, 1, 2, 3], [1, 2, 3, 4]]), 5)
    found = persistence(path, of_columns([1, 5, 0, 4, 3], [7, 7, 7, 7, 7]))
    inf = np.inf
    assert found.death[:, 0].tolist() == [5, 5, inf, 4, 4]  # 5 and 4 end as they begin
    assert not found.closes.any()
    assert found.entry[found.last[:, 0], 0].tolist() == [5, 5, 5, 4, 4]
    assert sorted(found.death[:, 1]) == [7, 7, 7, 7, inf]
    assert len(set(found.tie[:, 1])) == 1
    ring = packed(np.array([[0, 1, 2, 3], [1, 2, 3, 0]]), 4)
    found = persistence(ring, of_columns([0, 1, 2, 3], [0, 0, 0, 0], [0, 1, 0, 2]))
    assert found.death[:, 0].tolist() == [inf, 1, 2, 3]
    assert found.entry[found.closes[:, 0], 0].tolist() == [3]
    assert found.share[:, 1].tolist() == [0.25] * 4
    assert found.tie[0, 2] == found.tie[2, 2]
    assert sorted(found.death[[0, 2], 2]) == [1, inf]
    assert found.share[:, 2].tolist() == [0, 0.5, 0, 0.5]  # edges (0, 1), (0, 3), (1, 2), (2, 3)


def test_batches_are_their_graphs_and_python_is_compiled_code():
    sizes = [4, 0, 1, 9, 6]
    parts = [drawn(seed, n, tied=seed % 2 == 0) for seed, n in enumerate(sizes)]
    graphs = [
        Data(edge_index=torch.from_numpy(edges).long(), num_nodes=n)
        for (edges, *_), n in zip(parts, sizes, strict=True)
    ]
    batch = PackedGraphs.from_data_list(graphs)
    value, own = (torch.cat([part[k] for part in parts]) for k in (1, 2))
    interpreted = persistence(batch, value, own)
    with everything_compiled():
        together = persistence(batch, value, own)
    for one, two in zip(interpreted, together, strict=True):
        np.testing.assert_array_equal(one, two)
    nodes = edges = 0
    for graph, (_, of_nodes, of_edges) in zip(graphs, parts, strict=True):
        alone = persistence(PackedGraphs.from_data(graph), of_nodes, of_edges)
        n, p = len(alone.birth), len(alone.entry)
        here, there = slice(nodes, nodes + n), slice(edges, edges + p)
        np.testing.assert_array_equal(together.edges[:, there], alone.edges + nodes)
        np.testing.assert_array_equal(together.death[here], alone.death)
        np.testing.assert_array_equal(together.last[here], np.where(alone.last < 0, -1, alone.last + edges))
        np.testing.assert_array_equal(together.tie[here], alone.tie + nodes)
        np.testing.assert_array_equal(together.share[there], alone.share)
        nodes, edges = nodes + n, edges + p
    assert nodes == batch.num_nodes


def test_values_within_the_tolerance_tie():
    path = packed(np.array([[0, 1], [1, 2]]), 3)
    value = of_columns([0.0, 1.0, 1e-7])
    assert len(set(persistence(path, value).tie[:, 0])) == 3
    found = persistence(path, value, tolerance=1e-5)
    assert found.tie[0, 0] == found.tie[2, 0] != found.tie[1, 0]


def test_nodes_alone_never_end():
    found = persistence(packed(np.array([[2], [2]]), 3), of_columns([2, 1, 0]))
    assert np.isinf(found.death).all()
    assert (found.last == -1).all()
    assert found.edges.shape == (2, 0)


def test_bad_values():
    graph = packed(np.array([[0], [1]]), 3)
    for value in (torch.zeros(3), torch.zeros(2, 1)):
        with pytest.raises(GraphPEValueError, match=r"value must have a row for each node, \[3, filtrations\] \(got"):
            persistence(graph, value)
    with pytest.raises(GraphPEValueError, match=r"edge_value must have a row for each edge, \[1, 2\] \(got \[1, 1\]"):
        persistence(graph, torch.zeros(3, 2), torch.zeros(1, 1))
    with pytest.raises(GraphPEValueError, match="value holds numbers that are not finite"):
        persistence(graph, torch.full((3, 1), torch.nan))
