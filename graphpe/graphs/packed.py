"""PackedGraphs: many graphs in flat tensors.

A mini-batch, a dataset in memory, a dataset that is memory-mapped from disk and a dataset on the GPU are the same
structure. Choosing graphs is a gather: a handful of calls whatever the number of graphs.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, overload

import numpy as np
import torch
from torch import Tensor

from graphpe.graphs import from_pyg, interchange, selection, to_pyg
from graphpe.graphs.checks import (
    LEVELS,
    check_device,
    check_graphs,
    check_integers,
    check_objects,
    check_unique,
    check_values,
)
from graphpe.graphs.fields import Fields
from graphpe.graphs.levels import LevelOrObject
from graphpe.graphs.selection import Index

if TYPE_CHECKING:
    import networkx as nx
    from scipy.sparse import csr_matrix
    from torch_geometric.data import Batch, Data


@dataclass(frozen=True, eq=False, repr=False)
class PackedGraphs(Fields):
    """Many graphs in flat tensors.

    With B graphs of n_b nodes and e_b edges, N = sum n_b and E = sum e_b:

    Attributes:
        edge_index: `[2, E]` int64, ids counted over all graphs; the edges of one graph stand together.
        ptr: `[B + 1]` int64: graph b owns nodes `ptr[b]` to `ptr[b + 1]`.
        edge_ptr: `[B + 1]` int64: graph b owns edges `edge_ptr[b]` to `edge_ptr[b + 1]`.
        edge_weight: `[E]` or None.
        node: Values of nodes, each `[N, ...]`.
        edge: Values of edges, each `[E, ...]`.
        graph: Values of graphs, each `[B, ...]`.
        pair: Values of ordered pairs of nodes of one graph, each `[sum n_b^2, ...]`, row-major (query i, key j).
        objects: One Python value per graph: strings, lists of strings, anything that is no tensor.

    Keys keep the names they have in PyG (`x`, `edge_attr`, `y`, `pos`, ...); a name is used in one level only.
    Built directly, the structure is checked in O(N + E). Ids become int64, and tensors that are not contiguous (columns
    of a table, a transposed array) are copied, because rows are what selections gather.

    Raises:
        GraphPETypeError: Something that has to be a tensor (of integers) is not.
        GraphPEValueError: Lengths disagree, a pointer is not monotone, an edge leaves its graph, a name is taken,
            or tensors are on different devices.
    """

    def __post_init__(self) -> None:
        for name in ("edge_index", "ptr", "edge_ptr"):
            check_integers(name, getattr(self, name))
            object.__setattr__(self, name, getattr(self, name).long().contiguous())
        check_graphs(self)
        for level in LEVELS:
            object.__setattr__(self, level, _row_major(getattr(self, level)))

    def __len__(self) -> int:
        return self.num_graphs

    def __repr__(self) -> str:
        parts = [f"num_graphs={self.num_graphs}, num_nodes={self.num_nodes}, num_edges={self.num_edges}"]
        parts += ["edge_weight"] * (self.edge_weight is not None)
        parts += [f"{level}={list(values)}" for level in (*LEVELS, "objects") if (values := getattr(self, level))]
        return f"PackedGraphs({', '.join(parts)})"

    # Choosing graphs

    def select(self, index: Index) -> PackedGraphs:
        """The graphs at `index`, in that order.

        A gather in O(nodes and edges selected). Any order and repeats are allowed; negative ids count from the end.
        A slice of step 1 shares memory with this object (all but its edge ids); every other index copies.

        Args:
            index: Ids (tensor, array, range or sequence of integers), a mask over the graphs, or a slice.

        Raises:
            GraphPETypeError: The index is of another type, or of another dtype.
            GraphPEValueError: An id is out of range, or a mask is not one entry per graph.
        """
        if isinstance(index, slice) and index.step in (None, 1):
            start, stop, _ = index.indices(self.num_graphs)
            return PackedGraphs.trusted(**selection.narrow(self, start, max(start, stop)))
        return PackedGraphs.trusted(**selection.gather(self, selection.as_ids(index, self.num_graphs)))

    def resolve(self, index: Index) -> Tensor:
        """What `select` takes, as non-negative int64 ids on the CPU; errors as there.

        Args:
            index: Ids of graphs, as `select` takes them.
        """
        return torch.from_numpy(selection.as_ids(index, self.num_graphs))

    @overload
    def __getitem__(self, index: int) -> Data: ...

    @overload
    def __getitem__(self, index: Index) -> PackedGraphs: ...

    def __getitem__(self, index: Any) -> Any:
        """One graph as a PyG `Data` (an integer), or `select` (anything else)."""
        if isinstance(index, int | np.integer) and not isinstance(index, bool):
            (i,) = self.resolve([int(index)]).tolist()
            return self.select(slice(i, i + 1)).to_data_list()[0]
        return self.select(index)

    def __iter__(self) -> Iterator[Data]:
        return (self[i] for i in range(self.num_graphs))

    def size_groups(self) -> list[Tensor]:
        """Ids of graphs of exactly equal size, one tensor for each size, smallest first.

        Stacks of one group need no padding, which is what batched dense solvers want.
        """
        return self.buckets(ratio=1.0)

    def buckets(
        self, *, ratio: float = 1.25, max_graphs: int | None = None, max_pairs: int | None = None
    ) -> list[Tensor]:
        """Ids of graphs of similar size, smallest first; each graph is in one bucket, equal sizes stay in order.

        Args:
            ratio: Within a bucket the largest graph has at most `ratio` times the nodes of the smallest; at least 1.
            max_graphs: Most graphs in a bucket.
            max_pairs: Most entries of a bucket's padded `[graphs, n, n]` stack; a larger single graph stands alone.

        Raises:
            GraphPEValueError: A limit is out of its range.
        """
        return selection.size_buckets(np.diff(self.host_ptr), ratio=ratio, max_graphs=max_graphs, max_pairs=max_pairs)

    # Changing values

    def with_values(
        self,
        *,
        node: Mapping[str, Tensor] | None = None,
        edge: Mapping[str, Tensor] | None = None,
        graph: Mapping[str, Tensor] | None = None,
        pair: Mapping[str, Tensor] | None = None,
    ) -> PackedGraphs:
        """A new object with these values added, or put in place of those of the same name and level.

        Args:
            node: Values of nodes by name, `[N, ...]`.
            edge: Values of edges, `[E, ...]`.
            graph: Values of graphs, `[B, ...]`.
            pair: Values of ordered pairs of nodes of one graph, `[sum n_b^2, ...]`, row-major in each graph.

        Raises:
            GraphPEValueError: A value has the wrong number of rows, is on another device, or has a name that is taken.
        """
        changed: dict[str, Any] = {}
        for level, values in zip(LEVELS, (node, edge, graph, pair), strict=True):
            if values:
                check_values(self, level, values)
                changed[level] = {**getattr(self, level), **_row_major(values)}
        out = self._replace(**changed)
        check_unique(out)
        return out

    def with_objects(self, objects: Mapping[str, list[Any]]) -> PackedGraphs:
        """A new object with these Python values added, or put in place of those of the same name.

        Args:
            objects: One value per graph, by name.

        Raises:
            GraphPEValueError: There are more or fewer, or a name is taken.
        """
        check_objects(self, objects)
        out = self._replace(objects={**self.objects, **objects})
        check_unique(out)
        return out

    def with_edges(
        self,
        edge_index: Tensor,
        edge_ptr: Tensor,
        edge: Mapping[str, Tensor] | None = None,
        edge_weight: Tensor | None = None,
    ) -> PackedGraphs:
        """The same nodes, graphs and pairs with other edges (and with these edge values only).

        Args:
            edge_index: `[2, E']`, ids counted over all graphs, the edges of one graph together.
            edge_ptr: `[B + 1]`.
            edge: Values of the new edges.
            edge_weight: `[E']` or None.

        Raises:
            GraphPEValueError: As when a `PackedGraphs` is built.
        """
        return PackedGraphs(
            edge_index=edge_index,
            ptr=self.ptr,
            edge_ptr=edge_ptr,
            edge_weight=edge_weight,
            node=dict(self.node),
            edge=dict(edge or {}),
            graph=dict(self.graph),
            pair=dict(self.pair),
            objects=dict(self.objects),
        )

    def without_edges(self) -> PackedGraphs:
        """The same nodes, graphs and pairs, and no edge."""
        none: dict[str, Any] = {"edge": {}, "edge_weight": None, "host_edge_index": np.zeros((2, 0), np.int64)}
        pointers = {"edge_ptr": torch.zeros_like(self.edge_ptr), "host_edge_ptr": np.zeros_like(self.host_edge_ptr)}
        return self.with_trusted_edges(edge_index=self.edge_index[:, :0], **pointers, **none)

    def with_trusted_edges(self, **content: Any) -> PackedGraphs:
        """The same nodes, graphs and pairs with other edges that are known to be right; skips the checks.

        Args:
            content: All fields of edges and, where they are known, cached properties of them, by name.
        """
        return PackedGraphs.trusted(**{key: vars(self)[key] for key in _OF_NODES if key in vars(self)}, **content)

    def structure(self) -> PackedGraphs:
        """The graphs without features: edges, their weights and the pointers."""
        return self._replace(node={}, edge={}, graph={}, pair={}, objects={})

    def only_values(self, keys: Collection[str]) -> PackedGraphs:
        """The graphs without edges, with the values of nodes, graphs and pairs under these keys and Python objects.

        Nothing is copied: of a large dataset, what is about targets alone is so selected without its edges.

        Args:
            keys: Names of values; those that are not there do not count.
        """
        none = torch.zeros_like(self.ptr)
        kept = {
            level: {key: value for key, value in getattr(self, level).items() if key in keys}
            for level in ("node", "graph", "pair")
        }
        return PackedGraphs.trusted(
            edge_index=torch.zeros(2, 0, dtype=torch.long, device=self.device),
            ptr=self.ptr,
            edge_ptr=none,
            edge_weight=None,
            edge={},
            objects=self.objects,
            host_ptr=self.host_ptr,
            host_edge_ptr=np.zeros_like(self.host_ptr),
            **kept,
        )

    def to(self, device: torch.device | str, *, non_blocking: bool = False) -> PackedGraphs:
        """The graphs on `device`.

        Args:
            device: A device of torch, or its name.
            non_blocking: Whether a copy from pinned memory to a GPU may still run when this returns.

        Raises:
            GraphPEValueError: It is no device.
        """
        device = check_device(device)
        if device == self.device:
            return self
        return self._map(lambda value: value.to(device, non_blocking=non_blocking))

    def pin_memory(self) -> PackedGraphs:
        """The graphs in page-locked memory, from which copies to a GPU need not block."""
        return self._map(Tensor.pin_memory)

    def _map(self, function: Callable[[Tensor], Tensor]) -> PackedGraphs:
        content: dict[str, Any] = {"host_ptr": self.host_ptr, "host_edge_ptr": self.host_edge_ptr}
        for item in fields(self):
            value = getattr(self, item.name)
            if isinstance(value, Tensor):
                value = function(value)
            elif item.name in LEVELS:
                value = {key: function(tensor) for key, tensor in value.items()}
            content[item.name] = value
        if content["edge_index"].device.type != "cpu":
            content["host_edge_index"] = self.host_edge_index
        return PackedGraphs.trusted(**content)

    def _replace(self, **changed: Any) -> PackedGraphs:
        """The same pointers and edges, and what was computed from them, with other values."""
        return PackedGraphs.trusted(**vars(self) | changed)

    # Conversions

    @classmethod
    def from_data(
        cls, data: Data, *, levels: Mapping[str, LevelOrObject] | None = None, keys: Collection[str] | None = None
    ) -> PackedGraphs:
        """One graph from a PyG `Data`, or many from a `Batch` (or a `Data` that has a `batch` vector).

        Tensors are shared with a `Batch`. Edges that are not in the order of their graphs are sorted (stably), and
        their values with them.

        Args:
            data: The graph or graphs.
            levels: Level of a key where its lengths do not tell: `"node"`, `"edge"`, `"graph"`, `"pair"` or `"object"`.
            keys: Values to take; by default all. `keys=()` takes edges and weights only.

        Raises:
            GraphPETypeError: `data` is a `HeteroData` or no PyG data at all.
            GraphPEValueError: A key fits no level, an edge joins two graphs, or nodes are not sorted by graph.
        """
        return cls.trusted(**from_pyg.read_data(data, levels, keys))

    @classmethod
    def from_data_list(
        cls,
        data_list: Iterable[Data],
        *,
        levels: Mapping[str, LevelOrObject] | None = None,
        keys: Collection[str] | None = None,
    ) -> PackedGraphs:
        """Many graphs from PyG `Data` objects; arguments and errors as in `from_data`.

        Args:
            data_list: One `Data` for each graph, no `Batch`.
            levels: Level of keys that shapes do not tell (`node`, `edge`, `graph`, `pair`, or `object` for Python
                values), by key.
            keys: Keys to read beside edges and weights; None for all.

        Raises:
            GraphPEValueError: Also: a key is missing in some graph.
        """
        return cls.trusted(**from_pyg.read_list(list(data_list), levels, keys))

    @classmethod
    def from_dataset(
        cls, dataset: Any, *, levels: Mapping[str, LevelOrObject] | None = None, keys: Collection[str] | None = None
    ) -> PackedGraphs:
        """The graphs of a dataset.

        An `InMemoryDataset` without `transform` is read straight from its storage (a sub-selection `dataset[ids]` is
        honoured); any other sequence of `Data` item by item, its `transform` applied once, now.
        Arguments and errors as in `from_data_list`.

        Args:
            dataset: A sequence of `Data`.
            levels: Level of keys that shapes do not tell, by key.
            keys: Keys to read beside edges and weights; None for all.
        """
        stored = from_pyg.read_storage(dataset, levels, keys)
        if stored is None:
            return cls.from_data_list((dataset[i] for i in range(len(dataset))), levels=levels, keys=keys)
        content, ids = stored
        packed = cls.trusted(**content)
        return packed if ids is None else packed.select(ids)

    @classmethod
    def from_networkx(cls, graphs: nx.Graph | Iterable[nx.Graph], *, weight: str | None = "weight") -> PackedGraphs:
        """Structure and weights of networkx graphs; see `graphpe.graphs.interchange.read_networkx`.

        Args:
            graphs: One networkx graph, or several; edges of undirected ones are taken both ways.
            weight: Name of the edges' attribute that is the weight; None for graphs without weights.
        """
        return cls.trusted(**interchange.read_networkx(graphs, weight))

    @classmethod
    def from_scipy(cls, matrices: Any) -> PackedGraphs:
        """Graphs from square SciPy sparse matrices; see `graphpe.graphs.interchange.read_scipy`.

        Args:
            matrices: One square sparse matrix, or several; entry (i, j) is the weight of the edge i -> j.
        """
        return cls.trusted(**interchange.read_scipy(matrices))

    def to_batch(self) -> Batch:
        """The graphs as one PyG `Batch`, tensors shared; see `graphpe.graphs.to_pyg.to_batch`."""
        return to_pyg.to_batch(self)

    def to_batches(self, counts: Sequence[int]) -> list[Batch]:
        """The graphs as several batches of `counts` graphs each; see `graphpe.graphs.to_pyg.to_batches`.

        Args:
            counts: Number of graphs of each batch; their sum is the number of graphs.
        """
        return to_pyg.to_batches(self, counts)

    def to_data_list(self) -> list[Data]:
        """The graphs as PyG `Data` objects whose tensors are views of this object (all but the edge ids)."""
        return to_pyg.to_data_list(self)

    def to_networkx(self, index: int, *, weight: str = "weight") -> nx.DiGraph:
        """One graph as a networkx graph; see `graphpe.graphs.interchange.to_networkx`.

        Args:
            index: Id of the graph; negative ids count from the end.
            weight: Name of the edges' attribute that gets the weight.
        """
        return interchange.to_networkx(self.select([index]).to("cpu"), weight)

    def to_scipy(self) -> csr_matrix:
        """The block-diagonal adjacency matrix `[N, N]`; parallel edges add up, and without weights each counts 1."""
        return interchange.to_scipy(self)


_OF_NODES = ("ptr", "node", "graph", "pair", "objects", "host_ptr", "host_pair_ptr", "pair_ptr", "batch", "sizes")


def _row_major(values: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {key: value.contiguous() for key, value in values.items()}
