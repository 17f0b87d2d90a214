"""Edges of code graphs: next-token edges and inverse edges, over all graphs at once.

The two together are OGB's `augment_edge` for ogbg-code2. They are separate here because encodings see forward edges
only: with inverse edges every graph is undirected, and its direction is gone before a Magnetic Laplacian can read it.
"""

from __future__ import annotations

import torch

from graphpe.packed import PackedGraphs

EDGE_ATTR = "edge_attr"
"""`[E, 2]` float32: whether an edge is a next-token edge, whether it is an inverse edge."""


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
    together = graph_of[:-1] == graph_of[1:]
    new = torch.stack([tokens[:-1], tokens[1:]])[:, together]
    new_of = graph_of[1:][together]
    added = torch.bincount(new_of, minlength=graphs.num_graphs)
    before = added.cumsum(0) - added
    flags = torch.zeros(new.size(1), 2, device=graphs.device)
    flags[:, 0] = 1
    # A graph's old edges move by the edges added before it; its new ones follow its old ones.
    old_at = torch.arange(graphs.num_edges, device=graphs.device) + before[graphs.edge_batch]
    new_at = torch.arange(new.size(1), device=graphs.device) + graphs.edge_ptr[1:][new_of]
    order = _inverse(torch.cat([old_at, new_at]))
    return graphs.with_edges(
        torch.cat([graphs.edge_index, new], dim=1)[:, order],
        graphs.edge_ptr + torch.cat([added.new_zeros(1), added.cumsum(0)]),
        {EDGE_ATTR: torch.cat([graphs.edge[EDGE_ATTR], flags])[order]},
    )


def add_inverse_edges(graphs: PackedGraphs) -> PackedGraphs:
    """Add the inverse of every edge, after the edges of its graph; values and weights of edges are repeated.

    Args:
        graphs: Graphs whose `edge_attr` has the inverse flag in column 1.
    """
    number, graph_of = torch.arange(graphs.num_edges, device=graphs.device), graphs.edge_batch
    order = _inverse(torch.cat([number + graphs.edge_ptr[graph_of], number + graphs.edge_ptr[graph_of + 1]]))
    edge = {key: torch.cat([value, value]) for key, value in graphs.edge.items()}
    edge[EDGE_ATTR][graphs.num_edges :, 1] = 1
    weight = graphs.edge_weight
    return graphs.with_edges(
        torch.cat([graphs.edge_index, graphs.edge_index.flip(0)], dim=1)[:, order],
        graphs.edge_ptr * 2,
        {key: value[order] for key, value in edge.items()},
        None if weight is None else torch.cat([weight, weight])[order],
    )


def _inverse(permutation: torch.Tensor) -> torch.Tensor:
    """The inverse of a permutation, without sorting."""
    out = torch.empty_like(permutation)
    out[permutation] = torch.arange(len(permutation), device=permutation.device)
    return out
