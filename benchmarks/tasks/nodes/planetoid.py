"""Citation networks: Cora, CiteSeer and PubMed (Yang et al. 2016), through PyG's loader."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor
from torch_geometric.datasets import Planetoid as PyGPlanetoid

from graphpe.arguments import check_choice, check_flags, check_seed
from graphpe.benchmarks.tasks.graph_level import GraphAdapter
from graphpe.benchmarks.tasks.metrics import ACCURACY
from graphpe.benchmarks.tasks.node_level import NodeAdapter
from graphpe.benchmarks.tasks.nodes.node_task import NodeTask, Numbers
from graphpe.benchmarks.tasks.pyg.pyg_datasets import load_one
from graphpe.benchmarks.tasks.shared_graph import NodeSplitTargets
from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs

Name = Literal["Cora", "CiteSeer", "PubMed"]


@dataclass(frozen=True)
class NormalizedNodes(NodeAdapter):
    """Adapter for targets of nodes whose features are divided by their sum, as PyG's `NormalizeFeatures` does."""

    def model_graphs(self, graphs: PackedGraphs) -> PackedGraphs:
        """With features of each node that add up to 1, or less where they do already."""
        x = graphs.node["x"]
        return graphs.with_values(node={"x": x / x.sum(dim=1, keepdim=True).clamp(min=1.0)})


_SPLITS = ("public", "full", "random", "luo", *range(10))
_OF_A_CLASS, _VALID, _TEST = 20, 500, 1000


@dataclass(frozen=True)
class Planetoid(NodeTask):
    """Cora, CiteSeer, PubMed: the subject of each paper of a citation network; edges go both ways.

    Attributes:
        name: `Cora`, `CiteSeer` or `PubMed`.
        root: The folder that holds PyG's folder of the set (`Cora/raw/ind.cora.x`, ...), or will.
        split: `public`: 20 nodes of each class, 500 and 1000. `full`: all but those 1500 for training. `random`: sizes
            as in `public`, drawn from `seed`. `luo`: the one of these that Luo et al. (2024) report. 0 to 9: those of
            Pei et al. (2020), 48 % / 32 % / 20 % (PyG's folder `Cora/geom-gcn/raw`).
        normalize_features: Whether features of a node are divided by their sum, as published models have it.
        seed: Of a random split.
        download: Whether PyG downloads the files if they are not there.
    """

    summary: ClassVar[str] = "the subject of each paper: Cora, CiteSeer, PubMed; public, full, random and given splits"

    name: Name = "Cora"  # type: ignore[misc]
    root: str = "dataset/planetoid"
    split: str | int = "public"
    normalize_features: bool = True
    seed: int = 0
    download: bool = True

    def __post_init__(self) -> None:
        known = {each.lower(): each for each in get_args(Name)}
        object.__setattr__(self, "name", known.get(str(self.name).lower(), self.name))
        check_choice("name", self.name, get_args(Name))
        if self.split not in _SPLITS or isinstance(self.split, bool):
            raise GraphPEValueError(f"split must be 'public', 'full', 'random', 'luo' or 0 to 9, got {self.split!r}")
        check_flags(normalize_features=self.normalize_features, download=self.download)
        check_seed(self.seed)

    def load(self, *, workers: int = 0, cache: Path | None = None, progress: bool = True) -> NodeSplitTargets:
        """Read the set; PyG keeps a processed copy beside the raw files.

        Args:
            workers: Not used.
            cache: Not used.
            progress: Whether PyG's bars are shown.

        Raises:
            GraphPERuntimeError: If it is not there and cannot be downloaded, or cannot be read.
        """
        root = Path(self.root).expanduser()
        kind = "geom-gcn" if isinstance(self.split, int) else "public"
        dataset = load_one(PyGPlanetoid, self.name, root, self.name, kind, download=self.download, progress=progress)
        graph = dataset[0]
        masks = {"train": graph.train_mask, "valid": graph.val_mask, "test": graph.test_mask}
        if isinstance(self.split, int):
            masks = {part: mask[:, self.split] for part, mask in masks.items()}
        if self.split == "full":
            masks["train"] = ~(masks["valid"] | masks["test"])
        split = {part: mask.nonzero().flatten() for part, mask in masks.items()}
        if self.split == "random":
            split = _random_split(graph.y, self.seed)
        elif self.split == "luo":
            split = _split_of_luo(graph.y)
        return Numbers(graph.x.float(), graph.edge_index, graph.y.view(-1, 1).long(), split).data(
            f"{self.name} in {root}",
            outputs=int(graph.y.max()) + 1,
            loss="classes",
            metric=ACCURACY,
            notes=[f"{self.name} from {root / self.name}: split {self.split!r}"],
            kind=self._kind,
        )

    @property
    def _kind(self) -> type[NodeAdapter]:
        return NormalizedNodes if self.normalize_features else NodeAdapter

    def adapter(self, state: Mapping[str, Any]) -> GraphAdapter:
        """The adapter of a run.

        Raises:
            GraphPEValueError: If `state` is not that of such an adapter.
        """
        return self._kind.from_state(state)


def _random_split(y: Tensor, seed: int) -> dict[str, Tensor]:
    """As many nodes of each class and of each part as in the public split."""
    order = torch.randperm(len(y), generator=torch.Generator().manual_seed(seed))
    rank = torch.zeros(len(y), dtype=torch.long)  # of each node among those of its class
    for number in y.unique().tolist():
        of_class = order[y[order] == number]
        rank[of_class] = torch.arange(len(of_class))
    first = rank[order] < _OF_A_CLASS
    others = order[~first]
    parts = {"train": order[first], "valid": others[:_VALID], "test": others[_VALID : _VALID + _TEST]}
    return {part: ids.sort().values for part, ids in parts.items()}


def _split_of_luo(y: Tensor) -> dict[str, Tensor]:
    """The split of "Classic GNNs are Strong Baselines": drawn class by class, then from all others, from seed 123."""
    generator = torch.Generator().manual_seed(123)
    drawn = []
    for number in y.unique().tolist():
        of_class = (y == number).nonzero().flatten()
        drawn.append(of_class[torch.randperm(len(of_class), generator=generator)])
    others = torch.cat([ids[_OF_A_CLASS:] for ids in drawn])
    others = others[torch.randperm(len(others), generator=generator)]
    parts = {"train": torch.cat([ids[:_OF_A_CLASS] for ids in drawn]), "valid": others[:_VALID]}
    parts["test"] = others[_VALID : _VALID + _TEST]
    return {part: ids.sort().values for part, ids in parts.items()}
