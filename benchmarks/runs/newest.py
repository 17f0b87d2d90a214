"""The run that a file is for, where none was named."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from graphpe.benchmarks.calls.build import build_task
from graphpe.benchmarks.calls.own import any_imported
from graphpe.benchmarks.runs.inputs import reads
from graphpe.benchmarks.runs.kinds import kind_of
from graphpe.benchmarks.runs.run import Run, load_run
from graphpe.benchmarks.training.run_folder import RunFolder
from graphpe.errors import GraphPEError, GraphPEValueError


def newest_run(paths: Sequence[Path], parent: Path = Path("runs")) -> Run:
    """The run below `parent` with the newest weights whose task reads such files.

    Raises:
        GraphPEError: A path is no file of graphs, or there is no such run.
    """
    kinds = {kind_of(path) for path in paths}
    others: list[str] = []
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
        if all(reads(task, adapter, kind) for kind in kinds):
            return load_run(folder.path)
        others.append(f"{folder.path.name} ({task.name})")
    if others:
        there = ", ".join(others[:4]) + (", ..." if len(others) > 4 else "")
        raise GraphPEValueError(f"no run in {parent.resolve()} is about files such as {paths[0]}: there are {there}")
    raise GraphPEValueError(
        f"no trained run in {parent.resolve()}: train one with `graphpe train`, or name one with --run"
    )
