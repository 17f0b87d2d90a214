"""Does a network of operators sort? Directed acyclic graphs, generated."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from graphpe.arguments import check_flags, check_integer, check_seed
from graphpe.benchmarks.console.sizes import Sizes
from graphpe.benchmarks.tasks.fingerprint import fingerprint
from graphpe.benchmarks.tasks.generated.cache import Arrays, generated_once
from graphpe.benchmarks.tasks.generated.sorting_generator import (
    MAX_OPERATORS,
    MAX_WIRES,
    Networks,
    generate_networks,
    sorting,
)
from graphpe.benchmarks.tasks.graph_level import GraphAdapter, GraphTargets, GraphTask
from graphpe.benchmarks.tasks.metrics import ACCURACY
from graphpe.compiled.jit import machine_code
from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.models.layers.inputs import SinusoidalNodes
from graphpe.progress import progress_bar

_VERSION = 1
_PARTS = ("train", "valid", "test")
_LARGEST_TIME_SCALE = 26.0


@dataclass(frozen=True)
class NetworkAdapter(GraphAdapter):
    """Adapter whose node encoder reads wires as numbers: an embedding of each could say nothing of wires never seen."""

    def node_encoder(self, width: int) -> nn.Module:
        """Sines and cosines of the two wires (and of the place in the list), as published."""
        return SinusoidalNodes(width, len(self.node_categories), _LARGEST_TIME_SCALE)


@dataclass(frozen=True)
class SortingNetworks(GraphTask):
    """Sorting networks (Geisler et al. 2023, "Transformers Meet Directed Graphs"): does one sort every input?

    A node is an operator (two wires of which it puts the smaller value on the first), with an edge from the operators
    before it on both wires. Networks are random ones that sort; each gives a graph that sorts, one without its last
    operator, which does not, and, for validation and test, one with all operators in reverse order, tested on every
    input of zeros and ones. Networks of the test part have more wires than those of training.

    Published sizes: `train=400_000, valid=20_000, test=20_000`, some minutes a core to generate.

    Attributes:
        train: Networks of the training part; twice as many graphs.
        valid: Networks of the validation part; three times as many graphs.
        test: Networks of the test part; three times as many graphs.
        train_wires: Least and most wires of a network for training.
        valid_wires: The same for validation.
        test_wires: The same for the test.
        order: Whether a node also has its place in the list of operators as a feature: one topological order of many,
            on which the class does not depend.
        seed: Of everything random.
    """

    name: ClassVar[str] = "sorting-networks"
    summary: ClassVar[str] = (
        "does a network of operators sort? generated, directed acyclic, test on more wires, accuracy"
    )
    default_encodings: ClassVar[tuple[str, ...]] = ("MagneticLaplacianPE(k=25, q=0.25)",)
    adapter_class: ClassVar[type[GraphAdapter]] = NetworkAdapter
    size_unit: ClassVar[str] = "wires"

    train: int = 2_000
    valid: int = 200
    test: int = 200
    train_wires: tuple[int, int] = (7, 11)
    valid_wires: tuple[int, int] = (12, 12)
    test_wires: tuple[int, int] = (13, 16)
    order: bool = False
    seed: int = 42

    def __post_init__(self) -> None:
        for part in _PARTS:
            check_integer(part, getattr(self, part), least=1)
            wires = getattr(self, f"{part}_wires")
            if not (
                isinstance(wires, tuple | list) and len(wires) == 2 and all(isinstance(wire, int) for wire in wires)
            ):
                raise GraphPEValueError(f"{part}_wires must be two integers, least and most, got {wires!r}")
            _check_wires(f"{part}_wires", *wires)
            object.__setattr__(self, f"{part}_wires", tuple(wires))
        check_flags(order=self.order)
        check_seed(self.seed)

    def load(self, *, workers: int = 0, cache: Path | None = None, progress: bool = True) -> GraphTargets:
        """Generate the networks, or take those generated before.

        Args:
            workers: Threads that generate; 0 means as many as there are cores.
            cache: Folder in which networks are kept; None means the user's cache folder.
            progress: Whether to show a bar.
        """
        own = {part: getattr(self, f"{part}_wires") for part in _PARTS}
        return replace(self._of_wires(own, workers, cache, progress), mean_sizes={})

    def load_sizes(
        self, sizes: Sizes, *, workers: int = 0, cache: Path | None = None, progress: bool = True
    ) -> GraphTargets:
        """Networks whose numbers of wires are these sizes; as many of each bin as of the test.

        Those of training have from a quarter of their largest number on, unless the sizes say from where.

        Args:
            sizes: The sizes, from 2 to 20.
            workers: As in `load`.
            cache: As in `load`.
            progress: As in `load`.

        Raises:
            GraphPEValueError: There are too many wires.
        """
        asked = {part: each.filled() for part, each in sizes.ranges().items()}
        for least, most in asked.values():
            _check_wires("wires", least, most)
        return self._of_wires(asked, workers, cache, progress)

    def _of_wires(
        self, asked: dict[str, tuple[int, int]], workers: int, cache: Path | None, progress: bool
    ) -> GraphTargets:
        """Networks of the wires of each part, least and most."""
        workers = workers or os.cpu_count() or 1
        networks, labels, sizes, notes = [], [], [], []
        for number, (part, wires) in enumerate(asked.items()):
            samples, sorts, told = self._part(number, part, wires, workers, cache, progress)
            networks.append(samples)
            labels.append(sorts)
            sizes.append(len(samples))
            notes += told
        everything = _join(networks)
        target = torch.from_numpy(np.concatenate(labels).astype(np.int64))[:, None]
        categories = max(most for _, most in asked.values())
        graphs = network_graphs(everything, order=self.order).with_values(graph={"y": target})
        split = dict(zip(asked, torch.arange(len(graphs)).split(sizes), strict=True))
        features = (categories, categories) + ((MAX_OPERATORS,) if self.order else ())
        adapter = NetworkAdapter(features, (), 2, "classes")
        notes.insert(0, f"{len(graphs):,} networks, {float((target == 1).double().mean()):.1%} of them sort")
        wires_of = torch.from_numpy(everything.wires).double()
        found = {part: float(wires_of[ids].mean()) for part, ids in split.items() if part not in ("train", "valid")}
        digest = fingerprint(graphs, split)
        return GraphTargets(graphs, split, adapter, digest, notes, scored_by=ACCURACY, mean_sizes=found)

    def _part(
        self, number: int, part: str, wires: tuple[int, int], workers: int, cache: Path | None, progress: bool
    ) -> tuple[Networks, NDArray[np.bool_], list[str]]:
        count = getattr(self, part, self.test)
        seed = int(np.random.SeedSequence([self.seed, number]).generate_state(1, np.uint64)[0])
        reverse = part != "train"

        def generate() -> Arrays:
            with progress_bar(total=count, desc=f"{part} networks", leave=False, disable=not progress) as bar:
                networks = generate_networks(count, wires, seed, workers=workers, progress=bar.update)
            arrays = {key: getattr(networks, key) for key in ("wires", "ptr", "first", "second")}
            if reverse:
                arrays["reversed_sorts"] = sorting(networks, reverse=True, workers=workers)
            return arrays

        recipe = f"sorting-networks {_VERSION}: {count} networks of {wires} wires, seed {seed}, reversed: {reverse}"
        arrays, notes = generated_once(self.name, recipe, cache, generate)
        networks = Networks(arrays["wires"], arrays["ptr"], arrays["first"], arrays["second"])
        return (*samples(networks, arrays.get("reversed_sorts")), notes)


def _check_wires(name: str, least: int, most: int) -> None:
    """Refuse numbers of wires that no network has.

    Raises:
        GraphPEValueError: They are out of range.
    """
    if not 2 <= least <= most <= MAX_WIRES:
        raise GraphPEValueError(f"{name} must be from 2 to {MAX_WIRES} and in order, got {(least, most)!r}")


def samples(networks: Networks, reversed_sorts: NDArray[np.bool_] | None) -> tuple[Networks, NDArray[np.bool_]]:
    """Every network, then every network without its last operator, then every network reversed; and which of them sort.

    The shorter one does not sort: a network ends with the operator that made it one.

    Args:
        networks: Networks that sort.
        reversed_sorts: Whether each sorts in reverse; None leaves reversed ones out.
    """
    lengths = np.diff(networks.ptr)
    shorter = _select(networks, np.repeat(networks.ptr[:-1], lengths - 1) + _counting(lengths - 1), lengths - 1)
    parts, labels = [networks, shorter], [np.ones(len(networks), bool), np.zeros(len(networks), bool)]
    if reversed_sorts is not None:
        parts.append(_select(networks, np.repeat(networks.ptr[1:] - 1, lengths) - _counting(lengths), lengths))
        labels.append(reversed_sorts)
    return _join(parts), np.concatenate(labels)


def network_graphs(networks: Networks, *, order: bool = False) -> PackedGraphs:
    """Graphs of networks: a node for an operator, with its two wires as `x` (and its place, with `order`)."""
    columns = [networks.first.astype(np.int64), networks.second.astype(np.int64)]
    if order:
        columns.append(_counting(np.diff(networks.ptr)))
    edges, edge_ptr = _edges(networks.wires, networks.ptr, networks.first, networks.second)
    return PackedGraphs(
        edge_index=torch.from_numpy(edges),
        ptr=torch.from_numpy(networks.ptr),
        edge_ptr=torch.from_numpy(edge_ptr),
        node={"x": torch.from_numpy(np.stack(columns, axis=1))},
    )


@machine_code
def _edges(wires: Any, ptr: Any, first: Any, second: Any) -> Any:
    """An edge to each operator from the one before it on each of its wires."""
    edges, edge_ptr = np.empty((2, 2 * len(first)), np.int64), np.zeros(len(ptr), np.int64)
    count = 0
    for network in range(len(wires)):
        last = np.full(wires[network], -1)
        for operator in range(ptr[network], ptr[network + 1]):
            for wire in (first[operator], second[operator]):
                if last[wire] >= 0:
                    edges[0, count], edges[1, count] = last[wire], operator
                    count += 1
                last[wire] = operator
        edge_ptr[network + 1] = count
    return edges[:, :count].copy(), edge_ptr


def _counting(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    """0, 1, ... within each of several runs of these lengths."""
    return np.arange(lengths.sum()) - np.repeat(np.cumsum(lengths) - lengths, lengths)


def _select(networks: Networks, operators: NDArray[np.int64], lengths: NDArray[np.int64]) -> Networks:
    ptr = np.concatenate([[0], np.cumsum(lengths)])
    return Networks(networks.wires, ptr, networks.first[operators], networks.second[operators])


def _join(parts: list[Networks]) -> Networks:
    lengths = np.concatenate([np.diff(part.ptr) for part in parts])
    return Networks(
        wires=np.concatenate([part.wires for part in parts]),
        ptr=np.concatenate([[0], np.cumsum(lengths)]),
        first=np.concatenate([part.first for part in parts]),
        second=np.concatenate([part.second for part in parts]),
    )
