from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from scipy.stats import chisquare

from graphpe.benchmarks.measure.pretend.accelerator import pretending, to_host
from graphpe.benchmarks.measure.pretend.tensors import DEVICE
from graphpe.errors import GraphPEError, GraphPETypeError, GraphPEValueError
from graphpe.graphs.loader import PackedLoader
from graphpe.graphs.packed import PackedGraphs
from graphpe.sampling.rewiring import RandomRewiring


def random_graphs(*sizes: int) -> PackedGraphs:
    edges, counts, first = [torch.zeros(2, 0).long()], [], 0
    for n in sizes:
        edges.append(torch.randint(n, (2, n)) + first if n else edges[0])
        counts.append(edges[-1].shape[1])
        first += n
    index, total = torch.cat(edges, 1), sum(counts)
    return PackedGraphs(
        index,
        torch.tensor([0, *sizes]).cumsum(0),
        torch.tensor([0, *counts]).cumsum(0),
        edge_weight=torch.rand(total) + 1,
        node={"x": torch.randn(first, 2)},
        edge={"edge_attr": torch.randint(1, 5, (total, 2)), "flag": torch.ones(total, dtype=torch.bool)},
        graph={"y": torch.randn(len(sizes))},
    )


def test_edges_of_the_graphs_stay_and_added_ones_are_marked() -> None:
    before = random_graphs(6, 0, 1, 9, 2)
    after = RandomRewiring(degree=2, seed=3)(before)
    added = after.edge["added"]
    assert added.dtype == torch.bool
    assert torch.equal(after.edge_index[:, ~added], before.edge_index)
    assert torch.equal(after.edge["edge_attr"][~added], before.edge["edge_attr"])
    assert torch.equal(after.edge_weight[~added], before.edge_weight)
    assert not after.edge["edge_attr"][added].any()
    assert not after.edge["flag"][added].any()
    assert torch.equal(after.edge_weight[added], torch.ones(int(added.sum())))
    assert torch.equal(after.node["x"], before.node["x"])
    assert torch.equal(after.graph["y"], before.graph["y"])
    PackedGraphs(after.edge_index, after.ptr, after.edge_ptr)  # each graph's edges together, within the graph
    assert np.array_equal(after.host_edge_index, after.edge_index.numpy())
    assert np.array_equal(after.host_edge_ptr, after.edge_ptr.numpy())
    for graph in range(5):  # its own edges first
        own = added[after.edge_ptr[graph] : after.edge_ptr[graph + 1]]
        assert torch.equal(own, own.sort().values)


@pytest.mark.parametrize("degree", [1, 2, 5])
def test_added_edges_go_both_ways_once_without_loops_and_are_nearly_regular(degree: int) -> None:
    graphs = random_graphs(40, 3, 1, 0, 60)
    after = RandomRewiring(degree, seed=int(torch.randint(2**62, ())))(graphs)
    tail, head = after.edge_index[:, after.edge["added"]].numpy()
    pairs = set(zip(tail.tolist(), head.tolist(), strict=True))
    assert len(pairs) == len(tail)
    assert {(v, u) for u, v in pairs} == pairs
    assert (tail != head).all()
    degrees = np.bincount(tail, minlength=104)
    assert degrees.max() <= 2 * degree
    assert degrees[43] == 0  # one node has no other
    assert degrees[40:43].max() <= 2
    assert degrees[44:].mean() > 2 * degree * (1 - 2 * degree / 60) - 1


def test_the_permutations_are_uniform() -> None:
    """Of five nodes, where the first one goes, over many seeds: itself adds nothing."""
    single = PackedGraphs(torch.zeros(2, 0).long(), torch.tensor([0, 5]), torch.tensor([0, 0]))
    seen = np.zeros(11)
    for seed in range(3000):
        tail, head = RandomRewiring(1, seed=seed)(single).edge_index
        joined = head[tail == 0].tolist()
        numbers = {(): 0, **{(k,): k for k in range(1, 5)}}
        two = [(a, b) for a in range(1, 5) for b in range(a + 1, 5)]
        numbers |= {pair: 5 + i for i, pair in enumerate(two)}
        seen[numbers[tuple(joined)]] += 1
    # pi(0) = 0: 1/5. pi(0) = k: also pi^-1(0) = k with 1/4 (a swap), else another j, each pair from either side.
    expected = np.array([1 / 5, *[1 / 5 / 4] * 4, *[2 / 5 / 4] * 6])
    assert chisquare(seen, 3000 * expected).pvalue > 1e-3


