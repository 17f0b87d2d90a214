"""Users' own graphs: what PyG or `torch.save` left on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache as remembered
from pathlib import Path
from typing import Any, ClassVar, Literal

import numpy as np
import torch
from torch import Tensor

from graphpe.benchmarks.tasks.graph_level import GraphTargets
from graphpe.benchmarks.tasks.user.features import Features, tensor_features
from graphpe.benchmarks.tasks.user.files.encoded import held_encodings, held_keys, held_values
from graphpe.benchmarks.tasks.user.files.rows import SKIP_HINT, Rows, readable, unlike_most
from graphpe.benchmarks.tasks.user.nodes.splits import (
    MASKS,
    choose_node_split,
    given_split,
    mask_columns,
    saved_split,
    split_values,
)
from graphpe.benchmarks.tasks.user.nodes.targets import TargetLevel, chosen_metric, node_columns, node_place, of_nodes
from graphpe.benchmarks.tasks.user.saved_graphs import ABSENT, STRUCTURE, SavedGraphs
from graphpe.benchmarks.tasks.user.splits import check_several, choose_split
from graphpe.benchmarks.tasks.user.targets import Metric, OwnTargets, Where, no_targets, read_targets
from graphpe.benchmarks.tasks.user.task import OwnData, assemble, graphs_with_known
from graphpe.benchmarks.tasks.user.torch_file import Parts, joined, open_saved
from graphpe.errors import GraphPERuntimeError
from graphpe.graphs.packed import PackedGraphs

_LOOKED_AT = 1000  # graphs that tell what targets are of


@dataclass(frozen=True)
class DataFile(OwnData):
    """A saved list of PyG `Data`, or what a dataset of PyG saved.

    Targets are of graphs; or of nodes, one for each, classes where they are integers, negative or NaN where not known.
    A split is of graphs; of one graph, or where masks are there, it is of nodes.

    `x` and `edge_attr` are categories where they hold integers, and numbers otherwise; `edge_weight` is read by the
    encodings. Encodings in a folder of `graphpe encode` are used as they are. Other values are not looked at, and named
    when the graphs are read. What the targets are follows from their values (see `SmilesTable`); NaN, None, or no such
    value, is not known.

    Attributes:
        path: A file that `torch.save` wrote (a list of `Data`, a `Batch`, a dictionary of such lists under train, val
            and test), one that `InMemoryDataset.save` or `TUDataset` wrote, a folder of `graphpe encode`, or a
            dataset's folder that holds, in itself or in `processed/`, one such file, numbered ones (`data_0.pt`, ...),
            or `train.pt`, `val.pt` and `test.pt` (`train_data.pt`, `valid.pt`, ...): then the split is given.
        target: The value of each graph, or its nodes, that is to be predicted: a number, a word, or several numbers (a
            tensor, an array, a list); or the names of several values. () for none, as `graphpe pretrain` reads graphs.
        split: `random`, the value of each graph (or the words of each of its nodes) that says train, valid or test, or
            a JSON file of positions under these words. Of nodes also `masks` (train_mask, val_mask, test_mask, or
            train_idx, ...; `masks[3]` where there are several of each), or the name of a dictionary of ids. With
            `level="auto"` masks that are there are used.
        metric: `auto`, `accuracy` (a class), `ROC-AUC` or `AP` (labels 0 and 1, NaN where not known), `RMSE` or `MAE`
            (numbers).
        fractions: Shares of train, valid and test where the split is not given.
        seed: Of a random split.
        valid: The file or folder of the validation part, if that is one of its own; it is cut from `path` otherwise.
        test: The file or folder of the test part, likewise.
        skip_bad: Whether graphs that cannot be read are left out, counted and named; they are an error otherwise.
        level: What targets are of: `graph`, `node`, or `auto`: of nodes where the target has a row for each node, and
            there is one graph or they differ in size.
    """

    name: ClassVar[str] = "data-file"
    summary: ClassVar[str] = "your own PyG graphs: a saved list of Data, or an InMemoryDataset's file or folder"

    path: str
    target: str | tuple[str, ...] = "y"
    split: str = "random"
    metric: Metric = "auto"
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1)
    seed: int = 0
    valid: str | None = None
    test: str | None = None
    skip_bad: bool = False
    level: TargetLevel = "auto"

    def understood(self) -> DataFile:
        """With the level of its targets, and masks for a split where they are of nodes and have some."""
        if self.level != "auto":
            return self
        if not self.target_names:
            return replace(self, level="node")
        saved = joined(graphs for path in self.paths.values() for graphs in open_saved(path).values())
        some = saved.select(range(min(saved.count, _LOOKED_AT)))
        try:
            sizes = some.structure(lambda graph: f"graph {graph}")[0].sizes
        except GraphPERuntimeError:  # `load` says what is wrong, or leaves it out
            return replace(self, level="graph")
        if not of_nodes(some, self.target_names, sizes):
            return replace(self, level="graph")
        try:
            given = given_split(saved) if self.split == "random" and len(self.paths) == 1 else None
        except GraphPERuntimeError as error:
            raise GraphPERuntimeError(f"{self.shown}: {error}") from None
        return replace(self, level="node", split=given or self.split)

    def splits_nodes(self) -> bool:
        if self.level != "node" or len(self.paths) > 1:
            return False
        opened = open_saved(next(iter(self.paths.values())))
        return set(opened) == {""} and (opened[""].count == 1 or self.split.startswith(MASKS))

    def held_encodings(self) -> tuple[str, ...]:
        """The encodings of a folder of `graphpe encode`."""
        return held_encodings(list(self.paths.values()))

    def load(self, *, workers: int = 0, cache: Path | None = None, progress: bool = True) -> GraphTargets:
        """Read and check the graphs.

        Args:
            workers: Not used.
            cache: Not used.
            progress: Not used.

        Raises:
            GraphPERuntimeError: If the file is missing or cannot be read safely, or a graph is wrong; it is named.
        """
        if self.level == "auto":
            return self.understood().load()
        parts: Parts = {}
        places: dict[str, Path] = {}
        for part, path in self.paths.items():
            opened = open_saved(path)
            if part and set(opened) != {""}:
                raise GraphPERuntimeError(
                    f"{path} holds parts of a split itself: give it alone, without valid and test"
                )
            for own, graphs in opened.items():
                if not graphs.count:
                    raise GraphPERuntimeError(f"{path} holds no graph" + (f" in its {own} part" if own else ""))
                parts[part or own], places[part or own] = graphs, path
        saved = joined(parts.values())
        counts = {part: graphs.count for part, graphs in parts.items()}
        before = 0
        first: dict[str, int] = {}
        for part, count in counts.items():
            first[part] = before if len(self.paths) == 1 else 0  # of one file: numbered through
            before += count
        rows = Rows(counts, lambda part, row: f"{places[part]}, graph {first[part] + row}")
        if self.skip_bad:
            rows = _readable(saved, rows)
            saved = saved.select(rows.kept)
        try:
            structure, notes = saved.structure(rows.graph)
            nodes, edges = (
                _features(saved, name, sizes, of, rows.graph)
                for name, sizes, of in (("x", structure.sizes, "nodes"), ("edge_attr", structure.edge_sizes, "edges"))
            )
        except GraphPERuntimeError as error:
            raise GraphPERuntimeError(f"{error}{_hint(saved, rows)}") from None
        for name in self.target_names:
            if name not in saved.names:
                there = ", ".join(each for each in saved.names if each not in STRUCTURE) or "nothing but edges"
                raise GraphPERuntimeError(
                    f"{self.shown}: no graph has a value {name!r} to predict (target=..., --target); there is {there}"
                )
        targets = self._targets(saved, structure.sizes, rows)
        of_split: Literal["graph", "node"] = "graph"
        if self.level == "node" and set(parts) == {""} and (saved.count == 1 or self.split.startswith(MASKS)):
            of_split = "node"
            split = self._node_split(saved, structure.sizes, targets, rows)
        else:
            known = graphs_with_known(structure, targets) if self.level == "node" else targets.known
            split = choose_split(
                self.split,
                rows,
                known,
                fractions=self.fractions,
                seed=self.seed,
                column=lambda name: _words(joined(parts.values()), name),
            )
        if self.level == "graph":
            check_several(rows.count, self.shown)
        encodings = self.held_encodings()
        held = held_values(list(self.paths.values()), encodings).select(torch.tensor(rows.kept)) if encodings else None
        used = {*STRUCTURE, "x", "edge_attr", *self.target_names, self.split, *held_keys(encodings)}
        used |= split_values(saved) if self.split.startswith(MASKS) else set()
        return assemble(
            structure,
            nodes,
            edges,
            targets,
            split,
            rows,
            what=self.shown,
            notes=[*self._about(saved, structure), *notes, *_unused(saved, used, nodes)],
            held=held,
            encodings=encodings,
            level="node" if self.level == "node" else "graph",
            unit=of_split,
        )

    def _about(self, saved: SavedGraphs, structure: PackedGraphs) -> list[str]:
        """What was read, and of several masks which."""
        if self.level != "node" or saved.count != 1:
            return [f"{self.shown}: {saved.count:,} graphs"]
        lines = [f"{self.shown}: one graph of {structure.num_nodes:,} nodes, split {self.split}"]
        several = mask_columns(saved)
        if self.split == MASKS and several > 1:
            lines.append(f"its masks hold {several} splits: this is the first, 0; split='masks[1]' takes the next")
        return lines

    def _targets(self, saved: SavedGraphs, sizes: Tensor, rows: Rows) -> OwnTargets:
        """The targets, of graphs or of nodes."""
        columns: dict[str, Sequence[Any]] = {}
        if not self.target_names:
            return no_targets(int(sizes.sum()) if self.level == "node" else len(sizes))
        if self.level == "graph":
            for name in self.target_names:
                columns |= saved.columns(name, sizes, rows.graph)
            return read_targets(columns, self.metric, rows.graph)
        whole = True
        for name in self.target_names:
            found, integers = node_columns(saved, name, sizes, rows.graph)
            columns, whole = columns | found, whole and integers
        metric = chosen_metric(self.metric, columns, whole)
        return read_targets(columns, metric, node_place(sizes, rows.graph), of="node")

    def _node_split(self, saved: SavedGraphs, sizes: Tensor, targets: OwnTargets, rows: Rows) -> dict[str, Tensor]:
        """The split of nodes."""

        def words(name: str) -> Sequence[Any] | None:
            return node_columns(saved, name, sizes, rows.graph)[0].get(name) if name in saved.names else None

        return choose_node_split(
            self.split,
            targets,
            saved=lambda name: saved_split(name, saved, sizes, rows.graph),
            cells=words,
            fractions=self.fractions,
            seed=self.seed,
            what=self.shown,
            where=node_place(sizes, rows.graph),
        )


def _readable(saved: SavedGraphs, rows: Rows) -> Rows:
    """The rows whose graph can be read alone."""
    saved = SavedGraphs(saved.count, saved.names, remembered(saved.values))

    def check(row: int) -> None:
        alone = saved.select([row])
        graphs, _ = alone.structure(lambda _: rows.where(row))
        if not int(graphs.sizes[0]):
            raise GraphPERuntimeError("the graph has no nodes")
        for name, counts, of in (("x", graphs.sizes, "nodes"), ("edge_attr", graphs.edge_sizes, "edges")):
            _features(alone, name, counts, of, lambda _: rows.where(row))

    rows = readable(rows, check, skip_bad=True)
    for name in ("x", "edge_attr"):
        if name in saved.names:
            values = saved.values(name)
            kinds = {row: _kind(values[row]) for row in rows.kept}
            rows = rows.without(unlike_most(kinds, f"its {name} is {{}}, that of most graphs {{}}"))
    return rows


def _hint(saved: SavedGraphs, rows: Rows) -> str:
    """What to do about a graph that cannot be read, where it is not all of them."""
    if rows.bad:  # they are left out already
        return ""
    try:
        _readable(saved, rows)
    except GraphPERuntimeError:
        return ""
    return f"; correct it, or give {SKIP_HINT}"


def _kind(value: Any) -> str | None:
    """The columns of a feature, which all graphs have alike; None where a graph has no row of it."""
    if value is ABSENT:
        return "missing"
    shape = list(np.shape(value))
    return None if shape[:1] == [0] else f"{shape[1:]} a row"


def _features(graphs: SavedGraphs, name: str, counts: Tensor, of: str, where: Where) -> Features:
    values = graphs.rows(name, counts, of, where)
    if values is None:
        return Features(None)
    return tensor_features(values, name, torch.arange(graphs.count).repeat_interleave(counts), where)


def _words(graphs: SavedGraphs, name: str) -> Sequence[Any] | None:
    """The part that each graph says it is in, where it says one word or nothing."""
    if name not in graphs.names:
        return None
    return [None if value is ABSENT else value for value in graphs.values(name)]


def _unused(graphs: SavedGraphs, used: set[str], nodes: Features) -> list[str]:
    """What is in the file and plays no part, and what is not there."""
    names = [name for name in graphs.names if name not in used and not name.startswith("_")]
    lines = [f"there and not used: {', '.join(names)}"] if names else []
    if nodes.values is None:
        lines.append("no node features (x): a constant instead")
    return ["; ".join(lines)] if lines else []
