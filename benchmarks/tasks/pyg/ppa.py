"""ogbg-ppa, through OGB's own loader and split."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch

from graphpe.benchmarks.tasks.fingerprint import fingerprint
from graphpe.benchmarks.tasks.graph_level import GraphAdapter, GraphTargets, GraphTask
from graphpe.benchmarks.tasks.metrics import ACCURACY
from graphpe.errors import GraphPEError, GraphPERuntimeError
from graphpe.files.ogb import load_graph_dataset
from graphpe.graphs.packed import PackedGraphs

CLASSES, CHANNELS = 37, 7


@dataclass(frozen=True)
class Ppa(GraphTask):
    """ogbg-ppa: 158,100 neighbourhoods of proteins, of which of 37 groups of species? Species split.

    Nodes carry nothing, edges seven numbers. Takes about 31 GB of memory.

    Attributes:
        root: The folder that holds OGB's folder `ogbg_ppa`, or will.
        download: Whether OGB downloads the data (2.8 GB) if it is not there.
    """

    name: ClassVar[str] = "ppa"
    summary: ClassVar[str] = "ogbg-ppa: species of 158,100 protein neighbourhoods, species split, accuracy"
    default_encodings: ClassVar[tuple[str, ...]] = ("RandomWalkPE(walk_length=16)",)

    root: str = "dataset"
    download: bool = True

    def load(self, *, workers: int = 0, cache: Path | None = None, progress: bool = True) -> GraphTargets:
        """Read the set; OGB keeps its own processed copy beside the raw files.

        Args:
            workers: Not used: OGB reads in one process.
            cache: Not used: OGB keeps what it processed.
            progress: Whether OGB's bars are shown.

        Raises:
            GraphPERuntimeError: If the data is not there and cannot be downloaded, is incomplete, or cannot be read.
        """
        ogb = load_graph_dataset("ogbg-ppa", Path(self.root).expanduser(), download=self.download, progress=progress)
        try:
            raw = PackedGraphs.from_dataset(ogb.dataset, keys=("edge_attr", "y"))
            edge_attr, target = raw.edge["edge_attr"].float(), raw.graph["y"].view(len(raw), -1).long()
        except (GraphPEError, KeyError) as error:
            raise GraphPERuntimeError(f"{ogb.folder} does not hold ogbg-ppa: {error}") from None
        if edge_attr.shape[1:] != (CHANNELS,) or target.shape[1] != 1 or not 0 <= int(target.max()) < CLASSES:
            raise GraphPERuntimeError(f"{ogb.folder} does not hold ogbg-ppa's edge features and classes: get it again")
        graphs = PackedGraphs(
            edge_index=raw.edge_index,
            ptr=raw.ptr,
            edge_ptr=raw.edge_ptr,
            node={"x": torch.zeros(raw.num_nodes, 1, dtype=torch.long)},
            edge={"edge_attr": edge_attr},
            graph={"y": target},
        )
        adapter = GraphAdapter((1,), (), CLASSES, "classes", edge_channels=CHANNELS)
        notes = [f"ogbg-ppa from {ogb.folder}: {len(graphs):,} graphs", *ogb.notes]
        digest = fingerprint(graphs, ogb.split)
        return GraphTargets(graphs, ogb.split, adapter, digest, notes, scored_by=ACCURACY)
