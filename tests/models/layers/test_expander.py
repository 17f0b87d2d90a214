from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Data

from graphpe.errors import GraphPEError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.models import LinearEdges
from graphpe.models.batches.nodes import NodeToGraph
from graphpe.models.layers.expander import RewiredEdges, expander_edges
from graphpe.sampling.rewiring import RandomRewiring


def members_of(sizes: list[int]) -> NodeToGraph:
    count = torch.tensor(sizes, dtype=torch.long)
    ptr = torch.cat([count.new_zeros(1), count.cumsum(0)])
    return NodeToGraph(torch.arange(len(sizes)).repeat_interleave(count), ptr)


def test_regular_within_each_graph() -> None:
    members = members_of([7, 1, 0, 20, 2])
    for degree in (0, 1, 4):
        source, target = expander_edges(members, degree, 0)
        assert torch.equal(members.graph[source], members.graph[target])
        for end in (source, target):
            assert torch.equal(torch.bincount(end, minlength=30), torch.full((30,), 2 * degree))


def test_both_directions() -> None:
    source, target = expander_edges(members_of([9, 4]), 3, 5)
    forward = sorted(zip(source.tolist(), target.tolist(), strict=True))
    assert forward == sorted(zip(target.tolist(), source.tolist(), strict=True))


def test_a_graph_has_the_same_in_any_batch() -> None:
    alone = expander_edges(members_of([9]), 3, 5)
    beside = expander_edges(members_of([4, 9, 9]), 3, 5)
    for first in (4, 13):
        inside = (beside[0] >= first) & (beside[0] < first + 9)
        assert torch.equal(beside[:, inside] - first, alone)


def test_seeds_and_sizes_differ() -> None:
    one, two = (expander_edges(members_of([30]), 2, seed) for seed in (0, 1))
    assert not torch.equal(one, two)
    assert torch.equal(one, expander_edges(members_of([30]), 2, 0))
    assert not torch.equal(one[:, :30], one[:, 60:90])  # two permutations


def test_spectral_gap() -> None:
    """Second eigenvalue near Ramanujan's 2 sqrt(2 d - 1), far below the degree 2 d."""
    for seed in range(5):
        source, target = expander_edges(members_of([300]), 3, seed)
        matrix = torch.zeros(300, 300, dtype=torch.float64).index_put(
            (source, target), torch.ones(len(source), dtype=torch.float64), accumulate=True
        )
        values = torch.linalg.eigvalsh(matrix)
        torch.testing.assert_close(float(values[-1]), 6.0)
        assert max(float(values[-2]), -float(values[0])) < 2 * 5**0.5 + 0.5


def test_permutations_are_uniform() -> None:
    """Each of the 6 permutations of 3 nodes equally often over seeds: chi-square with 5 degrees of freedom."""
    counts = dict.fromkeys(range(6), 0)
    names: dict[tuple[int, ...], int] = {}
    for seed in range(1200):
        pi = tuple(expander_edges(members_of([3]), 1, seed)[1, :3].tolist())
        counts[names.setdefault(pi, len(names))] += 1
    assert sum((c - 200) ** 2 / 200 for c in counts.values()) < 25.7  # p = 0.0001; the seeds are fixed


def test_added_edges_have_one_vector_and_others_their_own() -> None:
    graphs = PackedGraphs.from_data(
        Data(edge_index=torch.tensor([[0, 1, 2], [1, 2, 3]]), edge_attr=torch.randn(3, 2), num_nodes=5)
    )
    batch = RandomRewiring(degree=1)(graphs).to_batch()
    encoder = LinearEdges(2, 4)
    module = RewiredEdges(4, encoder)
    found, plain = module(batch), encoder(batch)
    assert torch.equal(found[~batch.added], plain[~batch.added])
    assert torch.equal(found[batch.added], module.added.expand(int(batch.added.sum()), -1))
    bare = RewiredEdges(4)
    assert torch.equal(bare(batch), torch.where(batch.added.unsqueeze(1), bare.added, bare.given))
    found.square().sum().backward()
    assert all(bool(weight.grad.any()) for weight in module.parameters())


def test_without_marks_it_says_what_to_do() -> None:
    batch = Data(edge_index=torch.tensor([[0], [1]]), num_nodes=2)
    for wrong in (None, torch.zeros(3, dtype=torch.bool)):
        if wrong is not None:
            batch.added = wrong
        with pytest.raises(GraphPEValueError, match=r"batch\.added does not say of each edge whether it was added"):
            RewiredEdges(4)(batch)
    with pytest.raises(GraphPEError, match="width must be from 1"):
        RewiredEdges(0)
