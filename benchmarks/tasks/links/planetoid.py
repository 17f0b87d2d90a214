"""Links of citation networks: Cora, CiteSeer and PubMed, by PyG's `RandomLinkSplit`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, get_args

from torch_geometric.datasets import Planetoid as PyGPlanetoid

from graphpe.arguments import check_choice, check_flags
from graphpe.benchmarks.tasks.links.link_data import LinkData
from graphpe.benchmarks.tasks.links.link_task import LinkTask, check_link_options
from graphpe.benchmarks.tasks.links.metrics import ROC_AUC_OF_LINKS
from graphpe.benchmarks.tasks.links.model import Score
from graphpe.benchmarks.tasks.links.random_split import check_shares, split_links
from graphpe.benchmarks.tasks.nodes.planetoid import Name
from graphpe.benchmarks.tasks.pyg.pyg_datasets import load_one


@dataclass(frozen=True)
class PlanetoidLinks(LinkTask):
    """Cora, CiteSeer, PubMed: which papers cite each other. Links are held out at random, as many other pairs drawn.

    Attributes:
        name: `Cora`, `CiteSeer` or `PubMed`.
        root: The folder that holds PyG's folder of the set (`Cora/raw/ind.cora.x`, ...), or will.
        score: `dot` or `hadamard`: see `graphpe.benchmarks.tasks.links.model.LinkModel`.
        valid: Share of the links for validation.
        test: Share of them for the test; the defaults are those of Kipf and Welling (2016).
        disjoint: Share of the training links that only supervise, and that the model does not see as edges.
        seed: Of the split.
        normalize_features: Whether features of a node are divided by their sum.
        download: Whether PyG downloads the files if they are not there.
    """

    summary: ClassVar[str] = "links of Cora, CiteSeer, PubMed, held out by PyG's RandomLinkSplit, ROC-AUC"

    name: Name = "Cora"  # type: ignore[misc]
    root: str = "dataset/planetoid"
    score: Score = "hadamard"
    valid: float = 0.05
    test: float = 0.1
    disjoint: float = 0.0
    seed: int = 0
    normalize_features: bool = True
    download: bool = True

    def __post_init__(self) -> None:
        known = {each.lower(): each for each in get_args(Name)}
        object.__setattr__(self, "name", known.get(str(self.name).lower(), self.name))
        check_choice("name", self.name, get_args(Name))
        check_flags(normalize_features=self.normalize_features, download=self.download)
        check_shares(self.valid, self.test)
        check_link_options(self.score, self.disjoint, self.seed)

    def load(self, *, workers: int = 0, cache: Path | None = None, progress: bool = True) -> LinkData:
        """Read the set; PyG keeps a processed copy beside the raw files.

        Args:
            workers: Not used.
            cache: Not used.
            progress: Whether PyG's bars are shown.

        Raises:
            GraphPERuntimeError: If it is not there and cannot be downloaded, or cannot be read.
        """
        root = Path(self.root).expanduser()
        dataset = load_one(
            PyGPlanetoid, self.name, root, self.name, "public", download=self.download, progress=progress
        )
        graph = dataset[0]
        x = graph.x.float()
        if self.normalize_features:
            x = x / x.sum(dim=1, keepdim=True).clamp(min=1.0)
        what = f"{self.name} in {root}"
        links = split_links(
            x, graph.edge_index, len(x), undirected=True, valid=self.valid, test=self.test, disjoint=self.disjoint,
            seed=self.seed, what=what,
        )  # fmt: skip
        notes = [f"links of {self.name} from {root / self.name}: RandomLinkSplit, seed {self.seed}"]
        return links.data(what, score=self.score, metric=ROC_AUC_OF_LINKS, notes=notes)
