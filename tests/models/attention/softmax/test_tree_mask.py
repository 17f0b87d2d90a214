from __future__ import annotations

from dataclasses import replace

import networkx as nx
import pytest
import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

from graphpe.models.attention.softmax.linear import linear_attention
from graphpe.models.attention.softmax.tree_mask import (
    DENSE_NODES,
    TreeAttention,
    TreeDecay,
    TreeMask,
    TreeNodes,
    tree_nodes,
)
from graphpe.models.batches.nodes import node_to_graph


def distances(nodes: TreeNodes, size: int) -> Tensor:
    """Hops along the trees by networkx, infinite between components."""
    assert nodes.tree is not None
    graph = nx.Graph(nodes.tree.edge_index.T.tolist())
    graph.add_nodes_from(range(size))
    out = torch.full((size, size), torch.inf, dtype=torch.float64)
    for i, row in nx.all_pairs_shortest_path_length(graph):
        for j, hops in row.items():
            out[i, j] = hops
    return out


class Dense:
    """The mask as a matrix."""

    def __init__(self, matrix: Tensor) -> None:
        self.matrix = matrix

    def apply(self, x: Tensor) -> Tensor:
        return self.matrix.to(x.dtype) @ x


def dense_attention(layer: TreeAttention, x: Tensor, distance: Tensor) -> Tensor:
    """The masked weights as a matrix for each head, from the parameters themselves."""
    query, key, value = (
        part.unflatten(1, (layer.heads, -1)).transpose(0, 1) for part in layer.query_key_value(x).chunk(3, 1)
    )
    weight = (torch.nn.functional.elu(query) + 1) @ (torch.nn.functional.elu(key) + 1).transpose(1, 2)
    near, far = torch.nn.functional.softplus(layer.decay.rate)[:, :, None, None]
    scale = layer.decay.log_weight.exp()[:, None, None]
    finite = distance.nan_to_num(posinf=0.0).to(x.dtype)
    mask = torch.where(distance.isfinite(), torch.exp(-near * finite) + scale * torch.exp(-far * finite), 0.0)
    weight = weight * mask
    out = (weight / weight.sum(2, keepdim=True)) @ value
    return layer.out(out.transpose(0, 1).flatten(1))


@pytest.mark.parametrize("tree", ["minimum", "shortest"])
@pytest.mark.parametrize("mask", ["heads", "synced"])
@pytest.mark.parametrize("small", [True, False])
def test_equals_the_dense_masked_form(make_batch, mask: str, tree: str, small: bool) -> None:
    batch = make_batch([9, 1, 0, 30, 4, 6], degree=1)  # several components, single nodes, loops, parallel edges
    nodes = tree_nodes(batch, node_to_graph(batch), tree)
    assert nodes.hops is not None
    nodes = nodes if small else replace(nodes, hops=None)
    distance = distances(nodes, 50)
    layer = TreeAttention(12, 3, mask=mask)
    torch.nn.init.normal_(layer.decay.rate)
    torch.nn.init.normal_(layer.decay.log_weight)
    x, direction = torch.randn(50, 12), torch.randn(50, 12)
    torch.testing.assert_close(layer(x, nodes), dense_attention(layer, x, distance), rtol=1e-5, atol=1e-5)
    layer, x, direction = layer.double(), x.double().requires_grad_(), direction.double()
    torch.testing.assert_close(layer(x, nodes), dense_attention(layer, x, distance), rtol=1e-10, atol=1e-11)
    inputs = [x, *layer.parameters()]
    fast = torch.autograd.grad((layer(x, nodes) * direction).sum(), inputs)
    plain = torch.autograd.grad((dense_attention(layer, x, distance) * direction).sum(), inputs)
    for ours, expected in zip(fast, plain, strict=True):
        torch.testing.assert_close(ours, expected, rtol=1e-8, atol=1e-9)


def test_the_tree_spans_the_graph(make_batch) -> None:
    batch = make_batch([12, 7, 1], degree=2)
    for kind in ("minimum", "shortest"):
        nodes = tree_nodes(batch, node_to_graph(batch), kind)
        edges = {tuple(sorted(edge)) for edge in batch.edge_index.T.tolist()}
        assert {tuple(sorted(edge)) for edge in nodes.tree.edge_index.T.tolist()} <= edges
        graph = nx.Graph(list(edges))
        graph.add_nodes_from(range(20))
        tree = nx.Graph(nodes.tree.edge_index.T.tolist())
        tree.add_nodes_from(range(20))
        assert nx.is_forest(tree)
        assert nx.number_connected_components(tree) == nx.number_connected_components(graph)


