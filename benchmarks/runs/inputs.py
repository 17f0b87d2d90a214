"""What a trained run is asked about: graphs read from files or taken from PyG, without targets.

A row that cannot be read is named and left out of the graphs; it keeps its place among the rows.
"""

from __future__ import annotations

from collections.abc import Callable, Container, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import torch
from torch_geometric.data import Batch, Data

from graphpe.benchmarks.pretraining.adapter import EncodingAdapter
from graphpe.benchmarks.pretraining.auxiliary import AuxiliaryAdapter
from graphpe.benchmarks.pretraining.task import EncodingTask, Pretraining
from graphpe.benchmarks.runs.kinds import Kind, kind_of
from graphpe.benchmarks.tasks import EdgeListFolder, NetworkxList, PythonSource, SmilesTable
from graphpe.benchmarks.tasks.code.adapter import CodeAdapter
from graphpe.benchmarks.tasks.graph_level import GraphAdapter
from graphpe.benchmarks.tasks.molecules.smiles import smiles_graphs, unreadable_smiles
from graphpe.benchmarks.tasks.task import Task, TaskAdapter
from graphpe.benchmarks.tasks.user.edge_list_folder import graph_names
from graphpe.benchmarks.tasks.user.features import Columns
from graphpe.benchmarks.tasks.user.graphs import WrittenGraph, pack_written
from graphpe.benchmarks.tasks.user.smiles_table import smiles_column
from graphpe.benchmarks.tasks.user.tables import check_columns, is_parquet, read_frame, separator_note
from graphpe.benchmarks.tasks.user.torch_file import joined, open_saved
from graphpe.errors import GraphPEError, GraphPERuntimeError, GraphPETypeError, GraphPEValueError
from graphpe.files.ogb import molecule_categories
from graphpe.graphs.concatenate import concatenate
from graphpe.graphs.packed import PackedGraphs


@dataclass(frozen=True)
class Inputs:
    """Rows that predictions are wanted for.

    Attributes:
        graphs: The graphs of the rows that could be read, in order.
        names: Columns that say what each row is, all rows.
        positions: The row of each graph.
        errors: What is wrong with the other rows.
        notes: Lines worth telling.
    """

    graphs: PackedGraphs
    names: dict[str, list[Any]]
    positions: list[int]
    errors: dict[int, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)

    def called(self, row: int) -> str:
        """What a person finds a row by: its file, line or number, as the first columns have them."""
        first, *others = self.names.items()
        if not first[0].startswith("file") or not others:
            return f"{first[0].rstrip('_')} {first[1][row]}"
        return f"{first[1][row]}, {others[0][0].rstrip('_')} {others[0][1][row]}"


def read_inputs(task: Task, adapter: TaskAdapter, source: Any, *, workers: int = 0, progress: bool = False) -> Inputs:
    """Read whatever a run may be asked about.

    Args:
        task: The run's task.
        adapter: Its adapter.
        source: Paths, or one, of what `graphpe.benchmarks.runs.kinds` knows; or a `Data`, a `Batch`, a list of
            `Data`, a PyG dataset or a `PackedGraphs`.
        workers: Processes that read; 0 means as many as there are cores.
        progress: Whether to show a bar.

    Raises:
        GraphPEError: There is nothing that could be read, or it is not of this task.
    """
    paths = _paths(source)
    if paths is None:
        inputs = _of_pyg(adapter, source)
    else:
        kinds = {kind_of(path) for path in paths}
        if len(kinds) > 1:
            raise GraphPEValueError(f"{', '.join(map(str, paths))} are of several kinds ({', '.join(sorted(kinds))})")
        own = (task, adapter)
        if isinstance(task, EncodingTask) and isinstance(adapter, EncodingAdapter | AuxiliaryAdapter):
            own = (task.of, adapter.base)  # files are those of the task whose graphs it was
        inputs = _read_paths(kinds.pop(), *own, paths, workers, progress)
    graphs, wrong = adapter.check_inputs(inputs.graphs) if len(inputs.graphs) else (inputs.graphs, {})
    errors = inputs.errors | {inputs.positions[graph]: reason for graph, reason in wrong.items()}
    if wrong:
        kept = [graph for graph in range(len(graphs)) if graph not in wrong]
        graphs = graphs.select(torch.tensor(kept, dtype=torch.long))
        inputs = replace(inputs, positions=[inputs.positions[graph] for graph in kept])
    if not len(graphs):
        first = min(errors, default=None)
        reason = "there is no graph" if first is None else f"no row can be read; the first: {errors[first]}"
        raise GraphPERuntimeError(f"{_shown(paths)}: {reason}")
    return replace(inputs, graphs=graphs, errors=errors)


