"""Samples of CLRS-30 as arrays: made by dm-clrs (the extra `clrs`), in the layout of `PackedGraphs`."""

from __future__ import annotations

import importlib
import itertools
import logging
import math
import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from graphpe.benchmarks.tasks.clrs.algorithms import ALGORITHMS, Probe
from graphpe.benchmarks.tasks.generated.cache import Arrays
from graphpe.errors import GraphPERuntimeError
from graphpe.graphs.packed import PackedGraphs
from graphpe.progress import progress_bar

_CHUNK = 8
_MASKED = -1


def generate_samples(
    algorithm: str, counts: Sequence[tuple[int, int, int]], *, random_positions: bool, progress: bool
) -> Arrays:
    """Samples of dm-clrs's own sampler, one size after the other.

    A chunk of samples at a time is in memory: hints, which are not kept, are a thousand times as large as the rest.

    A sample of size 16 takes 1 to 15 ms (graham_scan 45, jarvis_march 32), one of size 64 mostly 5 to 50 ms, but 0.1 to
    0.4 s for mst_kruskal, optimal_bst, strongly_connected_components, bubble_sort, lcs_length and bridges, 1 s for
    floyd_warshall, 2 s for the convex hulls and 4.5 s for matrix_chain_order (one core, dm-clrs 2.0.3).

    Args:
        algorithm: Name in CLRS-30.
        counts: Size, number of samples and seed of each run of the sampler.
        random_positions: Whether `pos` is drawn at random, in order, as dm-clrs does for training.
        progress: Whether to show a bar.

    Raises:
        GraphPERuntimeError: If dm-clrs is not installed, or its samples are not as `ALGORITHMS` says.
    """
    clrs = require_clrs()
    logging.getLogger("absl").setLevel(logging.ERROR)  # it warns of samples without end
    parts = []
    with progress_bar(
        total=sum(count for _, count, _ in counts), desc=algorithm, unit="sample", leave=False, disable=not progress
    ) as bar:
        for size, count, seed in counts:
            sampler, _ = clrs.build_sampler(algorithm, -1, seed=seed, track_max_steps=False, length=size)
            chunks: Iterator[Any] = (sampler.next(min(_CHUNK, count - start)) for start in range(0, count, _CHUNK))
            if random_positions:  # a generator of dm-clrs may not be asked for more than there is
                drawn = clrs.process_random_pos(chunks, np.random.RandomState([seed, size]))
                chunks = itertools.islice(drawn, math.ceil(count / _CHUNK))
            for feedback in chunks:
                parts.append(sample_arrays(algorithm, feedback))
                bar.update(len(parts[-1]["sizes"]))
    return join_arrays(parts) | {"dm_clrs": np.frombuffer(clrs.__version__.encode(), np.uint8)}


