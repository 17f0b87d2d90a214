"""Users' own graphs: what PyG or `torch.save` left on disk."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from graphpe.benchmarks.tasks.graph_level import GraphTargets
from graphpe.benchmarks.tasks.user.features import Features, tensor_features
from graphpe.benchmarks.tasks.user.saved_graphs import ABSENT, STRUCTURE, SavedGraphs
from graphpe.benchmarks.tasks.user.splits import choose_split
from graphpe.benchmarks.tasks.user.targets import Metric, Where, read_targets
from graphpe.benchmarks.tasks.user.task import OwnData, assemble
from graphpe.benchmarks.tasks.user.torch_file import joined, open_saved
from graphpe.errors import GraphPERuntimeError


@dataclass(frozen=True)
class DataFile(OwnData):
    """A saved list of PyG `Data`, or what a dataset of PyG saved.

    `x` and `edge_attr` are categories where they hold integers, and numbers otherwise; `edge_weight` is read by the
    encodings. Other values are not looked at, and named when the graphs are read. What the targets are follows from
    their values (see `SmilesTable`).

    Attributes:
        path: A file that `torch.save` wrote (a list of `Data`, a `Batch`, a dictionary of such lists under train, val
            and test), one that `InMemoryDataset.save` or `TUDataset` wrote, a folder of `graphpe encode`, or a
            dataset's folder that holds, in itself or in `processed/`, one such file, numbered ones (`data_0.pt`, ...),
            or `train.pt`, `val.pt` and `test.pt` (`train_data.pt`, `valid.pt`, ...): then the split is given.
        target: The value of each graph that is to be predicted: a number, a word, or several numbers (a tensor, an
            array, a list).
        split: `random`, the value of each graph that says train, valid or test, or a JSON file of positions under these
            words.
        metric: `auto`, `accuracy` (a class), `ROC-AUC` or `AP` (labels 0 and 1, NaN where not known), `RMSE` or `MAE`
            (numbers).
        fractions: Shares of train, valid and test where the split is not given.
        seed: Of a random split.
    """

    name: ClassVar[str] = "data-file"
    summary: ClassVar[str] = "your own PyG graphs: a saved list of Data, or an InMemoryDataset's file or folder"

    path: str
    target: str = "y"
    split: str = "random"
    metric: Metric = "auto"
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1)
    seed: int = 0

    def load(self, *, workers: int = 0, cache: Path | None = None, progress: bool = True) -> GraphTargets:
        """Read and check the graphs.

        Args:
            workers: Not used.
            cache: Not used.
            progress: Not used.

        Raises:
            GraphPERuntimeError: If the file is missing or cannot be read safely, or a graph is wrong; it is named.
        """
        path = Path(self.path).expanduser()
        parts = open_saved(path)
        counts = [part.count for part in parts.values()]
        graphs = joined(list(parts.values()))
        if not graphs.count:
            raise GraphPERuntimeError(f"{path} holds no graph")

        def where(graph: int) -> str:
            return f"{path}, graph {graph}"

        structure, notes = graphs.structure(where)
        if self.target not in graphs.names:
            there = ", ".join(name for name in graphs.names if name not in STRUCTURE) or "nothing but edges"
            raise GraphPERuntimeError(
                f"{path}: no graph has a value {self.target!r} to predict (target=...); there is {there}"
            )
        columns = graphs.columns(self.target, structure.sizes, where)
        targets = read_targets(columns, self.metric, where)
        if "" in parts:
            split = choose_split(
                self.split,
                graphs.count,
                fractions=self.fractions,
                seed=self.seed,
                column=lambda name: _words(graphs, name),
                where=where,
            )
        else:
            ids = torch.arange(graphs.count).split(counts)
            split = dict(zip(parts, ids, strict=True))
        nodes, edges = (
            _features(graphs, name, counts, of, where)
            for name, counts, of in (("x", structure.sizes, "nodes"), ("edge_attr", structure.edge_sizes, "edges"))
        )
        used = {*STRUCTURE, "x", "edge_attr", self.target, self.split}
        return assemble(
            structure,
            nodes,
            edges,
            targets,
            split,
            what=str(path),
            where=where,
            notes=[f"{path}: {graphs.count:,} graphs", *notes, *_unused(graphs, used, nodes)],
        )


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
