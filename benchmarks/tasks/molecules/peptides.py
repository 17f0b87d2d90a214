"""Peptides of the Long Range Graph Benchmark, from its tables or through PyG's loader."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor

from graphpe.benchmarks.tasks.fingerprint import fingerprint
from graphpe.benchmarks.tasks.graph_level import GraphAdapter, GraphTargets, GraphTask, categories
from graphpe.benchmarks.tasks.metrics import AVERAGE_PRECISION, MAE, Metric
from graphpe.benchmarks.tasks.molecules.smiles import UnparsableSmiles, smiles_graphs
from graphpe.benchmarks.tasks.pyg.pyg_datasets import PARTS, load_parts
from graphpe.benchmarks.tasks.targets import Loss
from graphpe.benchmarks.tasks.user.tables import read_frame
from graphpe.errors import GraphPEError, GraphPERuntimeError
from graphpe.files.ogb import molecule_categories
from graphpe.files.unpickling import load_pickle
from graphpe.graphs.concatenate import concatenate
from graphpe.graphs.packed import PackedGraphs


@dataclass(frozen=True)
class Peptides(GraphTask):
    """15,535 peptides with OGB's features of atoms and bonds, about 151 atoms each (Dwivedi et al. 2022).

    Attributes:
        root: The folder that holds LRGB's folder (`peptides-functional` or `peptides-structural`: a table of SMILES in
            `raw/` and a split; needs rdkit, the extra `chem`), or PyG's (`peptides-func` or `peptides-struct`), or
            will.
        download: Whether PyG downloads the data if neither is there.
    """

    default_encodings: ClassVar[tuple[str, ...]] = ("LaplacianPE(k=8)",)
    folder: ClassVar[str]
    table: ClassVar[str]
    split_file: ClassVar[str]
    columns: ClassVar[tuple[str, ...]]
    targets: ClassVar[int]
    loss: ClassVar[Loss]
    metric: ClassVar[Metric]

    root: str = "dataset"
    download: bool = True

    def load(self, *, workers: int = 0, cache: Path | None = None, progress: bool = True) -> GraphTargets:
        """Read the peptides.

        Args:
            workers: Processes that read SMILES; 0 means as many as there are cores.
            cache: Folder in which graphs of SMILES are kept; None means the user's cache folder.
            progress: Whether to show bars.

        Raises:
            GraphPERuntimeError: If the data is not there and cannot be downloaded, is incomplete, or cannot be read.
        """
        root = Path(self.root).expanduser()
        folder = next((path for path in (root / self.folder, root) if (path / "raw" / self.table).is_file()), None)
        smiles = None
        if folder is not None:
            graphs, target, split, notes = self._read_table(folder, workers, cache, progress)
            smiles = partial(_smiles, folder / "raw" / self.table)
        else:
            graphs, target, split, notes = self._read_pyg(root, progress)
        atoms, bonds = molecule_categories()
        if list(target.shape) != [len(graphs), self.targets] or not bool(target.isfinite().all()):
            raise GraphPERuntimeError(f"{folder or root} does not hold {self.targets} targets of each peptide")
        try:
            graphs = PackedGraphs(
                edge_index=graphs.edge_index,
                ptr=graphs.ptr,
                edge_ptr=graphs.edge_ptr,
                node={"x": categories(graphs.node["x"], "x", atoms)},
                edge={"edge_attr": categories(graphs.edge["edge_attr"], "edge_attr", bonds)},
                graph={"y": target.float()},
            )
        except (GraphPEError, KeyError) as error:
            raise GraphPERuntimeError(f"{folder or root} does not hold OGB's features of molecules: {error}") from None
        adapter = GraphAdapter(atoms, bonds, self.targets, self.loss, target_names=self._target_names)
        digest = fingerprint(graphs, split)
        return GraphTargets(graphs, split, adapter, digest, notes, scored_by=self.metric, smiles=smiles)

    def _read_table(
        self, folder: Path, workers: int, cache: Path | None, progress: bool
    ) -> tuple[PackedGraphs, Tensor, dict[str, Tensor], list[str]]:
        path = folder / "raw" / self.table
        frame = read_frame(path)
        absent = [name for name in ("smiles", *self.columns) if name not in frame]
        if absent:
            raise GraphPERuntimeError(f"{path} has no column {absent[0]!r}, only {list(frame)}")
        split = read_split(folder / self.split_file, len(frame))
        try:
            target = torch.tensor(self._target(frame))
        except (ValueError, TypeError, SyntaxError) as error:
            raise GraphPERuntimeError(f"{path} has a target that cannot be read ({error})") from None
        try:
            graphs, notes = smiles_graphs(frame["smiles"].tolist(), workers=workers, cache=cache, progress=progress)
        except UnparsableSmiles as error:
            raise GraphPERuntimeError(f"{path}, line {error.position + 2}: {error.reason}") from None
        return graphs, target, split, [f"{self.name} from {folder}: {len(graphs):,} peptides", *notes]

    @property
    def _target_names(self) -> tuple[str, ...]:
        return self.columns

    def _target(self, frame: Any) -> Any:
        return frame[list(self.columns)].to_numpy(np.float64)

    def _read_pyg(self, root: Path, progress: bool) -> tuple[PackedGraphs, Tensor, dict[str, Tensor], list[str]]:
        from torch_geometric.datasets import LRGBDataset

        raw = root / self.name / "raw"
        files = [raw / f"{part}.pt" for part in PARTS.values()]
        if not self.download and not all(path.exists() for path in files):
            raise GraphPERuntimeError(
                f"{self.name} is neither in {root / self.folder / 'raw'} ({self.table}) nor in {raw} (train.pt, "
                "val.pt, test.pt): put LRGB's or PyG's files there, or allow the download"
            )
        datasets = load_parts(LRGBDataset, self.name, root, self.name, download=self.download, progress=progress)
        try:
            parts = [PackedGraphs.from_dataset(dataset, keys=("x", "edge_attr", "y")) for dataset in datasets]
            graphs = concatenate(parts)
            target = graphs.graph["y"].view(len(graphs), -1)
        except (GraphPEError, KeyError) as error:
            raise GraphPERuntimeError(f"{raw} does not hold {self.name}: {error}") from None
        ids = torch.arange(len(graphs)).split([len(part) for part in parts])
        notes = [f"{self.name} from {raw.parent}: {len(graphs):,} peptides"]
        return graphs, target, dict(zip(PARTS, ids, strict=True)), notes


@dataclass(frozen=True)
class PeptidesFunc(Peptides):
    """Peptides-func: which of ten functions does a peptide have?"""

    name: ClassVar[str] = "peptides-func"
    summary: ClassVar[str] = "LRGB Peptides-func: ten functions of 15,535 peptides, published split, average precision"
    folder: ClassVar[str] = "peptides-functional"
    table: ClassVar[str] = "peptide_multi_class_dataset.csv.gz"
    split_file: ClassVar[str] = "splits_random_stratified_peptide.pickle"
    columns: ClassVar[tuple[str, ...]] = ("labels",)
    targets: ClassVar[int] = 10
    loss: ClassVar[Loss] = "binary"
    metric: ClassVar[Metric] = AVERAGE_PRECISION

    @property
    def _target_names(self) -> tuple[str, ...]:
        return ()  # the table does not name the ten functions

    def _target(self, frame: Any) -> Any:
        return np.array([ast.literal_eval(text) for text in frame["labels"]], dtype=np.float64)


@dataclass(frozen=True)
class PeptidesStruct(Peptides):
    """Peptides-struct: eleven numbers of a peptide's shape in space, standardised."""

    name: ClassVar[str] = "peptides-struct"
    summary: ClassVar[str] = "LRGB Peptides-struct: eleven numbers of the shape of 15,535 peptides, given split, MAE"
    folder: ClassVar[str] = "peptides-structural"
    table: ClassVar[str] = "peptide_structure_normalized_dataset.csv.gz"
    split_file: ClassVar[str] = "splits_random_stratified_peptide_structure.pickle"
    columns: ClassVar[tuple[str, ...]] = (
        *(f"{kind}_{axis}" for kind in ("Inertia_mass", "Inertia_valence", "length") for axis in "abc"),
        "Spherocity",
        "Plane_best_fit",
    )
    targets: ClassVar[int] = 11
    loss: ClassVar[Loss] = "absolute"
    metric: ClassVar[Metric] = MAE


def _smiles(path: Path) -> list[str]:
    return read_frame(path)["smiles"].tolist()


def read_split(path: Path, count: int) -> dict[str, Tensor]:
    """LRGB's split file: a pickled dictionary of arrays `train`, `val`, `test`. Nothing in it is executed.

    Raises:
        GraphPERuntimeError: If it is missing, cannot be read, or is no split of `count` graphs.
    """
    if not path.exists():
        raise GraphPERuntimeError(f"{path.name} is not in {path.parent}: put LRGB's file there")
    content = load_pickle(path)
    try:
        split = {ours: torch.as_tensor(np.asarray(content[theirs], dtype=np.int64)) for ours, theirs in PARTS.items()}
    except (ValueError, TypeError, LookupError) as error:
        raise GraphPERuntimeError(f"{path} is no split ({type(error).__name__}: {error})") from None
    if not torch.equal(torch.cat(list(split.values())).sort().values, torch.arange(count)):
        raise GraphPERuntimeError(f"{path} is no split of the {count} graphs of the table: get both again")
    return split
