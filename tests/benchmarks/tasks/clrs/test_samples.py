from __future__ import annotations

import numpy as np
import pytest

from graphpe.benchmarks.tasks.clrs.algorithms import ALGORITHMS, Probe
from graphpe.benchmarks.tasks.clrs.samples import sample_arrays, sample_graphs
from graphpe.errors import GraphPERuntimeError

from .clrs_feedback import random_feedback, random_values


def test_there_are_thirty_algorithms_whose_outputs_have_one_place() -> None:
    assert len(ALGORITHMS) == 30
    for algorithm in ALGORITHMS.values():
        assert len({probe.place for probe in algorithm.outputs}) == 1
        assert algorithm.inputs[0].name in ("pos", "string")


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_samples_are_the_values_of_dm_clrs(algorithm: str) -> None:
    rng = np.random.default_rng()
    feedback = random_feedback(algorithm, 3, 6, rng)
    points = {point.name: point.data for point in feedback.features.inputs}
    for hint in feedback.features.hints:
        points["pred"] = hint.data[0]
    graphs = sample_graphs(algorithm, sample_arrays(algorithm, feedback))
    assert graphs.sizes.tolist() == [6, 6, 6]
    for b in range(3):
        graph = graphs.select([b])
        column = pair_column = 0
        x, matrix = graph.node["x"].numpy(), np.zeros((6, 6, ALGORITHMS[algorithm].edge_columns), np.float32)
        if matrix.shape[2]:
            tail, head = graph.edge_index.numpy()
            matrix[tail, head] = graph.edge["edge_attr"].numpy()
            assert len(set(zip(tail.tolist(), head.tolist(), strict=True))) == graph.num_edges
            assert (matrix[tail, head] != 0).any(1).all()
        else:
            assert graph.num_edges == 0
        for probe in ALGORITHMS[algorithm].inputs:
            value = points[probe.name][b]
            if probe.kind == "pointer":
                np.testing.assert_array_equal(matrix[..., pair_column], np.eye(6)[value])
                pair_column += 1
            elif probe.place == "edge":
                np.testing.assert_array_equal(matrix[..., pair_column], value.astype(np.float32))
                pair_column += 1
            else:
                expected = np.broadcast_to(np.reshape(value, (-1, probe.classes)), (6, probe.classes))
                np.testing.assert_array_equal(x[:, column : column + probe.classes], expected.astype(np.float32))
                column += probe.classes
        assert (column, pair_column) == (x.shape[1], matrix.shape[2])
        level = {"node": graph.node, "edge": graph.pair, "graph": graph.graph}[ALGORITHMS[algorithm].place]
        for k, probe in enumerate(ALGORITHMS[algorithm].outputs):
            value = feedback.outputs[k].data[b]
            if probe.kind == "categorical":
                value = np.where((value < 0).any(-1), -1, value.argmax(-1))
            np.testing.assert_array_equal(level["y"][:, k], np.reshape(value, -1))


def test_samples_of_another_form_are_refused() -> None:
    rng = np.random.default_rng()
    feedback = random_feedback("bfs", 2, 5, rng)
    feedback.outputs[0].type_ = "mask"
    with pytest.raises(GraphPERuntimeError, match="pi is a mask of a node, expected a pointer of a node"):
        sample_arrays("bfs", feedback)
    feedback = random_feedback("bfs", 2, 5, rng)
    del feedback.features.inputs[1]
    with pytest.raises(GraphPERuntimeError, match="bfs of dm-clrs: s is not there, expected a mask_one"):
        sample_arrays("bfs", feedback)
    feedback = random_feedback("kmp_matcher", 2, 5, rng)
    key = next(point for point in feedback.features.inputs if point.name == "key")
    key.data = key.data[..., :3]
    with pytest.raises(GraphPERuntimeError, match="key has 3 classes, expected 4"):
        sample_arrays("kmp_matcher", feedback)


def test_random_values_have_the_form_that_dm_clrs_gives() -> None:
    rng = np.random.default_rng()
    value = random_values(Probe("b", "edge", "categorical", 4), 2, 5, rng)
    assert (np.abs(value).sum(-1) == 1).all()
