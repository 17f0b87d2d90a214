"""Users' own molecules: a table of SMILES and targets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
from torch import Tensor

from graphpe.benchmarks.tasks.graph_level import GraphTargets
from graphpe.benchmarks.tasks.molecules.smiles import (
    UnparsableSmiles,
    canonical_smiles,
    scaffolds,
    smiles_graphs,
    unreadable_smiles,
)
from graphpe.benchmarks.tasks.user.features import Features
from graphpe.benchmarks.tasks.user.files.rows import SKIP_HINT, Rows
from graphpe.benchmarks.tasks.user.splits import choose_split
from graphpe.benchmarks.tasks.user.tables import check_columns, column_of, read_frame, separator_note, table_rows
from graphpe.benchmarks.tasks.user.targets import Metric, no_targets, read_targets
from graphpe.benchmarks.tasks.user.task import OwnData, assemble
from graphpe.errors import GraphPERuntimeError
from graphpe.files.ogb import molecule_categories


@dataclass(frozen=True)
class SmilesTable(OwnData):
    """Molecules of a CSV or Parquet file: a column of SMILES, one or more of targets. Needs rdkit (the extra `chem`).

    Cells may be separated by commas, semicolons or tabs; numbers may have a decimal comma. Atoms and bonds have OGB's
    features. What the targets are follows from their cells: 0 and 1 are labels, words or few whole numbers are classes,
    everything else is numbers; `metric` says it outright. An empty cell is not known, and counts nowhere; a row where
    nothing is known is in no part of the split.

    Attributes:
        path: The file: `.csv`, `.csv.gz`, `.tsv` or `.parquet`.
        smiles: The column of SMILES.
        targets: The columns of targets; one whose cells are lists, as [1, 2.5], is several. () for none, as `graphpe
            pretrain` reads graphs.
        split: `random`, `scaffold` (molecules of one Bemis-Murcko scaffold stay together), a column of the words train,
            valid and test, or a JSON file of row numbers under these words.
        metric: `auto`, `accuracy` (one column of classes), `ROC-AUC` or `AP` (labels 0, 1), `RMSE` or `MAE` (numbers).
        fractions: Shares of train, valid and test where the split is not given.
        seed: Of a random split.
        valid: The file of the validation part, if that is one of its own; it is cut from `path` otherwise.
        test: The file of the test part, likewise.
        skip_bad: Whether rows whose SMILES cannot be read are left out, counted and named; they are an error otherwise.
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
    valid: str | None = None
    test: str | None = None
    skip_bad: bool = False

    def load(self, *, workers: int = 0, cache: Path | None = None, progress: bool = True) -> GraphTargets:
        """Read and check the table.

        Args:
            workers: Processes that read SMILES; 0 means as many as there are cores.
            cache: Folder in which graphs of SMILES are kept; None means the user's cache folder.
            progress: Whether to show a bar.

        Raises:
            GraphPERuntimeError: If the file, a column or rdkit is missing, or a row is wrong; the message names it.
        """
        frames = {part: read_frame(path, text=True) for part, path in self.paths.items()}
        for part, path in self.paths.items():
            check_columns(frames[part], (self.smiles, *self.targets), path)
            if not len(frames[part]):
                raise GraphPERuntimeError(f"{path} has no rows")
        rows = table_rows(frames, self.paths)
        texts = ["" if cell is None else str(cell).strip() for cell in column_of(frames, self.smiles)]
        if self.skip_bad:
            rows = rows.without(unreadable_smiles(texts))
            texts = rows.of_graphs(texts)
        columns = {name: rows.of_graphs(column_of(frames, name)) for name in self.targets}
        targets = read_targets(columns, self.metric, rows.graph) if columns else no_targets(len(texts))
        try:
            graphs, notes = smiles_graphs(texts, workers=workers, cache=cache, progress=progress)
        except UnparsableSmiles as error:
            raise GraphPERuntimeError(
                f"{rows.graph(error.position)}: {error.reason}; correct or remove it, or give {SKIP_HINT}"
            ) from None
        split = choose_split(
            self.split,
            rows,
            targets.known,
            fractions=self.fractions,
            seed=self.seed,
            column=lambda name: column_of(frames, name) if all(name in each for each in frames.values()) else None,
            scaffolds=lambda: scaffolds(texts),
        )
        notes = [
            f"{self.shown}: {len(texts):,} molecules",
            *(note for part, path in self.paths.items() for note in separator_note(frames[part], path)),
            *notes,
            *_repeats(canonical_smiles(texts), split, rows, self.paths),
        ]
        atoms, bonds = molecule_categories()
        data = assemble(
            graphs.structure(),
            Features(graphs.node["x"], atoms),
            Features(graphs.edge["edge_attr"], bonds),
            targets,
            split,
            rows,
            what=self.shown,
            notes=notes,
        )
        data.smiles = lambda: texts
        return data


def smiles_column(frame: Any, path: Path) -> str:
    """The column of SMILES, by its name.

    Raises:
        GraphPERuntimeError: None is called so, or more than one.
    """
    found = [str(name) for name in frame if str(name).strip().lower() in ("smiles", "canonical_smiles", "smi")]
    if len(found) != 1:
        raise GraphPERuntimeError(
            f"{path} has no column of SMILES: name one 'smiles'; there are {', '.join(map(str, frame))}"
            if not found
            else f"{path} has several columns of SMILES, {', '.join(found)}: name only one of them so"
        )
    return found[0]


def _repeats(smiles: Sequence[str], split: dict[str, Tensor], rows: Rows, paths: Mapping[str, Path]) -> list[str]:
    """A line about molecules that occur more than once, and whether the parts of the split share any."""
    found: dict[str, list[int]] = {}
    for graph, text in enumerate(smiles):
        found.setdefault(text, []).append(graph)
    repeated = [each for each in found.values() if len(each) > 1]
    if not repeated:
        return []
    part = np.full(len(smiles), -1)
    for number, ids in enumerate(split.values()):
        part[ids.numpy()] = number
    shared = sum(len({part[graph] for graph in each} - {-1}) > 1 for each in repeated)
    places = [rows.graph(graph) for graph in repeated[0][:2]]
    if len(paths) == 1:  # without the file, which is said before
        (path,) = paths.values()
        unit, first = places[0].removeprefix(f"{path}, ").split()
        places = [f"{unit}s {first}", places[1].split()[-1]]
    return [
        f"molecules that occur more than once: {len(repeated)} (first: {' and '.join(places)}); "
        f"in more than one part of the split: {shared}"
    ]
