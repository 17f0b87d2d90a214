"""Edges of code graphs: next-token edges, edges of data flow and inverse edges, over all graphs at once.

Next-token and inverse edges together are OGB's `augment_edge` for ogbg-code2. Inverse edges are separate here because
encodings see forward edges only: with inverse edges every graph is undirected, and its direction is gone before a
Magnetic Laplacian can read it.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
import torch
from torch import Tensor

from graphpe.benchmarks.tasks.code.dataflow.edge_types import EDGE_TYPES, FIELD
from graphpe.benchmarks.tasks.code.source.graphs import FunctionNodes
from graphpe.benchmarks.tasks.code.source.parse import FIELD_NAMES
from graphpe.graphs.packed import PackedGraphs

SyntaxGraph = Literal["ast", "ast+tokens"]
SYNTAX_GRAPHS: tuple[SyntaxGraph, ...] = ("ast", "ast+tokens")

Graph = Literal["ast", "ast+tokens", "dataflow"]
GRAPHS: tuple[Graph, ...] = (*SYNTAX_GRAPHS, "dataflow")

EDGE_ATTR = "edge_attr"
"""Of syntax graphs, `[E, 2]` float32: whether an edge is a next-token edge, whether it is an inverse edge. Of data-flow
graphs, `[E, 3]` int64: index into `EDGE_TYPES`, whether it is an inverse edge, and of FIELD 1 + index into
`FIELD_NAMES`, 0 for any other type or name."""

RELATIONS = len(EDGE_TYPES) + len(FIELD_NAMES)
"""Kinds of edges of data-flow graphs: each field, an unnamed one, and the types besides FIELD."""


def syntax_edges(graphs: PackedGraphs, graph: Graph) -> PackedGraphs:
    """Syntax trees with their edge flags, and with next-token edges for `"ast+tokens"`."""
    graphs = flag_syntax_edges(graphs)
    return add_token_edges(graphs) if graph == "ast+tokens" else graphs


def flow_edges(graphs: PackedGraphs, nodes: FunctionNodes) -> PackedGraphs:
    """Syntax trees as data-flow graphs: FIELD edges, then the other types by source.

    Args:
        graphs: What `nodes.pack` gave.
        nodes: Functions of a corpus that was read with `dataflow=True`.
    """
    edge, edge_type = torch.from_numpy(nodes.edge), torch.from_numpy(nodes.edge_type)
    field = torch.from_numpy(nodes.field)[graphs.edge_index[1]] + 1
    attr = torch.zeros(graphs.num_edges + len(edge_type), 3, dtype=torch.long)
    attr[: graphs.num_edges, 0], attr[: graphs.num_edges, 2], attr[graphs.num_edges :, 0] = FIELD, field, edge_type
    return _append(graphs.with_edges(graphs.edge_index, graphs.edge_ptr, {}), edge, {EDGE_ATTR: attr})


def relations(graphs: PackedGraphs) -> PackedGraphs:
    """Data-flow graphs as a model embeds them: `edge_attr [E, 1]`, a number for each relation and each inverse one."""
    kind, inverse, field = graphs.edge[EDGE_ATTR].unbind(dim=1)
    number = torch.where(kind == FIELD, field, len(FIELD_NAMES) + kind) + RELATIONS * inverse
    return graphs.with_values(edge={EDGE_ATTR: number.unsqueeze(1)})


def flag_syntax_edges(graphs: PackedGraphs) -> PackedGraphs:
    """Edges of the syntax tree with their (zero) flags in `edge_attr`."""
    return graphs.with_values(edge={EDGE_ATTR: torch.zeros(graphs.num_edges, 2, device=graphs.device)})


def add_token_edges(graphs: PackedGraphs) -> PackedGraphs:
    """Add edges between consecutive attributed nodes of a graph, after its other edges.

    Nodes are taken in depth-first order, which is the order they are stored in.

    Args:
        graphs: Graphs with `node_is_attributed` and the `edge_attr` of `flag_syntax_edges`.
    """
    tokens = torch.nonzero(graphs.node["node_is_attributed"].flatten()).flatten()
    graph_of = graphs.batch[tokens]
    new = torch.stack([tokens[:-1], tokens[1:]])[:, graph_of[:-1] == graph_of[1:]]
    flags = torch.zeros(new.size(1), 2, device=graphs.device)
    flags[:, 0] = 1
    return _append(graphs, new, {EDGE_ATTR: torch.cat([graphs.edge[EDGE_ATTR], flags])})


def _append(graphs: PackedGraphs, new: Tensor, edge: dict[str, Tensor]) -> PackedGraphs:
    """Put a graph's new edges, which are in order of the graphs, after its old ones.

    Args:
        graphs: The graphs.
        new: Sources and targets of new edges.
        edge: Values of all edges, old ones first.
    """
    new_of = graphs.batch[new[0]]
    added = torch.bincount(new_of, minlength=graphs.num_graphs)
    before = added.cumsum(0) - added
    # A graph's old edges move by the edges added before it; its new ones follow its old ones.
    old_at = torch.arange(graphs.num_edges, device=graphs.device) + before[graphs.edge_batch]
    new_at = torch.arange(new.size(1), device=graphs.device) + graphs.edge_ptr[1:][new_of]
    order = _inverse(torch.cat([old_at, new_at]))
    return graphs.with_edges(
        torch.cat([graphs.edge_index, new], dim=1)[:, order],
        graphs.edge_ptr + torch.cat([added.new_zeros(1), added.cumsum(0)]),
        {key: value[order] for key, value in edge.items()},
    )


def add_inverse_edges(graphs: PackedGraphs) -> PackedGraphs:
    """Add the inverse of every edge, after the edges of its graph; values and weights of edges are repeated.

    Args:
        graphs: Graphs whose `edge_attr` has the inverse flag in column 1.
    """
    # The order is made on the host, so that a device need not be asked.
    ptr, number = graphs.host_edge_ptr, np.arange(graphs.num_edges)
    counts = np.diff(ptr)
    places = [number + np.repeat(ends, counts) for ends in (ptr[:-1], ptr[1:])]
    on_host = _inverse(torch.from_numpy(np.concatenate(places)))
    order = on_host.to(graphs.device, non_blocking=True)
    edge = {key: torch.cat([value, value]) for key, value in graphs.edge.items()}
    edge[EDGE_ATTR][graphs.num_edges :, 1] = 1
    weight, known = graphs.edge_weight, {}
    if graphs.device.type != "cpu" and "host_edge_index" in vars(graphs):
        both = np.concatenate([graphs.host_edge_index, graphs.host_edge_index[::-1]], axis=1)
        known["host_edge_index"] = both[:, on_host.numpy()]
    return graphs.with_trusted_edges(
        edge_index=torch.cat([graphs.edge_index, graphs.edge_index.flip(0)], dim=1)[:, order],
        edge_ptr=graphs.edge_ptr * 2,
        host_edge_ptr=graphs.host_edge_ptr * 2,
        edge={key: value[order] for key, value in edge.items()},
        edge_weight=None if weight is None else torch.cat([weight, weight])[order],
        **known,
    )


def _inverse(permutation: Tensor) -> Tensor:
    """The inverse of a permutation, without sorting."""
    out = torch.empty_like(permutation)
    out[permutation] = torch.arange(len(permutation), device=permutation.device)
    return out
