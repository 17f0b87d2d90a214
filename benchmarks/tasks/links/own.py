"""Links of one's own graph."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.utils import is_undirected

from graphpe.arguments import check_flags
from graphpe.benchmarks.tasks.links.link_data import LinkData
from graphpe.benchmarks.tasks.links.link_task import LinkTask, both_ways, check_link_options
from graphpe.benchmarks.tasks.links.metrics import ROC_AUC_OF_LINKS
from graphpe.benchmarks.tasks.links.model import Score
from graphpe.benchmarks.tasks.links.random_split import check_shares, split_links
from graphpe.errors import GraphPERuntimeError, GraphPEValueError
from graphpe.files.reading import check_file
from graphpe.files.unpickling import load_saved
from graphpe.graphs.checks import describe

_SPARSE_IDS = 1000
"""Ids for each edge from which on they are no numbering of the nodes."""

_READ = {"edge_index", "edge_weight", "x", "num_nodes"}


@dataclass(frozen=True)
class LinkFile(LinkTask):
    """Links of one graph of your own, held out at random; as many other pairs are drawn.

    Attributes:
        path: A file of `torch.save` that holds one PyG `Data` with `edge_index` (and `x`, numbers, and `edge_weight`,
            which encodings read), or a text file of edges: two node ids a line, separated by a comma, a semicolon, a
            tab or blanks, ids from 0 on; further columns, lines that begin with `#` or `%` and one line of names are
            skipped. Edges of a `Data` are as they stand there.
        score: `dot` or `hadamard`: see `graphpe.benchmarks.tasks.links.model.LinkModel`.
        valid: Share of the links for validation.
        test: Share of them for the test.
        disjoint: Share of the training links that only supervise, and that the model does not see as edges.
        seed: Of the split.
        directed: Whether edges of a text file go one way; otherwise each gets its reverse.
    """

    name: ClassVar[str] = "link-file"
    summary: ClassVar[str] = "links of your own graph: a PyG Data or a list of edges, held out at random, ROC-AUC"

    path: str
    score: Score = "hadamard"
    valid: float = 0.05
    test: float = 0.1
    disjoint: float = 0.0
    seed: int = 0
    directed: bool = False

    def __post_init__(self) -> None:
        if not isinstance(self.path, str) or not self.path:
            raise GraphPEValueError(f"path must be a text, got {self.path!r}")
        check_flags(directed=self.directed)
        check_shares(self.valid, self.test)
        check_link_options(self.score, self.disjoint, self.seed)

    def load(self, *, workers: int = 0, cache: Path | None = None, progress: bool = True) -> LinkData:
        """Read the file.

        Args:
            workers: Not used.
            cache: Not used.
            progress: Not used.

        Raises:
            GraphPERuntimeError: If it is not there, is damaged, or holds something else.
        """
        path = Path(self.path).expanduser()
        check_file(path)
        saved = path.suffix in (".pt", ".pth")
        graph = _saved(path) if saved else _listed(path)
        nodes, edges = int(graph.num_nodes or 0), graph.edge_index.long()
        if not saved and not self.directed:
            edges = both_ways(edges).unique(dim=1)
        undirected = is_undirected(edges, num_nodes=nodes)
        links = split_links(
            graph.get("x"), edges, nodes, edge_weight=graph.get("edge_weight"), undirected=undirected,
            valid=self.valid, test=self.test, disjoint=self.disjoint, seed=self.seed, what=str(path),
        )  # fmt: skip
        kind = "undirected" if undirected else "directed"
        notes = [f"{path}: {nodes:,} nodes, {edges.shape[1]:,} {kind} edges"]
        unused = [str(key) for key in graph.keys() if key not in _READ]
        notes += [f"there and not used: {', '.join(unused)}"] if unused else []
        return links.data(str(path), score=self.score, metric=ROC_AUC_OF_LINKS, notes=notes)


def _saved(path: Path) -> Data:
    graph = load_saved(path)
    if isinstance(graph, list | tuple) and len(graph) == 1:
        graph = graph[0]
    if not isinstance(graph, Data) or graph.get("edge_index") is None or graph.num_nodes is None:
        raise GraphPERuntimeError(
            f"{path} holds {type(graph).__name__}: for links, save one PyG Data with edge_index and x or num_nodes"
        )
    edges = graph.edge_index
    if edges.dim() != 2 or len(edges) != 2 or edges.is_floating_point():
        raise GraphPERuntimeError(f"{path}: edge_index must be node ids [2, num_edges], got {list(edges.shape)}")
    if edges.numel() and not 0 <= int(edges.min()) <= int(edges.max()) < graph.num_nodes:
        raise GraphPERuntimeError(
            f"{path}: edge_index runs from {int(edges.min())} to {int(edges.max())}, but there are {graph.num_nodes} "
            "nodes"
        )
    if "x" not in graph and "num_nodes" not in graph:
        _check_numbering(path, edges)
    x, weight = graph.get("x"), graph.get("edge_weight")
    if x is not None:
        graph.x = _numbers(path, "x", x, int(graph.num_nodes)).reshape(int(graph.num_nodes), -1)
    if weight is not None:
        graph.edge_weight = _numbers(path, "edge_weight", weight, edges.shape[1]).flatten()
        if len(graph.edge_weight) != edges.shape[1] or not bool(graph.edge_weight.isfinite().all()):
            raise GraphPERuntimeError(f"{path}: edge_weight must be one finite number for each edge")
    return graph


def _numbers(path: Path, name: str, value: Any, rows: int) -> Tensor:
    """What a graph has of nodes or edges, in float32."""
    if not isinstance(value, Tensor) or not value.dim() or len(value) != rows or value.is_complex():
        raise GraphPERuntimeError(f"{path}: {name} is {describe(value)}, expected real numbers in {rows:,} rows")
    return value.float()


def _check_numbering(path: Path, edges: Tensor) -> None:
    """Reject ids that would make a graph of nearly nothing but nodes without an edge."""
    last = int(edges.max()) if edges.numel() else 0
    if last > _SPARSE_IDS * max(edges.shape[1], 1000):
        raise GraphPERuntimeError(
            f"{path}: node ids run up to {last:,}, of which {edges.shape[1]:,} edges name {len(edges.unique()):,}: "
            "number the nodes 0, 1, 2, ..."
        )


def _listed(path: Path) -> Data:
    """Edges of a text file."""
    rows: list[list[int]] = []
    named = False
    with path.open(encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            cells = line.replace(",", " ").replace(";", " ").split()
            if not cells or cells[0].startswith(("#", "%")):
                continue
            try:
                rows.append([int(cells[0]), int(cells[1])])
            except (ValueError, IndexError):
                if not rows and not named and len(cells) > 1:
                    named = True  # the columns
                    continue
                raise GraphPERuntimeError(
                    f"{path}, line {number}: expected two node ids, got {line.strip()[:60]!r}"
                ) from None
            if min(rows[-1]) < 0 or max(rows[-1]) >= 2**63:
                raise GraphPERuntimeError(
                    f"{path}, line {number}: node ids are from 0 on, and below 2^63, got {line.strip()[:60]!r}"
                )
    if not rows:
        raise GraphPERuntimeError(f"{path} has no edges: expected two node ids a line")
    edges = torch.from_numpy(np.array(rows, dtype=np.int64).T.copy())
    _check_numbering(path, edges)
    return Data(edge_index=edges, num_nodes=int(edges.max()) + 1)
