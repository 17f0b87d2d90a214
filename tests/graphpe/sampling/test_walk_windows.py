from __future__ import annotations

import numpy as np
import pytest
import torch

from graphpe.errors import GraphPEError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.sampling.random_walks import Walks, random_walks
from graphpe.sampling.walk_windows import window_features
from graphpe.structure.weisfeiler_lehman import refined_colours


def random_graphs(rng: np.random.Generator, sizes: list[int], degree: float) -> PackedGraphs:
    """Directed multigraphs with loops and sinks."""
    edges, counts, first = [np.zeros((2, 0), np.int64)], [0], 0
    for n in sizes:
        edges.append(rng.integers(0, n, (2, int(degree * n))) + first if n else np.zeros((2, 0), np.int64))
        counts.append(edges[-1].shape[1])
        first += n
    index, ptr = np.concatenate(edges, axis=1), np.cumsum([0, *sizes])
    return PackedGraphs(torch.from_numpy(index), torch.from_numpy(ptr), torch.from_numpy(np.cumsum(counts)))


def by_hand(graphs: PackedGraphs, walks: Walks, window: int) -> np.ndarray:
    edges = set(map(tuple, graphs.edge_index.T.tolist()))
    out = np.zeros((*walks.nodes.shape, 2 * window - 1), bool)
    for w, nodes in enumerate(walks.nodes.tolist()):
        for t, node in enumerate(nodes):
            for s in range(1, window + 1):
                if t >= s and node >= 0:
                    out[w, t, s - 1] = nodes[t - s] == node
                    if s > 1:
                        out[w, t, window + s - 2] = (nodes[t - s], node) in edges
    return out


@pytest.mark.parametrize("backtracking", [True, False])
@pytest.mark.parametrize("window", [1, 2, 5, 32])
def test_features_are_those_of_each_pair_of_nodes(window: int, backtracking: bool) -> None:
    rng = np.random.default_rng()
    for degree in (0, 1.2, 3, 40):  # 40: more neighbours than there are bits to mark them
        graphs = random_graphs(rng, [6, 0, 1, 90 if degree == 40 else 9], degree)
        walks = random_walks(graphs, 40, backtracking=backtracking, seed=int(rng.integers(2**32)))
        found = window_features(graphs, walks, window)
        assert found.dtype == torch.bool
        assert np.array_equal(found.numpy(), by_hand(graphs, walks, window))


def csl(nodes: int, skip: int) -> PackedGraphs:
    """A circular skip link graph: a cycle, and links from each node to that `skip` further on."""
    i = np.arange(nodes)
    tail = np.concatenate([i, (i + 1) % nodes, i, (i + skip) % nodes])
    head = np.concatenate([(i + 1) % nodes, i, (i + skip) % nodes, i])
    index = torch.from_numpy(np.stack([tail, head]))
    return PackedGraphs(index, torch.tensor([0, nodes]), torch.tensor([0, 4 * nodes]))


def mean_features(graphs: PackedGraphs, window: int, seed: int) -> np.ndarray:
    """Means over many walks, which depend on the graph and not on its numbering."""
    starts = np.arange(40_000) % graphs.num_nodes
    walks = random_walks(graphs, 20, starts=starts, backtracking=False, seed=seed)
    return window_features(graphs, walks, window).double().mean((0, 1)).numpy()


def test_they_tell_apart_what_colour_refinement_cannot() -> None:
    """Of the ten classes of CSL graphs of 41 nodes, all regular: windows of 8 steps see triangles and longer cycles.

    Cycles of 9 nodes and fewer decide here; a graph is told from another by means of features over walks, beyond the
    error of these, which two seeds of one graph show.
    """
    skips = (2, 3, 4, 5, 6, 9)
    for skip in skips:
        assert len(refined_colours(csl(41, skip), 5)[:, -1].unique()) == 1  # one colour each
    first = {skip: mean_features(csl(41, skip), 8, seed=1) for skip in skips}
    again = {skip: mean_features(csl(41, skip), 8, seed=2) for skip in skips}
    error = max(np.abs(first[skip] - again[skip]).max() for skip in skips)
    apart = min(np.abs(first[a] - first[b]).max() for a in skips for b in skips if a != b)
    assert apart > 3 * error
    # A window of one step sees the walk itself alone, which is the same in all regular graphs: nothing comes back.
    plain = [mean_features(csl(41, skip), 1, seed=1) for skip in skips]
    assert not np.any(plain)


def test_windows_give_the_subgraph_that_they_induce() -> None:
    """Theorem 1's premise: identity and connectivity within a window rebuild the graph on its nodes."""
    rng = np.random.default_rng()
    dense = np.triu(rng.random((8, 8)) < 0.4, 1) | np.eye(8, k=1, dtype=bool)
    dense = dense | dense.T
    index = torch.from_numpy(np.stack(np.nonzero(dense)))
    graphs = PackedGraphs(index, torch.tensor([0, 8]), torch.tensor([0, index.shape[1]]))
    walks = random_walks(graphs, 12, seed=int(rng.integers(2**32)))
    window = 12
    found = window_features(graphs, walks, window).numpy()
    for nodes, features in zip(walks.nodes, found, strict=True):
        order, rebuilt = [], {}
        for t in range(13):
            same = [t - s for s in range(1, t + 1) if features[t, s - 1]]
            order.append(order[same[0]] if same else len(set(order)))
            for s in range(1, t + 1):
                joined = s == 1 or features[t, window + s - 2]
                rebuilt[order[t - s], order[t]] = bool(joined)
        first = [int(np.flatnonzero(np.array(order) == label)[0]) for label in range(len(set(order)))]
        for (a, b), joined in rebuilt.items():
            assert joined == dense[nodes[first[a]], nodes[first[b]]]


def test_errors() -> None:
    graphs = csl(11, 2)
    walks = random_walks(graphs, 4)
    with pytest.raises(GraphPEValueError, match="window must be from 1 to 32, got 33"):
        window_features(graphs, walks, 33)
    with pytest.raises(GraphPEError, match="window must be an integer"):
        window_features(graphs, walks, 2.0)
