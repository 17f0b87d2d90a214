"""What every architecture promises, over the variants of those that are built from shared parts."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from graphpe.errors import GraphPEError, GraphPEValueError
from graphpe.models import ASTNodeEncoder, EigenvectorEncoding, LinearEdges, MLPReadout
from graphpe.models.attention.biases.named_biases import graphormer_bias, graphormer_gd_bias
from graphpe.models.attention.softmax.tree_mask import tree_nodes
from graphpe.models.batches.nodes import node_to_graph
from graphpe.models.edge_transformer import EdgeTransformer
from graphpe.models.exphormer import Exphormer
from graphpe.models.gps import GPS
from graphpe.models.graphormer import Graphormer
from graphpe.models.large.classic_gnn import ClassicGNN
from graphpe.models.large.nagphormer import NAGphormer
from graphpe.models.large.polynormer import Polynormer
from graphpe.models.large.sgformer import SGFormer
from graphpe.models.message_passing import GCN, GINE, GatedGCN
from graphpe.models.ppgt import PPGT
from graphpe.models.sat import SAT
from graphpe.models.spectral.specformer import Specformer
from graphpe.models.topological_transformer import TopologicalTransformer
from graphpe.models.walks.neural_walker import NeuralWalker

WIDTH, HEADS = 12, 3

# name: (class, options, pair encodings)
MODELS: dict[str, tuple[type[nn.Module], dict[str, Any], str | None]] = {
    "GatedGCN": (GatedGCN, {}, None),
    "GINE": (GINE, {"norm": "layer"}, None),
    "GCN": (GCN, {}, None),
    "GatedGCN-plus": (GatedGCN, {"feed_forward": True, "virtual_node": True, "norm": "layer"}, None),
    "GINE-plus": (GINE, {"feed_forward": True, "activation": "gelu"}, None),
    "GINE-ogb": (GINE, {"variant": "ogb", "residual": False, "virtual_node": True, "norm": "layer"}, None),
    "GCN-plus": (GCN, {"feed_forward": True, "edge_features": False, "norm": "none"}, None),
    "GCN-ogb": (GCN, {"variant": "ogb", "virtual_node": True}, None),
    "Graphormer": (Graphormer, {"heads": HEADS}, "hops"),
    "Graphormer-GD": (Graphormer, {"heads": HEADS, "readout": "mean", "expansion": 2}, "gd"),
    "Graphormer-plain": (Graphormer, {"heads": HEADS, "max_degree": 0, "virtual_node": False, "readout": "sum"}, None),
    "GPS-GatedGCN": (GPS, {"heads": HEADS}, None),
    "GPS-GINE-bias": (GPS, {"heads": HEADS, "local": "GINE", "norm": "layer"}, "hops"),
    "GPS-GCN-linear": (GPS, {"heads": HEADS, "local": "GCN", "attention": "linear"}, None),
    "GPS-GAT-rotary": (
        GPS,
        {"heads": HEADS, "local": "GAT", "attention": "rotary", "rotary_key": "laplacian_eigenvector_pe",
         "rotary_channels": 3},
        None,
    ),
    "GPS-none-GD": (GPS, {"heads": HEADS, "local": "none", "norm": "layer"}, "gd"),
    "GPS-GCN-tree": (GPS, {"heads": HEADS, "local": "GCN", "attention": "tree", "norm": "layer"}, None),
    "GPS-GatedGCN-none": (GPS, {"heads": HEADS, "attention": "none"}, None),
    "PPGT": (PPGT, {"heads": HEADS}, None),
    "SAT": (SAT, {"heads": HEADS}, None),
    "SAT++": (
        SAT, {"heads": HEADS, "readout": "cls", "norm": "layer", "activation": "gelu", "expansion": 4}, "hops"
    ),
    "SAT-plain": (SAT, {"heads": HEADS, "hops": 0, "degree_residual": False, "readout": "cls"}, None),
    "SAT-forward": (SAT, {"heads": HEADS, "hops": 2, "bidirectional": False, "norm": "layer"}, "gd"),
    "Topological": (TopologicalTransformer, {"heads": HEADS}, None),
    "Topological-synced": (TopologicalTransformer, {"heads": HEADS, "mask": "synced", "tree": "minimum"}, None),
    "Topological-none": (TopologicalTransformer, {"heads": HEADS, "mask": "none", "readout": "sum"}, None),
    "Exphormer": (Exphormer, {"heads": HEADS}, None),
    "Exphormer-GINE-2": (Exphormer, {"heads": HEADS, "local": "GINE", "virtual_nodes": 2, "degree": 1}, None),
    "Exphormer-none": (Exphormer, {"heads": HEADS, "local": "none", "virtual_nodes": 0, "norm": "layer"}, None),
    "Exphormer-edges": (Exphormer, {"heads": HEADS, "local": "none", "virtual_nodes": 0, "degree": 0}, None),
    "Classic-GCN": (ClassicGNN, {"conv": "GCN"}, None),
    "Classic-SAGE": (ClassicGNN, {"conv": "SAGE", "norm": "layer", "jumping": True}, None),
    "Classic-GAT": (ClassicGNN, {"conv": "GAT", "heads": HEADS, "norm": "none", "residual": False}, None),
    "SGFormer": (SGFormer, {}, None),
    "SGFormer-mix": (SGFormer, {"alpha": 0.9, "graph_weight": 0.3, "norm": "layer", "local_layers": 1}, None),
    "Polynormer": (Polynormer, {"heads": HEADS}, None),
    "Polynormer-beta": (Polynormer, {"heads": HEADS, "beta": 0.2, "global_layers": 1}, None),
    "NAGphormer": (NAGphormer, {"heads": HEADS, "hops": 2}, None),
    "EdgeTransformer": (EdgeTransformer, {"heads": HEADS}, None),
    "EdgeTransformer-again": (EdgeTransformer, {"heads": HEADS, "checkpoint": True, "expansion": 1}, None),
    "Specformer": (Specformer, {"heads": HEADS}, None),
    "Specformer-layer": (Specformer, {"heads": 2, "norm": "layer", "readout": "sum"}, None),
    "NeuralWalker": (NeuralWalker, {"heads": HEADS, "walk_length": 8, "window": 4, "kernel": 5}, None),
    "NeuralWalker-recurrent": (
        NeuralWalker,
        {"heads": HEADS, "walk_length": 6, "sequence": "recurrent", "local": "GatedGCN", "global_layer": "attention",
         "samples": 2, "norm": "layer"},
        None,
    ),
    "NeuralWalker-attention": (
        NeuralWalker,
        {"heads": HEADS, "walk_length": 7, "sequence": "attention", "local": "none", "global_layer": "none",
         "backtracking": True, "rate": 0.7},
        None,
    ),
}  # fmt: skip
EDGES = ["linear", None]


def quickly(*names: str) -> list[Any]:
    """All variants, those that are not named marked as slow."""
    return [name if name in names else pytest.param(name, marks=pytest.mark.slow) for name in MODELS]


def build(name: str, edges: str | None = "linear", **changes: Any) -> nn.Module:
    kind, options, pair = MODELS[name]
    options = {"width": WIDTH, "layers": 2, **options, **changes}
    width = options["width"]
    if pair is not None:
        biases = [graphormer_bias(HEADS, 3)] if pair == "hops" else graphormer_gd_bias(HEADS, 3)
        for parameter in (p for bias in biases for p in bias.parameters()):  # as after some training
            nn.init.normal_(parameter, std=0.3)
        options["pair_encodings"] = biases
    encoding = EigenvectorEncoding("laplacian_eigenvector_pe", 3, width, mask_key="laplacian_mask")
    nn.init.normal_(encoding.linear.weight)
    model = kind(
        node_encoder=ASTNodeEncoder(width, 7, 7),
        edge_encoder=LinearEdges(2, width) if edges else None,
        encodings=[encoding],
        **options,
    )
    nn.init.normal_(model.node_encoder.type_embedding.weight)
    return model


def hops(edge_index: Tensor, size: int) -> Tensor:
    """Distances along edges both ways, at most 3, 4 where there is no path; by powers of the adjacency matrix."""
    near = torch.eye(size)
    near[edge_index[0], edge_index[1]] = near[edge_index[1], edge_index[0]] = 1
    out, power = torch.full((size, size), 4), torch.eye(size)
    for step in range(size):
        out = torch.where((power > 0) & (out == 4), min(step, 3), out)
        power = (power @ near > 0).float()
    return out.view(-1, 1)


def with_pairs(data: Data) -> Data:
    """Adds hops, and distances that stand for resistances."""
    size = data.num_nodes
    data = data.clone()
    data.shortest_path = hops(data.edge_index, size)
    data.resistance = torch.where(data.shortest_path > 3, -1.0, data.shortest_path * 0.7)
    return data


def batch_of(make_batch: Callable[..., Batch], sizes: list[int], **options: Any) -> Batch:
    batch = make_batch(sizes, **options)
    out = Batch.from_data_list([with_pairs(data) for data in batch.to_data_list()])
    out.max_size = max(sizes, default=0)
    return out


@pytest.mark.parametrize("edges", EDGES)
@pytest.mark.parametrize("name", MODELS)
def test_a_batch_gives_what_its_graphs_give(make_batch, name: str, edges) -> None:
    batch = batch_of(make_batch, [6, 1, 0, 9, 3])
    model = build(name, edges).eval()
    single = torch.cat([model(graph) for graph in batch.to_data_list()])
    assert single.shape == (5, WIDTH)
    torch.testing.assert_close(model(batch), single, rtol=1e-4, atol=1e-5)


@pytest.mark.filterwarnings("ignore:Sparse")
@pytest.mark.parametrize("name", MODELS)
def test_edges_as_an_adjacency(make_batch, name: str) -> None:
    listed, hidden = [], []
    for data in batch_of(make_batch, [6, 1, 9]).to_data_list():
        matrix = torch.zeros(data.num_nodes, data.num_nodes)
        matrix[data.edge_index[1], data.edge_index[0]] = 1  # (target, source); no parallel edges
        data.edge_index = matrix.nonzero().t().flip(0)
        data.edge_attr = torch.rand(data.edge_index.shape[1], 2)
        listed.append(data)
        hidden.append(
            Data(adj_t=matrix.to_sparse_csr(), **{k: v for k, v in data.to_dict().items() if k != "edge_index"})
        )
    model = build(name, "linear").eval()
    torch.testing.assert_close(model(Batch.from_data_list(hidden)), model(Batch.from_data_list(listed)))


@pytest.mark.parametrize("edges", EDGES)
@pytest.mark.parametrize("name", MODELS)
def test_permutation_equivariance(make_batch, permute: Callable[[Data, Tensor], Data], name: str, edges) -> None:
    if name.startswith("NeuralWalker"):
        pytest.skip("exact with the same walks, else in expectation: tests/models/walks/test_neural_walker.py")
    data = make_batch([9]).to_data_list()[0]
    while not decides_its_tree(data, build(name)):
        data = make_batch([9]).to_data_list()[0]
    order, edge_order = torch.randperm(9), torch.randperm(data.edge_index.shape[1])
    other = permute(data, order)
    other.edge_index, other.edge_attr = other.edge_index[:, edge_order], other.edge_attr[edge_order]
    data, other = with_pairs(data), with_pairs(other)
    changes = {"degree": 0} if name.startswith("Exphormer") else {}
    readouts = ["none", "mean"] + ([] if "readout" not in MODELS[name][1] else [MODELS[name][1]["readout"]])
    for readout in readouts:
        model = build(name, edges, readout=readout, **changes).eval()
        expected = model(data)[order] if readout == "none" else model(data)
        torch.testing.assert_close(model(other), expected, rtol=1e-4, atol=1e-5)


def decides_its_tree(data: Data, model: nn.Module) -> bool:
    """Whether a model uses no tree, or one that the structure of the graph alone decides."""
    if "trees" not in model.attention_layout:
        return True
    return bool(tree_nodes(data, node_to_graph(data), getattr(model, "tree", "shortest")).tree.unique.all())


def reach(name: str) -> Tensor:
    """Which nodes the output of one layer depends on, for two directed paths of 4 nodes (the last one isolated)."""
    path = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), edge_attr=torch.rand(2, 2), num_nodes=4)
    path.laplacian_eigenvector_pe, path.laplacian_mask = torch.randn(4, 3), torch.ones(1, 3, dtype=torch.bool)
    path.laplacian_eigenvalues = torch.rand(1, 3)
    batch = Batch.from_data_list([with_pairs(path), with_pairs(path)])

    class Fixed(nn.Module):
        def forward(self, batch: Data) -> Tensor:
            return self.x

    norm = {"norm": "layer"} if "norm" in inspect.signature(MODELS[name][0]).parameters else {}
    model = build(name, layers=1, readout="none", **norm)
    model.eval()
    model.node_encoder = Fixed()

    def function(value: Tensor) -> Tensor:
        model.node_encoder.x = value
        return model(batch)

    return torch.autograd.functional.jacobian(function, torch.randn(8, WIDTH)).abs().sum((1, 3)) > 0


@pytest.mark.parametrize("name", MODELS)
def test_reach_of_attention(name: str) -> None:
    model = build(name)
    found = reach(name)
    complete = torch.block_diag(*[torch.ones(4, 4)] * 2).bool()
    assert not bool((found & ~complete).any())  # nothing of another graph
    if model.attends_to_all_pairs:
        assert torch.equal(found, complete)
    elif model.attention_layout == "edges":
        expected = torch.eye(8).bool()
        for first in (0, 4):
            expected[[first + 1, first + 2], [first, first + 1]] = True
        assert torch.equal(found, expected)
    else:
        assert bool(found.any())
        assert int(found.sum()) < int(complete.sum()) or model.virtual_nodes == 0


def test_layouts_say_what_runs() -> None:
    layouts = {name: (build(name).attention_layout, build(name).attends_to_all_pairs) for name in MODELS}
    assert {name: layout for name, layout in layouts.items() if layout != ("padded", True)} == {
        "GatedGCN": ("edges", False),
        "GINE": ("edges", False),
        "GCN": ("edges", False),
        "GatedGCN-plus": ("edges", False),
        "GINE-plus": ("edges", False),
        "GINE-ogb": ("edges", False),
        "GCN-plus": ("edges", False),
        "GCN-ogb": ("edges", False),
        "GPS-GCN-linear": ("linear", True),
        "GPS-GatedGCN-none": ("edges", False),
        "GPS-GCN-tree": ("trees", False),
        "Topological": ("trees", False),
        "Topological-synced": ("trees", False),
        "Topological-none": ("linear", True),
        "Exphormer": ("expander and virtual nodes", False),
        "Exphormer-GINE-2": ("expander and virtual nodes", False),
        "Exphormer-none": ("expander", False),
        "Exphormer-edges": ("edges", False),
        "Classic-GCN": ("edges", False),
        "Classic-SAGE": ("edges", False),
        "Classic-GAT": ("edges", False),
        "SGFormer": ("linear", True),
        "SGFormer-mix": ("linear", True),
        "Polynormer": ("linear", True),
        "Polynormer-beta": ("linear", True),
        "NAGphormer": ("hops", False),
        "EdgeTransformer": ("triplets", True),
        "EdgeTransformer-again": ("triplets", True),
        "Specformer": ("spectrum", True),
        "Specformer-layer": ("spectrum", True),
        "NeuralWalker": ("walks and virtual nodes", False),
        "NeuralWalker-attention": ("walks", False),
    }


@pytest.mark.parametrize("edges", EDGES)
@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("sizes", [[1], [0, 1, 0], [4], [1, 1]])
def test_graphs_without_edges_train(make_batch, name: str, edges, sizes: list[int]) -> None:
    batch = batch_of(make_batch, sizes, degree=0)
    model = build(name, edges, dropout=0.1)
    out = model(batch)
    assert out.shape == (len(sizes), WIDTH)
    out.square().sum().backward()
    assert bool(out.isfinite().all())
    grads = {n: p.grad for n, p in model.named_parameters() if p.grad is not None}
    assert all(bool(grad.isfinite().all()) for grad in grads.values())
    assert all(bool(b.isfinite().all()) for b in model.buffers())


def test_a_batch_without_a_node(make_batch) -> None:
    for name in MODELS:
        batch = batch_of(make_batch, [0, 0])
        assert build(name).eval()(batch).shape == (2, WIDTH)


@pytest.mark.parametrize("edges", EDGES)
@pytest.mark.parametrize("name", MODELS)
def test_every_trainable_parameter_gets_a_gradient(make_batch, name: str, edges) -> None:
    """Otherwise DistributedDataParallel waits for it forever."""
    model = build(name, edges)
    model(batch_of(make_batch, [6, 4])).square().sum().backward()
    assert [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None] == []
    frozen = {n for n, p in model.named_parameters() if not p.requires_grad}
    assert all(".edge_norm." in n for n in frozen)


@pytest.mark.parametrize("name", MODELS)
def test_edge_features_reach_the_output(make_batch, name: str) -> None:
    def change() -> float:
        batch = batch_of(make_batch, [8])
        other = batch.clone()
        other.edge_attr = 1 - batch.edge_attr
        model = build(name).double().eval()
        return float((model(batch) - model(other)).abs().max())

    if build(name).edge_encoder is None:
        assert name in ("GPS-none-GD", "SAT-plain", "GCN-plus")
        return
    # Of three draws: random biases of pairs (narrow Gaussians) may leave attention one choice, whatever the scores.
    assert max(change() for _ in range(3)) > 1e-9


@pytest.mark.parametrize("name", [n for n, (_, _, pair) in MODELS.items() if pair])
def test_pair_encodings_reach_the_output(make_batch, name: str) -> None:
    batch = batch_of(make_batch, [8])
    other = batch.clone()
    other.shortest_path = (batch.shortest_path + 1) % 5
    model = build(name).double().eval()
    assert not torch.allclose(model(batch), model(other), rtol=0, atol=1e-9)
    del batch.shortest_path
    with pytest.raises(GraphPEValueError, match=r"add T.ShortestPathPE\(max_distance=...\) to the transforms"):
        model(batch)


@pytest.mark.parametrize(
    "name",
    quickly(
        "GatedGCN",
        "GINE",
        "GCN",
        "Graphormer",
        "GPS-GatedGCN",
        "SAT++",
        "Topological",
        "Exphormer",
        "Classic-GCN",
        "SGFormer",
        "Polynormer",
        "NAGphormer",
        "EdgeTransformer",
        "Specformer",
    ),
)
def test_learns_one_small_batch(make_batch, name: str) -> None:
    torch.manual_seed(5)
    batch = batch_of(make_batch, [7, 5, 6, 8], seed=11)
    target = torch.tensor([[1.0], [-1.0], [0.5], [2.0]])
    model = build(name, width=24, head=MLPReadout(24, 1))
    model.encodings = nn.ModuleList()  # random signs would be noise
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(120):
        loss = (model(batch) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < (0.05 if name.startswith("NeuralWalker") else 2e-3)  # new walks are noise


@pytest.mark.parametrize("name", MODELS)
def test_bfloat16_autocast(make_batch, name: str) -> None:
    batch = batch_of(make_batch, [7, 5, 20])
    model = build(name, dropout=0.0)
    model.encodings = nn.ModuleList()
    seed = torch.random.get_rng_state()  # of random walks
    with torch.autocast("cpu", torch.bfloat16):
        low = model(batch)
    low.float().square().sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)
    torch.random.set_rng_state(seed)
    exact = model(batch)
    assert float(((low.float() - exact).norm() / exact.norm()).detach()) < 0.25  # 0.14 has been drawn; wrong is 1


@pytest.mark.parametrize("name", MODELS)
def test_float64(make_batch, name: str) -> None:
    batch = batch_of(make_batch, [7, 3])
    model = build(name).double().eval()
    exact = model(batch)
    assert exact.dtype == torch.float64
    torch.testing.assert_close(model.float()(batch).double(), exact, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("name", quickly("GCN", "SAT-plain"))
def test_compiles(make_batch, name: str) -> None:
    model = build(name, layers=1).eval()
    compiled = torch.compile(model, backend="eager")
    batch = batch_of(make_batch, [7, 5])
    torch.testing.assert_close(compiled(batch), model(batch), rtol=1e-4, atol=1e-5)
    torch._dynamo.reset()


@pytest.mark.parametrize("name", MODELS)
def test_the_batch_is_left_as_it_is(make_batch, name: str) -> None:
    batch = batch_of(make_batch, [6, 3])
    before = batch.clone()
    build(name)(batch)
    assert set(batch.keys()) == set(before.keys())
    for key, value in before:
        assert torch.equal(batch[key], value) if isinstance(value, Tensor) else batch[key] == value


@pytest.mark.parametrize("name", MODELS)
def test_repr_is_the_call(name: str) -> None:
    model = build(name, dropout=0.25)
    text = repr(model)
    call = ast.parse(text, mode="eval").body
    arguments = {k.arg: ast.literal_eval(k.value) for k in call.keywords}
    again = type(model)(**arguments, node_encoder=nn.Identity())
    assert call.func.id == type(model).__name__
    assert repr(again) == text
    assert again.width == WIDTH
    assert arguments["dropout"] == 0.25
    for key, value in MODELS[name][1].items():
        assert arguments[key] == value


@pytest.mark.parametrize("kind", sorted({kind for kind, _, _ in MODELS.values()}, key=lambda k: k.__name__))
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 10}, "multiple of heads"),
        ({"heads": 0}, "heads must be from 1"),
        ({"layers": 0}, "layers must be from 1"),
        ({"layers": True}, "layers must be an integer"),
        ({"width": "12"}, r"width must be an integer, got '12'"),
        ({"dropout": 1.0}, r"dropout must be a number in \[0, 1\)"),
        ({"attention_dropout": "0.1"}, "attention_dropout must be a number"),
        ({"norm": "instance"}, "norm must be one of 'batch', 'layer'"),
        ({"readout": "median"}, "readout must be one of"),
    ],
)
def test_bad_arguments(kind: type[nn.Module], options: dict[str, Any], message: str) -> None:
    known = inspect.signature(kind).parameters
    if not known.keys() >= options.keys() or ("heads" in message and "heads" not in known):
        return
    base = {"width": 12, "heads": 3} if "heads" in known else {"width": 12}
    with pytest.raises(GraphPEError, match=message):
        kind(**{**base, **options}, node_encoder=nn.Identity())
