"""From what users hand to a transform to packed graphs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Literal, Protocol

import numpy as np
import torch
from torch import Tensor
from torch_geometric import EdgeIndex
from torch_geometric.data import Batch, Data, HeteroData

from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.graphs.checks import check_num_nodes
from graphpe.graphs.interchange import read_adj_t
from graphpe.graphs.levels import LevelOrObject
from graphpe.graphs.packed import PackedGraphs
from graphpe.structure.laplacian import check_edges
from graphpe.transforms.hetero import EdgeType, HomogeneousView, homogeneous_view

READ = ("node_keys", "edge_keys")


class Reader(Protocol):
    """What an encoding says of what it reads; its text names it in errors."""

    @property
    def node_keys(self) -> list[str]:
        """Keys of values of nodes."""

    @property
    def edge_keys(self) -> list[str]:
        """Keys of values of edges."""

    @property
    def pair_keys(self) -> list[str]:
        """Keys of values of pairs, which it writes."""

    @property
    def pairs(self) -> str | None:
        """Key of the chosen pairs that it is of, if it is."""


def read_packed(graphs: PackedGraphs, *readers: Reader) -> PackedGraphs:
    """The edges and weights of packed graphs, and the values of nodes and edges that the readers read.

    Args:
        graphs: The graphs.
        readers: What reads values beside edges and weights: encodings, by their `node_keys` and `edge_keys`.

    Raises:
        GraphPEValueError: A value is missing.
    """
    node, edge = _read_keys(graphs.node, readers, "node"), _read_keys(graphs.edge, readers, "edge")
    if not node and not edge:
        return graphs.structure()
    return graphs.structure().with_values(
        node={key: graphs.node[key] for key in node}, edge={key: graphs.edge[key] for key in edge}
    )


def read_graphs(data: Any, *readers: Reader) -> PackedGraphs:
    """The edges and weights of a `Data` or `Batch`, and the values that the readers (at least one) read.

    Args:
        data: A `Data` or `Batch`.
        readers: What reads values beside edges and weights: encodings, by their `node_keys` and `edge_keys`.

    Raises:
        GraphPETypeError: It is something else.
        GraphPEValueError: It has no `edge_index`, or lacks a value of nodes or edges.
    """
    reader = readers[0]
    if not isinstance(data, Data):
        raise GraphPETypeError(
            f"{reader} takes a Data, a Batch, a PackedGraphs or a list of Data, got {type(data).__name__}"
        )
    content = vars(vars(data)["_store"])["_mapping"]  # PyG's own look-ups take as long as everything here
    if content.get("edge_index") is None and content.get("adj_t") is None:
        raise GraphPEValueError(f"{reader} needs edge_index [2, num_edges]; this graph has {list(data.keys())}")
    node, edge = _read_keys(content, readers, "node"), _read_keys(content, readers, "edge")
    if isinstance(data, Batch) or "batch" in content or "ptr" in content:
        levels: dict[str, LevelOrObject] = {**dict.fromkeys(node, "node"), **dict.fromkeys(edge, "edge")}
        return PackedGraphs.from_data(data, keys=[*node, *edge], levels=levels)
    graphs = _read_one(data, content, reader)
    if not node and not edge:
        return graphs
    return graphs.with_values(node={key: data[key] for key in node}, edge={key: data[key] for key in edge})


def _read_keys(available: Any, readers: Sequence[Reader], level: Literal["node", "edge"]) -> list[str]:
    """The values of nodes or edges that encodings read, each once."""
    reader_of: dict[str, Reader] = {}
    for reader in readers:
        for key in reader.node_keys if level == "node" else reader.edge_keys:
            reader_of[key] = reader
    for key, reader in reader_of.items():
        if key not in available:
            raise GraphPEValueError(f"{reader} reads the {level} value {key!r}, which the graph does not have")
    return list(reader_of)


def _read_one(data: Data, content: Mapping[str, Any], reader: Reader) -> PackedGraphs:
    """One graph, of which nothing but edges and weights has to be looked at: a fifth of the time of `from_data`."""
    edge_index, edge_weight = content.get("edge_index"), content.get("edge_weight")
    if edge_index is None:
        ((edge_index, edge_weight),) = read_adj_t(content["adj_t"])
    elif isinstance(edge_index, EdgeIndex):
        edge_index = edge_index.as_tensor()
    x = content.get("x")
    if "num_nodes" in content:
        num_nodes = content["num_nodes"]
    else:  # PyG looks through all values for what `x` tells
        num_nodes = len(x) if isinstance(x, Tensor) and x.dim() else data.num_nodes
    if num_nodes is None:
        raise GraphPEValueError(f"{reader} has to know how many nodes the graph has: set data.num_nodes")
    check_num_nodes(num_nodes)
    check_edges(edge_index, num_nodes, edge_weight)
    edge_index = edge_index.long()
    host_ptr, host_edge_ptr = np.array([0, num_nodes]), np.array([0, edge_index.size(1)])
    ptr, edge_ptr = torch.from_numpy(host_ptr), torch.from_numpy(host_edge_ptr)
    if edge_index.device.type != "cpu":
        ptr, edge_ptr = ptr.to(edge_index.device), edge_ptr.to(edge_index.device)
    return PackedGraphs.trusted(
        edge_index=edge_index,
        ptr=ptr,
        edge_ptr=edge_ptr,
        edge_weight=edge_weight,
        host_ptr=host_ptr,
        host_edge_ptr=host_edge_ptr,
        node={},
        edge={},
        graph={},
        pair={},
        objects={},
    )


def view_of(
    data: HeteroData, encodings: Sequence[Reader], edge_types: Sequence[EdgeType] | None = None
) -> HomogeneousView:
    """The homogeneous view of a `HeteroData` with what encodings read; arguments and errors as in `encode_hetero`."""
    for encoding in encodings:
        if encoding.pair_keys or encoding.pairs is not None:
            raise GraphPEValueError(
                f"{encoding} got a HeteroData, where values of pairs of nodes of different types have no place: "
                "apply it to data.to_homogeneous()"
            )
    node, edge = (list(dict.fromkeys(key for each in encodings for key in getattr(each, level))) for level in READ)
    return homogeneous_view(data, encodings[0], node_keys=node, edge_keys=edge, edge_types=edge_types)
