from __future__ import annotations

from itertools import pairwise

import networkx as nx
import pytest
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphpe.errors import GraphPEValueError
from graphpe.models.attention.positions.node_positions import Attending
from graphpe.models.attention.positions.transport.path import PaTH
from graphpe.models.batches.nodes import node_to_graph

WIDTH = 8


def householders(positions: PaTH, x: Tensor) -> Tensor:
    """I - beta w w^T of every head and node, [H, n, C, C], by the paper's formula."""
    w = (x @ positions.direction.weight.T).view(len(x), 2, -1)
    w = w / w.norm(dim=2, keepdim=True)
    beta = torch.full((len(x), 2), 2.0, dtype=torch.float64)
    if positions.strength is not None:
        beta = 2 - positions.decay * torch.sigmoid(x @ positions.strength.weight.T + positions.strength.bias)
    outer = w.unsqueeze(3) * w.unsqueeze(2)
    return (torch.eye(w.shape[2], dtype=torch.float64) - beta[..., None, None] * outer).transpose(0, 1)


@pytest.mark.parametrize("decay", [0.0, 0.4])
def test_is_path_attention_on_a_directed_path(decay, path, attend, inputs, heads_of) -> None:
    """Yang et al.: k_j . H_(j+1) ... H_i q_i for j <= i."""
    size = 7
    q, k, v, x = inputs(size, WIDTH)
    positions = PaTH(WIDTH, 2, decay=decay, tree="edges").double()
    logits, _ = attend(positions, path(size), q, k, v, x)
    step = householders(positions, x)
    hq, hk = heads_of(q), heads_of(k)
    for h in range(2):
        for i in range(size):
            row = hq[h, i]
            for j in range(i, -1, -1):
                torch.testing.assert_close(logits[h, i, j], hk[h, j] @ row)
                row = step[h, j] @ row


@pytest.mark.parametrize("decay", [0.0, 0.4])
def test_is_the_product_along_every_path_of_a_tree(decay, attend, inputs, heads_of) -> None:
    edges = torch.tensor([[0, 0, 1, 1, 2, 7], [1, 2, 3, 4, 5, 8]])
    size = 9
    q, k, v, x = inputs(size, WIDTH)
    positions = PaTH(WIDTH, 2, decay=decay, tree="edges").double()
    logits, _ = attend(positions, Data(edge_index=edges, num_nodes=size), q, k, v, x)
    step = householders(positions, x)
    graph = nx.from_edgelist(edges.T.tolist())
    graph.add_nodes_from(range(size))
    parent = {b: a for a, b in edges.T.tolist()}
    hq, hk = heads_of(q), heads_of(k)
    for j in range(size):
        for i, way in nx.single_source_shortest_path(graph, j).items():
            total = torch.eye(4, dtype=torch.float64).expand(2, 4, 4)
            for a, b in pairwise(way):
                total = total @ (step[:, b] if parent.get(b) == a else torch.linalg.inv(step[:, a]))
            expected = torch.einsum("ha,hab,hb->h", hk[:, j], total, hq[:, i])
            torch.testing.assert_close(logits[:, i, j], expected)


def test_reflections_never_grow_in_long_chains(path) -> None:
    size = 3000
    data, x = path(size), torch.randn(size, WIDTH)
    positions = PaTH(WIDTH, 2, tree="edges")
    prepared = positions.prepare(data, Attending(node_to_graph(data), size))
    turned, _, _ = positions.transform(x, x, x, prepared, x)
    torch.testing.assert_close(
        turned.view(size, 2, 4).norm(dim=2), x.view(size, 2, 4).norm(dim=2), rtol=1e-3, atol=1e-4
    )


def test_decay_that_is_too_large_for_the_trees_is_an_error(path, attend, inputs) -> None:
    with pytest.raises(GraphPEValueError, match=r"in trees of depth 39: take one below 0\.2"):
        attend(PaTH(WIDTH, 2, decay=0.5, tree="edges").double(), path(40), *inputs(40, WIDTH))
    attend(PaTH(WIDTH, 2, decay=0.2, tree="edges").double(), path(40), *inputs(40, WIDTH))
