"""PyG `Batch` and `Data` objects from PackedGraphs."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch_geometric.data import Batch, Data

from graphpe.conversion import TELL_NUM_NODES

if TYPE_CHECKING:
    from graphpe.packed import PackedGraphs

# Building a `Batch` goes through a metaclass that inspects signatures each time; copying an empty one does not.
_EMPTY_BATCH = Batch()
_EMPTY_DATA = Data()


def to_batch(graphs: PackedGraphs) -> Batch:
    """A PyG `Batch` whose tensors are those of `graphs`, and from which PyG can separate the graphs again.

    Beside the values it has `edge_index`, `batch`, `ptr` and the number `max_size` of nodes of the largest graph, so
    that dense layers need not ask the device for it. `num_nodes` is written out where no node value tells it.
    A constant number of calls, whatever the number of graphs.
    """
    on_cpu = graphs.device.type == "cpu"
    # What PyG needs to separate the graphs again stays on the CPU, as in `Batch.from_data_list`.
    node_slices = graphs.ptr if on_cpu else torch.from_numpy(graphs._host_ptr)
    edge_slices = graphs.edge_ptr if on_cpu else torch.from_numpy(graphs._host_edge_ptr)
    values: dict[str, Any] = {**graphs.node, "edge_index": graphs.edge_index}
    slices = dict.fromkeys(graphs.node, node_slices)
    if graphs.edge_weight is not None:
        values["edge_weight"] = graphs.edge_weight
        slices["edge_weight"] = edge_slices
    values |= graphs.edge
    slices |= dict.fromkeys(("edge_index", *graphs.edge), edge_slices)
    if graphs.graph or graphs.objects:
        values |= graphs.graph | graphs.objects
        slices |= dict.fromkeys((*graphs.graph, *graphs.objects), torch.arange(graphs.num_graphs + 1))
    if graphs.pair:
        values |= graphs.pair
        slices |= dict.fromkeys(graphs.pair, torch.from_numpy(graphs._host_pair_ptr))
    hidden: dict[str, Any] = {"_num_graphs": graphs.num_graphs, "_slice_dict": slices}
    hidden["_inc_dict"] = {**dict.fromkeys(slices), "edge_index": node_slices[:-1]}
    if not any(key in graphs.node for key in TELL_NUM_NODES):
        values["num_nodes"] = graphs.num_nodes
        hidden["_num_nodes"] = np.diff(graphs._host_ptr).tolist()
    values |= {"batch": graphs.batch, "ptr": graphs.ptr, "max_size": graphs.max_size}
    batch = copy.copy(_EMPTY_BATCH)
    # One update in place of PyG's __setattr__ for each key, which together cost as much as all the rest.
    store = vars(batch.stores[0])
    store["_mapping"].update(values)
    store.update(hidden)
    return batch


def to_data_list(graphs: PackedGraphs) -> list[Data]:
    """PyG `Data` objects whose tensors are views of those of `graphs`, all but the edge ids."""
    sizes = np.diff(graphs._host_ptr).tolist()
    edge_sizes = np.diff(graphs._host_edge_ptr).tolist()
    local = graphs.edge_index - graphs.ptr[:-1][graphs.edge_batch]
    columns: dict[str, Sequence[Any]] = {key: value.split(sizes) for key, value in graphs.node.items()}
    columns["edge_index"] = local.split(edge_sizes, dim=1)
    if graphs.edge_weight is not None:
        columns["edge_weight"] = graphs.edge_weight.split(edge_sizes)
    columns |= {key: value.split(edge_sizes) for key, value in graphs.edge.items()}
    columns |= {key: value.split(1) for key, value in graphs.graph.items()}
    columns |= {key: value.split([n * n for n in sizes]) for key, value in graphs.pair.items()}
    columns |= graphs.objects
    if not any(key in graphs.node for key in TELL_NUM_NODES):
        columns["num_nodes"] = sizes
    out = []
    for row in zip(*columns.values(), strict=False):
        data = copy.copy(_EMPTY_DATA)
        for key, value in zip(columns, row, strict=True):
            data[key] = value
        out.append(data)
    return out
