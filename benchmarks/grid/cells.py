"""The cells of a grid: every task, encoding, model and seed, checked by building each model once."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import product
from pathlib import Path

from graphpe.benchmarks.calls.attention_parts import canonical_bias
from graphpe.benchmarks.calls.build import build_encodings, build_model, build_task, canonical_task, check_built
from graphpe.benchmarks.calls.parts import canonical_encoder, canonical_perturb
from graphpe.benchmarks.grid.budget import narrowest, widest
from graphpe.benchmarks.grid.cell import Cell
from graphpe.benchmarks.grid.config import Column, GridConfig, parse_budget
from graphpe.benchmarks.grid.options import Named
from graphpe.benchmarks.grid.variants import variants_of
from graphpe.benchmarks.runs.initial import InitialWeights
from graphpe.benchmarks.tasks.by_size import load_task
from graphpe.benchmarks.tasks.task import TaskAdapter
from graphpe.benchmarks.training.config import TrainConfig, inputs_and_head
from graphpe.benchmarks.training.experiment import resolve
from graphpe.errors import GraphPEError, GraphPEValueError


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
        GraphPEError: A task, encoding, model or option is not known, has a value that it does not take, or cannot be
            read: a word that is wrong would be wrong in every cell.
    """
    budget = parse_budget(grid.params)
    columns = {text: _checked_column(text) for text in grid.encodings}
    canonical_encoder(common.encoder)
    canonical_bias(common.bias)
    canonical_perturb(common.perturb)
    for model in grid.models:
        narrowest(Named.parse(model).call)
    variants = {
        (column, model): variants_of(grid, common, columns[column], column, model)
        for column, model in product(columns, grid.models)
    }
    if grid.tune and not any(varied.options for several in variants.values() for varied in several):
        raise GraphPEValueError(
            f'tune is {grid.tune}, but no option has a range: name some, --vary "learning_rate=loguniform(1e-4, 1e-2)"'
        )
    tasks = {task: build_task(canonical_task(task)) for task in grid.tasks}
    for task, built in tasks.items():
        adapter = load_task(built, common.sizes, workers=workers, cache=cache, progress=progress).adapter
        known: dict[tuple[object, ...], TrainConfig | GraphPEError] = {}
        for (column, model), several in variants.items():
            for variant in several:
                asked = replace(variant.config, task=task)
                architecture = tuple(getattr(asked, name) for name in (*_ARCHITECTURE, "init"))
                if architecture not in known:  # settings of training do not change what is built
                    known[architecture] = _resolved(asked, adapter, budget)
                found = known[architecture]
                if isinstance(found, GraphPEError):
                    yield Skipped(task, column, model, str(found))
                    continue
                built_as = {name: getattr(found, name) for name in ("task", "root", "init", *_ARCHITECTURE)}
                for seed in range(grid.seeds):
                    config = replace(asked, **built_as, seed=seed)
                    yield Cell.of(root, task, column, model, config, options=variant.options, draws=grid.tune)


_ARCHITECTURE = ("model", "encodings", "encoder", "bias", "perturb", "rewire", "encoding_width", "head")
"""Options that decide what is built."""


def _checked_column(text: str) -> Column:
    """A column whose every word is known."""
    column = Column.parse(text)
    build_encodings(column.encodings or ())
    if column.encoder is not None:
        canonical_encoder(column.encoder)
    if column.bias is not None:
        canonical_bias(column.bias)
    return column


def _resolved(asked: TrainConfig, adapter: TaskAdapter, budget: int | None) -> TrainConfig | GraphPEError:
    """The options of a cell, resolved, where its model can be built and is what they name; else why not."""
    try:
        return _built(asked, adapter, budget)
    except GraphPEError as error:
        return error


def _built(asked: TrainConfig, adapter: TaskAdapter, budget: int | None) -> TrainConfig:
    config = resolve(asked if budget is None else replace(asked, model=narrowest(asked.model)))
    encodings = build_encodings(config.encodings or ())
    InitialWeights.read(config)  # a run that is not there, or of another model, is said before anything runs

    def build(text: str) -> object:
        return build_model(text, adapter, encodings, **inputs_and_head(config))

    if budget is not None:
        config = replace(config, model=widest(config.model, build, budget))
    check_built(build_model(config.model, adapter, encodings, **inputs_and_head(config)), config.model, encodings)
    return config
