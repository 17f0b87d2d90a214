"""TU datasets (Morris et al. 2020) by name, through PyG's loader."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import torch

from graphpe.arguments import check_flags, check_integer, check_seed
from graphpe.benchmarks.tasks.fingerprint import fingerprint
from graphpe.benchmarks.tasks.graph_level import GraphAdapter, GraphTargets, GraphTask
from graphpe.benchmarks.tasks.metrics import ACCURACY, MAE
from graphpe.benchmarks.tasks.pyg.pyg_datasets import load_one
from graphpe.benchmarks.tasks.random_split import folds, shuffled
from graphpe.benchmarks.tasks.targets import standardisation
from graphpe.errors import GraphPEError, GraphPERuntimeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs

FOLDS = 10


@dataclass(frozen=True)
class TU(GraphTask):
    """A TU dataset: the class of a graph (or, where it has attributes of graphs instead of labels, numbers).

    There is no published split. Graphs are dealt into ten folds, each class evenly, in an order drawn from `seed`: the
    test part is fold number `fold`, the validation part the next one, the training part the other eight. The figure of
    a paper is the mean over the ten values of `fold`; mind that many choose the epoch on the test fold.

    Nodes and edges carry PyG's one-hot labels, and their attributes with `attributes`; where nodes carry nothing, each
    has the same embedding.

    Attributes:
        name: The dataset as the collection calls it: `MUTAG`, `PROTEINS`, `IMDB-BINARY`, ...
        root: The folder that holds PyG's folder of the set (`MUTAG/raw/MUTAG_A.txt`), or will.
        fold: Number of the fold that is the test part, 0 to 9.
        seed: Of the folds.
        attributes: Whether numeric attributes of nodes and edges are used beside labels, where there are some.
        download: Whether PyG downloads the data if it is not there.
    """

    summary: ClassVar[str] = "a TU dataset by name (MUTAG, PROTEINS, ...): class of a graph, ten seeded folds, accuracy"
    default_encodings: ClassVar[tuple[str, ...]] = ("RandomWalkPE(walk_length=16)",)

    name: str = "MUTAG"  # type: ignore[misc]
    root: str = "dataset/tu"
    fold: int = 0
    seed: int = 0
    attributes: bool = True
    download: bool = True

    def __post_init__(self) -> None:
        if not isinstance(self.name, str) or not self.name or any(mark in self.name for mark in "/\\ "):
            raise GraphPEValueError(f"name must be that of a TU dataset, such as 'MUTAG', got {self.name!r}")
        object.__setattr__(self, "fold", check_integer("fold", self.fold, least=0, most=FOLDS - 1))
        object.__setattr__(self, "seed", check_seed(self.seed))
        check_flags(attributes=self.attributes, download=self.download)

    def load(self, *, workers: int = 0, cache: Path | None = None, progress: bool = True) -> GraphTargets:
        """Read the graphs; PyG keeps a processed copy beside the raw files.

        Args:
            workers: Not used: PyG reads in one process.
            cache: Not used: PyG keeps what it processed.
            progress: Whether PyG's bars are shown.

        Raises:
            GraphPERuntimeError: If the data is not there and cannot be downloaded, is incomplete, or cannot be read.
        """
        from torch_geometric.datasets import TUDataset

        folder = Path(self.root).expanduser()
        arguments = self.name, None, None, None, False, self.attributes, self.attributes
        dataset = load_one(TUDataset, self.name, folder, *arguments, download=self.download, progress=progress)
        try:
            raw = PackedGraphs.from_dataset(dataset)
            y = raw.graph["y"].view(len(raw), -1)
        except (GraphPEError, KeyError) as error:
            raise GraphPERuntimeError(
                f"{folder / self.name} does not hold graphs with labels: {error}; get raw/ again, and "
                "move processed/ away"
            ) from None
        x, edge_attr = raw.node.get("x"), raw.edge.get("edge_attr")
        numeric = y.is_floating_point()
        if not numeric and y.shape[1] != 1:
            raise GraphPERuntimeError(f"{folder / self.name} has {y.shape[1]} labels of each graph, expected one")
        if len(raw) < FOLDS:
            raise GraphPERuntimeError(f"{folder / self.name} holds {len(raw)} graphs: too few for {FOLDS} folds")
        has_x, has_edges = (value is not None and value.shape[1] > 0 for value in (x, edge_attr))
        graphs = PackedGraphs(
            edge_index=raw.edge_index,
            ptr=raw.ptr,
            edge_ptr=raw.edge_ptr,
            node={"x": x.float() if x is not None and has_x else torch.zeros(raw.num_nodes, 1, dtype=torch.long)},
            edge={"edge_attr": edge_attr.float()} if edge_attr is not None and has_edges else {},
            graph={"y": y.float() if numeric else y.long()},
        )
        classes = torch.zeros(len(raw), dtype=torch.long) if numeric else y.flatten().long()
        parts = folds(classes, FOLDS, self.seed)
        test, valid = parts[self.fold], parts[(self.fold + 1) % FOLDS]
        rest = [part for number, part in enumerate(parts) if number not in (self.fold, (self.fold + 1) % FOLDS)]
        order = shuffled(len(raw), self.seed)
        train = order[torch.isin(order, torch.cat(rest))].sort().values
        split = {"train": train, "valid": valid, "test": test}
        shift, scale = standardisation(graphs.graph["y"][train]) if numeric else ((), ())
        adapter = GraphAdapter(
            () if has_x else (1,),
            (),
            y.shape[1] if numeric else int(y.max()) + 1,
            "absolute" if numeric else "classes",
            node_channels=graphs.node["x"].shape[1] if has_x else 0,
            edge_channels=graphs.edge["edge_attr"].shape[1] if has_edges else 0,
            shift=shift,
            scale=scale,
        )
        notes = [
            f"{self.name} from {folder / self.name}: {len(graphs):,} graphs; test is fold {self.fold} of {FOLDS} "
            f"drawn from seed {self.seed}, each class evenly"
        ]
        digest = fingerprint(graphs, split)
        return GraphTargets(graphs, split, adapter, digest, notes, scored_by=MAE if numeric else ACCURACY)
