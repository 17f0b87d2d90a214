from __future__ import annotations

import ast
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from graphpe.errors import GraphPEError, GraphPEValueError
from graphpe.models import ASTNodeEncoder, LinearEdges, MLPReadout
from graphpe.models.attention.softmax.tree_mask import tree_nodes
from graphpe.models.batches.nodes import node_to_graph
from graphpe.models.gps import GPS
from graphpe.models.topological_transformer import TopologicalTransformer

WIDTH, HEADS = 12, 3

MODELS: dict[str, tuple[type[nn.Module], dict[str, Any]]] = {
    "heads": (TopologicalTransformer, {}),
    "synced": (TopologicalTransformer, {"mask": "synced", "tree": "minimum"}),
    "none": (TopologicalTransformer, {"mask": "none"}),
    "GPS": (GPS, {"attention": "tree", "norm": "layer"}),
    "GPS-none": (GPS, {"attention": "tree", "local": "none"}),
}


def build(name: str, *, edges: bool = True, **changes: Any) -> nn.Module:
    kind, options = MODELS[name]
    options = {"width": WIDTH, "layers": 2, "heads": HEADS, **options, **changes}
    edge_encoder = LinearEdges(2, options["width"]) if edges else None
    return kind(node_encoder=ASTNodeEncoder(options["width"], 7, 7), edge_encoder=edge_encoder, **options)


@pytest.mark.parametrize("edges", [True, False])
@pytest.mark.parametrize("name", MODELS)
def test_a_batch_gives_what_its_graphs_give(make_batch, name: str, edges: bool) -> None:
    batch = make_batch([6, 1, 0, 9, 3, 14], degree=1)
    model = build(name, edges=edges).eval()
    single = torch.cat([model(graph) for graph in batch.to_data_list()])
    assert single.shape == (6, WIDTH)
    torch.testing.assert_close(model(batch), single, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", MODELS)
def test_permutation_equivariance(make_batch, permute: Callable[[Data, Tensor], Data], name: str) -> None:
    """Where the structure alone decides the tree."""
    unique = 0
    model = build(name, readout="none").eval()
    for _ in range(20):
        data = make_batch([9]).to_data_list()[0]
        kind = MODELS[name][1].get("tree", "shortest")
        if not bool(tree_nodes(data, node_to_graph(data), kind).tree.unique.all()):
            continue
        unique += 1
        order, edge_order = torch.randperm(9), torch.randperm(data.edge_index.shape[1])
        other = permute(data, order)
        other.edge_index, other.edge_attr = other.edge_index[:, edge_order], other.edge_attr[edge_order]
        torch.testing.assert_close(model(other), model(data)[order], rtol=1e-4, atol=1e-5)
    assert unique >= 3


class Fixed(nn.Module):
    def __init__(self, x: Tensor) -> None:
        super().__init__()
        self.x = x

    def forward(self, batch: Data) -> Tensor:
        return self.x


@pytest.mark.parametrize("name", MODELS)
def test_nodes_see_their_component(name: str) -> None:
    """Two graphs of a path of three and a node without edges; GPS has only its attention."""
    path = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), num_nodes=4)
    batch = Batch.from_data_list([path, path])
    local = {"local": "none"} if name == "GPS" else {}
    norm = {"norm": "layer"} if name.startswith("GPS") else {}
    model = build(name, edges=False, layers=1, readout="none", **local, **norm).eval()

    def function(x: Tensor) -> Tensor:
        model.node_encoder = Fixed(x)
        return model(batch)

    found = torch.autograd.functional.jacobian(function, torch.randn(8, WIDTH)).abs().sum((1, 3)) > 0
    component = torch.ones(4, 4) if name == "none" else torch.block_diag(torch.ones(3, 3), torch.ones(1, 1))
    assert torch.equal(found, torch.block_diag(component, component).bool())
    assert model.attends_to_all_pairs == (name == "none")
    assert model.attention_layout == ("linear" if name == "none" else "trees")


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("sizes", [[1], [0, 1, 0], [4], [1, 1], [0, 0]])
def test_graphs_without_edges_train(make_batch, name: str, sizes: list[int]) -> None:
    batch = make_batch(sizes, degree=0)
    model = build(name, dropout=0.1)
    out = model(batch)
    assert out.shape == (len(sizes), WIDTH)
    out.square().sum().backward()
    assert bool(out.isfinite().all())
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)


