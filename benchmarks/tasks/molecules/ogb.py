"""OGB's molecule sets, through OGB's own loader, split and evaluator."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import torch

from graphpe.benchmarks.tasks.fingerprint import fingerprint
from graphpe.benchmarks.tasks.graph_level import GraphAdapter, GraphTargets, GraphTask, categories
from graphpe.benchmarks.tasks.metrics import AVERAGE_PRECISION, RMSE, ROC_AUC, ColumnMetric, ogb_metric
from graphpe.benchmarks.tasks.stored import Arrays, RawLayout, fits_in_memory, raw_graphs, stored_raw
from graphpe.benchmarks.tasks.targets import standardisation
from graphpe.errors import GraphPERuntimeError, GraphPEValueError
from graphpe.files.ogb import load_graph_dataset, molecule_categories, read_rows
from graphpe.files.ogb_raw import RawTable
from graphpe.graphs.packed import PackedGraphs
from graphpe.storage.store import Store


@dataclass(frozen=True)
class OGBMolecules(GraphTask):
    """A molecule set of OGB: atoms with nine categorical features, bonds with three.

    Numbers are standardised by the training part for the loss; the metric is in the targets' own units.

    Attributes:
        root: The folder that holds OGB's folder of the set (`ogbg_molhiv`), or will.
        download: Whether OGB downloads the data if it is not there.
    """

    metric: ClassVar[ColumnMetric]
    default_encodings: ClassVar[tuple[str, ...]] = ("RandomWalkPE(walk_length=16)",)

    root: str = "dataset"
    download: bool = True

    def load(self, *, workers: int = 0, cache: Path | None = None, progress: bool = True) -> GraphTargets:
        """Read the set; OGB keeps its own processed copy beside the raw files.

        Where OGB's loader would take more than half of the memory, the raw files are read some graphs at a time into a
        store in the cache folder.

        Args:
            workers: Not used: files are read in one process.
            cache: Folder for a store; None means the user's cache folder.
            progress: Whether bars are shown.

        Raises:
            GraphPERuntimeError: If the data is not there and cannot be downloaded, is incomplete, or cannot be read.
        """
        dataset, root = f"ogbg-{self.name}", Path(self.root).expanduser()
        ogb = load_graph_dataset(dataset, root, download=self.download, progress=progress, files_only=True)
        raw = raw_graphs(ogb.folder, both_directions=True)
        atoms, bonds = molecule_categories()
        store: Store | None = None
        try:
            if raw is None or fits_in_memory(raw, node_bytes=8 * len(atoms), edge_bytes=8 * len(bonds)):
                ogb = load_graph_dataset(dataset, root, download=False, progress=progress)
                graphs = _checked(PackedGraphs.from_dataset(ogb.dataset, keys=("x", "edge_attr", "y")))
            else:
                store = stored_raw(raw, _layout(dataset, raw.folder), cache=cache, progress=progress)
                graphs = store.packed
        except GraphPEValueError as error:
            raise GraphPERuntimeError(
                f"{ogb.folder} does not hold OGB's features of molecules: {error}; get raw/ again, and "
                "move processed/ away"
            ) from None
        squared = self.metric is RMSE
        if squared and not bool(graphs.graph["y"].isfinite().all()):
            raise GraphPERuntimeError(f"{ogb.folder} has targets that are not finite numbers: download it again")
        targets = graphs.graph["y"].shape[1]
        shift, scale = standardisation(graphs.graph["y"][ogb.split["train"]]) if squared else ((), ())
        adapter = GraphAdapter(
            atoms,
            bonds,
            targets,
            "squared" if squared else "binary",
            shift=shift,
            scale=scale,
            target_names=_target_names(ogb.folder, targets),
        )
        notes = [f"{dataset} from {ogb.folder}: {len(graphs):,} molecules", *ogb.notes]
        if store is not None:
            notes.append(f"graphs are read from {store.root}")
        digest = fingerprint(graphs, ogb.split, store=store)
        metric = ogb_metric(self.metric, dataset)
        table = ogb.folder / "mapping" / "mol.csv.gz"
        smiles = partial(_smiles, table) if table.exists() else None
        return GraphTargets(graphs, ogb.split, adapter, digest, notes, store=store, scored_by=metric, smiles=smiles)


def _checked(graphs: PackedGraphs) -> PackedGraphs:
    """Molecules with OGB's categories and targets as numbers.

    Raises:
        GraphPEValueError: A feature is outside its categories.
    """
    atoms, bonds = molecule_categories()
    return PackedGraphs(
        edge_index=graphs.edge_index,
        ptr=graphs.ptr,
        edge_ptr=graphs.edge_ptr,
        node={"x": categories(graphs.node["x"], "x", atoms)},
        edge={"edge_attr": categories(graphs.edge["edge_attr"], "edge_attr", bonds)},
        graph={"y": graphs.graph["y"].float().view(len(graphs), -1)},
    )


def _layout(dataset: str, raw: Path) -> RawLayout:
    atoms, bonds = molecule_categories()
    targets = len(read_rows(raw / "graph-label.csv.gz", 1)[0])
    tables = (
        RawTable("node-feat", "node", len(atoms)),
        RawTable("edge-feat", "edge", len(bonds)),
        RawTable("graph-label", "graph", targets, np.float32),
    )

    def build(structure: PackedGraphs, arrays: Arrays) -> PackedGraphs:
        x, edge_attr, y = (torch.from_numpy(arrays[table.name]) for table in tables)
        return _checked(structure.with_values(node={"x": x}, edge={"edge_attr": edge_attr}, graph={"y": y}))

    return RawLayout(dataset, tables, build)


def _smiles(path: Path) -> list[str]:
    """The column `smiles` of OGB's table of molecules.

    Raises:
        GraphPERuntimeError: It has none.
    """
    head, *rows = read_rows(path)
    if "smiles" not in head:
        raise GraphPERuntimeError(f"{path} has no column 'smiles', only {head[:5]}")
    column = head.index("smiles")
    return [row[column] for row in rows]


def _target_names(folder: Path, count: int) -> tuple[str, ...]:
    """The heads of OGB's table of molecules, which begins with the targets; none where OGB gave no such table."""
    path = folder / "mapping" / "mol.csv.gz"
    heads = read_rows(path, 1) if path.exists() else []
    return tuple(heads[0][:count]) if heads and len(heads[0]) >= count else ()


