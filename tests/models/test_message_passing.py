from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data
from torch_geometric.nn import GCNConv, GINEConv, global_add_pool, global_mean_pool

from graphpe.errors import GraphPEError
from graphpe.models import CategoricalEdges, CategoricalNodes, LinearEdges, LinearEncoding, LinearNodes
from graphpe.models.message_passing import GCN, GINE, GatedGCN

WIDTH = 6
ATOMS, BONDS = (119, 4, 12, 12, 10, 6, 6, 2, 2), (5, 6, 2)  # when the leaderboards' counts were made


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def halving_head(width: int) -> nn.Module:
    """The published head, which halves its width twice, rounding down."""
    sizes = [width, width // 2, width // 4, 1]
    return nn.Sequential(*(nn.Linear(a, b) for a, b in pairwise(sizes)))


@pytest.mark.parametrize(
    ("width", "layers", "eigenvectors", "published"), [(70, 4, 0, 105_875), (78, 16, 0, 504_309), (78, 16, 8, 505_011)]
)
def test_published_parameter_counts_of_gated_gcn_on_zinc(width, layers, eigenvectors, published) -> None:
    """GatedGCN-E and GatedGCN-E-PE of Dwivedi et al.: 5 (D^2 + D) + 4 D a layer, 28 D + 4 D for atoms and bonds, 9 D
    for 8 eigenvectors, and the head."""
    model = GatedGCN(
        width=width,
        layers=layers,
        node_encoder=CategoricalNodes(width, 28),
        edge_encoder=CategoricalEdges(width, 4),
        encodings=[LinearEncoding("laplacian_eigenvector_pe", eigenvectors, width)] if eigenvectors else [],
        head=halving_head(width),
    )
    assert count(model) == published


@pytest.mark.parametrize(
    ("kind", "virtual_node", "published"),
    [(GINE, False, 1_885_206), (GINE, True, 3_336_306), (GCN, False, 527_701), (GCN, True, 1_978_801)],
)
def test_parameter_counts_of_the_leaderboard_of_molhiv(kind, virtual_node, published) -> None:
    model = kind(
        width=300,
        layers=5,
        residual=False,
        virtual_node=virtual_node,
        variant="ogb",
        node_encoder=CategoricalNodes(300, ATOMS),
        edge_encoder=CategoricalEdges(300, BONDS),
        head=nn.Linear(300, 1),
    )
    assert count(model) == published


def test_the_last_edge_update_is_frozen_and_counted() -> None:
    model = GatedGCN(width=8, layers=3, node_encoder=nn.Identity(), edge_encoder=nn.Identity())
    frozen = [name for name, p in model.named_parameters() if not p.requires_grad]
    assert frozen == ["layers.2.edge_norm.weight", "layers.2.edge_norm.bias"]
    assert torch.equal(model.layers[2].edge_norm.weight, torch.ones(8))


def random_batch(sizes: list[int]) -> Batch:
    """Undirected graphs without parallel edges, in float64; no edges in some."""
    graphs = []
    for size in sizes:
        pairs = torch.triu(torch.rand(size, size) < 0.5, 1).nonzero().t()
        edge_index = torch.cat([pairs, pairs.flip(0)], 1)
        edge_attr = torch.randn(pairs.shape[1], 2, dtype=torch.float64).repeat(2, 1)
        graphs.append(Data(x=torch.randn(size, 3, dtype=torch.float64), edge_index=edge_index, edge_attr=edge_attr))
    return Batch.from_data_list(graphs)


def build(kind: type[nn.Module], *, edges: bool = True, **options) -> nn.Module:
    """A model in float64 whose normalisations and biases are not at their start."""
    encoder = LinearEdges(2, WIDTH) if edges else None
    model = kind(width=WIDTH, layers=3, node_encoder=LinearNodes(3, WIDTH), edge_encoder=encoder, **options).double()
    for parameter in model.parameters():
        if parameter.dim() == 1:
            nn.init.normal_(parameter, mean=0.5, std=0.3)
    return model


def bn(norm: nn.Module, x: Tensor) -> Tensor:
    """Batch normalisation by hand, by the statistics of the rows in training."""
    mean, var = (x.mean(0), x.var(0, unbiased=False)) if norm.training else (norm.running_mean, norm.running_var)
    return (x - mean) / (var + norm.eps).sqrt() * norm.weight + norm.bias


def feed_forward(block: nn.Module, x: Tensor, activation) -> Tensor:
    h = bn(block.norm_1, x)
    return bn(block.norm_2, h + block.network.contract(activation(block.network.expand(h))))


@pytest.mark.parametrize("train", [True, False])
@pytest.mark.parametrize("name", ["relu", "gelu"])
def test_gcn_plus_is_a_stack_of_pyg_layers(name: str, train: bool) -> None:
    batch = random_batch([5, 1, 7])
    model = build(GCN, edge_features=False, feed_forward=True, activation=name).train(train)
    assert model.edge_encoder is None
    act = torch.relu if name == "relu" else nn.functional.gelu
    x = model.node_encoder(batch)
    for layer, block in zip(model.layers, model.networks, strict=True):
        conv = GCNConv(WIDTH, WIDTH).double()
        conv.lin.weight, conv.bias = layer.layer.linear.weight, layer.layer.bias
        x = x + act(bn(layer.norm, conv(x, batch.edge_index)))
        x = feed_forward(block, x, act)
    torch.testing.assert_close(model(batch), global_mean_pool(x, batch.batch))


def test_gine_plus_is_a_stack_of_pyg_layers_without_norms_of_their_own() -> None:
    batch = random_batch([5, 1, 7])
    model = build(GINE, feed_forward=True, readout="sum")
    x, edge = model.node_encoder(batch), model.edge_encoder(batch)
    for layer, block in zip(model.layers, model.networks, strict=True):
        conv = GINEConv(layer.layer.conv.nn)
        x = feed_forward(block, x + conv(x, batch.edge_index, edge).relu(), torch.relu)
    torch.testing.assert_close(model(batch), global_add_pool(x, batch.batch))
    assert sum(count(layer) for layer in model.layers) == 3 * 2 * (WIDTH**2 + WIDTH)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("norm", ["batch", "none"])
def test_gated_gcn_without_residual_connections(norm: str, residual: bool) -> None:
    """Edge by edge, with a feed-forward network after each layer."""
    batch = random_batch([4, 2])
    model = build(GatedGCN, feed_forward=True, norm=norm, residual=residual, activation="gelu", readout="none")
    gelu = nn.functional.gelu
    normed = bn if norm == "batch" else lambda _, x: x
    x, e = model.node_encoder(batch), model.edge_encoder(batch)
    for layer, block in zip(model.layers, model.networks, strict=True):
        own, message, to, of = layer.node_maps(x).chunk(4, 1)
        gates = layer.edge_map(e)
        sums, total = torch.zeros_like(x), torch.zeros_like(x)
        for number, (j, i) in enumerate(batch.edge_index.t().tolist()):
            gates[number] = gates[number] + to[i] + of[j]
            sums[i] = sums[i] + gates[number].sigmoid() * message[j]
            total[i] = total[i] + gates[number].sigmoid()
        new = gelu(normed(layer.node_norm, own + sums / (total + 1e-6)))
        new_e = gelu(normed(layer.edge_norm, gates))
        x, e = (x + new, e + new_e) if residual else (new, new_e)
        h = normed(block.norm_1, x)
        x = normed(block.norm_2, h + block.network.contract(gelu(block.network.expand(h))))
    torch.testing.assert_close(model(batch), x)


@pytest.mark.parametrize("residual", [False, True])
@pytest.mark.parametrize("edges", [True, False])
@pytest.mark.parametrize("kind", [GINE, GCN])
def test_layers_and_virtual_nodes_of_ogb(kind, edges: bool, residual: bool) -> None:
    """By adjacency matrices of whole batches, in training: statistics of nodes, and of graphs for virtual nodes."""
    batch = random_batch([5, 3, 8, 1])
    model = build(kind, edges=edges, variant="ogb", virtual_node=True, residual=residual)
    n, (source, target) = batch.num_nodes, batch.edge_index
    dense = torch.zeros(n, n, WIDTH, dtype=torch.float64)
    joined = torch.zeros(n, n, dtype=torch.float64)
    joined[target, source] = 1
    degree = joined.sum(1) + 1
    member = nn.functional.one_hot(batch.batch).double()  # [N, B]
    x, v = model.node_encoder(batch), model.virtual.first.expand(4, WIDTH)
    for number, layer in enumerate(model.layers):
        if edges:
            encoder = model.edge_encoder if number == 0 else model.edge_encoders[number - 1]
            dense = torch.zeros_like(dense)
            dense[target, source] = encoder(batch)
        x = given = x + member @ v
        conv = layer.layer
        if kind is GINE:
            first, norm, _, last = conv.conv.nn
            sums = (joined[..., None] * (given[None] + dense).relu()).sum(1)
            update = last(bn(norm, first((1 + conv.conv.eps) * given + sums)).relu())
        else:
            mapped = conv.linear(given)
            scale = joined / (degree[:, None] * degree).sqrt()
            update = (scale[..., None] * (mapped[None] + dense).relu()).sum(1)
            update = update + (mapped + conv.root).relu() / degree[:, None]
        update = bn(layer.norm, update)
        update = update if number == 2 else update.relu()
        x = given + update if residual else update
        if number < 2:
            first, norm_1, _, last, norm_2, _ = model.virtual.maps[number]
            new = bn(norm_2, last(bn(norm_1, first(v + member.t() @ given)).relu())).relu()
            v = v + new if residual else new
    torch.testing.assert_close(model(batch), member.t() @ x / member.sum(0)[:, None])


def test_each_layer_of_ogb_has_an_edge_encoder_of_its_own() -> None:
    model = build(GCN, variant="ogb")
    encoders = [model.edge_encoder, *model.edge_encoders]
    assert len(encoders) == 3
    weights = [encoder.linear.weight for encoder in encoders]
    assert not any(torch.equal(a, b) for a, b in pairwise(weights))
    model(random_batch([5, 4])).sum().backward()
    assert all(weight.grad is not None and weight.grad.abs().sum() > 0 for weight in weights)


def test_a_virtual_node_joins_what_no_edge_joins() -> None:
    apart = Data(x=torch.randn(4, 3), edge_index=torch.zeros(2, 0, dtype=torch.long), edge_attr=torch.zeros(0, 2))
    other = apart.clone()
    other.x = torch.cat([apart.x[:3], torch.randn(1, 3)])
    for kind in (GatedGCN, GINE, GCN):
        options = {"width": WIDTH, "layers": 2, "readout": "none", "edge_encoder": LinearEdges(2, WIDTH)}
        for virtual_node in (False, True):
            model = kind(**options, virtual_node=virtual_node, node_encoder=LinearNodes(3, WIDTH)).eval()
            if virtual_node:  # its last ReLU may be shut
                nn.init.ones_(model.virtual.maps[0][4].bias)
            assert torch.equal(model(apart)[:3], model(other)[:3]) is not virtual_node, kind


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"variant": "dgl"}, "variant must be one of 'plain', 'ogb', got 'dgl'"),
        ({"activation": "tanh"}, "activation must be one of 'relu', 'gelu', got 'tanh'"),
        ({"norm": "graph"}, "norm must be one of 'batch', 'layer', 'none', got 'graph'"),
        ({"virtual_node": 1}, "virtual_node must be True or False"),
        ({"feed_forward": "yes"}, "feed_forward must be True or False"),
        ({"edge_features": None}, "edge_features must be True or False"),
    ],
)
def test_bad_options(options, message) -> None:
    with pytest.raises(GraphPEError, match=message):
        GCN(node_encoder=nn.Identity(), **options)


def test_text_leaves_out_defaults() -> None:
    assert repr(GCN(node_encoder=nn.Identity())) == "GCN(width=64, layers=4, norm='batch', dropout=0.0, readout='mean')"
    model = GINE(node_encoder=nn.Identity(), variant="ogb", residual=False, virtual_node=True)
    assert repr(model).endswith(", readout='mean', residual=False, virtual_node=True, variant='ogb')")
