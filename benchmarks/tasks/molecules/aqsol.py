"""AQSOL, through PyG's loader."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch

from graphpe.benchmarks.tasks.fingerprint import fingerprint
from graphpe.benchmarks.tasks.graph_level import GraphAdapter, GraphTargets, GraphTask, categories
from graphpe.benchmarks.tasks.metrics import MAE
from graphpe.benchmarks.tasks.pyg.pyg_datasets import PARTS, load_parts
from graphpe.benchmarks.tasks.targets import standardisation
from graphpe.errors import GraphPEError, GraphPERuntimeError
from graphpe.graphs.concatenate import concatenate
from graphpe.graphs.packed import PackedGraphs

ATOMS, BONDS = (65,), (5,)
"""Kinds of atoms, and of bonds."""


@dataclass(frozen=True)
class AQSOL(GraphTask):
    """AQSOL: the solubility in water (log S) of 9,833 molecules; the split of Dwivedi et al. (2020).

    Attributes:
        root: PyG's folder of the set (`raw/` with `train.pickle`, `val.pickle`, `test.pickle`, `atom_dict.pickle` and
            `bond_dict.pickle`), or where it will be.
        download: Whether PyG downloads the data if it is not there.
    """

    name: ClassVar[str] = "aqsol"
    summary: ClassVar[str] = "AQSOL: solubility in water of 9,833 molecules, published split, MAE"
    default_encodings: ClassVar[tuple[str, ...]] = ("RandomWalkPE(walk_length=20)",)

    root: str = "dataset/aqsol"
    download: bool = True

    def load(self, *, workers: int = 0, cache: Path | None = None, progress: bool = True) -> GraphTargets:
        """Read the molecules; PyG keeps a processed copy beside the raw files.

        Args:
            workers: Not used: PyG reads in one process.
            cache: Not used: PyG keeps what it processed.
            progress: Whether PyG's bars are shown.

        Raises:
            GraphPERuntimeError: If the data is not there and cannot be downloaded, is incomplete, or cannot be read.
        """
        from torch_geometric.datasets import AQSOL as Published

        folder = Path(self.root).expanduser()
        datasets = load_parts(Published, "AQSOL", folder, download=self.download, progress=progress)
        try:
            parts = [PackedGraphs.from_dataset(dataset, keys=("x", "edge_attr", "y")) for dataset in datasets]
            raw = concatenate(parts)
            graphs = PackedGraphs(
                edge_index=raw.edge_index,
                ptr=raw.ptr,
                edge_ptr=raw.edge_ptr,
                node={"x": categories(raw.node["x"], "x", ATOMS)},
                edge={"edge_attr": categories(raw.edge["edge_attr"], "edge_attr", BONDS)},
                graph={"y": raw.graph["y"].float().view(len(raw), 1)},
            )
        except (GraphPEError, KeyError) as error:
            raise GraphPERuntimeError(
                f"{folder} does not hold AQSOL: {error}; get raw/ again, and move processed/ away"
            ) from None
        split = dict(zip(PARTS, torch.arange(len(graphs)).split([len(part) for part in parts]), strict=True))
        notes = [f"AQSOL from {folder}: {len(graphs):,} molecules"]
        shift, scale = standardisation(graphs.graph["y"][split["train"]])
        adapter = GraphAdapter(ATOMS, BONDS, 1, "absolute", shift=shift, scale=scale, target_names=("log S",))
        return GraphTargets(graphs, split, adapter, fingerprint(graphs, split), notes, scored_by=MAE)