@dataclass(frozen=True)
class Molhiv(OGBMolecules):
    """ogbg-molhiv: 41,127 molecules, does one inhibit HIV? Scaffold split."""

    name: ClassVar[str] = "molhiv"
    summary: ClassVar[str] = "ogbg-molhiv: does a molecule inhibit HIV? 41,127 molecules, scaffold split, ROC-AUC"
    metric: ClassVar[ColumnMetric] = ROC_AUC


@dataclass(frozen=True)
class Molpcba(OGBMolecules):
    """ogbg-molpcba: 437,929 molecules, 128 assays, most labels not known. Scaffold split."""

    name: ClassVar[str] = "molpcba"
    summary: ClassVar[str] = "ogbg-molpcba: 128 assays of 437,929 molecules, scaffold split, average precision"
    metric: ClassVar[ColumnMetric] = AVERAGE_PRECISION


@dataclass(frozen=True)
class Molbace(OGBMolecules):
    """ogbg-molbace: 1,513 molecules, does one inhibit beta-secretase 1? Scaffold split."""

    name: ClassVar[str] = "molbace"
    summary: ClassVar[str] = "ogbg-molbace: does a molecule inhibit beta-secretase 1? 1,513, scaffold split, ROC-AUC"
    metric: ClassVar[ColumnMetric] = ROC_AUC


