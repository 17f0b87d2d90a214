"""Several grids as one: made at different times, or on different machines."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import Any

from graphpe.benchmarks.grid.cell import Cell
from graphpe.benchmarks.grid.config import Column
from graphpe.benchmarks.grid.options import OF_THE_GRID, Named, options_text, setting_of
from graphpe.benchmarks.grid.results import Run, grid_folders
from graphpe.benchmarks.tasks.metrics import figure
from graphpe.benchmarks.training.config import TrainConfig
from graphpe.benchmarks.training.run_folder import RunFolder
from graphpe.calls import parse_call
from graphpe.errors import GraphPERuntimeError, GraphPEValueError
from graphpe.files.reading import read_text

_OF_A_MACHINE = ("threads", "checkpoint_minutes")
_PLACES = ("root", "path", "folder", "download")
"""Arguments of tasks that say where the data is."""


@dataclass
class Gathered:
    """The cells of one grid or of several.

    Attributes:
        cells: Of the newest command of each grid, in its order; each once.
        notes: Lines about what was skipped, failed or is there twice.
        command: The commands.
        left_out: Finished cells of earlier commands.
    """

    cells: list[Cell] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    command: str = ""
    left_out: int = 0


def gather(roots: Sequence[Path]) -> Gathered:
    """The cells of grids.

    Raises:
        GraphPEValueError: A folder holds no cell, or the grids were made from different data or with different options.
        GraphPERuntimeError: A cell cannot be read.
    """
    parts = [_read(root) for root in roots]
    if len(parts) == 1:
        part = parts[0]
        part.notes += [f"not to be compared: {each}" for each in _conflicts(part.cells)]
        return part
    everything = Gathered(command="\n    ".join(dict.fromkeys(part.command for part in parts if part.command)))
    tasks: dict[tuple[Any, ...], str] = {}
    cells: dict[tuple[Any, ...], Cell] = {}
    compared: list[Cell] = []
    for part in parts:
        everything.notes += part.notes
        everything.left_out += part.left_out
        own = {_data_of(cell): cell.task for cell in reversed(part.cells)}
        tasks = {**own, **tasks}  # the first grid's name of a task stays
        for cell in part.cells:
            # Two tasks of one grid are two, whatever their data; of two grids, the data tells.
            named = replace(cell, task=tasks[_data_of(cell)] if own[_data_of(cell)] == cell.task else cell.task)
            compared.append(named)
            key = (named.task, named.encoding, named.model, named.drawn, setting_of(named.options), named.config.seed)
            kept = cells.setdefault(key, named)
            if kept is not named:
                everything.notes.append(_twice(kept, named))
                if kept.status != "done" and named.status == "done":
                    cells[key] = named
    everything.cells = list(cells.values())
    if conflicts := _conflicts(compared):
        raise GraphPEValueError(
            f"these grids are not to be compared: {'; '.join(conflicts[:3])}; make them agree, or report them apart"
        )
    everything.notes.append(f"cells of {len(roots)} grids: their seconds may be of different machines")
    return everything


def check_alike(runs: Sequence[Run]) -> None:
    """Whether the runs of each task can stand in one table, as far as they say so themselves.

    Raises:
        GraphPEValueError: They have different metrics, or different bins of sizes.
    """
    seen: dict[tuple[str, str], str] = {}
    for run in runs:
        known = {"metric": f"{run.metric} ({'more' if run.maximize else 'less'} is better)"}
        if run.sizes:
            known["sizes"] = " ".join(each.sizes for each in run.sizes)
        for name, value in known.items():
            before = seen.setdefault((run.task, name), value)
            if before != value:
                raise GraphPEValueError(
                    f"runs of {run.task} are not to be compared: {name} is {before} of one and {value} of another; "
                    "report them apart"
                )


def in_one_order(keys: Sequence[tuple[str, str, str]]) -> list[tuple[str, str, str]]:
    """Tasks, encodings and models of parts of one grid in the order that it has as a whole.

    Each is where it is first met, whichever part had it: by task, then encoding, then model.

    Args:
        keys: Task, encoding and model, part after part.
    """
    places = [{name: place for place, name in enumerate(dict.fromkeys(names))} for names in zip(*keys, strict=True)]
    return sorted(dict.fromkeys(keys), key=lambda key: [of[name] for of, name in zip(places, key, strict=True)])


def _read(root: Path) -> Gathered:
    everything, unreadable = grid_folders(root)
    listed, skipped, command = (root / f"{name}.txt" for name in ("cells", "skipped", "command"))
    cells = everything
    if listed.is_file():  # the newest grid's cells, in its order; others are of a grid that was changed
        order = {name: number for number, name in enumerate(read_text(listed).split())}
        cells = sorted((cell for cell in cells if cell.folder.name in order), key=lambda cell: order[cell.folder.name])
    notes = unreadable + [_note(cell) for cell in cells if cell.status != "done"]
    notes += read_text(skipped).splitlines() if skipped.is_file() else []
    left_out = sum(cell.status == "done" for cell in everything) - sum(cell.status == "done" for cell in cells)
    return Gathered(cells, notes, read_text(command).strip() if command.is_file() else "", left_out)


def _note(cell: Cell) -> str:
    name = _name(cell)
    if cell.status == "damaged":
        return f"damaged, and not in the tables: {name} (the `graphpe grid` that made it evaluates it again)"
    return f"failed {name}: {cell.error}" if cell.status == "failed" else f"not finished: {name}"


def _name(cell: Cell) -> str:
    options = f", {options_text(cell.options)}" if cell.options else ""
    return f"{cell.task}, {cell.encoding}, {cell.model}{options}, seed {cell.config.seed}"


def _twice(kept: Cell, other: Cell) -> str:
    where = f"{_name(kept)} is in {kept.folder.parents[1]} and in {other.folder.parents[1]}"
    if kept.status != "done" or other.status != "done":
        return f"{where}: the finished one counts"
    ours, theirs = kept.summary()["test"], other.summary()["test"]
    return f"{where}, with test {figure(ours)} and {figure(theirs)}: the first counts"


def _data_of(cell: Cell) -> tuple[Any, ...]:
    """Which data a cell is of: its task without where that is, and a digest of what was read."""
    call = parse_call(cell.config.task)
    arguments = {name: value for name, value in call.kwargs.items() if name not in _PLACES}
    return re.sub(r"[-_]", "", call.name).lower(), repr(sorted(arguments.items())), _fingerprint(cell)


def _fingerprint(cell: Cell) -> str:
    """The digest of a cell's data; empty where it has not read any."""
    try:
        return RunFolder(cell.run).read_task()[1]
    except GraphPERuntimeError:
        return ""


