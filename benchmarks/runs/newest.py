"""The run that a file is for, where none was named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from graphpe.benchmarks.calls.build import build_task
from graphpe.benchmarks.calls.own import any_imported
from graphpe.benchmarks.runs.inputs import Inputs, read_inputs, reads
from graphpe.benchmarks.runs.kinds import kind_of
from graphpe.benchmarks.runs.run import Run, load_run
from graphpe.benchmarks.training.run_folder import RunFolder
from graphpe.errors import GraphPEError, GraphPEValueError


def newest_run(
    paths: Sequence[Path], parent: Path = Path("runs"), *, workers: int = 0, progress: bool = False
) -> tuple[Run, Inputs]:
    """The run below `parent` with the newest weights that can be asked about files, and what it is asked.

    Args:
        paths: The files.
        parent: The folder of runs.
        workers: Processes that read; 0 means as many as there are cores.
        progress: Whether to show bars.

    Raises:
        GraphPEError: A path is no file of graphs, or there is no such run; what the newest one of their kind says of
            them, where they fit none.
    """
    kinds = {kind_of(path) for path in paths}
    others: list[str] = []
    unfit: GraphPEError | None = None
    for folder in RunFolder.trained(parent):
        try:
            config = folder.read_config()
            if config.imports and not any_imported():
                others.append(f"{folder.path.name} (--import {' '.join(config.imports)})")
                continue
            task = build_task(config.task)
            adapter = task.adapter(folder.read_task()[0])
        except GraphPEError:  # a damaged run is no candidate
            continue
        if not all(reads(task, adapter, kind) for kind in kinds):
            others.append(f"{folder.path.name} ({task.name})")
            continue
        try:
            inputs = read_inputs(task, adapter, paths, workers=workers, progress=progress)
        except GraphPEError as error:  # graphs with other features, say: an older run may know them
            unfit = unfit or GraphPEValueError(f"{error} (run {folder.path}; --run names another)")
            continue
        return load_run(folder.path), inputs
    if unfit is not None:
        raise unfit
    if others:
        there = ", ".join(others[:4]) + (", ..." if len(others) > 4 else "")
        raise GraphPEValueError(f"no run in {parent.resolve()} is about files such as {paths[0]}: there are {there}")
    raise GraphPEValueError(
        f"no trained run in {parent.resolve()}: train one with `graphpe train`, or name one with --run"
    )
