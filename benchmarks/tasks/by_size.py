"""A task's data with a split by the size of its graphs: trained on small ones, tested on bins of larger ones."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path
from typing import cast

import torch
from torch import Tensor

from graphpe.benchmarks.console.sizes import Range, Sizes
from graphpe.benchmarks.tasks.graph_level import GraphAdapter, GraphTargets
from graphpe.benchmarks.tasks.random_split import cut, shuffled
from graphpe.benchmarks.tasks.targets import standardisation
from graphpe.benchmarks.tasks.task import Task, TaskData
from graphpe.errors import GraphPEValueError

FEW = 30
"""Graphs of a bin below which its metric says little, which is told."""

MUCH = 100
"""A bin with so many times the nodes of training is told: its encoding and evaluation outweigh an epoch."""

_SEED = 0
_SHARE = 10
"""One graph of so many of the sizes of training is for validation, and one for the test."""


def load_task(
    task: Task, sizes: str = "", *, workers: int = 0, cache: Path | None = None, progress: bool = True
) -> TaskData:
    """A task's data with its own split, or with one by size.

    By size, the parts of the split are `train`, `valid` and `test` of the sizes of training, and each bin of larger
    graphs under its text. Tasks that draw their graphs draw them of these sizes. Of others the graphs of all parts are
    put together: those of the sizes of training are divided at random, the same on every machine, 8 : 1 : 1; those of a
    bin are all in it, and those of other sizes are left out. Numbers are standardised by the new training part.

    Args:
        task: The task.
        sizes: Sizes as a text; empty for the task's own split.
        workers: Processes that read data; 0 means as many as there are cores.
        cache: Folder for data worth keeping; None means the user's cache folder.
        progress: Whether long work shows a progress bar.

    Raises:
        GraphPEError: The data cannot be read, the task is not about whole graphs, or no graph is in a bin.
    """
    if not sizes:
        return task.load(workers=workers, cache=cache, progress=progress)
    data = load_by_size(task, Sizes.parse(sizes), workers=workers, cache=cache, progress=progress)
    notes = [
        f"{part} {task.size_unit}: {len(data.split[part])} graphs, whose metric says little"
        for part in data.mean_sizes
        if len(data.split[part]) < FEW
    ]
    return replace(data, notes=[*data.notes, *notes, *_work(data, task)])


def load_by_size(
    task: Task, sizes: Sizes, *, workers: int = 0, cache: Path | None = None, progress: bool = True
) -> TaskData:
    """The same without a word on bins of few graphs.

    Args:
        task: The task.
        sizes: Sizes.
        workers: As in `load_task`.
        cache: As in `load_task`.
        progress: As in `load_task`.

    Raises:
        GraphPEError: As there.
    """
    data = task.load_sizes(sizes, workers=workers, cache=cache, progress=progress)
    if data is not None:
        return data
    return split_by_size(task.load(workers=workers, cache=cache, progress=progress), sizes, task)


def mean_sizes(sizes: Tensor, split: dict[str, Tensor]) -> dict[str, float]:
    """The mean size of the graphs of the test part and of each bin.

    Args:
        sizes: The size of each graph, `[B]`.
        split: Ids of graphs by part.
    """
    parts = {part: ids for part, ids in split.items() if part not in ("train", "valid")}
    return {part: float(sizes[ids].double().mean()) for part, ids in parts.items()}


def split_by_size(data: TaskData, sizes: Sizes, task: Task) -> TaskData:
    """The graphs of a task, divided by their number of nodes.

    Args:
        data: Its data, with its own split.
        sizes: The sizes.
        task: The task, for errors.

    Raises:
        GraphPEValueError: It is about nodes or links, or there are no graphs of some sizes.
    """
    if data.unit != "graph":
        raise GraphPEValueError(
            f"sizes is {str(sizes)!r}, but {task.name} asks about {data.unit}s of graphs that all parts share: take a "
            "task of many graphs"
        )
    ids = torch.cat(list(data.split.values()))
    nodes = data.graphs.sizes.cpu()[ids]
    trained = ids[_within(nodes, sizes.train)]
    few = max(1, len(trained) // _SHARE)
    if len(trained) < 3:
        raise _missing(sizes.train, task, nodes, f"fewer than 3 graphs ({len(trained)}) of", "have")
    order = trained[shuffled(len(trained), _SEED)]
    places = cut(torch.arange(len(order)), len(order) - 2 * few, few)
    split = {part: order[place].sort().values for part, place in places.items()}
    for each in sizes.bins:
        split[str(each)] = ids[_within(nodes, each)].sort().values
        if not len(split[str(each)]):
            raise _missing(each, task, nodes, "no graph of", "has")
    left = len(ids) - sum(map(len, split.values()))
    notes = [f"split by size, {sizes}" + (f"; {left:,} graphs of other sizes are left out" if left else "")]
    digest = hashlib.blake2b(f"{data.fingerprint} by size 1: {sizes}".encode(), digest_size=16).hexdigest()
    found = replace(
        data,
        split=split,
        fingerprint=digest,
        notes=[*data.notes, *notes],
        mean_sizes=mean_sizes(data.graphs.sizes.cpu(), split),
    )
    return _standardised(found)


def _work(data: TaskData, task: Task) -> list[str]:
    """Lines about bins that are far more work than training: an epoch goes by in seconds, and they in hours."""
    nodes = data.graphs.sizes.cpu().double()
    trained, lines = nodes[data.split["train"]], []
    for part in data.mean_sizes:
        asked = nodes[data.split[part]]
        times, pairs = float(asked.sum() / trained.sum()), float((asked**2).sum() / (trained**2).sum())
        if times >= MUCH:
            lines.append(
                f"{part} {task.size_unit}: {int(asked.sum()):,} nodes, {times:,.0f} times as many as training has, and "
                f"{pairs:,.0f} times the pairs: encoding and the evaluation at the end take that much longer than "
                "those of training do in an epoch; take smaller sizes, or fewer graphs"
            )
    return lines


def _within(nodes: Tensor, sizes: Range) -> Tensor:
    return (nodes >= (sizes.least or 0)) & (nodes <= sizes.most)


def _missing(sizes: Range, task: Task, nodes: Tensor, what: str, has: str) -> GraphPEValueError:
    return GraphPEValueError(
        f"{what} {task.name} {has} {sizes.named} {task.size_unit}: its {len(nodes):,} graphs have {int(nodes.min())} "
        f"to {int(nodes.max())}, half of them up to {int(nodes.median())}"
    )


def _standardised(data: TaskData) -> TaskData:
    """The data, whose adapter scales targets as the training part says."""
    if not (isinstance(data, GraphTargets) and isinstance(data.adapter, GraphAdapter) and data.adapter.scale):
        return data
    shift, scale = standardisation(data.targets_of(data.split["train"]))
    return cast(TaskData, replace(data, adapter=replace(data.adapter, shift=shift, scale=scale)))
