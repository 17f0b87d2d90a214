"""Predictions as a table."""

from __future__ import annotations

from typing import Any

from torch import Tensor

from graphpe.benchmarks.runs.inputs import Inputs, free_name
from graphpe.benchmarks.tasks.task import TaskData
from graphpe.graphs.levels import Level

PLACES: dict[Level, tuple[str, ...]] = {"graph": (), "node": ("node",), "pair": ("source", "target")}


def prediction_frame(inputs: Inputs, level: Level, columns: list[dict[str, Any]]) -> Any:
    """A table of predictions, all rows of the inputs in order.

    Args:
        inputs: The rows.
        level: What the columns have rows for.
        columns: The columns of each graph.
    """
    import pandas

    count = len(next(iter(inputs.names.values()), []))
    graph_at = dict(zip(inputs.positions, range(len(columns)), strict=True))
    sizes = inputs.graphs.sizes.tolist()
    shown = list(columns[0]) if columns else []
    rows: dict[str, list[Any]] = {name: [] for name in shown}
    owner: list[int] = []
    place: list[tuple[int, ...]] = []
    for row in range(count):
        graph = graph_at.get(row)
        if graph is None:
            owner.append(row)
            place.append(())
            for name in shown:
                rows[name].append(None)
            continue
        n = sizes[graph]
        here = place_columns(level, n)
        owner += [row] * len(here)
        place += here
        for name in shown:
            rows[name] += list(columns[graph][name])
    table: dict[str, list[Any]] = {name: [values[row] for row in owner] for name, values in inputs.names.items()}
    for axis, name in enumerate(PLACES[level]):
        table[free_name(name, table)] = [at[axis] if len(at) > axis else None for at in place]
    for name in shown:
        table[free_name(name, table)] = rows[name]
    if inputs.errors:
        table[free_name("error", table)] = [inputs.errors.get(row) for row in owner]
    return pandas.DataFrame(table)


def place_columns(level: Level, size: int) -> list[tuple[int, ...]]:
    """What the rows of a graph are about: nothing more, or a node each, or an ordered pair of nodes each.

    Args:
        level: What a task predicts.
        size: Number of nodes of the graph.
    """
    if level == "graph":
        return [()]
    return [(u,) for u in range(size)] if level == "node" else [(u, v) for u in range(size) for v in range(size)]


def part_frame(data: TaskData, predictions: Tensor, indices: Tensor) -> Any:
    """A table of the predictions of a part of a task, with what was to be predicted.

    Args:
        data: The task's.
        predictions: As `TaskAdapter.predict_batch` gives them, in the order of `indices`.
        indices: Ids of the part's graphs, nodes or pairs.
    """
    import pandas

    table, columns = data.table(predictions, indices)
    for name, column in columns.items():
        table[free_name(name, table)] = column
    return pandas.DataFrame(table)
