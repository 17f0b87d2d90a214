"""Which node belongs to which graph, and the edges: read from a PyG `Data` or `Batch`, and compared, once a batch.

On a CPU numbers are looked at: whether nodes stand in the order of their graphs, whether edges join nodes of one graph.
Elsewhere that would make every step wait for the device: there shapes are compared, and what is known on the host.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor
from torch_geometric import EdgeIndex
from torch_geometric.data import Data

from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.graphs.from_pyg import TELL_NUM_NODES
from graphpe.graphs.interchange import read_adj_t
from graphpe.graphs.partition import Ints, Vectors, partition, stated_graphs, vectors_of

Groups = tuple[tuple[int, int], ...]

_FEW_PAIRS = 2048
"""Padded pairs of a layer whose numbers a GPU moves in less time than it takes to launch their kernels."""


PADDED_TO = "padded_to"
"""Where a padded batch keeps its `PaddedTo`."""


@dataclass(frozen=True)
class PaddedTo:
    """What all batches of one shape have in common, beside the shapes of their tensors.

    Attributes:
        graphs: Number of graphs, dummy ones included.
        pairs: Sum of their squared sizes.
        groups: Graphs by size, as in `NodeToGraph.groups`; each batch of this shape fits into these.
    """

    graphs: int
    pairs: int
    groups: Groups


@dataclass(frozen=True)
class NodeToGraph:
    """The partition of a batch's nodes into graphs. Here nodes stand in the order of their graphs.

    Attributes:
        graph: Graph of each node, `[num_nodes]`, non-decreasing.
        ptr: First node of each graph and, last, the number of nodes, `[num_graphs + 1]`.
        max_size: Nodes of the largest graph if that is known on the host, else None.
        num_pairs: Sum of squared graph sizes if that is known on the host, else None.
        order: Number in the batch of each node, `[num_nodes]`; None where the batch has them in this order.
        groups: Graphs by size if sizes are known on the host, else None: how many, and a size that none of them
            exceeds, from the smallest graphs to the largest; in all as many as there are graphs.
    """

    graph: Tensor
    ptr: Tensor
    max_size: int | None = None
    num_pairs: int | None = None
    order: Tensor | None = None
    groups: Groups | None = None

    @property
    def num_nodes(self) -> int:
        """Number of nodes."""
        return self.graph.numel()

    @property
    def num_graphs(self) -> int:
        """Number of graphs; graphs without a node count."""
        return self.ptr.numel() - 1

    @property
    def sizes(self) -> Tensor:
        """Number of nodes of each graph, `[num_graphs]`."""
        return self.ptr.diff()

    def sort(self, x: Tensor) -> Tensor:
        """Values of the nodes in the order of their graphs, from values in the batch's order.

        Args:
            x: Values of the nodes, `[N, ...]`, in the batch's order.
        """
        return x if self.order is None else x.index_select(0, self.order)

    def restore(self, x: Tensor) -> Tensor:
        """Values of the nodes in the batch's order, from values in the order of their graphs.

        Args:
            x: Values of the nodes, `[N, ...]`, in the order of their graphs.
        """
        return x if self.order is None else x.index_select(0, self.place(self.order))

    @staticmethod
    def place(order: Tensor) -> Tensor:
        """The place of each node of the batch in the order of the graphs.

        Args:
            order: Number in the batch of each node, in the order of the graphs, `[N]`.
        """
        return torch.empty_like(order).index_copy(0, order, torch.arange(order.numel(), device=order.device))

    def check_in_order(self) -> None:
        """Raise unless nodes stand in the order of their graphs: rows of pairs of nodes have no meaning otherwise.

        Raises:
            GraphPEValueError: They do not.
        """
        if self.order is not None:
            raise GraphPEValueError(
                "values of pairs need nodes in the order of their graphs, and batch.batch is not sorted: "
                "data.subgraph(data.batch.argsort(stable=True)) sorts them, before encodings of pairs are computed"
            )


def node_to_graph(batch: Data) -> NodeToGraph:
    """Read the partition into graphs of a `Data` (one graph) or a `Batch` (or any `Data` with `batch` or `ptr`).

    Sizes are those of `batch.batch`, whatever `ptr` says: `subgraph` and other operations on a `Batch` leave `ptr` as
    it was. Nodes that do not stand in the order of their graphs, as after `to_homogeneous()`, are sorted. Nothing here
    waits for a device when the batch carries `ptr`, as every batch of PyG and of `PackedGraphs.to_batch` does; there
    nodes have to be in order.

    Args:
        batch: One graph, or a batch of graphs.

    Raises:
        GraphPETypeError: If `batch` is not a PyG `Data` or `Batch`, or its `batch` or `ptr` no vector of integers.
        GraphPEValueError: If it does not say which nodes there are.
    """
    if not isinstance(batch, Data):
        raise GraphPETypeError(
            f"the model takes a PyG Data or Batch (got {type(batch).__name__}): "
            "turn PackedGraphs into one with .to_batch(), HeteroData with .to_homogeneous()"
        )
    vectors = vectors_of(batch)
    if vectors is None:
        return _one_graph(batch)
    if torch.compiler.is_compiling():
        return _traced(batch, vectors)
    if any(vector is not None and vector.device.type != "cpu" for vector in vectors):
        return _on_device(batch, vectors)
    graph, sizes, ptr = partition(batch, vectors)
    ids, order = graph.numpy(), None
    if (ids[1:] < ids[:-1]).any():
        order = graph.argsort(stable=True)
        graph = graph.index_select(0, order)
    return NodeToGraph(graph, torch.from_numpy(ptr), *_known(sizes), order)


def graph_of_nodes(batch: Data, like: Tensor) -> tuple[Tensor, int]:
    """The graph of each node in the batch's order `[num_nodes]`, and the number of graphs.

    Where the batch says nothing of nodes it is one graph, of as many as `like`, values of nodes, has rows.

    Args:
        batch: A `Batch`, or a `Data` as a batch of one graph.
        like: Values of its nodes, `[N, ...]`.
    """
    vectors = vectors_of(batch) if isinstance(batch, Data) else None
    if vectors is None:
        return torch.zeros(like.shape[0], dtype=torch.long, device=like.device), 1
    if vectors.graph is not None and vectors.graph.device.type == "cpu" and not torch.compiler.is_compiling():
        graph, sizes, _ = partition(batch, vectors)
        return graph, len(sizes)
    if vectors.graph is not None and vectors.ptr is not None and not torch.compiler.is_compiling():
        return vectors.graph, stated_graphs(batch, vectors)
    members = node_to_graph(batch)
    return members.restore(members.graph), members.num_graphs


def read_edges(batch: Data, members: NodeToGraph) -> Tensor:
    """The edges of a batch `[2, E]`, between nodes in the order of their graphs.

    Args:
        batch: A `Batch`, or a `Data` as a batch of one graph.
        members: The partition of its nodes into graphs.

    Raises:
        GraphPEValueError: If there are none, or they are no integers `[2, E]`, or on another device; on a CPU also if
            one of them has an end that is no node, or joins two graphs.
    """
    edge_index = stated_edges(batch)
    if edge_index is None:
        raise GraphPEValueError("batch has no edge_index [2, num_edges]: set it, empty where there are no edges")
    if edge_index.device != members.graph.device:
        raise GraphPEValueError(
            f"edge_index is on {edge_index.device}, the nodes' graphs on {members.graph.device}: move the whole batch"
        )
    if not torch.compiler.is_compiling() and isinstance(edge_index, EdgeIndex):
        edge_index = edge_index.as_tensor()
    _check_ends(edge_index, members.num_nodes)
    _check_joins(edge_index, members.restore(members.graph), members.num_graphs)
    edge_index = edge_index.long()
    return edge_index if members.order is None else members.place(members.order)[edge_index]


def stated_edges(batch: Data) -> Tensor | None:
    """The edges as the batch has them, `[2, E]`: its `edge_index`, else its `adj_t`; None where it has neither.

    Args:
        batch: A `Batch`, or a `Data` as a batch of one graph.
    """
    edge_index = getattr(batch, "edge_index", None)
    if not isinstance(edge_index, Tensor) and getattr(batch, "adj_t", None) is not None:
        ((edge_index, _),) = read_adj_t(batch.adj_t)
    return edge_index if isinstance(edge_index, Tensor) else None


def check_edges(edge_index: Tensor, members: NodeToGraph) -> None:
    """Raise unless these are edges of the graphs; away from the CPU their numbers are not looked at.

    Args:
        edge_index: Edges between nodes in the order of their graphs, `[2, E]`.
        members: The partition of the nodes into graphs.

    Raises:
        GraphPEValueError: They are no integers `[2, E]`, or an edge leaves its graph.
    """
    _check_ends(edge_index, members.num_nodes)
    _check_joins(edge_index, members.graph, members.num_graphs)


def _check_joins(edge_index: Tensor, graph: Tensor, graphs: int) -> None:
    if edge_index.device.type != "cpu" or torch.compiler.is_compiling() or graphs < 2:
        return
    source, target = (graph.index_select(0, end) for end in edge_index)
    if not torch.equal(source, target):
        edge = int((source != target).nonzero()[0])
        raise GraphPEValueError(
            f"edge {edge}, {edge_index[:, edge].tolist()}, joins graphs {int(source[edge])} and {int(target[edge])}: "
            "transforms that add nodes or edges (VirtualNode, KNNGraph, ...) come before graphs are batched"
        )


def _check_ends(edge_index: Tensor, nodes: int) -> None:
    inexact = edge_index.is_floating_point() or edge_index.is_complex() or edge_index.dtype == torch.bool
    if inexact or edge_index.dim() != 2 or edge_index.shape[0] != 2:
        raise GraphPEValueError(
            f"edge_index must be integers [2, num_edges] (got {edge_index.dtype} {list(edge_index.shape)})"
        )
    if edge_index.device.type != "cpu" or torch.compiler.is_compiling() or not edge_index.numel():
        return
    low, high = (int(end) for end in edge_index.aminmax())
    if low < 0 or high >= nodes:
        raise GraphPEValueError(
            f"edge_index holds node {low if low < 0 else high}, but the batch has {nodes} nodes: "
            "nodes were removed and edges kept, or num_nodes is too small"
        )


def _one_graph(data: Data) -> NodeToGraph:
    size = data.num_nodes
    if not isinstance(size, int) or size < 0:
        size = int(size) if isinstance(size, Tensor | np.integer) and size >= 0 else None
    if size is None:
        raise GraphPEValueError(f"the graph does not say how many nodes it has (num_nodes={data.num_nodes!r}): set it")
    device = next((x.device for x in data.to_dict().values() if isinstance(x, Tensor)), torch.device("cpu"))
    ptr = torch.arange(2, device=device) * size
    # Expanded: a number of nodes without end takes no memory before values are compared with it.
    return NodeToGraph(ptr[:1].expand(size), ptr, size, size * size)


def _on_device(batch: Data, vectors: Vectors) -> NodeToGraph:
    graph, ptr = vectors
    if graph is None:  # nothing to compare `ptr` with but its own numbers
        graph, sizes, cuts = partition(batch, vectors)
        return NodeToGraph(graph, torch.from_numpy(cuts).to(graph.device), *_known(sizes))
    order, graphs = None, stated_graphs(batch, vectors)
    if ptr is None and graph.numel():  # nothing tells that PyG made this batch, in order
        last, unsorted = torch.stack([graph.max(), (graph.diff() < 0).any().long()]).tolist()
        graphs = max(graphs, last + 1)
        order = graph.argsort(stable=True) if unsorted else None
        graph = graph if order is None else graph.index_select(0, order)
    first = torch.searchsorted(graph, torch.arange(graphs + 1, device=graph.device))
    max_size, num_pairs, groups = _told(batch, graph.numel(), graphs)
    return NodeToGraph(graph, first, max_size, num_pairs, order, groups)


def _told(batch: Data, nodes: int, graphs: int) -> tuple[int | None, int | None, Groups | None]:
    """`max_size`, `num_pairs` and `groups` of a batch on a device, as far as the host knows them."""
    padded = getattr(batch, PADDED_TO, None)
    if isinstance(padded, PaddedTo):
        return padded.groups[-1][1], padded.pairs, padded.groups
    known = collated_ptr(batch, nodes, graphs)
    if known is None:
        return None, None, None
    sizes = np.diff(known)
    return *_known(sizes), groups_of(sizes)


def count_pairs(batch: Data) -> int | None:
    """Sum of the squared sizes of a batch's graphs, without a look at a device; None where the host does not know it.

    Args:
        batch: A `Batch`, or a `Data` as a batch of one graph.
    """
    graph, ptr = vectors_of(batch) or (None, None)
    if graph is None or ptr is None or graph.device.type == "cpu":
        return node_to_graph(batch).num_pairs
    return _told(batch, graph.numel(), stated_graphs(batch, Vectors(graph, ptr)))[1]


def _traced(batch: Data, vectors: Vectors) -> NodeToGraph:
    """Without a look at numbers, which would break the graph that `torch.compile` makes."""
    graph, ptr = vectors
    if graph is None or ptr is None:
        return _on_device(batch, vectors)
    padded = getattr(batch, PADDED_TO, None)
    if isinstance(padded, PaddedTo):
        return _on_device(batch, vectors)
    max_size, num_pairs = getattr(batch, "max_size", None), getattr(batch, "num_pairs", None)
    return NodeToGraph(
        graph,
        torch.searchsorted(graph, torch.arange(ptr.numel(), device=graph.device)),
        max_size if isinstance(max_size, int) else None,
        num_pairs if isinstance(num_pairs, int) else None,
    )


def collated_ptr(batch: Data, nodes: int, graphs: int) -> Ints | None:
    """Where each graph's nodes begin, from what PyG keeps on the host to separate graphs; None if it is out of date.

    Args:
        batch: A `Batch`.
        nodes: Number of its nodes.
        graphs: Number of its graphs.
    """
    hidden = vars(batch.stores[0])
    stored, slices = hidden.get("_num_nodes"), hidden.get("_slice_dict", {})
    if isinstance(stored, list) and len(stored) == graphs and sum(stored) == nodes:
        return np.concatenate([np.zeros(1, np.int64), np.cumsum(stored, dtype=np.int64)])
    for key in slices:
        if key in TELL_NUM_NODES:
            ptr = slices[key]
            known = isinstance(ptr, Tensor) and ptr.device.type == "cpu" and ptr.numel() == graphs + 1
            return ptr.numpy() if known and ptr.numpy()[-1] == nodes else None
    return None


def groups_of(sizes: Ints) -> Groups:
    """Graphs by the power of two above their size, as `NodeToGraph.groups`.

    Args:
        sizes: Nodes of each graph.
    """
    level = np.ceil(np.log2(np.maximum(sizes, 0.5))).astype(np.int64)
    own = [sizes[level == value] for value in np.unique(level)]
    return joined_groups((len(each), int(each.max())) for each in own)


def joined_groups(groups: Iterable[tuple[int, int]]) -> Groups:
    """Groups of which those go with the next whose padding costs less than kernels of their own.

    Args:
        groups: As `NodeToGraph.groups`; some may be empty.
    """
    out: list[tuple[int, int]] = []
    for count, size in groups:
        if out and out[-1][0] * (size**2 - out[-1][1] ** 2) <= _FEW_PAIRS:
            count += out.pop()[0]
        if count:
            out.append((count, size))
    return tuple(out)


def _known(sizes: Ints) -> tuple[int, int]:
    """`max_size` and `num_pairs`."""
    return int(sizes.max(initial=0)), int(sizes @ sizes)
