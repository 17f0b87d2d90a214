"""PackedGraphs from what PyTorch Geometric holds graphs in: `Data`, lists, `Batch`, dataset storage.

The `read_*` functions return the fields of a `PackedGraphs`, checked.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from numbers import Number
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Subset
from torch_geometric import EdgeIndex
from torch_geometric.data import Batch, Data, HeteroData, InMemoryDataset

from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.graphs.checks import check_num_nodes
from graphpe.graphs.interchange import read_adj_t
from graphpe.graphs.levels import RESERVED, Level, LevelOrObject, check_levels, check_name, choose_level
from graphpe.graphs.partition import Ints, partition, vectors_of

Levels = Mapping[str, LevelOrObject] | None
Keys = Collection[str] | None

# Node values that tell PyG how many nodes there are; without one of them `num_nodes` has to be written out.
TELL_NUM_NODES = ("x", "pos", "feat", "node_type", "n_id", "tf")


def read_data(data: Data, levels: Levels, keys: Keys) -> dict[str, Any]:
    """Fields from a `Data`, or from a `Batch` (or any `Data` with a `batch` vector or a `ptr`).

    Args:
        data: The `Data` or `Batch`.
        levels: Level of keys that shapes do not tell, by key.
        keys: Keys to read; None for all.
    """
    _check_is_data(data, "data")
    if isinstance(data, Batch) or "batch" in data or "ptr" in data:
        return _read_batch(data, levels, keys)
    return read_list([data], levels, keys)


def read_list(data_list: Sequence[Data], levels: Levels, keys: Keys) -> dict[str, Any]:
    """Fields from `Data` objects, one graph each.

    Args:
        data_list: The graphs.
        levels: Level of keys that shapes do not tell, by key.
        keys: Keys to read; None for all.
    """
    for i, data in enumerate(data_list):
        _check_is_data(data, f"graph {i}")
        if isinstance(data, Batch):
            raise GraphPETypeError(f"graph {i} is a Batch: pass it alone to PackedGraphs.from_data")
    contents = _contents(data_list)
    first = contents[0] if contents else {}
    names = _names(first, keys)
    _check_same_keys(contents, {*names, *({"edge_index", "edge_weight"} & first.keys())}, keys)
    levels = check_levels(levels, names)
    sizes = np.array([_num_nodes(data, i) for i, data in enumerate(data_list)], dtype=np.int64)
    fields = _Fields(sizes, _device(first))
    if "edge_index" in first:
        local = [_plain_edges(content["edge_index"], f"of graph {i} ") for i, content in enumerate(contents)]
        fields.set_local_edges(torch.cat(local, dim=1), np.array([value.size(1) for value in local]))
    if "edge_weight" in first:
        fields.set_weight(_concatenate("edge_weight", [content["edge_weight"] for content in contents]))
    for key in names:
        values = [content[key] for content in contents]
        level = levels.get(key)
        if level != "object" and isinstance(values[0], Tensor):
            value = _concatenate(key, values)
            fields.add(key, value, np.array([v.size(0) if v.dim() else 1 for v in values]), level)
        elif level != "object" and isinstance(values[0], Number):
            fields.add(key, _numbers(key, values), np.ones(len(values), dtype=np.int64), level or "graph")
        else:
            fields.add_objects(key, values, level)
    return fields.content


def read_storage(dataset: Any, levels: Levels, keys: Keys) -> tuple[dict[str, Any], Ints | None] | None:
    """Fields from the storage of an `InMemoryDataset`, and the ids of the graphs it shows of it (None: all).

    None where the storage does not tell what its items are: another kind of dataset, a `transform`, nested values.

    Args:
        dataset: The dataset.
        levels: Level of keys that shapes do not tell, by key.
        keys: Keys to read; None for all.
    """
    if isinstance(dataset, Subset):
        stored = read_storage(dataset.dataset, levels, keys)
        if stored is None:
            return None
        ids = np.asarray(dataset.indices, dtype=np.int64)
        return stored[0], ids if stored[1] is None else stored[1][ids]
    if not isinstance(dataset, InMemoryDataset) or type(dataset).get is not InMemoryDataset.get:
        return None
    data, slices = dataset._data, dataset.slices
    if dataset.transform is not None or not isinstance(data, Data) or slices is None:
        return None
    content = data.to_dict()
    names = _names(content, keys)
    sizes = _stored_sizes(content, slices)
    num_graphs = dataset.len()
    rows: dict[str, Ints] = {}
    for key in [*names, *({"edge_index", "edge_weight"} & content.keys())]:
        found = _stored_rows(key, content[key], slices.get(key), num_graphs)
        if found is None:
            return None
        rows[key] = found
    if sizes is None or len(sizes) != num_graphs:
        return None
    levels = check_levels(levels, names)
    fields = _Fields(sizes, _device(content))
    if "edge_index" in content:
        fields.set_local_edges(_plain_edges(content["edge_index"]), rows["edge_index"])
    if "edge_weight" in content:
        fields.set_weight(content["edge_weight"])
    for key in names:
        if isinstance(content[key], Tensor) and levels.get(key) != "object":
            fields.add(key, content[key], rows[key], levels.get(key))
        elif isinstance(content[key], Tensor):
            fields.add_objects(key, list(content[key].split(rows[key].tolist(), dim=_cat_dim(key))), "object")
        else:
            fields.add_objects(key, list(content[key]), levels.get(key))
    if dataset._indices is None:
        return fields.content, None
    return fields.content, np.asarray(list(dataset._indices), dtype=np.int64)


class _Fields:
    """The fields of a `PackedGraphs`, as they are read."""

    def __init__(self, sizes: Ints, device: torch.device) -> None:
        self.sizes = sizes
        self.edge_sizes = np.zeros_like(sizes)
        self.ptr = _cumulative(sizes)
        self.edge_order: Tensor | None = None
        self.content: dict[str, Any] = {
            "edge_weight": None,
            "node": {}, "edge": {}, "graph": {}, "pair": {}, "objects": {},
        }  # fmt: skip
        self.set_edges(torch.zeros(2, 0, dtype=torch.long, device=device), self.edge_sizes)

    def set_local_edges(self, edge_index: Tensor, edge_sizes: Ints) -> None:
        """Edges whose ids are counted within each graph."""
        edge_index = edge_index.long()
        counts = torch.from_numpy(edge_sizes).to(edge_index.device)
        sizes = torch.from_numpy(self.sizes).to(edge_index.device).repeat_interleave(counts)
        outside = ((edge_index < 0) | (edge_index >= sizes)).any(dim=0)
        if bool(outside.any()):
            edge = int(outside.nonzero()[0])
            graph = int(np.searchsorted(np.cumsum(edge_sizes), edge, side="right"))
            raise GraphPEValueError(
                f"edge_index of graph {graph} has the edge {edge_index[:, edge].tolist()}, but the graph has "
                f"{self.sizes[graph]} nodes: ids run from 0 to {self.sizes[graph] - 1}"
            )
        offset = self.ptr[:-1].to(edge_index.device).repeat_interleave(counts)
        self.set_edges(edge_index + offset, edge_sizes)

    def set_edges(self, edge_index: Tensor, edge_sizes: Ints) -> None:
        """Edges whose ids are counted over all graphs, in the order of the graphs."""
        self.edge_sizes = edge_sizes
        self.content["edge_index"] = edge_index.contiguous()
        self.content["edge_ptr"] = _cumulative(edge_sizes).to(edge_index.device)
        self.content["ptr"] = self.ptr.to(edge_index.device)

    def set_weight(self, weight: Any) -> None:
        if not isinstance(weight, Tensor) or weight.shape != (int(self.edge_sizes.sum()),):
            got = list(weight.shape) if isinstance(weight, Tensor) else type(weight).__name__
            raise GraphPEValueError(
                f"edge_weight must be one number per edge, [{self.edge_sizes.sum()}], got {got}; "
                "edge features of another shape belong under edge_attr"
            )
        self.content["edge_weight"] = weight if self.edge_order is None else weight[self.edge_order]

    def add(self, key: str, value: Tensor, lengths: Ints | None, given: LevelOrObject | None) -> None:
        """A tensor, of `lengths[b]` rows for graph b (or nobody knows how many)."""
        rows: dict[Level, Ints] = {
            "node": self.sizes,
            "edge": self.edge_sizes,
            "graph": np.ones_like(self.sizes),
            "pair": self.sizes**2,
        }
        if value.dim() == 0 and lengths is None:
            raise GraphPEValueError(f"{key!r} is one number for the whole batch: leave it out with keys=[...]")
        if lengths is None:
            lengths = np.array([value.size(0)])
            rows = {level: each.sum(keepdims=True) for level, each in rows.items()}
        level = choose_level(key, lengths, rows, given)
        check_name(key, level)
        if value.layout != torch.strided:
            raise GraphPETypeError(f"{key!r} is a sparse tensor: give its entries as edge_index and edge_weight")
        if level == "edge" and self.edge_order is not None:
            value = value[self.edge_order]
        if level == "graph" and value.size(0) != len(self.sizes):
            value = value.reshape(len(self.sizes), value.size(0) // len(self.sizes), *value.shape[1:])
        self.content[level][key] = value.contiguous()

    def add_objects(self, key: str, values: list[Any], level: LevelOrObject | None) -> None:
        """One Python value per graph."""
        if level not in (None, "object"):
            raise GraphPEValueError(f"{key!r} is not a {level} value: it holds {type(values[0]).__name__}, no tensor")
        check_name(key, "object")
        self.content["objects"][key] = values


def _read_batch(data: Data, levels: Levels, keys: Keys) -> dict[str, Any]:
    (content,) = _contents([data])
    # `follow_batch` wrote these; they can be written again.
    followed = {f"{key}{end}" for key in content for end in ("_batch", "_ptr")}
    names = [key for key in _names(content, keys) if key not in followed]
    levels = check_levels(levels, names)
    node_graph, sizes = _batch_sizes(data)
    fields = _Fields(sizes, node_graph.device)
    if "edge_index" in content:
        edge_index = _plain_edges(content["edge_index"]).long()
        if edge_index.numel() and not 0 <= int(edge_index.min()) <= int(edge_index.max()) < len(node_graph):
            raise GraphPEValueError(
                f"edge_index runs from {int(edge_index.min())} to {int(edge_index.max())}, "
                f"but the batch has {len(node_graph)} nodes"
            )
        source, target = node_graph[edge_index]
        if not torch.equal(source, target):
            edge = int((source != target).nonzero()[0])
            raise GraphPEValueError(
                f"edge {edge}, {edge_index[:, edge].tolist()}, joins graphs {int(source[edge])} and {int(target[edge])}"
            )
        if bool((source.diff() < 0).any()):
            fields.edge_order = torch.argsort(source, stable=True)
            edge_index = edge_index[:, fields.edge_order]
        fields.set_edges(edge_index, torch.bincount(source, minlength=len(sizes)).numpy(force=True))
    if "edge_weight" in content:
        fields.set_weight(content["edge_weight"])
    slices = data.__dict__["_store"].__dict__.get("_slice_dict") or {}
    for key in names:
        value = content[key]
        if isinstance(value, Tensor) and levels.get(key) == "object" and key in slices:
            # PyG may have shifted the values by the nodes of earlier graphs; it knows how to undo that.
            fields.add_objects(key, [data[i][key] for i in range(len(sizes))], "object")
        elif isinstance(value, Tensor):
            fields.add(key, value, _stored_rows(key, value, slices.get(key), len(sizes)), levels.get(key))
        elif isinstance(value, list) and len(value) == len(sizes):
            fields.add_objects(key, value, levels.get(key))
        else:
            raise GraphPEValueError(
                f"{key!r} of the batch is {type(value).__name__}: expected a tensor, or a list of "
                f"{len(sizes)} values, one per graph; leave it out with keys=[...]"
            )
    return fields.content


def _contents(data_list: Sequence[Data]) -> list[dict[str, Any]]:
    """What each holds; edges that are there as `adj_t` only, as edges."""
    contents = [data.to_dict() for data in data_list]
    hidden = [each for each in contents if each.get("edge_index") is None and each.get("adj_t") is not None]
    for content, (edge_index, weight) in zip(hidden, read_adj_t(*(each.pop("adj_t") for each in hidden)), strict=True):
        content["edge_index"] = edge_index
        if weight is not None:
            content["edge_weight"] = weight
    return contents


def _batch_sizes(data: Data) -> tuple[Tensor, Ints]:
    """The graph of each node, and the nodes of each graph."""
    vectors = vectors_of(data)
    assert vectors is not None, "asked for where the data is many graphs"
    node_graph, sizes, _ = partition(data, vectors)
    if bool((node_graph.diff() < 0).any()):
        raise GraphPEValueError(
            "nodes are not in the order of their graphs: sort them by 'batch' first, "
            "data.subgraph(data.batch.argsort(stable=True))"
        )
    if data.num_nodes is not None and data.num_nodes != len(node_graph):
        raise GraphPEValueError(
            f"batch holds the graphs of {len(node_graph)} nodes, and the data has {data.num_nodes} (num_nodes, or rows "
            "of x): nodes were added or removed in one of them only; make them agree"
        )
    return node_graph, sizes


def _stored_sizes(content: Mapping[str, Any], slices: Mapping[str, Any]) -> Ints | None:
    """Nodes of each graph of a dataset's storage, read as PyG reads `num_nodes` of a `Data`."""
    for key in ("_num_nodes", "num_nodes"):
        if isinstance(content.get(key), Tensor | list):
            return np.asarray(content[key], dtype=np.int64)
    telling = [key for key in content if key in TELL_NUM_NODES] + [key for key in content if "node" in key]
    for key in telling:
        if isinstance(content[key], Tensor) and isinstance(slices.get(key), Tensor):
            return np.diff(slices[key].numpy(force=True))
    return None


