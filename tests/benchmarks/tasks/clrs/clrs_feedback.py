"""Random batches in dm-clrs's form, without dm-clrs."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from numpy.typing import NDArray

from graphpe.benchmarks.tasks.clrs.algorithms import ALGORITHMS, Probe
from graphpe.benchmarks.tasks.clrs.samples import join_arrays, sample_arrays, sample_graphs
from graphpe.graphs.packed import PackedGraphs


def random_values(probe: Probe, count: int, size: int, rng: np.random.Generator) -> NDArray:
    """A value of a probe, `[count, ...]`, as dm-clrs gives it."""
    shape = {"node": (count, size), "edge": (count, size, size), "graph": (count,)}[probe.place]
    if probe.kind == "scalar":
        value = rng.random(shape) + 0.1
        return value * (rng.random(shape) < 0.3) if probe.place == "edge" else value
    if probe.kind == "mask":
        return (rng.random(shape) < 0.4).astype(float)
    if probe.kind == "pointer":
        return rng.integers(size, size=shape)
    if probe.kind == "mask_one":
        return np.eye(size)[rng.integers(size, size=count)]
    value = np.eye(probe.classes)[rng.integers(probe.classes, size=shape)]
    if probe.place == "edge":  # blank cells, as in lcs_length
        blank = rng.random(shape) < 0.5
        value[blank] = [0] * (probe.classes - 1) + [-1]
    return value


def random_feedback(algorithm: str, count: int, size: int, rng: np.random.Generator) -> SimpleNamespace:
    """Inputs and outputs of an algorithm, and the hint that stands for an input; nothing computed from anything."""
    inputs, hints, outputs = [], [], []
    for probe in ALGORITHMS[algorithm].inputs:
        value = random_values(probe, count, size, rng)
        if probe.name == "pred":
            hints.append(SimpleNamespace(name="pred_h", location="node", type_="pointer", data=np.stack([value] * 3)))
        else:
            inputs.append(SimpleNamespace(name=probe.name, location=probe.place, type_=probe.kind, data=value))
    by_name = {point.name: point for point in inputs}
    if "adj" in by_name:
        by_name["adj"].data = ((by_name["A"].data + np.eye(size)) != 0).astype(float)
    for probe in ALGORITHMS[algorithm].outputs:
        kind = "should_be_permutation" if probe.name == "pred" else probe.kind
        value = random_values(probe, count, size, rng)
        outputs.append(SimpleNamespace(name=probe.name, location=probe.place, type_=kind, data=value))
    return SimpleNamespace(features=SimpleNamespace(inputs=inputs, hints=hints), outputs=outputs)


def random_graphs(algorithm: str, sizes: tuple[int, ...] = (4, 7, 5), count: int = 2) -> PackedGraphs:
    """Samples of several sizes."""
    rng = np.random.default_rng()
    return sample_graphs(
        algorithm, join_arrays([sample_arrays(algorithm, random_feedback(algorithm, count, n, rng)) for n in sizes])
    )


class RandomSampler:
    """A sampler as dm-clrs's, of random values."""

    def __init__(self, algorithm: str, seed: int, length: int) -> None:
        self.algorithm, self.length = algorithm, length
        self.rng = np.random.default_rng(seed)

    def next(self, count: int) -> SimpleNamespace:
        return random_feedback(self.algorithm, count, self.length, self.rng)
