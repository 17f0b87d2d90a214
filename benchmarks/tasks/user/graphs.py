"""Graphs that users wrote down node by node and edge by edge, packed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from itertools import chain
from typing import Any

import numpy as np
import torch
from torch import Tensor

from graphpe.benchmarks.tasks.user.features import Columns, Features, column_features
from graphpe.benchmarks.tasks.user.files.decimals import with_points
from graphpe.benchmarks.tasks.user.files.rows import Rows, readable, unlike_most
from graphpe.benchmarks.tasks.user.targets import Where, as_float
from graphpe.errors import GraphPERuntimeError
from graphpe.graphs.packed import PackedGraphs

WEIGHT = "weight"
"""The edge column that encodings read as edge weights."""


@dataclass
class WrittenGraph:
    """A graph as it was written.

    Attributes:
        nodes: Number of nodes.
        edges: Pairs of node numbers.
        node_cells: Cells of each column of node features.
        edge_cells: Cells of each column of edge features.
    """

    nodes: int
    edges: list[tuple[int, int]]
    node_cells: dict[str, list[Any]] = field(default_factory=dict)
    edge_cells: dict[str, list[Any]] = field(default_factory=dict)

    def both_ways(self) -> WrittenGraph:
        """With the reverse of every edge whose reverse is not there, after the edges."""
        there = set(self.edges)
        added = [place for place, (u, v) in enumerate(self.edges) if (v, u) not in there]
        return WrittenGraph(
            self.nodes,
            self.edges + [(self.edges[place][1], self.edges[place][0]) for place in added],
            self.node_cells,
            {name: cells + [cells[place] for place in added] for name, cells in self.edge_cells.items()},
        )


def read_written(rows: Rows, read: Callable[[int], WrittenGraph], *, skip_bad: bool) -> tuple[Rows, list[WrittenGraph]]:
    """The graphs of rows.

    Args:
        rows: The rows.
        read: Reads the graph of a row.
        skip_bad: Whether rows whose graph cannot be read, or used alone, are left out.

    Returns:
        The rows that are left, and their graphs.

    Raises:
        GraphPEError: A graph cannot be read, and is not to be skipped.
    """
    written: dict[int, WrittenGraph] = {}

    def check(row: int) -> None:
        written[row] = read(row)
        if skip_bad:
            if not written[row].nodes:
                raise GraphPERuntimeError("the graph has no nodes")
            pack_written([written[row]], lambda _: rows.where(row))

    rows = readable(rows, check, skip_bad=skip_bad)
    if skip_bad:
        for what in ("nodes", "edges"):
            kinds = {row: _features_of(written[row], what) for row in rows.kept}
            rows = rows.without(unlike_most(kinds, f"its {what} have the features {{}}, those of most graphs {{}}"))
    return rows, [written[row] for row in rows.kept]


def _features_of(graph: WrittenGraph, what: str) -> str | None:
    """The names of the features of its nodes or edges; None where there are no such rows."""
    rows, cells = (graph.nodes, graph.node_cells) if what == "nodes" else (len(graph.edges), graph.edge_cells)
    return ", ".join(sorted(cells)) or "(none)" if rows else None


def pack_rows(
    written: Sequence[WrittenGraph], rows: Rows, *, skip_bad: bool
) -> tuple[PackedGraphs, Features, Features]:
    """`pack_written`, of the rows of files.

    Args:
        written: The graphs of `read_written`.
        rows: Its rows.
        skip_bad: Whether those that could not be used alone were left out.

    Raises:
        GraphPERuntimeError: The features of a row cannot be used.
    """
    try:
        return pack_written(written, rows.graph)
    except GraphPERuntimeError:
        if not skip_bad:  # says what can be left out, if it is a graph of its own that is wrong
            readable(rows, lambda row: pack_written([written[row]], lambda _: rows.where(row)), skip_bad=False)
        raise


def pack_written(
    graphs: Sequence[WrittenGraph], where: Where, known: tuple[Columns, Columns] | None = None
) -> tuple[PackedGraphs, Features, Features]:
    """Structure (with weights), features of nodes and features of edges.

    Args:
        graphs: The graphs.
        where: Names a graph in messages.
        known: Columns of features of nodes and of edges that these are read like.

    Raises:
        GraphPERuntimeError: If graphs differ in their columns, or a cell is missing or not finite.
    """
    sizes, edge_sizes = [graph.nodes for graph in graphs], [len(graph.edges) for graph in graphs]
    owners = np.repeat(np.arange(len(graphs)), sizes), np.repeat(np.arange(len(graphs)), edge_sizes)
    node_columns = _columns([graph.node_cells if graph.nodes else None for graph in graphs], "nodes", where)
    edge_columns = _columns([graph.edge_cells if graph.edges else None for graph in graphs], "edges", where)
    node_kinds, edge_kinds = (None, None) if known is None else known
    node_columns, node_commas = _with_points(node_columns, owners[0], where, node_kinds)
    edge_columns, edge_commas = _with_points(edge_columns, owners[1], where, edge_kinds)
    nodes = column_features(node_columns, owners[0].tolist(), where, node_kinds)
    edges = column_features(edge_columns, owners[1].tolist(), where, edge_kinds if edge_columns else None)
    nodes, edges = replace(nodes, commas=node_commas), replace(edges, commas=edge_commas)
    weight = None
    if WEIGHT in edge_columns:
        weight = _weights(edge_columns[WEIGHT], owners[1], where)
    ptr, edge_ptr = (torch.tensor([0, *np.cumsum(counts).tolist()], dtype=torch.long) for counts in (sizes, edge_sizes))
    pairs = np.array(list(chain.from_iterable(graph.edges for graph in graphs)), dtype=np.int64).reshape(-1, 2)
    index = torch.from_numpy(np.ascontiguousarray(pairs.T)) + ptr[:-1].repeat_interleave(edge_ptr.diff())
    return PackedGraphs(edge_index=index, ptr=ptr, edge_ptr=edge_ptr, edge_weight=weight), nodes, edges


def _with_points(
    columns: dict[str, list[Any]], owner: np.ndarray, where: Where, known: Columns | None
) -> tuple[dict[str, list[Any]], tuple[str, ...]]:
    """Columns whose numbers have points, and the names of those that had decimal commas."""
    words = {name for name, kind in known or () if kind is not None}
    found = {
        name: with_points(name, cells, lambda row: where(int(owner[row])))
        for name, cells in columns.items()
        if name not in words
    }
    changed = {name: cells for name, cells in found.items() if cells is not None}
    return columns | changed, tuple(changed)


def _weights(cells: Sequence[Any], owner: np.ndarray, where: Where) -> Tensor:
    """The weights of edges, which are finite where they are numbers: `column_features` saw to that."""
    for cell, graph in zip(cells, owner.tolist(), strict=True):
        try:
            usable = as_float(cell) >= 0
        except ValueError:
            usable = False
        if not usable:
            raise GraphPERuntimeError(
                f"{where(graph)}: an edge has the {WEIGHT} {str(cell)[:40]!r}, expected a number that is not negative; "
                f"rename the column {WEIGHT!r} if it is none"
            )
    return torch.tensor([float(cell) for cell in cells])


def _columns(graphs: Sequence[dict[str, list[Any]] | None], what: str, where: Where) -> dict[str, list[Any]]:
    """The columns of all graphs, one after the other; a graph without such rows is None."""
    first = next((number for number, cells in enumerate(graphs) if cells is not None), None)
    if first is None:
        return {}
    names = list(graphs[first] or {})
    for number, cells in enumerate(graphs):
        if cells is not None and set(cells) != set(names):
            raise GraphPERuntimeError(
                f"{where(number)}: {what} have the features {sorted(cells)}, those of {where(first)} {sorted(names)}; "
                "give every graph the same"
            )
    return {name: list(chain.from_iterable(cells[name] for cells in graphs if cells is not None)) for name in names}
