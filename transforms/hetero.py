"""A `HeteroData` as one graph, and values of its nodes back in their types."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch_geometric import EdgeIndex
from torch_geometric.data import Batch, Data, HeteroData

from graphpe.errors import GraphPEValueError
from graphpe.graphs.interchange import read_adj_t
from graphpe.transforms.into_x import appended

EdgeType = tuple[str, str, str]


@dataclass(frozen=True)
class HomogeneousView:
    """The nodes of all types and the edges of some as one `Data`, with `batch` where it holds many graphs.

    Attributes:
        data: Edges, weights, and the values that were asked for. Nodes stand in the order of the graphs, then of the
            types, then of their type.
        rows: Where the nodes of each type stand in it, in their order: `[num_nodes]` by type.
        ptrs: First node of each graph in each type and, last, the number of them; only for a batch.
    """

    data: Data
    rows: dict[str, Tensor]
    ptrs: dict[str, Tensor]

    def write_nodes(self, hetero: HeteroData, key: str | None, value: Tensor) -> None:
        """Set values of nodes `[N, ...]`, or append them to each type's `x` where they have no key.

        Args:
            hetero: What this is a view of.
            key: The key, or None.
            value: The values, in the order of the view.
        """
        for kind, rows in self.rows.items():
            part, store = value.index_select(0, rows.to(value.device)), hetero[kind]
            store[key or "x"] = appended(store.get("x"), part) if key is None else part
            _note_slices(hetero, kind, key or "x", self.ptrs.get(kind))

    def write_graphs(self, hetero: HeteroData, key: str, value: Tensor) -> None:
        """Set values of graphs `[B, ...]` beside the types.

        Args:
            hetero: What this is a view of.
            key: The key.
            value: The values.
        """
        setattr(hetero, key, value)
        _note_slices(hetero, None, key, torch.arange(len(value) + 1) if self.ptrs else None)


def homogeneous_view(
    hetero: HeteroData,
    reader: Any,
    *,
    node_keys: Collection[str] = (),
    edge_keys: Collection[str] = (),
    edge_types: Sequence[EdgeType] | None = None,
) -> HomogeneousView:
    """A `HeteroData`, or a batch of them, as one graph of all its nodes.

    Args:
        hetero: The graph or graphs.
        reader: What it is for, for messages.
        node_keys: Values of nodes to take; every type of nodes has to have them, equally wide.
        edge_keys: Values of edges to take.
        edge_types: Types of edges to take; None: all.

    Raises:
        GraphPEValueError: There are no edges of a type, a type does not say how many nodes it has, or some types have
            a value (`edge_weight`, too) and others do not.
    """
    chosen = list(hetero.edge_types) if edge_types is None else list(edge_types)
    if not chosen:
        raise GraphPEValueError(f"{reader} needs edges, but the HeteroData has no type of edges")
    unknown = [kind for kind in chosen if kind not in hetero.edge_types]
    if unknown:
        raise GraphPEValueError(f"{reader} takes edges of {unknown[0]}, but the HeteroData has {hetero.edge_types}")
    sizes: dict[str, int] = {}
    for kind in hetero.node_types:
        count = hetero[kind].num_nodes
        if count is None:
            raise GraphPEValueError(f"{reader} has to know how many nodes {kind!r} has: set its num_nodes")
        sizes[kind] = int(count)
    strangers = {end for first, _, last in chosen for end in (first, last)} - sizes.keys()
    if strangers:
        raise GraphPEValueError(f"{reader} got a HeteroData with edges of {min(strangers)!r}, which has no nodes")
    rows, graph, ptrs = _order(hetero, sizes, reader)
    data = Data(num_nodes=sum(sizes.values()))
    if graph is not None:
        data.batch = graph
        data.ptr = torch.searchsorted(graph, torch.arange(hetero.num_graphs + 1))
    ends, weights = [], []
    matrices = [hetero[kind].get("adj_t") for kind in chosen if hetero[kind].get("edge_index") is None]
    hidden = iter(read_adj_t(*(matrix for matrix in matrices if matrix is not None)))
    device = torch.device("cpu")
    for kind in chosen:
        edge_index, weight = _edges(hetero, kind, sizes, reader, hidden)
        device, edge_index = edge_index.device, edge_index.cpu()
        ends.append(torch.stack([rows[kind[0]][edge_index[0]], rows[kind[2]][edge_index[1]]]))
        weights.append(weight)
    data.edge_index = torch.cat(ends, dim=1)
    if any(weight is not None for weight in weights):
        data.edge_weight = _together("edge_weight", weights, chosen, reader)
    for key in node_keys:
        value = _together(key, [hetero[kind].get(key) for kind in sizes], list(sizes), reader)
        data[key] = value.index_select(0, torch.cat(list(rows.values())).argsort())
    for key in edge_keys:
        data[key] = _together(key, [hetero[kind].get(key) for kind in chosen], chosen, reader)
    return HomogeneousView(data.to(device), rows, ptrs)


def _order(
    hetero: HeteroData, sizes: dict[str, int], reader: Any
) -> tuple[dict[str, Tensor], Tensor | None, dict[str, Tensor]]:
    """Rows of each type's nodes, the graph of each row (None: one graph), and each type's `ptr`."""
    rows, begin = {}, 0
    if not isinstance(hetero, Batch):
        for kind, size in sizes.items():
            rows[kind] = torch.arange(begin, begin + size)
            begin += size
        return rows, None, {}
    graphs = []
    for kind in sizes:
        graph = hetero[kind].get("batch")
        if not isinstance(graph, Tensor):
            raise GraphPEValueError(f"{reader} got a batch of HeteroData without 'batch' for {kind!r}: batch it by PyG")
        graphs.append(graph.cpu())
    together = torch.cat(graphs) if graphs else torch.zeros(0, dtype=torch.long)
    order = together.argsort(stable=True)
    place = torch.empty_like(order).index_copy(0, order, torch.arange(len(order)))
    rows = dict(zip(sizes, place.split(list(sizes.values())), strict=True))
    ends = torch.arange(hetero.num_graphs + 1)
    ptrs = {kind: torch.searchsorted(graph, ends) for kind, graph in zip(sizes, graphs, strict=True)}
    return rows, together[order], ptrs


def _edges(
    hetero: HeteroData,
    kind: EdgeType,
    sizes: dict[str, int],
    reader: Any,
    hidden: Iterator[tuple[Tensor, Tensor | None]],
) -> tuple[Tensor, Any]:
    """Edges of one type, ends counted in their types, and their weights; the next of `hidden` if they are a matrix."""
    store = hetero[kind]
    if store.get("edge_index") is None and store.get("adj_t") is not None:
        edge_index, weight = next(hidden)
    else:
        edge_index, weight = store.get("edge_index"), store.get("edge_weight")
    if isinstance(edge_index, EdgeIndex):
        edge_index = edge_index.as_tensor()
    whole = isinstance(edge_index, Tensor) and not edge_index.is_floating_point() and edge_index.dtype != torch.bool
    if not whole or edge_index.dim() != 2 or len(edge_index) != 2:
        raise GraphPEValueError(f"{reader} needs edge_index [2, num_edges] of whole numbers in {kind}")
    edge_index = edge_index.long()
    for end, name in zip(edge_index, (kind[0], kind[2]), strict=True):
        if end.numel() and not 0 <= int(end.min()) <= int(end.max()) < sizes[name]:
            wrong = int(end.min()) if int(end.min()) < 0 else int(end.max())
            raise GraphPEValueError(f"edge_index of {kind} holds node {wrong}, but {name!r} has {sizes[name]} nodes")
    return edge_index, weight


def _together(key: str, values: Sequence[Any], kinds: Sequence[Any], reader: Any) -> Tensor:
    """Values of all types, one behind the other."""
    for kind, value in zip(kinds, values, strict=True):
        if not isinstance(value, Tensor):
            raise GraphPEValueError(f"{reader} reads {key!r}, which some types have and {kind} has not: give it to all")
        if value.shape[1:] != values[0].shape[1:]:
            raise GraphPEValueError(
                f"{reader} reads {key!r} of all types, but it is {list(values[0].shape)} in {kinds[0]} and "
                f"{list(value.shape)} in {kind}: make them equally wide"
            )
    return torch.cat([value.cpu() for value in values])


def _note_slices(hetero: HeteroData, kind: str | None, key: str, ptr: Tensor | None) -> None:
    """Tell a batch where the values of each graph are, so that it comes apart; its dictionaries stay as they are."""
    if ptr is None or not hasattr(hetero, "_slice_dict"):
        return
    still = torch.zeros(len(ptr) - 1, dtype=torch.long)
    for name, value in (("_slice_dict", ptr), ("_inc_dict", still)):
        noted = getattr(hetero, name)
        new = {**noted, key: value} if kind is None else {**noted, kind: {**noted.get(kind, {}), key: value}}
        setattr(hetero, name, new)
