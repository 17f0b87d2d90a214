"""Targets of nodes in files that PyG or `torch.save` wrote, as columns of cells with a cell for each node."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Literal

import numpy as np
import torch
from torch import Tensor

from graphpe.benchmarks.tasks.user.saved_graphs import ABSENT, SavedGraphs
from graphpe.benchmarks.tasks.user.targets import Where
from graphpe.errors import GraphPERuntimeError

TargetLevel = Literal["auto", "graph", "node"]
"""What targets are of: `auto` for what the data says."""


def node_place(sizes: Tensor, where: Where) -> Where:
    """Names a node in messages, from its number over all graphs.

    Args:
        sizes: Nodes of each graph.
        where: Names a graph.
    """
    ends = sizes.cumsum(0)

    def place(node: int) -> str:
        graph = int(torch.searchsorted(ends, torch.tensor(node), right=True))
        return f"{where(graph)}, node {node - int(ends[graph] - sizes[graph])}"

    return place


def of_nodes(graphs: SavedGraphs, names: Sequence[str], sizes: Tensor) -> bool:
    """Whether targets are of nodes: every one that is there has a row for each node, and could not be the graph's own.

    They could be where there are several graphs of equal size.

    Args:
        graphs: The graphs.
        names: The targets.
        sizes: Nodes of each graph.
    """
    known = [(_rows(value), n) for name in names for value, n in _with_sizes(graphs, name, sizes)]
    fits = bool(known) and all(rows == n for rows, n in known)
    return fits and (graphs.count == 1 or len({n for _, n in known}) > 1)


def node_columns(graphs: SavedGraphs, name: str, sizes: Tensor, where: Where) -> tuple[dict[str, Sequence[Any]], bool]:
    """A value of nodes as columns of cells, None where it is not known: NaN, or negative among integers.

    Args:
        graphs: The graphs.
        name: Its name.
        sizes: Nodes of each graph.
        where: Names a graph in messages.

    Returns:
        The columns, and whether their cells were integers.

    Raises:
        GraphPERuntimeError: It is no value of nodes.
    """
    values = graphs.values(name)
    words = [value for value in values if isinstance(value, list | tuple) and any(isinstance(v, str) for v in value)]
    if words:
        for graph, (value, n) in enumerate(zip(values, sizes.tolist(), strict=True)):
            if value is ABSENT or not isinstance(value, list | tuple) or len(value) != n:
                raise GraphPERuntimeError(f"{where(graph)}: {name} is no list of {n} words, one for each of the nodes")
        return {name: [cell for value in values for cell in value]}, False
    found = graphs.rows(name, sizes, "nodes", where)
    if found is None or found.is_complex():
        raise GraphPERuntimeError(f"{where(0)}: {name} holds no numbers to predict")
    flat = found.reshape(len(found), -1)
    whole = not flat.is_floating_point()
    unknown = flat < 0 if whole else flat.isnan()
    cells = flat.long() if whole else flat.double()
    columns: dict[str, Sequence[Any]] = {}
    for column in range(flat.shape[1]):
        shown = name if flat.shape[1] == 1 else f"{name}[{column}]"
        listed: list[Any] = cells[:, column].tolist()
        for row in unknown[:, column].nonzero().flatten().tolist():
            listed[row] = None
        columns[shown] = listed
    return columns, whole


def chosen_metric(metric: str, columns: dict[str, Sequence[Any]], whole: bool) -> str:
    """The metric of columns of cells: one column of integers is classes, as PyG's losses read them, unless 0 and 1.

    Args:
        metric: What was asked for.
        columns: The columns.
        whole: Whether their cells are integers.
    """
    if metric != "auto" or not whole or len(columns) != 1:
        return metric
    (cells,) = columns.values()
    known = np.unique([cell for cell in cells if cell is not None])
    some = 2 * len(known) <= sum(cell is not None for cell in cells)
    return "accuracy" if some and not np.isin(known, (0, 1)).all() else metric


def without_minus_one(cells: Sequence[Any], metric: str) -> Sequence[Any]:
    """Cells of a target; -1 is not known among classes and labels, which are never negative otherwise.

    Args:
        cells: The cells.
        metric: The metric that was asked for.
    """
    if metric in ("RMSE", "MAE"):
        return cells
    texts = [str(cell).strip() for cell in cells if cell is not None]
    if "-1" not in texts or not all(text in ("-1", "") or text.isdecimal() for text in texts):
        return cells
    return [None if str(cell).strip() == "-1" else cell for cell in cells]


def _with_sizes(graphs: SavedGraphs, name: str, sizes: Tensor) -> list[tuple[Any, int]]:
    if name not in graphs.names:
        return []
    pairs = zip(graphs.values(name), sizes.tolist(), strict=True)
    return [(value, n) for value, n in pairs if value is not ABSENT]


def _rows(value: Any) -> int | None:
    """Rows of a value that has some."""
    shape: Callable[[], int] | None = getattr(value, "__len__", None)
    if isinstance(value, str | dict) or shape is None or (hasattr(value, "shape") and not len(value.shape)):
        return None
    return shape()