def free_name(name: str, taken: Container[str]) -> str:
    """A name that no column has: the input may have one of the name already."""
    while name in taken:
        name += "_"
    return name


def reads(task: Task, adapter: TaskAdapter, kind: Kind) -> bool:
    """Whether a run of the task may be asked about files of a kind; a pretraining only where it is named."""
    if isinstance(task, Pretraining):
        return False
    if isinstance(task, EncodingTask) and isinstance(adapter, AuxiliaryAdapter):
        return reads(task.of, adapter.base, kind)
    if kind == "python":
        return isinstance(task, PythonSource)
    if kind == "table":
        return isinstance(adapter, GraphAdapter) and adapter.node_categories == molecule_categories()[0]
    if kind == "json":
        return isinstance(task, NetworkxList)
    if kind == "edges":
        return isinstance(task, EdgeListFolder)
    return not isinstance(task, PythonSource)


def _paths(source: Any) -> list[Path] | None:
    """The paths that a source is, or None where it is graphs."""
    if isinstance(source, str | Path):
        source = [source]
    if isinstance(source, list | tuple) and source and all(isinstance(each, str | Path) for each in source):
        return [Path(each).expanduser() for each in source]
    return None


def _shown(paths: Sequence[Path] | None) -> str:
    return "the graphs" if paths is None else ", ".join(map(str, paths[:3]))


def _read_paths(
    kind: Kind, task: Task, adapter: TaskAdapter, paths: list[Path], workers: int, progress: bool
) -> Inputs:
    if not reads(task, adapter, kind):
        known = [each for each in ("python", "table", "pyg", "json", "edges") if reads(task, adapter, each)]
        raise GraphPEValueError(
            f"{paths[0]} is of kind {kind}, but a run of {task.name} is asked about: {', '.join(known)}"
        )
    if kind == "python":
        assert isinstance(task, PythonSource)
        assert isinstance(adapter, CodeAdapter)
        graphs, notes = task.functions(paths, adapter, workers=workers)
        names = {"function": graphs.objects["where"], "name": graphs.objects["name"]}
        return Inputs(graphs, names, list(range(len(graphs))), notes=notes)
    if kind == "table":
        return _concatenated([(path, _of_table(task, path, workers, progress)) for path in paths])
    if kind == "pyg":
        return _concatenated([(path, _of_saved(adapter, path)) for path in paths])
    assert isinstance(adapter, GraphAdapter)
    if kind == "json":
        assert isinstance(task, NetworkxList)
        return _concatenated([(path, _of_networkx(task, adapter, path)) for path in paths])
    assert isinstance(task, EdgeListFolder)
    return _concatenated([(path, _of_edge_lists(task, adapter, path)) for path in paths])


def _of_pyg(adapter: TaskAdapter, source: Any) -> Inputs:
    """Graphs that are in memory."""
    if isinstance(source, PackedGraphs):
        graphs = source
    elif isinstance(source, Data | Batch):
        graphs = PackedGraphs.from_data(source, keys=[key for key in adapter.keys if key in source])
    elif (
        hasattr(source, "__len__")
        and hasattr(source, "__getitem__")
        and not isinstance(source, str | bytes)
        and not hasattr(source, "keys")  # a dictionary, a table of pandas
    ):
        if not len(source):
            raise GraphPEValueError("the list of graphs is empty: give at least one")
        first = source[0]
        keys = [key for key in adapter.keys if isinstance(first, Data) and key in first]
        graphs = PackedGraphs.from_dataset(source, keys=keys)
    else:
        raise GraphPETypeError(
            f"expected paths, a Data, a Batch, a list of Data, a dataset or a PackedGraphs, got {type(source).__name__}"
        )
    count = len(graphs)
    return Inputs(graphs, {"graph": list(range(count))}, list(range(count)))


def _of_saved(adapter: TaskAdapter, path: Path) -> Inputs:
    """Graphs that PyG or `graphpe encode` wrote."""
    saved = joined(open_saved(path).values())

    def where(graph: int) -> str:
        return f"{path}, graph {graph}"

    graphs, notes = saved.structure(where)
    levels = {"node": graphs.sizes, "edge": graphs.edge_sizes}
    for level, counts in levels.items():
        for key in adapter.keys:
            if key.startswith("edge") == (level == "edge"):
                values = saved.rows(key, counts, f"{level}s", where)
                if values is not None:
                    graphs = graphs.with_values(**{level: {key: values}})
    return Inputs(graphs, {"graph": list(range(len(graphs)))}, list(range(len(graphs))), notes=notes)


