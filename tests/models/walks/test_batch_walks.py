from __future__ import annotations

import numpy as np
import torch
from torch_geometric.data import Batch, Data

from graphpe.graphs.packed import PackedGraphs
from graphpe.models.batches.nodes import node_to_graph, read_edges
from graphpe.models.walks.batch_walks import BatchWalks, HostStructure, WalkPlan
from graphpe.sampling.random_walks import Walks, random_walks
from graphpe.sampling.walk_windows import window_features


def batch_of(*sizes: int) -> Batch:
    """Directed graphs with sinks, loops and parallel edges."""
    return Batch.from_data_list(
        [Data(edge_index=torch.randint(n, (2, 2 * n)) if n else torch.zeros(2, 0).long(), num_nodes=n) for n in sizes]
    )


def structure(batch: Data) -> HostStructure:
    members = node_to_graph(batch)
    return HostStructure(batch, members, read_edges(batch, members))


def drawn(batch: Batch, plan: WalkPlan, seed: int = 3) -> tuple[BatchWalks, Walks]:
    walks = random_walks(PackedGraphs.from_data(batch), plan.length, backtracking=plan.backtracking, seed=seed)
    return structure(batch).walks(plan, seed), walks


def test_rows_are_the_nodes_of_the_walks_that_a_seed_gives() -> None:
    batch = batch_of(7, 0, 1, 9)
    plan = WalkPlan(length=6, window=4, backtracking=False)
    found, walks = drawn(batch, plan)
    steps = int((walks.nodes >= 0).sum(1).max())
    assert found.shape == (17, steps)
    there = walks.nodes[:, :steps] >= 0
    assert np.array_equal(found.node.numpy(), walks.nodes[:, :steps][there])
    assert np.array_equal(found.place.numpy(), np.flatnonzero(there))
    features = window_features(PackedGraphs.from_data(batch), walks, 4)[:, :steps]
    assert torch.equal(found.window, features[torch.from_numpy(there)])
    # Of each step the edge, and the row that it is taken from.
    tails, heads = batch.edge_index[:, found.edge]
    assert torch.equal(found.node[found.leaving], tails)
    assert torch.equal(found.node[found.leaving + 1], heads)
    assert len(found.edge) == int((walks.edges >= 0).sum())


def test_sequences_and_rows_are_one_another() -> None:
    found, _ = drawn(batch_of(6, 3), WalkPlan(5, 2, backtracking=True))
    rows = torch.randn(len(found.node), 3)
    sequences = found.as_sequences(rows)
    assert torch.equal(found.as_rows(sequences), rows)
    outside = torch.ones(sequences.shape[:2], dtype=torch.bool).flatten().index_fill(0, found.place, False)
    assert not sequences.flatten(0, 1)[outside].any()


def test_means_are_over_visits() -> None:
    batch = batch_of(5, 4)
    found, walks = drawn(batch, WalkPlan(9, 2, backtracking=True))
    rows = torch.randn(len(found.node), 3, dtype=torch.float64)
    nodes, edges = found.over_nodes(rows), found.over_edges(rows)
    sums, counts = torch.zeros(9, 3).double(), torch.zeros(9)
    edge_sums, edge_counts = torch.zeros(18, 3).double(), torch.zeros(18)
    row = 0
    for walk, taken in zip(walks.nodes.tolist(), walks.edges.tolist(), strict=True):
        for step, node in enumerate(walk):
            if node < 0:
                break
            sums[node] += rows[row]
            counts[node] += 1
            if step < len(taken) and taken[step] >= 0:
                edge_sums[taken[step]] += rows[row]
                edge_counts[taken[step]] += 1
            row += 1
    torch.testing.assert_close(nodes, sums / counts.clamp(min=1)[:, None])
    torch.testing.assert_close(edges, edge_sums / edge_counts.clamp(min=1)[:, None])
    assert found.over_nodes(rows.bfloat16()).dtype == torch.float32


def test_walks_of_nodes_that_are_out_of_order() -> None:
    """Node ids are those in the order of the graphs, edge ids those of the batch."""
    batch = batch_of(6, 5)
    mixed = torch.tensor([0, 6, 1, 7, 2, 8, 3, 9, 4, 10, 5])
    moved = Data(edge_index=mixed.argsort()[batch.edge_index], batch=batch.batch[mixed], num_nodes=11)
    plan = WalkPlan(7, 3, backtracking=False)
    found, expected = structure(moved).walks(plan, 5), structure(batch).walks(plan, 5)
    assert torch.equal(found.node, expected.node)
    assert torch.equal(found.edge, expected.edge)
    assert torch.equal(found.window, expected.window)


def test_edges_that_are_not_in_the_order_of_their_graphs() -> None:
    batch = batch_of(6, 5)
    order = torch.randperm(22)
    moved = Data(edge_index=batch.edge_index[:, order], batch=batch.batch, num_nodes=11)
    plan = WalkPlan(7, 3, backtracking=True)
    found, expected = structure(moved).walks(plan, 5), structure(batch).walks(plan, 5)
    assert torch.equal(found.node, expected.node)
    assert torch.equal(moved.edge_index[:, found.edge], batch.edge_index[:, expected.edge])


def test_nothing_to_walk_on() -> None:
    for sizes in [(0,), (0, 0), (1,), (1, 0, 3)]:
        batch = batch_of(*sizes)
        batch.edge_index = batch.edge_index[:, :0]
        found = structure(batch).walks(WalkPlan(5, 3, backtracking=False), 1)
        assert found.shape == (sum(sizes), 1)
        assert found.over_nodes(torch.ones(sum(sizes), 2)).shape == (sum(sizes), 2)
        assert found.over_edges(torch.ones(sum(sizes), 2)).shape == (0, 2)
