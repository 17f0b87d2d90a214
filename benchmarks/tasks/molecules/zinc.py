"""ZINC, through PyG's loader."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch

from graphpe.arguments import check_integer
from graphpe.benchmarks.tasks.fingerprint import fingerprint
from graphpe.benchmarks.tasks.graph_level import GraphAdapter, GraphTargets, GraphTask, categories
from graphpe.benchmarks.tasks.metrics import MAE
from graphpe.benchmarks.tasks.pyg.pyg_datasets import PARTS, load_parts
from graphpe.benchmarks.tasks.targets import standardisation
from graphpe.errors import GraphPEError, GraphPERuntimeError
from graphpe.graphs.concatenate import concatenate
from graphpe.graphs.packed import PackedGraphs

ATOMS, BONDS = (28,), (4,)
"""Kinds of atoms, and of bonds: 1 to 3 (0 is not used)."""


@dataclass(frozen=True)
class Zinc(GraphTask):
    """ZINC: the penalised logP of molecules, 12,000 of them or all 249,456; the split of Dwivedi et al. (2020).

    Attributes:
        root: The folder that holds PyG's folders `raw` and `subset` (or `full`), or will.
        subset: Whether to take 10,000 / 1,000 / 1,000 molecules, as published results do.
        atom_types: Kinds of atoms that a model has a vector for: 28 in all, 21 in the 12,000 molecules of the subset.
            Published models have one or the other number.
        download: Whether PyG downloads the data if it is not there.
    """

    name: ClassVar[str] = "zinc"
    summary: ClassVar[str] = "ZINC: penalised logP of 12,000 (or 249,456) molecules, published split, MAE"
    default_encodings: ClassVar[tuple[str, ...]] = ("RandomWalkPE(walk_length=20)",)

    root: str = "dataset/zinc"
    subset: bool = True
    atom_types: int = 28
    download: bool = True

    def __post_init__(self) -> None:
        check_integer("atom_types", self.atom_types, least=1, most=ATOMS[0])

    def load(self, *, workers: int = 0, cache: Path | None = None, progress: bool = True) -> GraphTargets:
        """Read the molecules; PyG keeps a processed copy beside the raw files.

        Args:
            workers: Not used: PyG reads in one process.
            cache: Not used: PyG keeps what it processed.
            progress: Whether PyG's bars are shown.

        Raises:
            GraphPERuntimeError: If the data is not there and cannot be downloaded, is incomplete, or cannot be read.
        """
        from torch_geometric.datasets import ZINC

        folder = Path(self.root).expanduser()
        datasets = load_parts(ZINC, "ZINC", folder, self.subset, download=self.download, progress=progress)
        try:
            parts = [PackedGraphs.from_dataset(dataset, keys=("x", "edge_attr", "y")) for dataset in datasets]
            graphs = concatenate(parts)
            graphs = PackedGraphs(
                edge_index=graphs.edge_index,
                ptr=graphs.ptr,
                edge_ptr=graphs.edge_ptr,
                node={"x": categories(graphs.node["x"], "x", (self.atom_types,))},
                edge={"edge_attr": categories(graphs.edge["edge_attr"], "edge_attr", BONDS)},
                graph={"y": graphs.graph["y"].float().view(len(graphs), 1)},
            )
        except (GraphPEError, KeyError) as error:
            raise GraphPERuntimeError(
                f"{folder} does not hold ZINC: {error}; get raw/ again, and move processed/ away"
            ) from None
        ids = torch.arange(len(graphs)).split([len(part) for part in parts])
        split = dict(zip(PARTS, ids, strict=True))
        notes = [f"ZINC from {folder}: {len(graphs):,} molecules"]
        shift, scale = standardisation(graphs.graph["y"][split["train"]])
        adapter = GraphAdapter((self.atom_types,), BONDS, 1, "absolute", shift=shift, scale=scale)
        return GraphTargets(graphs, split, adapter, fingerprint(graphs, split), notes, scored_by=MAE)