def _of_table(task: Task, path: Path, workers: int, progress: bool) -> Inputs:
    """Molecules of a table, whose columns are all kept."""
    frame = read_frame(path, text=True)
    column = task.smiles if isinstance(task, SmilesTable) and task.smiles in frame else smiles_column(frame, path)
    check_columns(frame, (column,), path)
    texts = [str(cell).strip() if isinstance(cell, str) else "" for cell in frame[column].tolist()]
    if not texts:
        raise GraphPERuntimeError(f"{path} has no rows")
    errors = {row: "the cell is empty" for row, text in enumerate(texts) if not text}
    filled = [row for row in range(len(texts)) if row not in errors]
    wrong = unreadable_smiles([texts[row] for row in filled])
    errors |= {filled[position]: reason for position, reason in wrong.items()}
    kept = [row for row in filled if row not in errors]
    graphs, _ = (
        smiles_graphs([texts[row] for row in kept], workers=workers, progress=progress) if kept else (_none(), [])
    )
    cells = {str(name): frame[name].tolist() for name in frame}
    names = {free_name("row" if is_parquet(path) else "line", cells): frame.index.tolist(), **cells}
    return Inputs(graphs, names, kept, errors, separator_note(frame, path))


def _of_networkx(task: NetworkxList, adapter: GraphAdapter, path: Path) -> Inputs:
    contents = task.contents(path)

    def where(graph: int) -> str:
        return f"{path}, graph {graph}"

    task = replace(
        task, node_features=_attributes(adapter.node_columns), edge_features=_attributes(adapter.edge_columns)
    )
    return _written(
        lambda graph: task.graph(contents[graph], where(graph)), len(contents), where, adapter,
        {"graph": list(range(len(contents)))},
    )  # fmt: skip


def _attributes(columns: Columns) -> tuple[str, ...]:
    """The attributes that columns come from: one that is a list has a column for each number in it."""
    return tuple(dict.fromkeys(name.split("[")[0] for name, _ in columns))


def _of_edge_lists(task: EdgeListFolder, adapter: GraphAdapter, folder: Path) -> Inputs:
    names = graph_names(folder)

    def where(row: int) -> str:
        return f"{folder}, graph {names[row]}"

    return _written(
        lambda row: task.graph(folder, names[row], where(row)), len(names), where, adapter, {"graph": list(names)}
    )


def _written(
    read: Callable[[int], WrittenGraph],
    count: int,
    where: Callable[[int], str],
    adapter: GraphAdapter,
    names: dict[str, list[Any]],
) -> Inputs:
    """Graphs written node by node, with the words that the run knows; graph by graph where one of them is wrong."""
    known = adapter.node_columns, adapter.edge_columns
    errors: dict[int, str] = {}
    written: dict[int, WrittenGraph] = {}
    for row in range(count):
        try:
            written[row] = read(row)
        except GraphPEError as error:
            errors[row] = str(error)
    try:
        packed = pack_written(list(written.values()), lambda place: where(list(written)[place]), known)
    except GraphPEError:
        for row, graph in list(written.items()):
            try:
                pack_written([graph], lambda _, row=row: where(row), known)  # type: ignore[misc]
            except GraphPEError as error:
                errors[row] = str(error)
                del written[row]
        if not written:
            return Inputs(_none(), names, [], errors)
        packed = pack_written(list(written.values()), lambda place: where(list(written)[place]), known)
    graphs, nodes, edges = packed
    graphs = graphs.with_values(
        node={} if nodes.values is None else {"x": nodes.values},
        edge={} if edges.values is None else {"edge_attr": edges.values},
    )
    return Inputs(graphs, names, list(written), errors)


def _none() -> PackedGraphs:
    zero = torch.zeros(1, dtype=torch.long)
    return PackedGraphs(edge_index=torch.zeros(2, 0, dtype=torch.long), ptr=zero, edge_ptr=zero)


def _concatenated(parts: Sequence[tuple[Path, Inputs]]) -> Inputs:
    """The rows of several files, one file after the other."""
    if len(parts) == 1:
        return parts[0][1]
    file = free_name("file", {name for _, part in parts for name in part.names})
    names: dict[str, list[Any]] = {file: []}
    positions: list[int] = []
    errors: dict[int, str] = {}
    for path, part in parts:
        first = len(names[file])
        count = len(next(iter(part.names.values())))
        names[file] += [str(path)] * count
        for name in part.names:
            names.setdefault(name, [None] * first)
        for name in names.keys() - {file}:
            names[name] += part.names.get(name, [None] * count)
        positions += [first + row for row in part.positions]
        errors |= {first + row: reason for row, reason in part.errors.items()}
    filled = [part.graphs for _, part in parts if len(part.graphs)]
    graphs = concatenate(filled) if filled else _none()
    return Inputs(graphs, names, positions, errors, [note for _, part in parts for note in part.notes])