def test_edges_in_any_order() -> None:
    """Edges of several graphs that do not stand together, as after a transform of the whole batch."""
    paths = [Data(edge_index=torch.tensor([[0, 1, 2], [1, 2, 3]]), num_nodes=4) for _ in range(3)]
    batch = Batch.from_data_list(paths)
    expected = distances(tree_nodes(batch, node_to_graph(batch), "shortest"), 12)
    batch.edge_index = batch.edge_index[:, torch.randperm(9)]
    torch.testing.assert_close(distances(tree_nodes(batch, node_to_graph(batch), "shortest"), 12), expected)


def test_decay_begins_as_documented() -> None:
    distance = torch.arange(5.0, dtype=torch.float64)
    for near, f in zip((2.0, 1.0, 0.5), TreeDecay(3).functions(), strict=True):
        expected = torch.exp(-near * distance) + torch.exp(-near / 8 * distance) / 8
        torch.testing.assert_close(f(distance), expected, rtol=1e-6, atol=1e-7)
    assert sum(p.numel() for p in TreeDecay(3).parameters()) == 9
    assert repr(TreeDecay(3)) == "TreeDecay(3)"


def test_long_paths_do_not_overflow() -> None:
    size = 30_000
    edge_index = torch.stack([torch.arange(size - 1), torch.arange(1, size)])
    data = Data(edge_index=edge_index, num_nodes=size)
    nodes = tree_nodes(data, node_to_graph(data), "shortest")
    layer = TreeAttention(4, 1)
    x = torch.randn(size, 4, requires_grad=True)
    for rate in (-20.0, 0.0, 20.0):
        torch.nn.init.constant_(layer.decay.rate, rate)
        out = layer(x, nodes)
        grads = torch.autograd.grad(out.square().sum(), [x, *layer.parameters()])
        assert bool(out.isfinite().all())
        assert all(bool(grad.isfinite().all()) for grad in grads)


def test_large_graphs_are_summed_over_trees(make_batch) -> None:
    batch = make_batch([3, DENSE_NODES + 1])
    assert tree_nodes(batch, node_to_graph(batch), "shortest").hops is None
    batch = make_batch([3, DENSE_NODES])
    nodes = tree_nodes(batch, node_to_graph(batch), "shortest")
    layer, x = TreeAttention(8, 2), torch.randn(DENSE_NODES + 3, 8)
    torch.testing.assert_close(layer(x, nodes), layer(x, replace(nodes, hops=None)), rtol=1e-5, atol=1e-5)


def test_without_decay_it_is_plain_linear_attention() -> None:
    data = Data(edge_index=torch.tensor([[0, 1, 2, 3], [1, 2, 3, 4]]), num_nodes=5)
    nodes = tree_nodes(data, node_to_graph(data), "minimum")
    masked, plain = TreeAttention(8, 2), TreeAttention(8, 2, mask="none")
    plain.load_state_dict(masked.state_dict(), strict=False)
    torch.nn.init.constant_(masked.decay.rate, -40.0)
    x = torch.randn(5, 8)
    torch.testing.assert_close(masked(x, nodes), plain(x, nodes), rtol=1e-5, atol=1e-6)


def test_a_mask_serves_linear_attention(make_batch) -> None:
    batch = make_batch([6, 5])
    nodes = tree_nodes(batch, node_to_graph(batch), "minimum")
    (f,) = TreeDecay(1).functions()
    matrix = torch.where((d := distances(nodes, 11)).isfinite(), f(d.nan_to_num(posinf=0.0)), 0.0)
    query, key, value = torch.randn(3, 11, 6)
    ours, expected = (
        linear_attention(query, key, value, nodes.nodes, heads=2, mask=mask)
        for mask in (TreeMask(nodes.tree, f), Dense(matrix))
    )
    torch.testing.assert_close(ours, expected, rtol=1e-5, atol=1e-6)
