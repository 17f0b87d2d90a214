"""The task that a file or folder of a user's own data is, as the command line takes it: `graphpe train graphs.pt`."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from graphpe.benchmarks.calls.build import build_task, is_task
from graphpe.benchmarks.console.data import DataOptions
from graphpe.benchmarks.console.parser import UsageError
from graphpe.benchmarks.runs.kinds import Kind, kind_of
from graphpe.benchmarks.tasks import DataFile, EdgeListFolder, NetworkxList, PythonSource, SmilesTable
from graphpe.benchmarks.tasks.task import Task
from graphpe.benchmarks.tasks.user.edge_list_folder import LABELS, node_column_names
from graphpe.benchmarks.tasks.user.smiles_table import smiles_column
from graphpe.benchmarks.tasks.user.splits import SPLIT, names_parts
from graphpe.benchmarks.tasks.user.tables import read_frame
from graphpe.errors import GraphPERuntimeError, GraphPEValueError


def own_task(options: DataOptions, task: str | None, *, given_by: str) -> str | None:
    """The call of the task that DATA and its options name; None where there is nothing of these.

    Args:
        options: They.
        task: A task that is given as a call, to which the options belong where there is no DATA.
        given_by: The option that it is given by.

    Raises:
        GraphPEError: DATA is there beside a task, cannot be read, or it cannot be told what is to be predicted.
    """
    if options.data is not None:
        if task is not None:
            raise UsageError(f"{options.data} and {given_by} {task} are two tasks: give one of them")
        return repr(data_task(options.data, options).understood())
    if not options.more:
        return None
    if task is None:
        raise UsageError(f"{options.more[0]} says more of DATA, which is missing: give its path first")
    return repr(with_options(build_task(task), options))


def data_task(data: str, options: DataOptions) -> Task:
    """The task that a path is, with its columns.

    Args:
        data: The path.
        options: What else is said of it.

    Raises:
        GraphPEError: The path is not there, holds nothing that can be read, or it cannot be told what its targets are.
    """
    path = Path(data).expanduser()
    if not path.exists() and is_task(data):
        raise GraphPEValueError(f"{data} is no path, but a task: give --task {data}")
    kind = kind_of(path)
    if kind == "python" and not path.is_dir():
        raise GraphPEValueError(f"{path} is one file: give a folder of Python source, whose functions are to be named")
    return with_options(_TASKS[kind](data, path, options.targets), options)


def unlabelled_task(data: str, options: DataOptions) -> Task:
    """The task that a path is, of graphs alone: nothing in it is a target.

    Args:
        data: The path.
        options: What else is said of it.

    Raises:
        GraphPEError: The path is not there, or holds nothing that can be read.
    """
    path = Path(data).expanduser()
    if not path.exists() and is_task(data):
        raise GraphPEValueError(f"{data} is no path, but a task: give --task {data}")
    kind = kind_of(path)
    if kind == "table":
        task: Task = SmilesTable(path=data, smiles=smiles_column(read_frame(path, text=True), path), targets=())
    elif kind == "python":
        task = data_task(data, replace(options, skip_bad=False))
    elif kind == "pyg":
        task = DataFile(path=data, target=())
    else:
        task = NetworkxList(path=data, target=()) if kind == "json" else EdgeListFolder(path=data, targets=())
    return with_options(task, options)


def with_options(task: Task, options: DataOptions) -> Task:
    """A task with what the command line says of its data.

    Raises:
        GraphPEValueError: Its data is not one's own.
    """
    known = {field.name for field in fields(task)}  # type: ignore[arg-type]
    if options.more and "skip_bad" not in known:
        raise GraphPEValueError(f"{options.more[0]} is for tables and graphs of one's own, and not for {task.name}")
    changes = {name: value for name in ("valid", "test", "skip_bad") if (value := getattr(options, name))}
    if options.targets:
        changes |= {"targets": options.targets} if "targets" in known else {"target": options.targets}
    return replace(task, **changes)  # type: ignore[type-var]


def _table(data: str, path: Path, targets: Sequence[str]) -> Task:
    frame = read_frame(path, text=True)
    smiles = smiles_column(frame, path)
    return SmilesTable(path=data, smiles=smiles, **_columns(frame, path, (smiles,), targets))


def _edges(data: str, path: Path, targets: Sequence[str]) -> Task:
    labels = path / LABELS
    of_nodes = node_column_names(path)
    if not labels.is_file() and of_nodes:  # targets of nodes
        if not targets and "y" not in of_nodes:
            raise GraphPERuntimeError(
                f"{path}: what is to be predicted? Give --target with a column of nodes/: {', '.join(of_nodes)}"
            )
        return EdgeListFolder(path=data, targets=tuple(targets) or ("y",))
    if not labels.is_file():
        raise GraphPERuntimeError(f"{LABELS} is not in {path}: it names the graphs and their targets")
    return EdgeListFolder(path=data, **_columns(read_frame(labels, text=True), labels, ("graph",), targets))


_TASKS: dict[Kind, Callable[[str, Path, Sequence[str]], Task]] = {
    "table": _table,
    "edges": _edges,
    "pyg": lambda data, path, targets: DataFile(path=data),
    "json": lambda data, path, targets: NetworkxList(path=data),
    "python": lambda data, path, targets: PythonSource(root=data),
}


def _columns(frame: Any, path: Path, taken: Sequence[str], targets: Sequence[str]) -> dict[str, Any]:
    """Targets and split, from the columns of a table."""
    others = [str(name) for name in frame if str(name) not in taken]
    cells = list(frame[SPLIT]) if SPLIT in others else []
    found = {SPLIT: SPLIT} if names_parts(cells) and SPLIT not in targets else {}
    left = [name for name in others if name not in found]
    unknown = next((name for name in targets if name not in others), None)
    if unknown is not None:
        raise GraphPERuntimeError(f"{path} has no column {unknown!r} for --target: there are {', '.join(others)}")
    if targets:
        return found
    if "y" not in left and len(left) != 1:
        there = f"its columns are {', '.join(left)}" if left else f"it has no column beside {', '.join(taken)}"
        call = (
            f"SmilesTable({str(path)!r}, targets=(...,))"
            if path.name != LABELS
            else "EdgeListFolder(..., targets=(...,))"
        )
        raise GraphPERuntimeError(
            f"{path}: what is to be predicted? Give --target with a column, or the task's call, {call}; {there}"
        )
    return {**found, "targets": ("y",) if "y" in left else (left[0],)}
