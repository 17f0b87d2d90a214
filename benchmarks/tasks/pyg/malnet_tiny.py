"""MalNet-Tiny (Freitas et al. 2021), through PyG's loader."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch_geometric.data import Data
from torch_geometric.transforms import LocalDegreeProfile

from graphpe.benchmarks.tasks.fingerprint import fingerprint
from graphpe.benchmarks.tasks.graph_level import GraphAdapter, GraphTargets, GraphTask
from graphpe.benchmarks.tasks.metrics import ACCURACY
from graphpe.benchmarks.tasks.pyg.pyg_datasets import PARTS, load_parts
from graphpe.errors import GraphPEError, GraphPERuntimeError
from graphpe.graphs.concatenate import concatenate
from graphpe.graphs.packed import PackedGraphs

CLASSES, CHANNELS = 5, 5


@dataclass(frozen=True)
class MalNetTiny(GraphTask):
    """MalNet-Tiny: which of five kinds of Android software is a directed graph of calls? 5,000 of up to 5,000 nodes.

    Nodes carry what GraphGPS gives them, the local degree profile (Cai and Wang 2018): a node's degree and the least,
    largest, mean and standard deviation of those of its neighbours.

    Attributes:
        root: PyG's folder of the set (`raw/malnet-graphs-tiny` and `raw/split_info_tiny/type`), or where it will be.
        download: Whether PyG downloads the data if it is not there.
    """

    name: ClassVar[str] = "malnet-tiny"
    summary: ClassVar[str] = "MalNet-Tiny: kind of software of 5,000 directed graphs of calls, given split, accuracy"
    default_encodings: ClassVar[tuple[str, ...]] = ("MagneticLaplacianPE(k=8)",)

    root: str = "dataset/malnet-tiny"
    download: bool = True

    def load(self, *, workers: int = 0, cache: Path | None = None, progress: bool = True) -> GraphTargets:
        """Read the graphs; PyG keeps a processed copy beside the raw files.

        Args:
            workers: Not used: PyG reads in one process.
            cache: Not used: PyG keeps what it processed.
            progress: Whether PyG's bars are shown.

        Raises:
            GraphPERuntimeError: If the data is not there and cannot be downloaded, is incomplete, or cannot be read.
        """
        from torch_geometric.datasets import MalNetTiny as Published

        folder = Path(self.root).expanduser()
        datasets = load_parts(Published, "MalNet-Tiny", folder, download=self.download, progress=progress)
        try:
            parts = [PackedGraphs.from_dataset(dataset, keys=("y",)) for dataset in datasets]
            raw = concatenate(parts)
            target = raw.graph["y"].long().view(-1, 1)
        except (GraphPEError, KeyError) as error:
            raise GraphPERuntimeError(
                f"{folder} does not hold MalNet-Tiny: {error}; get raw/ again, and move processed/ away"
            ) from None
        if len(target) and not 0 <= int(target.min()) <= int(target.max()) < CLASSES:
            raise GraphPERuntimeError(f"{folder} has {int(target.max()) + 1} kinds of software, expected {CLASSES}")
        graphs = PackedGraphs(
            edge_index=raw.edge_index,
            ptr=raw.ptr,
            edge_ptr=raw.edge_ptr,
            node={"x": LocalDegreeProfile()(Data(edge_index=raw.edge_index, num_nodes=raw.num_nodes)).x},
            graph={"y": target},
        )
        split = dict(zip(PARTS, torch.arange(len(graphs)).split([len(part) for part in parts]), strict=True))
        adapter = GraphAdapter((), (), CLASSES, "classes", node_channels=CHANNELS)
        notes = [f"MalNet-Tiny from {folder}: {len(graphs):,} graphs"]
        return GraphTargets(graphs, split, adapter, fingerprint(graphs, split), notes, scored_by=ACCURACY)
