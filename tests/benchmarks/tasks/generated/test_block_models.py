from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from graphpe.benchmarks.tasks.generated import block_models
from graphpe.benchmarks.tasks.generated.block_models import CLUSTER, PATTERN, block_model_graphs
from graphpe.benchmarks.tasks.pyg.gnn_benchmark import Cluster, Pattern

SOME_PATTERNS = replace(PATTERN, graphs=(2, 1, 1))
SOME_CLUSTERS = replace(CLUSTER, graphs=(300, 50, 50))


def test_statistics_are_those_of_the_published_sets(tmp_path: Path) -> None:
    # PyG's table: PATTERN ~118.9 nodes and ~6,098.9 edges, CLUSTER ~117.2 and ~4,303.9 (both directions counted).
    for model, nodes, edges, most in ((SOME_PATTERNS, 118.9, 6098.9, 190), (SOME_CLUSTERS, 117.2, 4303.9, 204)):
        graphs, split, _ = block_model_graphs(model, 0, cache=tmp_path)
        assert len(graphs) == sum(len(ids) for ids in split.values()) == 400
        assert graphs.num_nodes / len(graphs) == pytest.approx(nodes, rel=0.02)
        assert graphs.num_edges / len(graphs) == pytest.approx(edges, rel=0.035)
        assert graphs.sizes.max() <= most
        assert bool((graphs.edge_index[0] != graphs.edge_index[1]).all())
        both = set(map(tuple, graphs.select([3]).edge_index.t().tolist()))
        assert both == {(v, u) for u, v in both}
        assert len(both) == int(graphs.edge_sizes[3])


def test_communities_are_joined_as_published(tmp_path: Path) -> None:
    graphs, _, _ = block_model_graphs(SOME_CLUSTERS, 1, cache=tmp_path)
    y = graphs.node["y"]
    same = y[graphs.edge_index[0]] == y[graphs.edge_index[1]]
    counts = torch.stack([torch.bincount(part, minlength=6) for part in y.split(graphs.sizes.tolist())]).double()
    inside, pairs = (counts * (counts - 1)).sum(), counts.sum(1).square().sum() - counts.square().sum()
    assert float(same.sum() / inside) == pytest.approx(0.55, rel=0.01)
    assert float((~same).sum() / pairs) == pytest.approx(0.25, rel=0.01)
    assert counts.min() >= 5
    assert counts.max() <= 34
    words = graphs.node["x"].argmax(1)
    shown = [part.bincount(minlength=7).tolist()[1:] for part in words.split(graphs.sizes.tolist())]
    assert shown == [[1] * 6] * len(graphs)
    assert torch.equal(words[words > 0] - 1, y[words > 0])


def test_patterns_are_the_same_in_their_graphs(tmp_path: Path) -> None:
    graphs, split, _ = block_model_graphs(SOME_PATTERNS, 0, cache=tmp_path)
    joined, words = block_models._pattern(np.uint64(0), block_models._OTHERS + 4, True, 3)  # the fifth
    for index in (8, 9, *(int(split[part][4]) for part in ("valid", "test"))):
        graph = graphs[index]
        planted = graph.y.flatten() == 1
        assert int(planted.sum()) == len(words)
        assert sorted(graph.x[planted].argmax(1).tolist()) == sorted(words.tolist())
        inside = planted[graph.edge_index[0]] & planted[graph.edge_index[1]]
        degree = graph.edge_index[0][inside].bincount(minlength=graph.num_nodes)[planted]
        assert sorted(degree.tolist()) == sorted(joined.sum(1).tolist())
    y = graphs.node["y"]
    planted = y[graphs.edge_index[0]] != y[graphs.edge_index[1]]
    of_graph = graphs.sizes.double(), torch.stack([part.sum() for part in y.split(graphs.sizes.tolist())]).double()
    assert float(planted.sum() / (2 * of_graph[1] * (of_graph[0] - of_graph[1])).sum()) == pytest.approx(0.5, rel=0.01)


def test_tasks_draw_them_by_seed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Pattern, "model", replace(PATTERN, patterns=3, graphs=(2, 1, 1)))
    monkeypatch.setattr(Cluster, "model", replace(CLUSTER, graphs=(5, 2, 3)))
    for task, sizes in ((Pattern, (6, 3, 3)), (Cluster, (5, 2, 3))):
        data = task(generate=True).load(cache=tmp_path, progress=False)
        assert tuple(len(ids) for ids in data.split.values()) == sizes
        assert task(generate=True).load(cache=tmp_path, progress=False).fingerprint == data.fingerprint
        assert task(generate=True, seed=1).load(cache=tmp_path, progress=False).fingerprint != data.fingerprint
        assert "drawn from its block model with seed 0" in data.notes[0]
        assert data.graphs.node["x"].shape[1] == (3 if task is Pattern else 7)