def _stored_rows(key: str, value: Any, slices: Any, num_graphs: int) -> Ints | None:
    """Rows of a collated value in each graph, or None where its slices do not (or no longer) describe it."""
    if isinstance(slices, Tensor) and slices.dim() == 1 and len(slices) == num_graphs + 1:
        if isinstance(value, Tensor) and value.dim():
            if int(slices[0]) == 0 and int(slices[-1]) == value.size(_cat_dim(key)):
                return np.diff(slices.numpy(force=True))
        elif isinstance(value, list) and len(value) == num_graphs:
            return np.ones(num_graphs, dtype=np.int64)
    return None


def _names(content: Mapping[str, Any], keys: Keys) -> list[str]:
    """The keys to read as values."""
    if isinstance(keys, str):
        raise GraphPETypeError(f"keys must be a collection of names, got the string {keys!r}")
    if keys is not None and (unknown := set(keys) - content.keys()):
        raise GraphPEValueError(
            f"keys names {sorted(unknown)}, which the data does not have (it has {sorted(content)})"
        )
    return [key for key in content if key not in RESERVED and key[0] != "_" and (keys is None or key in keys)]


def _check_same_keys(contents: Sequence[Mapping[str, Any]], first: set[str], keys: Keys) -> None:
    for i, content in enumerate(contents):
        mine = {*_names(content, None), *({"edge_index", "edge_weight"} & content.keys())}
        odd = first - mine if keys is not None else first ^ mine
        if odd:
            key = min(odd)
            with_it, without = (0, i) if key in first else (i, 0)
            advice = (
                "give every graph weights (a graph without them has weights of 1), or none"
                if key == "edge_weight"
                else "give every graph the same keys, or choose common ones with keys=[...]"
            )
            raise GraphPEValueError(f"{key!r} is in graph {with_it} but not in graph {without}: {advice}")


