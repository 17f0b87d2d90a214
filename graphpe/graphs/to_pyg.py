"""PyG `Batch` and `Data` objects from PackedGraphs."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from graphpe.errors import GraphPEValueError
from graphpe.graphs.fields import Fields
from graphpe.graphs.from_pyg import TELL_NUM_NODES
from graphpe.graphs.ragged import Ints, spread

ON_HOST = "_on_host"
"""Where a `Batch` on a device keeps its structure on the host: the edges it had and how often they had been written to;
then the same edges, first nodes and first edges of the graphs on the host."""

# Building a `Batch` goes through a metaclass that inspects signatures each time; copying an empty one does not.
_EMPTY_BATCH = Batch()
_EMPTY_DATA = Data()


def to_batch(graphs: Fields) -> Batch:
    """A PyG `Batch` whose tensors are those of `graphs`, and from which PyG can separate the graphs again.

    Beside the values it has `edge_index`, `batch`, `ptr` and two numbers, so that layers over pairs of nodes need not
    ask the device for them: `max_size`, nodes of the largest graph, and `num_pairs`, the sum of squared sizes.
    `num_nodes` is written out where no node value tells it.
    A constant number of calls, whatever the number of graphs.

    Args:
        graphs: The fields of the graphs.
    """
    on_cpu = graphs.device.type == "cpu"
    values: dict[str, Any] = {**graphs.node, "edge_index": graphs.edge_index}
    if graphs.edge_weight is not None:
        values["edge_weight"] = graphs.edge_weight
    values |= graphs.edge | graphs.graph | graphs.pair | graphs.objects
    values |= {"batch": graphs.batch, "ptr": graphs.ptr, "max_size": graphs.max_size, "num_pairs": graphs.num_pairs}
    # What PyG needs to separate the graphs again stays on the CPU, as in `Batch.from_data_list`.
    slices = {
        "node": graphs.ptr if on_cpu else torch.from_numpy(graphs.host_ptr),
        "edge": graphs.edge_ptr if on_cpu else torch.from_numpy(graphs.host_edge_ptr),
        "graph": torch.arange(graphs.num_graphs + 1),
    }
    if graphs.pair:
        slices["pair"] = torch.from_numpy(graphs.host_pair_ptr)
    host = None if on_cpu else vars(graphs).get("host_edge_index")
    return _assemble(
        values,
        slices,
        _level_of_keys(graphs),
        None if _tells_num_nodes(graphs) else graphs.host_ptr,
        None if host is None else torch.from_numpy(host),
    )


def to_batches(graphs: Fields, counts: Sequence[int]) -> list[Batch]:
    """Batches of the first `counts[0]` graphs, the next `counts[1]`, and so on, as `to_batch` makes them.

    Their tensors are views. One selection cut into many batches costs much less than as many selections.

    Args:
        graphs: The fields of the graphs.
        counts: Number of graphs of each batch; their sum is the number of graphs.

    Raises:
        GraphPEValueError: The counts do not add up to the number of graphs.
    """
    graph_counts = np.asarray(counts, dtype=np.int64).reshape(-1)
    if graph_counts.sum() != graphs.num_graphs or (graph_counts < 0).any():
        raise GraphPEValueError(f"counts add up to {graph_counts.sum()} graphs, there are {graphs.num_graphs}")
    columns = _columns(graphs, graph_counts)
    first = np.cumsum(graph_counts) - graph_counts
    node_counts = np.diff(graphs.host_ptr[np.append(first, graphs.num_graphs)])
    own_graph = graphs.batch - spread(first, node_counts, graphs.device)
    columns["batch"] = own_graph.split(node_counts.tolist())
    slices = {
        "node": _cut_pointers(graphs.host_ptr, first, graph_counts),
        "edge": _cut_pointers(graphs.host_edge_ptr, first, graph_counts),
        "graph": [torch.arange(count + 1) for count in graph_counts.tolist()],
    }
    if graphs.pair:
        slices["pair"] = _cut_pointers(graphs.host_pair_ptr, first, graph_counts)
    columns["ptr"] = [ptr.to(graphs.device, non_blocking=True) for ptr in slices["node"]]
    sizes = np.diff(graphs.host_ptr)
    pieces = np.split(sizes, first[1:]) if len(first) else []
    columns["max_size"] = [int(each.max(initial=0)) for each in pieces]
    columns["num_pairs"] = [int(each @ each) for each in pieces]
    levels, untold = _level_of_keys(graphs), not _tells_num_nodes(graphs)
    host = _edges_on_host(graphs, first, graph_counts)
    return [
        _assemble(
            dict(zip(columns, row, strict=True)),
            {level: cuts[i] for level, cuts in slices.items()},
            levels,
            slices["node"][i].numpy() if untold else None,
            host[i],
        )
        for i, row in enumerate(zip(*columns.values(), strict=True))
    ]


def to_data_list(graphs: Fields) -> list[Data]:
    """PyG `Data` objects whose tensors are views of those of `graphs`, all but the edge ids.

    Args:
        graphs: The fields of the graphs.
    """
    columns = _columns(graphs, np.ones(graphs.num_graphs, dtype=np.int64))
    columns |= graphs.objects
    if not _tells_num_nodes(graphs):
        columns["num_nodes"] = np.diff(graphs.host_ptr).tolist()
    out = []
    for row in zip(*columns.values(), strict=True):
        data = copy.copy(_EMPTY_DATA)
        vars(data.stores[0])["_mapping"].update(zip(columns, row, strict=True))
        out.append(data)
    return out


def _columns(graphs: Fields, counts: Ints) -> dict[str, Sequence[Any]]:
    """Every value cut into pieces of `counts` graphs, edge ids counted within each piece."""
    bounds = np.concatenate([np.zeros(1, dtype=np.int64), np.cumsum(counts)])
    starts = graphs.host_ptr[bounds]
    nodes, edge_counts = np.diff(starts).tolist(), np.diff(graphs.host_edge_ptr[bounds])
    edges, each = edge_counts.tolist(), counts.tolist()
    columns: dict[str, Sequence[Any]] = {key: value.split(nodes) for key, value in graphs.node.items()}
    local = graphs.edge_index - spread(starts[:-1], edge_counts, graphs.device)
    columns["edge_index"] = local.split(edges, dim=1)
    if graphs.edge_weight is not None:
        columns["edge_weight"] = graphs.edge_weight.split(edges)
    columns |= {key: value.split(edges) for key, value in graphs.edge.items()}
    columns |= {key: value.split(each) for key, value in graphs.graph.items()}
    if graphs.pair:
        pairs = np.diff(graphs.host_pair_ptr[bounds]).tolist()
        columns |= {key: value.split(pairs) for key, value in graphs.pair.items()}
    pieces = list(zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True)) if graphs.objects else []
    columns |= {key: [values[a:b] for a, b in pieces] for key, values in graphs.objects.items()}
    return columns


def _edges_on_host(graphs: Fields, first: Ints, counts: Ints) -> Sequence[Tensor | None]:
    """Edges on the host of pieces of graphs on a device, ids counted within each; None where they are not known."""
    if graphs.device.type == "cpu" or "host_edge_index" not in vars(graphs):
        return [None] * len(counts)
    bounds = np.append(first, graphs.num_graphs)
    pieces = np.split(graphs.host_edge_index, graphs.host_edge_ptr[bounds[1:-1]], axis=1)
    return [torch.from_numpy(each - start) for each, start in zip(pieces, graphs.host_ptr[first], strict=True)]


def _cut_pointers(ptr: Ints, first: Ints, counts: Ints) -> Sequence[Tensor]:
    """Pointers of pieces, each `[count + 1]` and beginning with 0, cut out of the pointers of all graphs."""
    # The end of a piece is the beginning of the next, so each piece takes one entry more than it has graphs.
    piece = np.repeat(np.arange(len(counts)), counts + 1)
    cut = ptr[np.arange(len(piece)) - piece] - ptr[first[piece]]
    return torch.from_numpy(cut).split((counts + 1).tolist())


def _assemble(
    values: Mapping[str, Any],
    slices: Mapping[str, Tensor],
    levels: Mapping[str, str],
    sizes_from: Ints | None,
    host_edges: Tensor | None,
) -> Batch:
    """A `Batch` of these values, with what PyG needs to separate its graphs."""
    node_slices = slices["node"]
    hidden: dict[str, Any] = {
        "_num_graphs": len(node_slices) - 1,
        "_slice_dict": {key: slices[level] for key, level in levels.items()},
        "_inc_dict": {**dict.fromkeys(levels), "edge_index": node_slices[:-1]},
    }
    batch = copy.copy(_EMPTY_BATCH)
    # One update in place of PyG's __setattr__ for each key, which together cost as much as all the rest.
    store = vars(batch.stores[0])
    store["_mapping"].update(values)
    if sizes_from is not None:
        store["_mapping"]["num_nodes"] = int(sizes_from[-1])
        hidden["_num_nodes"] = np.diff(sizes_from).tolist()
    if host_edges is not None:
        edge_index = values["edge_index"]
        of_host = (host_edges, node_slices, slices["edge"])
        hidden[ON_HOST] = (edge_index, edge_index._version, *of_host)  # noqa: SLF001 (others may take its place)
    store.update(hidden)
    return batch


def _level_of_keys(graphs: Fields) -> dict[str, str]:
    levels = {"edge_index": "edge"} if graphs.edge_weight is None else {"edge_index": "edge", "edge_weight": "edge"}
    levels |= dict.fromkeys(graphs.node, "node") | dict.fromkeys(graphs.edge, "edge")
    levels |= dict.fromkeys(graphs.graph, "graph") | dict.fromkeys(graphs.objects, "graph")
    return levels | dict.fromkeys(graphs.pair, "pair")


def _tells_num_nodes(graphs: Fields) -> bool:
    return any(key in graphs.node for key in TELL_NUM_NODES)
