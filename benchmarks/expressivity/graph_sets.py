"""Sets of graphs that are to be told apart: read from files, or made; and the same graphs renumbered."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import networkx as nx
import numpy as np
import torch
from numpy.typing import NDArray

from graphpe.benchmarks.expressivity.sets import ALL_SETS, BREC_PARTS, DATASETS, MADE
from graphpe.benchmarks.tasks.generated.csl import NODES, SKIPS
from graphpe.errors import GraphPERuntimeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs


@dataclass(frozen=True)
class GraphSet:
    """Graphs that are to be told apart.

    Attributes:
        name: The set.
        graphs: The graphs, with a type of each node as `x` `[N, 1]`.
        consecutive: Whether only graphs 2 i and 2 i + 1 are compared; otherwise all pairs.
    """

    name: str
    graphs: PackedGraphs
    consecutive: bool

    @property
    def pairs(self) -> int:
        """Pairs that are compared."""
        count = len(self.graphs)
        return count // 2 if self.consecutive else count * (count - 1) // 2

    def pair_index(self) -> NDArray[np.int64]:
        """The graphs of each pair, `[pairs, 2]`."""
        if self.consecutive:
            return np.arange(2 * self.pairs).reshape(-1, 2)
        return np.stack(np.triu_indices(len(self.graphs), 1), axis=1)

    def fewer(self, pairs: int) -> GraphSet:
        """The set with at most so many of its consecutive pairs, a sample; a set of all pairs as it is.

        Args:
            pairs: Most pairs.
        """
        if not self.consecutive or self.pairs <= pairs:
            return self
        chosen = np.sort(np.random.default_rng(0).permutation(self.pairs)[:pairs])  # CEXP alternates: no even steps
        return GraphSet(self.name, self.graphs.select(np.stack([2 * chosen, 2 * chosen + 1], axis=1).ravel()), True)


def read_sets(folder: Path, names: Sequence[str]) -> list[GraphSet]:
    """Sets of graphs from a folder.

    Raises:
        GraphPEValueError: For a set that is not known.
        GraphPERuntimeError: If a file is missing or damaged.
    """
    out = []
    for name in names:
        if name not in ALL_SETS:
            raise GraphPEValueError(f"unknown set {name!r}; known: {', '.join(ALL_SETS)}")
        out.append(GraphSet(name, _skip_links(), consecutive=False) if name in MADE else _read(folder, name))
    return out


def renumbered(graphs: PackedGraphs, rng: np.random.Generator) -> PackedGraphs:
    """The graphs with the nodes of each in another, random order."""
    keys = rng.random(graphs.num_nodes)
    order = torch.from_numpy(np.lexsort((keys, graphs.batch.numpy())))  # new place -> old node
    place = torch.empty_like(order)
    place[order] = torch.arange(len(order))
    return PackedGraphs(
        edge_index=place[graphs.edge_index],
        ptr=graphs.ptr,
        edge_ptr=graphs.edge_ptr,
        node={key: value[order] for key, value in graphs.node.items()},
    )


def _read(folder: Path, name: str) -> GraphSet:
    path = folder / DATASETS[name]
    if not path.is_file():
        raise GraphPERuntimeError(f"{path.name} is not in {folder}: put it there (graph6, or the text of EXP)")
    try:
        if path.suffix != ".g6":
            return GraphSet(name, _read_text(path), consecutive=True)
        read = nx.read_graph6(path)
        graphs = read if isinstance(read, list) else [read]
    except (OSError, EOFError, ValueError, IndexError, zlib.error, nx.NetworkXError) as error:
        reason = " ".join(str(error).split())[:200]
        raise GraphPERuntimeError(f"{path} cannot be read ({type(error).__name__}: {reason})") from None
    if name not in BREC_PARTS:
        return GraphSet(name, _without_types(graphs), consecutive=False)
    start, end = (2 * pair for pair in BREC_PARTS[name])
    if len(graphs) < end:
        raise GraphPERuntimeError(
            f"{path} holds {len(graphs)} graphs, and {name} is the graphs {start} to {end - 1} of BREC: put the graphs "
            "of its pairs there in order, two for each pair"
        )
    return GraphSet(name, _without_types(graphs[start:end]), consecutive=True)


def _skip_links() -> PackedGraphs:
    """One graph of each class of the task CSL: a cycle, and a link from each node to the one so many steps on."""
    return _without_types([nx.circulant_graph(NODES, [1, skip]) for skip in SKIPS])


def _without_types(graphs: Sequence[nx.Graph]) -> PackedGraphs:
    packed = PackedGraphs.from_networkx(graphs, weight=None)
    return packed.with_values(node={"x": torch.zeros(packed.num_nodes, 1, dtype=torch.long)})


def _read_text(path: Path) -> PackedGraphs:
    """Graphs as Abboud et al. write them: N, then `n label` of each graph and `type count neighbours` of its nodes."""
    with gzip.open(path, "rt") as file:
        lines = file.read().splitlines()
    lines.reverse()
    sizes: list[int] = []
    types, tails, heads, edges = [], [], [], []
    first = 0
    for _ in range(int(lines.pop())):
        size = int(lines.pop().split()[0])
        count = 0
        for node in range(size):
            kind, degree, *near = (int(word) for word in lines.pop().split())
            if degree != len(near) or not all(0 <= other < size for other in near):
                raise ValueError(
                    f"node {node} of graph {len(sizes)} should have {degree} neighbours below {size}: {near}"
                )
            types.append(kind)
            tails += [first + node] * degree
            heads += [first + other for other in near]
            count += degree
        sizes.append(size)
        edges.append(count)
        first += size
    ptr, edge_ptr = (torch.tensor([0, *np.cumsum(counts).tolist()]) for counts in (sizes, edges))
    index = torch.tensor([tails, heads])
    return PackedGraphs(edge_index=index, ptr=ptr, edge_ptr=edge_ptr, node={"x": torch.tensor(types)[:, None]})
