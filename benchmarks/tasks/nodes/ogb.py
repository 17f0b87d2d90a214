"""OGB's tasks about nodes, through its own loader, split and evaluator."""

from __future__ import annotations

from abc import abstractmethod
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor
from torch_geometric.utils import scatter

from graphpe.benchmarks.tasks.metrics import ROC_AUC, ogb_accuracy, ogb_metric
from graphpe.benchmarks.tasks.nodes.node_task import NodeTask, Numbers, with_reverse
from graphpe.benchmarks.tasks.shared_graph import NodeSplitTargets
from graphpe.errors import GraphPERuntimeError
from graphpe.files.ogb import OGBDataset, load_node_dataset

_MISSING = (AttributeError, KeyError, TypeError)


@dataclass(frozen=True)
class OGBNodes(NodeTask):
    """A task of OGB about nodes of one graph; no encoding unless one is named, for most cost minutes on these.

    Attributes:
        root: The folder that holds OGB's folder of the set (`ogbn_arxiv`), or will.
        download: Whether OGB downloads the data if it is not there.
    """

    default_encodings: ClassVar[tuple[str, ...]] = ()
    node_type: ClassVar[str | None] = None
    classes: ClassVar[int]

    root: str = "dataset"
    download: bool = True

    def load(self, *, workers: int = 0, cache: Path | None = None, progress: bool = True) -> NodeSplitTargets:
        """Read the set; OGB keeps its own processed copy beside the raw files.

        Args:
            workers: Not used: OGB reads in one process.
            cache: Not used: OGB keeps what it processed.
            progress: Whether OGB's bars are shown.

        Raises:
            GraphPERuntimeError: If the data is not there and cannot be downloaded, is incomplete, or cannot be read.
        """
        root = Path(self.root).expanduser()
        ogb = load_node_dataset(self.name, root, download=self.download, progress=progress, node_type=self.node_type)
        try:
            numbers = self.numbers(ogb.dataset[0], ogb.split)
        except _MISSING as error:
            raise GraphPERuntimeError(f"{ogb.folder} does not hold {self.name} ({error}): get it again") from None
        return self.data(numbers, ogb)

    @abstractmethod
    def numbers(self, graph: Any, split: dict[str, Tensor]) -> Numbers:
        """Features, edges and targets of the graph that OGB gives.

        Args:
            graph: The graph.
            split: Ids of nodes by part.
        """

    def data(self, numbers: Numbers, ogb: OGBDataset) -> NodeSplitTargets:
        """The task's data: one class of several for each node, unless a task has something else.

        Args:
            numbers: What the graph holds.
            ogb: What OGB gave.
        """
        return numbers.data(
            str(ogb.folder),
            outputs=self.classes,
            loss="classes",
            metric=ogb_accuracy(self.name),
            notes=[f"{self.name} from {ogb.folder}", *ogb.notes],
        )


@dataclass(frozen=True)
class OgbnArxiv(OGBNodes):
    """ogbn-arxiv: the subject (of 40) of 169,343 papers of arXiv and the papers they cite. Split by year.

    Attributes:
        root: The folder that holds OGB's folder `ogbn_arxiv`, or will.
        download: Whether OGB downloads the data if it is not there.
        directed: Whether citations go one way; otherwise both, as published baselines have them.
    """

    name: ClassVar[str] = "ogbn-arxiv"
    summary: ClassVar[str] = "ogbn-arxiv: subjects of 169,343 papers and their citations, split by year, accuracy"
    classes: ClassVar[int] = 40

    directed: bool = False

    def numbers(self, graph: Any, split: dict[str, Tensor]) -> Numbers:
        """128 numbers a paper, from its title and abstract."""
        edges = graph.edge_index if self.directed else with_reverse(graph.edge_index, len(graph.x))
        return Numbers(graph.x.float(), edges, graph.y.view(-1, 1).long(), split)


@dataclass(frozen=True)
class OgbnMag(OGBNodes):
    """ogbn-mag: the venue (of 349) of 736,389 papers, in the graph of papers and their citations alone. Split by year.

    The authors, institutions and fields of OGB's heterogeneous graph are left out.

    Attributes:
        root: The folder that holds OGB's folder `ogbn_mag`, or will.
        download: Whether OGB downloads the data if it is not there.
        directed: Whether citations go one way; otherwise both.
    """

    name: ClassVar[str] = "ogbn-mag"
    summary: ClassVar[str] = "ogbn-mag: venues of 736,389 papers, their citations only, split by year, accuracy"
    node_type: ClassVar[str | None] = "paper"
    classes: ClassVar[int] = 349

    directed: bool = False

    def numbers(self, graph: Any, split: dict[str, Tensor]) -> Numbers:
        """128 numbers a paper, from its title and abstract."""
        x, cites = graph.x_dict["paper"].float(), graph.edge_index_dict["paper", "cites", "paper"]
        edges = cites if self.directed else with_reverse(cites, len(x))
        return Numbers(x, edges, graph.y_dict["paper"].view(-1, 1).long(), split)


@dataclass(frozen=True)
class OgbnProducts(OGBNodes):
    """ogbn-products: the category (of 47) of 2,449,029 products and what is bought with them. Split by sales."""

    name: ClassVar[str] = "ogbn-products"
    summary: ClassVar[str] = "ogbn-products: categories of 2,449,029 products bought together, by sales, accuracy"
    classes: ClassVar[int] = 47

    def numbers(self, graph: Any, split: dict[str, Tensor]) -> Numbers:
        """100 numbers a product, from its description."""
        return Numbers(graph.x.float(), graph.edge_index, graph.y.view(-1, 1).long(), split)


@dataclass(frozen=True)
class OgbnProteins(OGBNodes):
    """ogbn-proteins: 112 functions of 132,534 proteins, from eight kinds of association. Split by species.

    Nodes carry nothing in OGB; `x` is the mean of their edges' numbers, as in OGB's own baselines.
    """

    name: ClassVar[str] = "ogbn-proteins"
    summary: ClassVar[str] = "ogbn-proteins: 112 functions of 132,534 proteins, associations, by species, ROC-AUC"
    classes: ClassVar[int] = 112

    def numbers(self, graph: Any, split: dict[str, Tensor]) -> Numbers:
        """Eight numbers an edge, and their mean for each node."""
        edge_attr, target = graph.edge_attr.float(), graph.y.float().view(-1, self.classes)
        x = scatter(edge_attr, graph.edge_index[1], 0, dim_size=len(target), reduce="mean")
        return Numbers(x, graph.edge_index, target, split, edge_attr)

    def data(self, numbers: Numbers, ogb: OGBDataset) -> NodeSplitTargets:
        if not bool(((numbers.y == 0) | (numbers.y == 1) | numbers.y.isnan()).all()):
            raise GraphPERuntimeError(f"{ogb.folder} has labels that are not 0 and 1: get it again")
        return numbers.data(
            str(ogb.folder),
            outputs=self.classes,
            loss="binary",
            metric=ogb_metric(ROC_AUC, self.name),
            notes=[f"{self.name} from {ogb.folder}", *ogb.notes],
        )