@dataclass(frozen=True)
class Molbbbp(OGBMolecules):
    """ogbg-molbbbp: 2,039 molecules, does one pass the blood-brain barrier? Scaffold split."""

    name: ClassVar[str] = "molbbbp"
    summary: ClassVar[str] = "ogbg-molbbbp: does a molecule reach the brain? 2,039 molecules, scaffold split, ROC-AUC"
    metric: ClassVar[ColumnMetric] = ROC_AUC


@dataclass(frozen=True)
class Molclintox(OGBMolecules):
    """ogbg-molclintox: 1,477 drugs, approved, and toxic in trials? Scaffold split."""

    name: ClassVar[str] = "molclintox"
    summary: ClassVar[str] = "ogbg-molclintox: was a drug approved, was it toxic? 1,477, scaffold split, ROC-AUC"
    metric: ClassVar[ColumnMetric] = ROC_AUC


@dataclass(frozen=True)
class Molmuv(OGBMolecules):
    """ogbg-molmuv: 93,087 molecules, 17 assays, most labels not known. Scaffold split."""

    name: ClassVar[str] = "molmuv"
    summary: ClassVar[str] = "ogbg-molmuv: 17 assays of 93,087 molecules, scaffold split, average precision"
    metric: ClassVar[ColumnMetric] = AVERAGE_PRECISION


@dataclass(frozen=True)
class Molsider(OGBMolecules):
    """ogbg-molsider: 1,427 drugs, 27 groups of side effects. Scaffold split."""

    name: ClassVar[str] = "molsider"
    summary: ClassVar[str] = "ogbg-molsider: 27 groups of side effects of 1,427 drugs, scaffold split, ROC-AUC"
    metric: ClassVar[ColumnMetric] = ROC_AUC


@dataclass(frozen=True)
class Moltox21(OGBMolecules):
    """ogbg-moltox21: 7,831 molecules, 12 kinds of toxicity, some labels not known. Scaffold split."""

    name: ClassVar[str] = "moltox21"
    summary: ClassVar[str] = "ogbg-moltox21: 12 kinds of toxicity of 7,831 molecules, scaffold split, ROC-AUC"
    metric: ClassVar[ColumnMetric] = ROC_AUC


@dataclass(frozen=True)
class Moltoxcast(OGBMolecules):
    """ogbg-moltoxcast: 8,576 molecules, 617 kinds of toxicity, some labels not known. Scaffold split."""

    name: ClassVar[str] = "moltoxcast"
    summary: ClassVar[str] = "ogbg-moltoxcast: 617 kinds of toxicity of 8,576 molecules, scaffold split, ROC-AUC"
    metric: ClassVar[ColumnMetric] = ROC_AUC


@dataclass(frozen=True)
class Molesol(OGBMolecules):
    """ogbg-molesol: the solubility in water of 1,128 molecules. Scaffold split."""

    name: ClassVar[str] = "molesol"
    summary: ClassVar[str] = "ogbg-molesol: solubility in water of 1,128 molecules, scaffold split, RMSE"
    metric: ClassVar[ColumnMetric] = RMSE


@dataclass(frozen=True)
class Molfreesolv(OGBMolecules):
    """ogbg-molfreesolv: the free energy of hydration of 642 molecules. Scaffold split."""

    name: ClassVar[str] = "molfreesolv"
    summary: ClassVar[str] = "ogbg-molfreesolv: free energy of hydration of 642 molecules, scaffold split, RMSE"
    metric: ClassVar[ColumnMetric] = RMSE


@dataclass(frozen=True)
class Mollipo(OGBMolecules):
    """ogbg-mollipo: the lipophilicity of 4,200 molecules. Scaffold split."""

    name: ClassVar[str] = "mollipo"
    summary: ClassVar[str] = "ogbg-mollipo: lipophilicity of 4,200 molecules, scaffold split, RMSE"
    metric: ClassVar[ColumnMetric] = RMSE
