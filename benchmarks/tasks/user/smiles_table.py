"""Users' own molecules: a table of SMILES and targets."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from graphpe.benchmarks.tasks.graph_level import GraphTargets
from graphpe.benchmarks.tasks.molecules.smiles import UnparsableSmiles, canonical_smiles, scaffolds, smiles_graphs
from graphpe.benchmarks.tasks.user.features import Features
from graphpe.benchmarks.tasks.user.splits import choose_split
from graphpe.benchmarks.tasks.user.tables import check_columns, read_frame
from graphpe.benchmarks.tasks.user.targets import Metric, read_targets
from graphpe.benchmarks.tasks.user.task import OwnData, assemble
from graphpe.errors import GraphPERuntimeError
from graphpe.files.ogb import molecule_categories


@dataclass(frozen=True)
class SmilesTable(OwnData):
    """Molecules of a CSV or Parquet file: a column of SMILES, one or more of targets. Needs rdkit (the extra `chem`).

    Atoms and bonds have OGB's features. What the targets are follows from their cells: 0 and 1 (empty where not known)
    are labels, words or few whole numbers are classes, everything else is numbers; `metric` says it outright.

    Attributes:
        path: The file: `.csv`, `.csv.gz` or `.parquet`.
        smiles: The column of SMILES.
        targets: The columns of targets.
        split: `random`, `scaffold` (molecules of one Bemis-Murcko scaffold stay together), a column of the words train,
            valid and test, or a JSON file of row numbers under these words.
        metric: `auto`, `accuracy` (one column of classes), `ROC-AUC` or `AP` (labels 0, 1), `RMSE` or `MAE` (numbers).
        fractions: Shares of train, valid and test where the split is not given.
        seed: Of a random split.
    """

    name: ClassVar[str] = "smiles-table"
    summary: ClassVar[str] = "your own CSV or Parquet of SMILES and targets; random, scaffold or given split"

    path: str
    smiles: str = "smiles"
    targets: tuple[str, ...] = ("y",)
    split: str = "random"
    metric: Metric = "auto"
    fractions: tuple[float, float, float] = (0.8, 0.1, 0.1)
    seed: int = 0

    def load(self, *, workers: int = 0, cache: Path | None = None, progress: bool = True) -> GraphTargets:
        """Read and check the table.

        Args:
            workers: Processes that read SMILES; 0 means as many as there are cores.
            cache: Folder in which graphs of SMILES are kept; None means the user's cache folder.
            progress: Whether to show a bar.

        Raises:
            GraphPERuntimeError: If the file, a column or rdkit is missing, or a row is wrong; the message names it.
        """
        path = Path(self.path).expanduser()
        frame = read_frame(path, text=True)
        parquet = path.suffix in (".parquet", ".pq")

        def where(row: int) -> str:
            return f"{path}, {'row' if parquet else 'line'} {frame.index[row]}"

        check_columns(frame, (self.smiles, *self.targets), path)
        if not len(frame):
            raise GraphPERuntimeError(f"{path} has no rows")
        texts = ["" if _missing(cell) else str(cell).strip() for cell in frame[self.smiles]]
        targets = read_targets({name: _cells(frame[name]) for name in self.targets}, self.metric, where)
        try:
            graphs, notes = smiles_graphs(texts, workers=workers, cache=cache, progress=progress)
        except UnparsableSmiles as error:
            raise GraphPERuntimeError(f"{where(error.position)}: {error.reason}; correct or remove it") from None
        split = choose_split(
            self.split,
            len(frame),
            fractions=self.fractions,
            seed=self.seed,
            column=lambda name: _cells(frame[name]) if name in frame else None,
            where=where,
            scaffolds=lambda: scaffolds(texts),
        )
        notes = [
            f"{path}: {len(frame):,} molecules",
            *notes,
            *_repeats(canonical_smiles(texts), split, frame.index, parquet),
        ]
        atoms, bonds = molecule_categories()
        return assemble(
            graphs.structure(),
            Features(graphs.node["x"], atoms),
            Features(graphs.edge["edge_attr"], bonds),
            targets,
            split,
            what=str(path),
            where=where,
            notes=notes,
        )


def _missing(cell: Any) -> bool:
    return cell is None or (isinstance(cell, float) and np.isnan(cell))


def _cells(column: Any) -> list[Any]:
    return [None if _missing(cell) else cell for cell in column.tolist()]


def _repeats(smiles: Sequence[str], split: dict[str, Tensor], lines: Sequence[int], parquet: bool) -> list[str]:
    """A line about molecules that occur more than once, and whether the parts of the split share any."""
    rows: dict[str, list[int]] = {}
    for row, text in enumerate(smiles):
        rows.setdefault(text, []).append(row)
    repeated = [each for each in rows.values() if len(each) > 1]
    if not repeated:
        return []
    part = np.full(len(smiles), -1)
    for number, ids in enumerate(split.values()):
        part[ids.numpy()] = number
    shared = sum(len({part[row] for row in each} - {-1}) > 1 for each in repeated)
    first = " and ".join(str(lines[row]) for row in repeated[0][:2])
    return [
        f"molecules that occur more than once: {len(repeated)} (first: {'rows' if parquet else 'lines'} {first}); "
        f"in more than one part of the split: {shared}"
    ]
