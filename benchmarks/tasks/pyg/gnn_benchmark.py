"""Sets of "Benchmarking Graph Neural Networks" (Dwivedi et al. 2020) other than ZINC, through PyG's loader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch
from torch import Tensor

from graphpe.arguments import check_flags, check_seed
from graphpe.benchmarks.tasks.fingerprint import fingerprint
from graphpe.benchmarks.tasks.generated.block_models import CLUSTER, PATTERN, BlockModel, block_model_graphs
from graphpe.benchmarks.tasks.graph_level import GraphAdapter, GraphTargets, GraphTask
from graphpe.benchmarks.tasks.metrics import ACCURACY, BALANCED_ACCURACY
from graphpe.benchmarks.tasks.node_level import NodeAdapter, NodeTargets
from graphpe.benchmarks.tasks.pyg.pyg_datasets import PARTS, load_parts
from graphpe.errors import GraphPEError, GraphPERuntimeError
from graphpe.graphs.concatenate import concatenate
from graphpe.graphs.packed import PackedGraphs


@dataclass(frozen=True)
class GNNBenchmark(GraphTask):
    """A set of Dwivedi et al. (2020) with its split.

    Attributes:
        root: The folder that holds PyG's folder of the set (`MNIST/raw/MNIST_v2.pt`), or will.
        download: Whether PyG downloads the data if it is not there.
    """

    default_encodings: ClassVar[tuple[str, ...]] = ("LaplacianPE(k=8)",)
    dataset: ClassVar[str]
    classes: ClassVar[int]

    root: str = "dataset/benchmarking-gnns"
    download: bool = True

    def _graphs(self, progress: bool) -> tuple[PackedGraphs, dict[str, Tensor], list[str]]:
        from torch_geometric.datasets import GNNBenchmarkDataset

        folder = Path(self.root).expanduser()
        raw = folder / self.dataset / "raw"
        datasets = load_parts(
            GNNBenchmarkDataset, self.dataset, folder, self.dataset, download=self.download, progress=progress
        )
        try:
            parts = [PackedGraphs.from_dataset(dataset) for dataset in datasets]
            graphs = concatenate(parts)
        except GraphPEError as error:
            raise GraphPERuntimeError(f"{raw} does not hold {self.dataset}: {error}") from None
        ids = torch.arange(len(graphs)).split([len(part) for part in parts])
        notes = [f"{self.dataset} from {raw.parent}: {len(graphs):,} graphs"]
        return graphs, dict(zip(PARTS, ids, strict=True)), notes

    def _value(self, values: Mapping[str, Tensor], key: str) -> Tensor:
        if key not in values:
            raise GraphPERuntimeError(f"{self.dataset} in {self.root} lacks {key!r} where it is expected: get it again")
        value = values[key]
        return value.view(len(value), -1)

    def _check_classes(self, target: Tensor) -> Tensor:
        target = target.long()
        if target.numel() and not 0 <= int(target.min()) <= int(target.max()) < self.classes:
            raise GraphPERuntimeError(
                f"{self.dataset} in {self.root} has classes from {int(target.min())} to {int(target.max())}, expected "
                f"0 to {self.classes - 1}: get it again"
            )
        return target


@dataclass(frozen=True)
class Superpixels(GNNBenchmark):
    """Images as graphs of superpixels: colour and place of each, distances as edge features, the class of the image."""

    class_names: ClassVar[tuple[str, ...]]

    def load(self, *, workers: int = 0, cache: Path | None = None, progress: bool = True) -> GraphTargets:
        """Read the graphs; PyG keeps a processed copy beside the raw file.

        Args:
            workers: Not used: PyG reads in one process.
            cache: Not used: PyG keeps what it processed.
            progress: Whether PyG's bars are shown.

        Raises:
            GraphPERuntimeError: If the data is not there and cannot be downloaded, or cannot be read.
        """
        raw, split, notes = self._graphs(progress)
        x = torch.cat([self._value(raw.node, "x"), self._value(raw.node, "pos")], dim=1).float()
        edge_attr = self._value(raw.edge, "edge_attr").float()
        graphs = PackedGraphs(
            edge_index=raw.edge_index,
            ptr=raw.ptr,
            edge_ptr=raw.edge_ptr,
            node={"x": x},
            edge={"edge_attr": edge_attr},
            graph={"y": self._check_classes(self._value(raw.graph, "y"))},
        )
        adapter = GraphAdapter(
            (),
            (),
            self.classes,
            "classes",
            node_channels=x.shape[1],
            edge_channels=edge_attr.shape[1],
            class_names=self.class_names,
        )
        return GraphTargets(graphs, split, adapter, fingerprint(graphs, split), notes, scored_by=ACCURACY)


@dataclass(frozen=True)
class Mnist(Superpixels):
    """MNIST: 70,000 handwritten digits as graphs of superpixels (about 70.6 nodes)."""

    name: ClassVar[str] = "mnist"
    summary: ClassVar[str] = "MNIST superpixels: the digit of 70,000 graphs, published split, accuracy"
    dataset: ClassVar[str] = "MNIST"
    classes: ClassVar[int] = 10
    class_names: ClassVar[tuple[str, ...]] = tuple("0123456789")


@dataclass(frozen=True)
class Cifar10(Superpixels):
    """CIFAR10: 60,000 small images as graphs of superpixels (about 117.6 nodes)."""

    name: ClassVar[str] = "cifar10"
    summary: ClassVar[str] = "CIFAR10 superpixels: the class of 60,000 graphs, published split, accuracy"
    dataset: ClassVar[str] = "CIFAR10"
    classes: ClassVar[int] = 10
    class_names: ClassVar[tuple[str, ...]] = (
        *("airplane", "automobile", "bird", "cat", "deer"),
        *("dog", "frog", "horse", "ship", "truck"),
    )


@dataclass(frozen=True)
class BlockModels(GNNBenchmark):
    """Graphs of stochastic block models; a class of each node. The loss weighs classes, the metric averages them.

    The model needs `readout='none'`, for its output is of nodes.

    Attributes:
        root: The folder that holds PyG's folder of the set, or will.
        download: Whether PyG downloads the data if it is not there.
        generate: Whether to draw the graphs from the published block model, without any download: other graphs of the
            same distribution, beside which published figures are to be named as those of other graphs.
        seed: Of graphs that are drawn.
    """

    readout: ClassVar[str | None] = "none"
    adapter_class: ClassVar[type[GraphAdapter]] = NodeAdapter
    model: ClassVar[BlockModel]

    generate: bool = False
    seed: int = 0

    def __post_init__(self) -> None:
        check_flags(generate=self.generate, download=self.download)
        object.__setattr__(self, "seed", check_seed(self.seed))

    def load(self, *, workers: int = 0, cache: Path | None = None, progress: bool = True) -> NodeTargets:
        """Read the graphs, of which PyG keeps a processed copy beside the raw file, or draw them.

        Args:
            workers: Not used: PyG reads in one process.
            cache: Folder in which drawn graphs are kept; None means the user's cache folder.
            progress: Whether PyG's bars are shown.

        Raises:
            GraphPERuntimeError: If the data is not there and cannot be downloaded, or cannot be read.
        """
        if self.generate:
            raw, split, notes = block_model_graphs(self.model, self.seed, cache=cache)
            notes.insert(0, f"{self.dataset} drawn from its block model with seed {self.seed}: {len(raw):,} graphs")
        else:
            raw, split, notes = self._graphs(progress)
        x = self._value(raw.node, "x").float()
        graphs = PackedGraphs(
            edge_index=raw.edge_index,
            ptr=raw.ptr,
            edge_ptr=raw.edge_ptr,
            node={"x": x, "y": self._check_classes(self._value(raw.node, "y"))},
        )
        adapter = NodeAdapter((), (), self.classes, "balanced", node_channels=x.shape[1])
        digest = fingerprint(graphs, split)
        return NodeTargets(graphs, split, adapter, digest, notes, scored_by=BALANCED_ACCURACY)


@dataclass(frozen=True)
class Pattern(BlockModels):
    """PATTERN: 14,000 random graphs of communities; which nodes belong to a planted pattern?"""

    name: ClassVar[str] = "pattern"
    summary: ClassVar[str] = "PATTERN: nodes of a planted pattern in 14,000 graphs, published split, weighted accuracy"
    dataset: ClassVar[str] = "PATTERN"
    classes: ClassVar[int] = 2
    model: ClassVar[BlockModel] = PATTERN


@dataclass(frozen=True)
class Cluster(BlockModels):
    """CLUSTER: 12,000 random graphs of six communities, one labelled node in each; which community is a node of?"""

    name: ClassVar[str] = "cluster"
    summary: ClassVar[str] = "CLUSTER: communities of nodes of 12,000 graphs, published split, weighted accuracy"
    dataset: ClassVar[str] = "CLUSTER"
    classes: ClassVar[int] = 6
    model: ClassVar[BlockModel] = CLUSTER