@pytest.mark.parametrize("name", MODELS)
def test_every_trainable_parameter_gets_a_gradient(make_batch, name: str) -> None:
    model = build(name)
    model(make_batch([6, 4])).square().sum().backward()
    assert [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None] == []


@pytest.mark.parametrize("name", ["heads", "GPS"])
def test_the_mask_matters(make_batch, name: str) -> None:
    """Parameters of f, and the tree itself, change the output."""
    batch = make_batch([12])
    model = build(name, edges=False).double().eval()
    before = model(batch)
    for layer in model.layers:
        nn.init.constant_(layer.attention.decay.log_weight, 2.0)
    assert not torch.allclose(model(batch), before, rtol=0, atol=1e-9)


def test_edge_features_reach_the_output(make_batch) -> None:
    batch = make_batch([8])
    other = batch.clone()
    other.edge_attr = 1 - batch.edge_attr
    model = build("heads").double().eval()
    assert not torch.allclose(model(batch), model(other), rtol=0, atol=1e-9)


@pytest.mark.parametrize("name", ["heads", "synced", pytest.param("GPS", marks=pytest.mark.slow)])
def test_learns_one_small_batch(make_batch, name: str) -> None:
    torch.manual_seed(5)
    batch = make_batch([7, 5, 6, 8], seed=11)
    target = torch.tensor([[1.0], [-1.0], [0.5], [2.0]])
    model = build(name, width=24, head=MLPReadout(24, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(100):
        loss = (model(batch) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 2e-3


@pytest.mark.parametrize("name", MODELS)
def test_bfloat16_autocast(make_batch, name: str) -> None:
    batch = make_batch([7, 5, 20])
    model = build(name)
    with torch.autocast("cpu", torch.bfloat16):
        low = model(batch)
    low.float().square().sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)
    exact = model(batch)
    assert float(((low.float() - exact).norm() / exact.norm()).detach()) < 0.1


@pytest.mark.parametrize("name", MODELS)
def test_float64(make_batch, name: str) -> None:
    batch = make_batch([7, 3])
    model = build(name).double().eval()
    exact = model(batch)
    assert exact.dtype == torch.float64
    torch.testing.assert_close(model.float()(batch).double(), exact, rtol=1e-3, atol=1e-4)


def test_compiles(make_batch) -> None:
    model = build("heads", layers=1).eval()
    compiled = torch.compile(model, backend="eager")
    batch = make_batch([7, 5])
    torch.testing.assert_close(compiled(batch), model(batch), rtol=1e-4, atol=1e-5)
    torch._dynamo.reset()


def test_large_graphs_need_no_pairs() -> None:
    size = 20_000  # 400 million pairs
    data = Data(edge_index=torch.randint(0, size, (2, size)), num_nodes=size)
    model = TopologicalTransformer(width=8, layers=1, heads=2, node_encoder=Fixed(torch.randn(size, 8)))
    assert bool(model(data).isfinite().all())


@pytest.mark.parametrize("name", MODELS)
def test_repr_is_the_call(name: str) -> None:
    text = repr(build(name, dropout=0.25))
    call = ast.parse(text, mode="eval").body
    arguments = {k.arg: ast.literal_eval(k.value) for k in call.keywords}
    kind, options = MODELS[name]
    assert repr(kind(**arguments, node_encoder=nn.Identity())) == text
    assert call.func.id == kind.__name__
    assert arguments["dropout"] == 0.25
    assert {key: arguments[key] for key in options} == options


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 10}, "multiple of heads"),
        ({"heads": 0}, "heads must be from 1"),
        ({"layers": True}, "layers must be an integer"),
        ({"dropout": 1.0}, r"dropout must be a number in \[0, 1\)"),
        ({"mask": "head"}, "mask must be one of 'heads', 'synced', 'none'"),
        ({"tree": "random"}, "tree must be one of 'minimum', 'shortest'"),
        ({"readout": "median"}, "readout must be one of"),
    ],
)
def test_bad_arguments(options: dict[str, Any], message: str) -> None:
    with pytest.raises(GraphPEError, match=message):
        TopologicalTransformer(**{"width": 12, "heads": 3, **options}, node_encoder=nn.Identity())


def test_gps_with_trees_takes_no_pair_encodings() -> None:
    with pytest.raises(GraphPEValueError, match="attention='tree' takes no pair encodings"):
        GPS(attention="tree", pair_encodings=[nn.Identity()], node_encoder=nn.Identity())
