from __future__ import annotations

import networkx as nx
import torch

from graphpe import transforms as T
from graphpe.benchmarks.calls.build import build_task
from graphpe.benchmarks.tasks.generated.csl import CSL, SKIPS


def test_graphs_are_circular_skip_links() -> None:
    data = CSL(seed=2).load()
    y = data.graphs.graph["y"].flatten()
    assert (y.bincount() == 15).all()
    for b in range(0, 150, 7):
        graph = data.graphs.select(slice(b, b + 1))
        found = nx.Graph(graph.edge_index.t().tolist())
        assert nx.is_isomorphic(found, nx.circulant_graph(41, [1, SKIPS[int(y[b])]]))
    assert not torch.equal(data.graphs.edge_index[:, :164], data.graphs.edge_index[:, 1640 : 1640 + 164] - 410)


def test_folds_cover_all_and_keep_shares() -> None:
    tested = []
    for fold in range(5):
        data = CSL(fold=fold).load()
        assert [len(ids) for ids in data.split.values()] == [90, 30, 30]
        assert len(torch.cat(list(data.split.values())).unique()) == 150
        for ids in data.split.values():
            assert (data.graphs.graph["y"][ids].flatten().bincount() * 10 == len(ids)).all()
        tested.append(data.split["test"])
        assert build_task(repr(CSL(fold=fold))).adapter(data.adapter.state()) == data.adapter
    assert len(torch.cat(tested).unique()) == 150


def test_walks_tell_classes_apart() -> None:
    data = CSL().load()
    walks = T.RandomWalkPE(16)(data.graphs.structure()).node["random_walk_pe"][::41]
    y = data.graphs.graph["y"].flatten()
    means = torch.stack([walks[y == label].mean(0) for label in range(10)])
    assert torch.cdist(walks.double(), means.double()).argmin(1).equal(y)