def test_expansion() -> None:
    """A path of 200 nodes becomes a graph of small diameter and of a spectral gap far from zero."""
    tail = torch.arange(199)
    path = PackedGraphs(torch.stack([tail, tail + 1]), torch.tensor([0, 200]), torch.tensor([0, 199]))
    after = RandomRewiring(3, seed=1)(path)
    graph = nx.Graph(after.edge_index[:, after.edge["added"]].T.tolist())
    assert nx.diameter(graph) <= 6
    values = np.linalg.eigvalsh(nx.normalized_laplacian_matrix(graph).toarray())
    assert values[1] > 0.2  # 1 - sqrt(5) / 3 = 0.25 for a Ramanujan graph of degree 6


def test_a_graph_has_the_same_edges_alone_or_in_a_batch_and_others_for_another_seed() -> None:
    batch = random_graphs(7, 4, 0, 11)
    together, rewire = RandomRewiring(2, seed=5)(batch), RandomRewiring(2, seed=5)
    for graph in range(4):
        alone = rewire(batch.select([graph]))
        assert torch.equal(alone.edge_index, together.select([graph]).edge_index)
    assert not torch.equal(RandomRewiring(2, seed=6)(batch).edge_index[:, -5:], together.edge_index[:, -5:])
    assert repr(rewire.seeded(6)) == repr(RandomRewiring(2, seed=6)) == "RandomRewiring(degree=2, seed=6)"


def test_a_loader_seeds_each_batch_of_each_epoch() -> None:
    graphs = random_graphs(*[9] * 8)
    loader = PackedLoader(graphs, 4, seed=3, transform=RandomRewiring(2))
    first, second = ([batch.edge_index for batch in loader] for _ in range(2))
    added = [each[:, each.shape[1] - 8 :] for each in (*first, *second)]
    assert all(not torch.equal(a, b) for i, a in enumerate(added) for b in added[:i])
    again = PackedLoader(graphs, 4, seed=3, transform=RandomRewiring(2))
    (last,) = again.batches(1, start=1)
    assert torch.equal(last.edge_index, second[1])
    next(iter(again))
    state = again.state_dict()
    resumed = PackedLoader(graphs, 4, seed=3, transform=RandomRewiring(2))
    resumed.load_state_dict(state)
    assert torch.equal(next(iter(resumed)).edge_index, first[1])
    other = PackedLoader(graphs, 4, seed=4, transform=RandomRewiring(2))
    assert not torch.equal(next(iter(other)).edge_index, first[0])


def test_on_a_device_it_gives_the_same_and_waits_for_nothing() -> None:
    graphs = random_graphs(6, 3, 8)
    _ = graphs.host_edge_index
    expected = RandomRewiring(2)(graphs)
    with pretending() as seen:
        there = graphs.to(DEVICE)
        seen.events.clear()
        found = RandomRewiring(2)(there)
        assert not seen.syncs, seen.report()
        assert torch.equal(to_host(found.edge_index), expected.edge_index)
        assert torch.equal(to_host(found.edge["added"]), expected.edge["added"])
        assert np.array_equal(found.host_edge_index, expected.host_edge_index)


def test_errors() -> None:
    with pytest.raises(GraphPEValueError, match="degree must be from 1 to 1024, got 0"):
        RandomRewiring(0)
    with pytest.raises(GraphPEError, match="seed must be"):
        RandomRewiring(seed=-1)
    with pytest.raises(GraphPETypeError, match="RandomRewiring takes a PackedGraphs, got list"):
        RandomRewiring()([])
    once = RandomRewiring()(random_graphs(4))
    with pytest.raises(GraphPEValueError, match="edges have a value 'added' already: they were rewired before"):
        RandomRewiring()(once)
