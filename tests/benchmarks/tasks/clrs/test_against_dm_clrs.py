"""Samples, losses and metrics are those of dm-clrs, for all thirty algorithms; where it is installed."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graphpe.benchmarks.tasks.clrs.algorithms import ALGORITHMS, Probe
from graphpe.benchmarks.tasks.clrs.samples import sample_arrays, sample_graphs
from graphpe.benchmarks.tasks.clrs.scores import (
    Parts,
    Rows,
    decide,
    output_loss,
    part_widths,
    pointer_scores,
    split_parts,
    value_scores,
)
from graphpe.benchmarks.tasks.clrs.task import Clrs, ClrsAdapter, ClrsTargets

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
clrs: Any = pytest.importorskip("clrs", reason="needs the extra clrs")


def pointers(points: Any) -> list[Any]:
    """Data points with orders as pointers, which is how they are scored."""
    levels = {"should_be_permutation": "pointer"}
    return [
        clrs.DataPoint(point.name, point.location, levels.get(point.type_, point.type_), point.data) for point in points
    ]


def samples(algorithm: str, count: int, size: int, seed: int) -> Any:
    sampler, _ = clrs.build_sampler(algorithm, count, seed=seed, length=size)
    return sampler.next()


def as_dm_clrs(probe: Probe, column: np.ndarray, count: int) -> np.ndarray:
    """A column of answers in the form that dm-clrs evaluates."""
    size = {"node": column.size // count, "edge": round((column.size / count) ** 0.5), "graph": 1}[probe.place]
    shape = {"node": (count, size), "edge": (count, size, size), "graph": (count,)}[probe.place]
    value = column.reshape(shape)
    return np.eye(probe.classes)[value.astype(int)] if probe.kind == "categorical" else value


def test_the_table_is_that_of_dm_clrs() -> None:
    from clrs._src import specs

    assert sorted(ALGORITHMS) == sorted(specs.CLRS_30_ALGS)
    moved = {"binary_search", "minimum", "find_maximum_subarray_kadane", "matrix_chain_order", "lcs_length"}
    moved |= {"optimal_bst", "activity_selector", "task_scheduling", "naive_string_matcher", "kmp_matcher"}
    moved |= {"jarvis_march"}  # PRED_AS_INPUT_ALGOS of its script for training
    for name, algorithm in ALGORITHMS.items():
        spec = {key: tuple(value) for key, value in specs.SPECS[name].items()}
        if name in moved:
            spec["pred"] = ("input", "node", "pointer")
        for stage, probes in (("input", algorithm.inputs), ("output", algorithm.outputs)):
            levels = {"should_be_permutation": "pointer"}
            theirs = {key: (place, levels.get(kind, kind)) for key, (s, place, kind) in spec.items() if s == stage}
            assert {probe.name: (probe.place, probe.kind) for probe in probes} == theirs, name


@pytest.mark.parametrize("size", [4, 9])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_samples_round_trip(algorithm: str, size: int) -> None:
    feedback = samples(algorithm, 5, size, seed=size)
    hint = next((each for each in feedback.features.hints if each.name == "pred_h"), None)
    theirs = {point.name: np.asarray(point.data) for point in feedback.features.inputs}
    if any(probe.name == "pred" for probe in ALGORITHMS[algorithm].inputs):
        assert hint is not None
        for sample, length in enumerate(feedback.features.lengths.astype(int)):  # it never changes
            assert (hint.data[:length, sample] == hint.data[0, sample]).all()
        theirs["pred"] = hint.data[0]
    arrays = sample_arrays(algorithm, feedback)
    graphs = sample_graphs(algorithm, arrays)
    n, wanted = int(graphs.sizes[0]), ALGORITHMS[algorithm]
    assert graphs.sizes.tolist() == [n] * 5
    x = graphs.node["x"].view(5, n, -1).double().numpy()
    matrix = np.zeros((5, n, n, wanted.edge_columns))
    tail, head = (graphs.edge_index - graphs.ptr[graphs.edge_batch]).numpy()
    if graphs.num_edges:
        matrix[graphs.edge_batch.numpy(), tail, head] = graphs.edge["edge_attr"].numpy()
    if "adj" in theirs:  # edges are those of adj
        np.testing.assert_array_equal(np.bincount(graphs.edge_batch, minlength=5), theirs["adj"].sum((1, 2)))
    column = pair_column = 0
    for probe in wanted.inputs:
        value = theirs[probe.name]
        if probe.place == "edge" or probe.kind == "pointer":
            mine = matrix[..., pair_column].argmax(2) if probe.kind == "pointer" else matrix[..., pair_column]
            pair_column += 1
        else:
            mine = x[..., column : column + probe.classes]
            column += probe.classes
            mine = mine if probe.kind == "categorical" else mine[..., 0]
            mine = mine[:, 0] if probe.place == "graph" else mine
        np.testing.assert_allclose(mine, value, rtol=1e-7, atol=1e-7, err_msg=probe.name)
    level = {"node": graphs.node, "edge": graphs.pair, "graph": graphs.graph}[wanted.place]
    for k, (probe, point) in enumerate(zip(wanted.outputs, feedback.outputs, strict=True)):
        mine = as_dm_clrs(probe, level["y"][:, k].numpy(), 5)
        value = np.asarray(point.data)
        if probe.kind == "categorical":
            counts = (value != -1).all(-1)
            np.testing.assert_array_equal(mine[counts], value[counts])
            assert (level["y"][:, k].view(5, n, n).numpy()[~counts] == -1).all()
        else:
            np.testing.assert_array_equal(mine, value)


@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_metrics_are_those_of_dm_clrs(algorithm: str) -> None:
    feedback = samples(algorithm, 6, 8, seed=1)
    truth = pointers(feedback.outputs)
    graphs, probes = sample_graphs(algorithm, sample_arrays(algorithm, feedback)), ALGORITHMS[algorithm].outputs
    ids = torch.arange(6)
    data = ClrsTargets(graphs, {"train": ids}, ClrsAdapter(algorithm), "")
    right = {"node": graphs.node, "edge": graphs.pair, "graph": graphs.graph}[ALGORITHMS[algorithm].place]["y"]
    n = int(graphs.sizes[0])
    for share in (0.0, 0.3, 1.0):  # of answers that are random
        guess = right.clone()
        for k, probe in enumerate(probes):
            count = {"mask": 2, "mask_one": n, "categorical": probe.classes, "pointer": n}[probe.kind]
            if probe.kind == "mask_one":
                random = torch.eye(n)[torch.randint(n, (6,))].flatten()
                taken = (torch.rand(6) < share).repeat_interleave(n)
            else:
                random = torch.randint(count, right[:, k].shape).float()
                taken = torch.rand(right[:, k].shape) < share
            guess[:, k] = torch.where(taken, random, right[:, k])
        columns = [as_dm_clrs(probe, guess[:, k].numpy(), 6) for k, probe in enumerate(probes)]
        predictions = {
            point.name: clrs.DataPoint(point.name, point.location, point.type_, value)
            for point, value in zip(truth, columns, strict=True)
        }
        expected = clrs.evaluate(tuple(truth), predictions)["score"]
        assert data.evaluate(guess, ids) == pytest.approx(expected, abs=1e-6)
        if share == 0:
            assert expected == 1


@pytest.mark.parametrize("with_pairs", [False, True])
@pytest.mark.parametrize("algorithm", ALGORITHMS)
def test_losses_and_decisions_are_those_of_dm_clrs(algorithm: str, with_pairs: bool) -> None:
    from clrs._src import decoders, losses

    feedback = samples(algorithm, 4, 7, seed=2)
    graphs, probes = sample_graphs(algorithm, sample_arrays(algorithm, feedback)), ALGORITHMS[algorithm].outputs
    rows, n = Rows.of(graphs.to_batch()), int(graphs.sizes[0])
    widths = np.array([part_widths(probe, with_pairs=with_pairs) for probe in probes]).sum(0)
    pairs = 2 * torch.randn(graphs.num_pairs, widths[1]) if with_pairs else None
    output = Parts(2 * torch.randn(graphs.num_nodes, widths[0]), pairs)
    target = {"node": graphs.node, "edge": graphs.pair, "graph": graphs.graph}[ALGORITHMS[algorithm].place]["y"]
    for k, (probe, parts) in enumerate(zip(probes, split_parts(output, probes), strict=True)):
        (truth,) = pointers([feedback.outputs[k]])
        pointer = probe.kind == "pointer"
        scores = pointer_scores(probe, parts, rows).score if pointer else value_scores(probe, parts, rows)
        shape = {"node": (4, n), "edge": (4, n, n), "graph": (4,)}[probe.place]
        shape += (n,) if pointer else (probe.classes,) if probe.kind == "categorical" else ()
        theirs = scores.reshape(shape).numpy()
        expected = float(losses.output_loss(truth, theirs, n))
        assert float(output_loss(probe, parts, target[:, k], rows)) == pytest.approx(expected, rel=1e-5)
        spec = {probe.name: ("output", probe.place, probe.kind)}
        (decided,) = decoders.postprocess(spec, {probe.name: theirs}, 0.1, 10, hard=True).values()
        mine = as_dm_clrs(probe, decide(probe, parts, rows).numpy(), 4)
        np.testing.assert_array_equal(mine, np.asarray(decided.data))


def test_the_test_part_is_that_of_the_benchmark(tmp_path: Path) -> None:
    task = Clrs(
        algorithm="dijkstra", train=9, valid=32, test=12, train_sizes=(4, 6), test_size=12, random_positions=False
    )
    data = task.load(cache=tmp_path, progress=False)
    for part, seed, size, count in (("valid", 2, 16, 32), ("test", 3, 12, 12)):
        theirs = sample_graphs("dijkstra", sample_arrays("dijkstra", samples("dijkstra", count, size, seed)))
        mine = data.graphs.select(data.split[part])
        for name, value in (("edge_index", mine.edge_index), *mine.node.items(), *mine.edge.items()):
            other = theirs.edge_index if name == "edge_index" else {**theirs.node, **theirs.edge}[name]
            torch.testing.assert_close(value, other, rtol=0, atol=0)
    # Random positions change nothing but the positions, and not those of the test.
    other = Clrs(**{**vars(task), "random_positions": True}).load(cache=tmp_path, progress=False)
    differ = (other.graphs.node["x"] != data.graphs.node["x"]).any(0)
    assert differ.tolist() == [True, False]
    torch.testing.assert_close(other.graphs.node["y"], data.graphs.node["y"])
    same = other.graphs.select(data.split["test"]).node["x"] == data.graphs.select(data.split["test"]).node["x"]
    assert bool(same.all())
    for b in range(len(other.graphs)):
        position = other.graphs.node["x"][other.graphs.ptr[b] : other.graphs.ptr[b + 1], 0]
        assert bool((position.diff() >= 0).all())
