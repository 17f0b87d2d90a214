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
from graphpe.benchmarks.tasks.user.splits import choose_split
from graphpe.benchmarks.tasks.user.targets import Metric, read_targets
from graphpe.benchmarks.tasks.user.task import OwnData, assemble, row_owner
from graphpe.benchmarks.tasks.user.torch_file import load_graphs
from graphpe.errors import GraphPEError, GraphPERuntimeError
from graphpe.graphs.concatenate import concatenate
from graphpe.graphs.packed import PackedGraphs

_PARTS = {"train": "train", "valid": "val", "test": "test"}
_PYG_RECORDS = ("pre_filter.pt", "pre_transform.pt")


@dataclass(frozen=True)
class DataFile(OwnData):
    """A saved list of PyG `Data`, or what an `InMemoryDataset` saved.

    `x` and `edge_attr` are categories where they hold integers, and numbers otherwise; `edge_weight` is read by the
    encodings. What the targets are follows from their values (see `SmilesTable`).

    Attributes:
        path: A file that `torch.save` wrote (a list of `Data`), one that `InMemoryDataset.save` wrote, or a dataset's
            folder, whose `processed/` holds one such file, or `train.pt`, `val.pt` and `test.pt`: then the split is
            given.
        target: The value of each graph that is to be predicted: a number, a word, or several numbers.
        split: `random`, the value of each graph that says train, valid or test, or a JSON file of positions under these
            words.
        metric: `auto`, `accuracy` (a class), `ROC-AUC` or `AP` (answers, NaN where not known), `RMSE` or `MAE`
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
        graphs, given = _read(path)

        def where(graph: int) -> str:
            return f"{path}, graph {graph}"

        if not len(graphs):
            raise GraphPERuntimeError(f"{path} holds no graph")
        columns = _target_columns(graphs, self.target, path)
        targets = read_targets(columns, self.metric, where)
        if given is None:
            given = choose_split(
                self.split,
                len(graphs),
                fractions=self.fractions,
                seed=self.seed,
                column=lambda name: _column(graphs, name),
                where=where,
            )
        node_owner, edge_owner = row_owner(graphs)
        x, edge_attr = graphs.node.get("x"), graphs.edge.get("edge_attr")
        return assemble(
            graphs.structure(),
            Features(None) if x is None else tensor_features(x, "x", node_owner, where),
            Features(None) if edge_attr is None else tensor_features(edge_attr, "edge_attr", edge_owner, where),
            targets,
            given,
            what=str(path),
            where=where,
            notes=[f"{path}: {len(graphs):,} graphs"],
        )


def _read(path: Path) -> tuple[PackedGraphs, dict[str, Tensor] | None]:
    """The graphs, and their split where three files tell it."""
    try:
        if not path.is_dir():
            return load_graphs(path), None
        folder = path / "processed" if (path / "processed").is_dir() else path
        files = {file.name: file for file in sorted(folder.glob("*.pt")) if file.name not in _PYG_RECORDS}
        if set(files) == {f"{name}.pt" for name in _PARTS.values()}:
            parts = [load_graphs(files[f"{name}.pt"]) for name in _PARTS.values()]
            ids = torch.arange(sum(map(len, parts))).split([len(part) for part in parts])
            return concatenate(parts), dict(zip(_PARTS, ids, strict=True))
        if len(files) != 1:
            raise GraphPERuntimeError(
                f"{folder} holds {', '.join(files) or 'no .pt file'}: expected one file, or train.pt, val.pt and "
                "test.pt; give the path of a file"
            )
        return load_graphs(next(iter(files.values()))), None
    except GraphPERuntimeError:
        raise
    except GraphPEError as error:
        raise GraphPERuntimeError(f"{path}: {error}") from None


def _column(graphs: PackedGraphs, name: str) -> Sequence[Any] | None:
    if name in graphs.objects:
        return graphs.objects[name]
    value = graphs.graph.get(name)
    return None if value is None or value.numel() != len(graphs) else value.flatten().tolist()


def _target_columns(graphs: PackedGraphs, name: str, path: Path) -> dict[str, Sequence[Any]]:
    """The targets as columns, by name."""
    if name in graphs.objects:
        return {name: graphs.objects[name]}
    if name not in graphs.graph:
        levels = {"node": graphs.node, "edge": graphs.edge, "pair": graphs.pair}
        level = next((level for level, values in levels.items() if name in values), None)
        hint = f"it is a value of {level}s" if level else f"there are {', '.join(sorted(graphs.graph)) or 'none'}"
        raise GraphPERuntimeError(f"{path}: no graph-level value {name!r} to predict; {hint}")
    values = graphs.graph[name].reshape(len(graphs), -1)
    if values.shape[1] == 1:
        return {name: values[:, 0].tolist()}
    return {f"{name}[{column}]": values[:, column].tolist() for column in range(values.shape[1])}