def _conflicts(cells: Sequence[Cell]) -> list[str]:
    """What makes cells of one task incomparable: other data, or other options that no table shows."""
    found: dict[str, None] = {}
    seen: dict[tuple[Any, ...], tuple[Any, Cell]] = {}

    def compare(key: tuple[Any, ...], what: str, value: Any, cell: Cell) -> None:
        before, first = seen.setdefault(key, (value, cell))
        if before != value:
            mine, other = (each.folder.parents[1] for each in (first, cell))
            where = f"in {mine} and {value} in {other}" if mine != other else f"and {value} in {mine}"
            found.setdefault(f"{what} is {before} {where}")

    for cell in cells:
        if digest := _fingerprint(cell):
            compare((cell.task, "data"), f"the data of {cell.task} (its digest)", digest[:8], cell)
        options = cell.config.as_dict()
        for name in _shared(cell):
            compare((cell.task, name), f"{name} of {cell.task}", options[name], cell)
        key = (cell.task, cell.encoding, cell.model, setting_of(cell.options))
        compare((*key, "model"), f"the model of {', '.join(key[:3])}", cell.config.model, cell)
        compare((*key, "encodings"), f"the encoding of {', '.join(key[:3])}", cell.config.encodings, cell)
    return list(found)


def _shared(cell: Cell) -> list[str]:
    """Options of a run that a grid has once for all cells."""
    column = Column.parse(cell.encoding)
    own: Mapping[str, Any] = {**cell.options, **column.options, **Named.parse(cell.model).options}
    joined = [name for name in ("encoder", "bias") if getattr(column, name) is not None]
    apart = {*own, *joined, *OF_THE_GRID, *_OF_A_MACHINE} - {"sizes"}
    return [each.name for each in fields(TrainConfig) if each.name not in apart]