def _cat_dim(key: str) -> int:
    """The dimension along which PyG collates a key."""
    return -1 if "index" in key or key == "face" else 0


def _device(content: Mapping[str, Any]) -> torch.device:
    return next((value.device for value in content.values() if isinstance(value, Tensor)), torch.device("cpu"))


def _num_nodes(data: Data, i: int) -> int:
    num_nodes = data.num_nodes
    if num_nodes is None:
        raise GraphPEValueError(f"graph {i} does not say how many nodes it has: set its num_nodes")
    check_num_nodes(int(num_nodes), f"graph {i}")
    return int(num_nodes)


def _concatenate(key: str, values: list[Any]) -> Tensor:
    for i, value in enumerate(values):
        if not isinstance(value, Tensor):
            raise GraphPEValueError(f"{key!r} is a tensor in graph 0 but {type(value).__name__} in graph {i}")
        if value.layout != torch.strided:
            raise GraphPETypeError(f"{key!r} is a sparse tensor: give its entries as edge_index and edge_weight")
        if value.shape[1:] != values[0].shape[1:]:
            raise GraphPEValueError(
                f"{key!r} is {list(values[0].shape)} in graph 0 but {list(value.shape)} in graph {i}: "
                "only the first dimension may differ"
            )
    if values[0].dim() == 0:
        values = [value.reshape(1) for value in values]
    return torch.cat(values)


