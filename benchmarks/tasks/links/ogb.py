"""OGB's tasks about links, through its own loader, split and evaluator."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor

from graphpe.benchmarks.tasks.links.link_data import LinkData, Links
from graphpe.benchmarks.tasks.links.link_task import LinkTask, both_ways, check_link_options, divided
from graphpe.benchmarks.tasks.links.metrics import ogb_link_metric
from graphpe.benchmarks.tasks.links.model import Score
from graphpe.errors import GraphPERuntimeError
from graphpe.files.ogb import load_any

_MISSING = (AttributeError, KeyError, TypeError, IndexError)


@dataclass(frozen=True)
class OGBLinks(LinkTask):
    """A task of OGB about links. The graph is that of the training links alone, both ways.

    Attributes:
        root: The folder that holds OGB's folder of the set (`ogbl_collab`), or will.
        score: `dot` or `hadamard`: see `graphpe.benchmarks.tasks.links.model.LinkModel`.
        disjoint: Share of the training links that only supervise, and that the model does not see as edges.
        seed: Of these.
        download: Whether OGB downloads the data if it is not there.
    """

    root: str = "dataset"
    score: Score = "hadamard"
    disjoint: float = 0.0
    seed: int = 0
    download: bool = True

    def __post_init__(self) -> None:
        check_link_options(self.score, self.disjoint, self.seed)

    def load(self, *, workers: int = 0, cache: Path | None = None, progress: bool = True) -> LinkData:
        """Read the set; OGB keeps its own processed copy beside the raw files.

        Args:
            workers: Not used: OGB reads in one process.
            cache: Not used: OGB keeps what it processed.
            progress: Whether OGB's bars are shown.

        Raises:
            GraphPERuntimeError: If the data is not there and cannot be downloaded, is incomplete, or cannot be read.
        """
        root = Path(self.root).expanduser()
        dataset, split, folder, notes = load_any(self.name, root, download=self.download, progress=progress)
        try:
            graph = dataset[0]
            links = self.links(graph, int(graph.num_nodes), split)
        except _MISSING as error:
            raise GraphPERuntimeError(f"{folder} does not hold {self.name} ({error}): get it again") from None
        notes = [f"{self.name} from {folder}", *notes]
        return links.data(str(folder), score=self.score, metric=ogb_link_metric(self.name), notes=notes)

    def links(self, graph: Any, nodes: int, split: dict[str, dict[str, Any]]) -> Links:
        """Features, training edges and held-out pairs.

        Args:
            graph: The graph that OGB gives; its edges are not looked at.
            nodes: Its number of nodes.
            split: Links and other pairs by part.
        """
        train, seen, which = divided(_pairs(split["train"]["edge"]), self.disjoint, self.seed)
        weight = split["train"].get("weight")
        weight = None if weight is None else torch.as_tensor(weight).reshape(-1)[which].float().repeat(2)
        parts = [(_pairs(split[part]["edge"]), _pairs(split[part]["edge_neg"])) for part in ("valid", "test")]
        return Links(self.features(graph), nodes, both_ways(seen), train, parts[0], parts[1], weight)

    def features(self, graph: Any) -> Tensor | None:
        """Numbers of nodes.

        Args:
            graph: The graph that OGB gives.
        """
        x = graph.get("x")
        return None if x is None else x.float()


@dataclass(frozen=True)
class OgblCollab(OGBLinks):
    """ogbl-collab: who writes together next, of 235,868 authors. Split by year, Hits@50.

    Edges have the number of papers of a year as their weight; those of several years add.
    """

    name: ClassVar[str] = "ogbl-collab"
    summary: ClassVar[str] = "ogbl-collab: future collaborations of 235,868 authors, split by year, Hits@50"


@dataclass(frozen=True)
class OgblPpa(OGBLinks):
    """ogbl-ppa: associations of 576,289 proteins. Split by how they were found, Hits@100."""

    name: ClassVar[str] = "ogbl-ppa"
    summary: ClassVar[str] = "ogbl-ppa: associations of 576,289 proteins, split by throughput, Hits@100"


@dataclass(frozen=True)
class OgblVessel(OGBLinks):
    """ogbl-vessel: vessels between 3,538,495 points of a mouse brain. Split by place, ROC-AUC.

    Coordinates are standardised.
    """

    name: ClassVar[str] = "ogbl-vessel"
    summary: ClassVar[str] = "ogbl-vessel: vessels of a mouse brain, 3,538,495 points, split by place, ROC-AUC"

    def features(self, graph: Any) -> Tensor | None:
        """Coordinates, standardised.

        Args:
            graph: The graph that OGB gives.
        """
        x = graph.x.double()
        return ((x - x.mean(0)) / x.std(0).clamp(min=1e-12)).float()


@dataclass(frozen=True)
class OgblCitation2(OGBLinks):
    """ogbl-citation2: what 2,927,963 papers cite. Split by year, MRR among 1,000 other papers each.

    Held-out pairs are 87 million a part: validation takes the time of as many scores.
    """

    name: ClassVar[str] = "ogbl-citation2"
    summary: ClassVar[str] = "ogbl-citation2: missing citations of 2,927,963 papers, split by year, MRR"

    def links(self, graph: Any, nodes: int, split: dict[str, dict[str, Any]]) -> Links:
        """Each held-out citation beside the 1,000 other papers that it is ranked among.

        Args:
            graph: The graph that OGB gives; its edges are not looked at.
            nodes: Its number of nodes.
            split: Sources, targets and other targets by part.

        Raises:
            GraphPERuntimeError: They differ in number.
        """
        ends = {part: [torch.as_tensor(split[part][key]) for key in _ENDS] for part in ("train", "valid", "test")}
        for part, (source, target) in ends.items():
            more = [] if part == "train" else [torch.as_tensor(split[part]["target_node_neg"])]
            shapes = [list(each.shape) for each in (source, target, *more)]
            if [len(shape) for shape in shapes] != [1, 1, 2][: len(shapes)] or len({shape[0] for shape in shapes}) > 1:
                raise GraphPERuntimeError(
                    f"{self.name} in {self.root}: the {part} part has {', '.join(_ENDS)} (and target_node_neg) of the "
                    f"shapes {', '.join(map(str, shapes))}, expected [n], [n] (and [n, others]): get split/ again"
                )
        train, seen, _ = divided(torch.stack(ends["train"]), self.disjoint, self.seed)
        parts = []
        for part in ("valid", "test"):
            source, target = ends[part]
            others = torch.as_tensor(split[part]["target_node_neg"])
            wrong = torch.stack([source.repeat_interleave(others.shape[1]), others.reshape(-1)])
            parts.append((torch.stack([source, target]), wrong))
        return Links(self.features(graph), nodes, both_ways(seen), train, parts[0], parts[1])


_ENDS = ("source_node", "target_node")


def _pairs(rows: Any) -> Tensor:
    return torch.as_tensor(rows).t()
