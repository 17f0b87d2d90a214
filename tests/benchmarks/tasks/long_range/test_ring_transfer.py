from __future__ import annotations

import networkx as nx
import pytest

from graphpe.benchmarks.calls.build import build_task
from graphpe.benchmarks.console.sizes import Sizes
from graphpe.benchmarks.tasks.long_range.ring_transfer import RingTransfer
from graphpe.errors import GraphPEError


@pytest.mark.parametrize("nodes", [4, 10, 16])
def test_the_answer_is_opposite(nodes: int) -> None:
    task = build_task(repr(RingTransfer(nodes, train=40, valid=5, test=5, seed=1)))
    data = task.load()
    graphs = data.graphs
    for b in range(50):
        own = graphs.select(slice(b, b + 1))
        ring = nx.Graph(own.edge_index.t().tolist())
        assert nx.is_isomorphic(ring, nx.cycle_graph(nodes))
        x, y = own.node["x"].flatten(), own.node["y"].flatten()
        (target,) = (y >= 0).nonzero().flatten().tolist()
        (source,) = ((x > 0) & (x < 6)).nonzero().flatten().tolist()
        assert x[target] == 6
        assert nx.shortest_path_length(ring, source, target) == nodes // 2
        assert y[target] == x[source] - 1
        assert int((x > 0).sum()) == 2
    assert len(graphs.node["y"][graphs.node["y"] >= 0].unique()) == 5
    assert task.adapter(data.adapter.state()) == data.adapter


def test_sizes_are_even_and_from_the_bin() -> None:
    data = RingTransfer(train=30, valid=5, test=8).load_sizes(Sizes.parse("8 | 9-13 20-30"))
    found = {part: set(data.graphs.sizes[ids].tolist()) for part, ids in data.split.items()}
    assert found["train"] <= {4, 6, 8}
    assert found["9-13"] <= {10, 12}
    assert found["20-30"] <= set(range(20, 31, 2))


def test_what_cannot_be_is_one_line() -> None:
    with pytest.raises(GraphPEError, match="even number"):
        build_task("ring-transfer(nodes=7)")
    with pytest.raises(GraphPEError, match="rings have an even number"):
        RingTransfer().load_sizes(Sizes.parse("8 | 9-9 10-12"))