def _numbers(key: str, values: list[Any]) -> Tensor:
    for i, value in enumerate(values):
        if not isinstance(value, Number):
            raise GraphPEValueError(f"{key!r} is a number in graph 0 but {type(value).__name__} in graph {i}")
    return torch.tensor(values)


def _check_is_data(data: Any, name: str) -> None:
    if isinstance(data, HeteroData):
        raise GraphPETypeError(f"{name} is a HeteroData: convert it with its to_homogeneous()")
    if not isinstance(data, Data):
        raise GraphPETypeError(f"{name} must be a torch_geometric Data, got {type(data).__name__}")


def _plain_edges(edge_index: Any, of: str = "") -> Tensor:
    if isinstance(edge_index, EdgeIndex):
        edge_index = edge_index.as_tensor()
    integers = isinstance(edge_index, Tensor) and not edge_index.is_floating_point() and edge_index.dtype != torch.bool
    if not integers or edge_index.dim() != 2 or edge_index.size(0) != 2:
        got = (
            f"{edge_index.dtype} {list(edge_index.shape)}"
            if isinstance(edge_index, Tensor)
            else type(edge_index).__name__
        )
        raise GraphPEValueError(f"edge_index {of}must be integers [2, E], got {got}")
    return edge_index


def _cumulative(sizes: Ints) -> Tensor:
    ptr = torch.zeros(len(sizes) + 1, dtype=torch.long)
    torch.cumsum(torch.from_numpy(sizes), 0, out=ptr[1:])
    return ptr
