"""The cells of a grid: every task, encoding, model and seed, checked by building each model once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from graphpe.benchmarks.calls.build import (
    build_encodings,
    build_model,
    build_task,
    canonical_bias,
    canonical_encoder,
    canonical_task,
    check_built,
)
from graphpe.benchmarks.grid.budget import narrowest, widest
from graphpe.benchmarks.grid.cell import Cell
from graphpe.benchmarks.grid.config import Column, GridConfig, parse_budget
from graphpe.benchmarks.tasks.task import TaskAdapter
from graphpe.benchmarks.training.config import TrainConfig, inputs_and_head
from graphpe.benchmarks.training.experiment import resolve
from graphpe.errors import GraphPEError


@dataclass(frozen=True)
class Skipped:
    """A combination that cannot be.

    Attributes:
        task: The task.
        encoding: The column.
        model: The model.
        reason: Why not.
    """

    task: str
    encoding: str
    model: str
    reason: str


def grid_cells(
    grid: GridConfig, common: TrainConfig, root: Path, *, workers: int, cache: Path | None, progress: bool
) -> Iterator[Cell | Skipped]:
    """Every cell of a grid, seeds innermost, and every combination that cannot be.

    Reads each task once, so that its processed copy is there before many cells want it, and builds each model once.

    Args:
        grid: The grid.
        common: The options of training that all cells share.
        root: The grid's folder.
        workers: Processes that read data; 0 means as many as there are cores.
        cache: Folder for data worth keeping; None means the user's cache folder.
        progress: Whether reading shows progress.

    Raises:
        GraphPEError: A task, encoding or model is not known, has an argument that it does not take, or cannot be read:
            a word that is wrong would be wrong in every cell.
    """
    budget = parse_budget(grid.params)
    columns = {text: _checked_column(text) for text in grid.encodings}
    canonical_encoder(common.encoder)
    canonical_bias(common.bias)
    for model in grid.models:
        narrowest(model)
    tasks = {task: build_task(canonical_task(task)) for task in grid.tasks}
    for task, built in tasks.items():
        adapter = built.load(workers=workers, cache=cache, progress=progress).adapter
        for (text, column), model in product(columns.items(), grid.models):
            try:
                cell_config = _config(common, task, model, column, adapter, budget)
            except GraphPEError as error:
                yield Skipped(task, text, model, str(error))
                continue
            for seed in range(grid.seeds):
                yield Cell.of(root, task, text, model, replace(cell_config, seed=seed))


def _checked_column(text: str) -> Column:
    """A column whose every word is known."""
    column = Column.parse(text)
    build_encodings(column.encodings or ())
    if column.encoder is not None:
        canonical_encoder(column.encoder)
    if column.bias is not None:
        canonical_bias(column.bias)
    return column


def _config(
    common: TrainConfig, task: str, model: str, column: Column, adapter: TaskAdapter, budget: int | None
) -> TrainConfig:
    """The options of a cell, resolved; its model can be built and is what the options name."""
    config = resolve(
        replace(
            common,
            task=task,
            model=model if budget is None else narrowest(model),
            encodings=column.encodings,
            encoder=column.encoder or common.encoder,
            bias=column.bias or common.bias,
        )
    )
    encodings = build_encodings(config.encodings or ())

    def build(text: str) -> object:
        return build_model(text, adapter, encodings, **inputs_and_head(config))

    if budget is not None:
        config = replace(config, model=widest(config.model, build, budget))
    check_built(build_model(config.model, adapter, encodings, **inputs_and_head(config)), config.model, encodings)
    return config
