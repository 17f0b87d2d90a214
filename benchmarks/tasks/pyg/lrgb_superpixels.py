"""PascalVOC-SP and COCO-SP of the Long Range Graph Benchmark (Dwivedi et al. 2022), through PyG's loader."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch

from graphpe.benchmarks.tasks.fingerprint import fingerprint
from graphpe.benchmarks.tasks.graph_level import GraphAdapter, GraphTask
from graphpe.benchmarks.tasks.metrics import MACRO_F1
from graphpe.benchmarks.tasks.node_level import NodeAdapter, NodeTargets
from graphpe.benchmarks.tasks.pyg.pyg_datasets import PARTS, load_parts
from graphpe.errors import GraphPEError, GraphPERuntimeError
from graphpe.graphs.concatenate import concatenate
from graphpe.graphs.packed import PackedGraphs

NODE_CHANNELS, EDGE_CHANNELS = 14, 2


@dataclass(frozen=True)
class ObjectSuperpixels(GraphTask):
    """Images as graphs of superpixels: which object does each belong to? Loss weighs classes, the metric is macro F1.

    Nodes carry 14 numbers (colours and place), edges two (weight and length of the common border). The model needs
    `readout='none'`.

    Attributes:
        root: The folder that holds PyG's folder of the set (`pascalvoc-sp/raw/train.pickle` and so on), or will.
        download: Whether PyG downloads the data if it is not there.
    """

    default_encodings: ClassVar[tuple[str, ...]] = ("LaplacianPE(k=10)",)
    readout: ClassVar[str | None] = "none"
    adapter_class: ClassVar[type[GraphAdapter]] = NodeAdapter
    classes: ClassVar[int]

    root: str = "dataset/lrgb"
    download: bool = True

    def load(self, *, workers: int = 0, cache: Path | None = None, progress: bool = True) -> NodeTargets:
        """Read the graphs; PyG keeps a processed copy beside the raw files.

        Args:
            workers: Not used: PyG reads in one process.
            cache: Not used: PyG keeps what it processed.
            progress: Whether PyG's bars are shown.

        Raises:
            GraphPERuntimeError: If the data is not there and cannot be downloaded, or cannot be read.
        """
        from torch_geometric.datasets import LRGBDataset

        folder = Path(self.root).expanduser()
        datasets = load_parts(LRGBDataset, self.name, folder, self.name, download=self.download, progress=progress)
        try:
            parts = [PackedGraphs.from_dataset(each, keys=("x", "edge_attr", "y")) for each in datasets]
            raw = concatenate(parts)
            x, edge_attr, y = raw.node["x"].float(), raw.edge["edge_attr"].float(), raw.node["y"].view(-1, 1).long()
        except (GraphPEError, KeyError) as error:
            raise GraphPERuntimeError(f"{folder / self.name} does not hold {self.name}: {error}") from None
        if x.shape[1:] != (NODE_CHANNELS,) or edge_attr.shape[1:] != (EDGE_CHANNELS,):
            raise GraphPERuntimeError(
                f"{folder / self.name} has {list(x.shape[1:])} numbers a node and {list(edge_attr.shape[1:])} an edge, "
                f"expected {NODE_CHANNELS} and {EDGE_CHANNELS}: get it again"
            )
        if len(y) and not 0 <= int(y.min()) <= int(y.max()) < self.classes:
            raise GraphPERuntimeError(f"{folder / self.name} has class {int(y.max())} of {self.classes}: get it again")
        graphs = PackedGraphs(
            edge_index=raw.edge_index,
            ptr=raw.ptr,
            edge_ptr=raw.edge_ptr,
            node={"x": x, "y": y},
            edge={"edge_attr": edge_attr},
        )
        split = dict(zip(PARTS, torch.arange(len(graphs)).split([len(part) for part in parts]), strict=True))
        adapter = NodeAdapter(
            (), (), self.classes, "balanced", node_channels=NODE_CHANNELS, edge_channels=EDGE_CHANNELS
        )
        notes = [f"{self.name} from {folder / self.name}: {len(graphs):,} graphs"]
        return NodeTargets(graphs, split, adapter, fingerprint(graphs, split), notes, scored_by=MACRO_F1)


@dataclass(frozen=True)
class PascalVOCSP(ObjectSuperpixels):
    """PascalVOC-SP: 11,355 images of about 479 superpixels each, 21 classes."""

    name: ClassVar[str] = "pascalvoc-sp"
    summary: ClassVar[str] = "LRGB PascalVOC-SP: objects of superpixels of 11,355 images, published split, macro F1"
    classes: ClassVar[int] = 21


@dataclass(frozen=True)
class COCOSP(ObjectSuperpixels):
    """COCO-SP: 123,286 images of about 477 superpixels each, 81 classes. About 12 GB of memory, 40 while PyG reads."""

    name: ClassVar[str] = "coco-sp"
    summary: ClassVar[str] = "LRGB COCO-SP: objects of superpixels of 123,286 images, published split, macro F1"
    classes: ClassVar[int] = 81
