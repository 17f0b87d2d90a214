"""A random split of the links of one graph, by PyG's `RandomLinkSplit`."""

from __future__ import annotations

import warnings
from typing import Any

import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.transforms import RandomLinkSplit
from torch_geometric.utils import remove_self_loops

from graphpe.arguments import check_number
from graphpe.benchmarks.tasks.links.link_data import Links
from graphpe.benchmarks.tasks.links.link_task import seeded
from graphpe.errors import GraphPERuntimeError, GraphPEValueError


def check_shares(valid: Any, test: Any) -> None:
    """Check the shares of links that are held out.

    Args:
        valid: For validation.
        test: For the test.

    Raises:
        GraphPEError: One is no share, or nothing is left for training.
    """
    for name, value in (("valid", valid), ("test", test)):
        if not 0 < check_number(name, value) < 1:
            raise GraphPEValueError(f"{name} must be a share above 0 and below 1, got {value!r}")
    if valid + test >= 1:
        raise GraphPEValueError(f"valid={valid!r} and test={test!r} leave no links for training")


def split_links(
    x: Tensor | None,
    edge_index: Tensor,
    nodes: int,
    *,
    edge_weight: Tensor | None = None,
    undirected: bool,
    valid: float,
    test: float,
    disjoint: float,
    seed: int,
    what: str,
) -> Links:
    """Held-out links, as many pairs that are none, and the graph of the others.

    Message passing and encodings see the training edges at every part; PyG's test graph has the validation edges, too.

    Args:
        x: Features of nodes.
        edge_index: All edges.
        nodes: Number of nodes.
        edge_weight: Of the edges; those of parallel edges add.
        undirected: Whether edges go both ways, and are held out in both.
        valid: Share of the links for validation.
        test: Share of them for the test.
        disjoint: Share of the training links that only supervise.
        seed: Of what is drawn.
        what: Names the graph in messages.

    Raises:
        GraphPERuntimeError: There are too few links for the three parts.
    """
    edge_index, edge_weight = remove_self_loops(edge_index, edge_weight)
    edges, place = edge_index.unique(dim=1, return_inverse=True)
    graph = Data(edge_index=edges, num_nodes=nodes)
    split = RandomLinkSplit(
        valid, test, is_undirected=undirected, add_negative_train_samples=False, disjoint_train_ratio=disjoint
    )
    links = edges.shape[1] // (2 if undirected else 1)
    if min(int(valid * links), int(test * links)) < 1:
        raise GraphPERuntimeError(
            f"{what} has {links} links, too few for valid={valid:g} and test={test:g}: give larger shares"
        )
    with seeded(seed), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that there are too few other pairs, which is not so here, or said by `data`
        parts = split(graph)
    found = {}
    for name, part in zip(("train", "valid", "test"), parts, strict=True):
        label = part.edge_label > 0
        found[name] = part.edge_label_index[:, label], part.edge_label_index[:, ~label]
    seen = torch.as_tensor(parts[0].edge_index)
    weight = None
    if edge_weight is not None:
        summed = torch.zeros(edges.shape[1]).index_add_(0, place, edge_weight)
        weight = summed[torch.searchsorted(edges[0] * nodes + edges[1], seen[0] * nodes + seen[1])]
    return Links(x, nodes, seen, found["train"][0], found["valid"], found["test"], weight)
