"""The graphs that `--data` names on the command line."""

from __future__ import annotations

from pathlib import Path

from graphpe.benchmarks.calls.build import build_task
from graphpe.benchmarks.tasks.user.torch_file import load_graphs
from graphpe.files.ogb import load_graph_dataset
from graphpe.graphs.packed import PackedGraphs

_FILES = (".pt", ".pth", ".csv", ".parquet", ".json")


def read_graphs(data: str, root: Path, *, cache: Path | None, quiet: bool) -> PackedGraphs:
    """The graphs that `--data` names.

    Raises:
        GraphPEError: There are none, or they cannot be read.
    """
    if data.startswith("ogbg-"):
        return PackedGraphs.from_dataset(load_graph_dataset(data, root, progress=not quiet).dataset)
    path = Path(data).expanduser()
    if path.exists() or path.suffix in _FILES:
        graphs, notes = load_graphs(path)
        if notes and not quiet:
            print("\n".join(notes))
        return graphs
    loaded = build_task(data).load(cache=cache, progress=not quiet)
    if not quiet:
        print("\n".join(loaded.notes))
    return loaded.graphs