def require_clrs() -> Any:
    """The package `clrs`.

    Raises:
        GraphPERuntimeError: If it is not installed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")  # dm-clrs imports TensorFlow, which talks
    try:
        return importlib.import_module("clrs")  # not `import`: type checkers need not have it
    except ImportError as error:
        raise GraphPERuntimeError(
            f"clrs samples are made by dm-clrs, which cannot be imported ({error}): pip install 'graphpe[clrs]'"
        ) from None


def sample_arrays(algorithm: str, feedback: Any) -> Arrays:
    """Samples of one size, as dm-clrs batches them, in the layout of `PackedGraphs`.

    Inputs of nodes are columns of `x` (classes one-hot, inputs of graphs repeated for every node). Pairs (i, j) where
    some input of pairs is not zero are edges i -> j with a column of `edge_attr` for each input; a pointer of nodes is
    an edge from a node to what it points to.

    Args:
        algorithm: Name in CLRS-30.
        feedback: `features.inputs`, `features.hints` and `outputs`: data points with `name`, `location`, `type_` and
            `data`, `[B, ...]` (hints `[T, B, ...]`).

    Returns:
        `sizes` `[B]`, `edge_sizes` `[B]`, `x` `[N, node_columns]`, `edge_index` `[2, E]` (ids within each graph),
        `edge_attr` `[E, edge_columns]`, `y` `[rows, outputs]`: a row for each node, pair or graph; masks are 1, 0 or,
        where a value does not count, -1, classes a number or -1, pointers an id within the graph.

    Raises:
        GraphPERuntimeError: If a data point is missing or not of the place and kind that `ALGORITHMS` says.
    """
    wanted = ALGORITHMS[algorithm]
    points = {point.name: point for point in feedback.features.inputs}
    if any(probe.name == "pred" for probe in wanted.inputs):
        order = next((hint for hint in feedback.features.hints if hint.name == "pred_h"), None)
        if order is not None:
            points["pred"] = order
    values = {probe.name: _values(probe, points, algorithm) for probe in wanted.inputs}
    count, size = values["pos"].shape

    nodes, pairs = [], []
    for probe in wanted.inputs:
        value = values[probe.name]
        if probe.kind == "pointer":
            pairs.append(value[..., None] == np.arange(size))
        elif probe.place == "edge":
            pairs.append(value)
        elif probe.place == "graph":
            nodes.append(np.broadcast_to(value[:, None, None], (count, size, 1)))
        else:
            nodes.append(value.reshape(count, size, probe.classes))
    matrix = np.stack(pairs, 3) if pairs else np.zeros((count, size, size, 0))
    graph, row, column = np.nonzero((matrix != 0).any(3))

    outputs = {point.name: point for point in feedback.outputs}
    columns = [_target_column(probe, _values(probe, outputs, algorithm)) for probe in wanted.outputs]
    return {
        "sizes": np.full(count, size, np.int64),
        "edge_sizes": np.bincount(graph, minlength=count).astype(np.int64),
        "x": np.concatenate(nodes, 2).reshape(count * size, -1).astype(np.float32),
        "edge_index": np.stack([row, column]).astype(np.int64),
        "edge_attr": matrix[graph, row, column].astype(np.float32),
        "y": np.stack([column.reshape(-1) for column in columns], 1).astype(np.float32),
    }


def _values(probe: Probe, points: dict[str, Any], algorithm: str) -> NDArray:
    point = points.get(probe.name)
    kind = None if point is None else "pointer" if point.type_ == "should_be_permutation" else point.type_
    if point is None or (point.location, kind) != (probe.place, probe.kind):
        given = "is not there" if point is None else f"is a {point.type_} of a {point.location}"
        raise GraphPERuntimeError(
            f"{algorithm} of dm-clrs: {probe.name} {given}, expected a {probe.kind} of a {probe.place}; use dm-clrs 2.0"
        )
    value = np.asarray(point.data)
    if point.name == "pred_h":  # a hint that never changes: its first step
        value = value[0]
    if probe.kind == "categorical" and value.shape[-1] != probe.classes:
        raise GraphPERuntimeError(
            f"{algorithm} of dm-clrs: {probe.name} has {value.shape[-1]} classes, expected {probe.classes}; "
            "use dm-clrs 2.0"
        )
    return value


def _target_column(probe: Probe, value: NDArray) -> NDArray:
    if probe.kind != "categorical":
        return value
    return np.where((value == _MASKED).any(-1), _MASKED, value.argmax(-1))


def join_arrays(parts: Sequence[Arrays]) -> Arrays:
    """The samples of several calls of `sample_arrays`, in order."""
    return {key: np.concatenate([part[key] for part in parts], axis=int(key == "edge_index")) for key in parts[0]}


def sample_graphs(algorithm: str, arrays: Arrays) -> PackedGraphs:
    """Samples as packed graphs: `x`, `edge_attr`, and `y` among the values of nodes, pairs or graphs."""
    sizes, edge_sizes = (torch.from_numpy(arrays[key]) for key in ("sizes", "edge_sizes"))
    ptr, edge_ptr = (torch.cat([each.new_zeros(1), each.cumsum(0)]) for each in (sizes, edge_sizes))
    x, edge_index, edge_attr, y = (torch.from_numpy(arrays[key]) for key in ("x", "edge_index", "edge_attr", "y"))
    graphs = PackedGraphs(
        edge_index=edge_index + ptr[:-1].repeat_interleave(edge_sizes),
        ptr=ptr,
        edge_ptr=edge_ptr,
        node={"x": x},
        edge={"edge_attr": edge_attr} if edge_attr.shape[1] else {},
    )
    place = ALGORITHMS[algorithm].place
    return graphs.with_values(**{"pair" if place == "edge" else place: {"y": y}})
