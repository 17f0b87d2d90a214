"""The graphs that `--data` names on the command line."""

from __future__ import annotations

from pathlib import Path

import torch

from graphpe.benchmarks.calls.build import build_task
from graphpe.benchmarks.calls.data import data_task, with_options
from graphpe.benchmarks.console.data import DataOptions
from graphpe.benchmarks.pretraining.task import without_targets
from graphpe.benchmarks.runs.kinds import kind_of
from graphpe.benchmarks.tasks.targets import is_known
from graphpe.benchmarks.tasks.user.task import OwnData
from graphpe.benchmarks.tasks.user.torch_file import load_graphs
from graphpe.errors import GraphPEValueError
from graphpe.files.ogb import load_graph_dataset
from graphpe.graphs.packed import PackedGraphs

_FILES = (".pt", ".pth", ".csv", ".parquet", ".json")


def read_graphs(
    data: str, root: Path, *, cache: Path | None, quiet: bool, options: DataOptions | None = None
) -> PackedGraphs:
    """The graphs that `--data` names.

    Args:
        data: An OGB dataset, a path of own graphs, or a task's call.
        root: The folder that holds OGB's folder of the dataset.
        cache: Folder for parsed data.
        quiet: Whether nothing is printed.
        options: What else is said of own data.

    Raises:
        GraphPEError: There are none, or they cannot be read.
    """
    options = options or DataOptions()
    path = Path(data).expanduser()
    if data.startswith("ogbg-") and not path.exists():
        _refuse(options, data)
        return PackedGraphs.from_dataset(load_graph_dataset(data, root, progress=not quiet).dataset)
    saved = path.exists() and kind_of(path) == "pyg"
    if saved or (not path.exists() and path.suffix in _FILES):
        _refuse(options, data)
        graphs, notes = load_graphs(path)
        if notes and not quiet:
            print("\n".join(notes))
        return graphs
    task = data_task(data, options) if path.exists() else with_options(build_task(data), options)
    loaded = task.load(cache=cache, progress=not quiet)
    if not quiet:
        print("\n".join([f"task {task}", *loaded.notes]))
    if isinstance(task, OwnData) and not task.target_names:
        return without_targets(loaded.graphs)
    return _with_unknown(loaded.graphs)


def _with_unknown(graphs: PackedGraphs) -> PackedGraphs:
    """Class ids with NaN where a class is not known: who reads the graphs later takes -1 for a class of its own."""
    y = graphs.graph.get("y")
    if y is None or y.is_floating_point() or bool(is_known(y).all()):
        return graphs
    return graphs.with_values(graph={"y": y.double().masked_fill(~is_known(y), torch.nan)})


def _refuse(options: DataOptions, data: str) -> None:
    """All values of such graphs are kept, and none is told to be a target."""
    if options.more:
        raise GraphPEValueError(f"{options.more[0]} says nothing about {data}, of which everything is encoded")
