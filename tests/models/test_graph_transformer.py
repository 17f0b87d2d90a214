from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from graphpe import models
from graphpe.errors import GraphPEError, GraphPEValueError
from graphpe.models import (
    ASTNodeEncoder,
    CategoricalEdges,
    CategoricalNodes,
    EigenvectorEncoding,
    GraphTransformer,
    LinearEdges,
    MLPReadout,
)

# attention, update_edges, edge features
VARIANTS = [
    pytest.param(attention, update, edges, id=f"{attention}-{'stream' if update else 'score'}-{edges}")
    for attention in ("sparse", "full")
    for update, edges in ((False, None), (False, "linear"), (True, None), (True, "linear"))
]


def build(
    attention: str = "sparse", update_edges: bool = True, edges: str | None = "linear", **options: Any
) -> nn.Module:
    width = options.setdefault("width", 12)
    options = {"layers": 2, "heads": 3, **options}
    model = GraphTransformer(
        attention=attention,
        update_edges=update_edges,
        node_encoder=ASTNodeEncoder(width, 7, 7),
        edge_encoder=LinearEdges(2, width) if edges else None,
        encodings=[EigenvectorEncoding("laplacian_eigenvector_pe", 3, width, mask_key="laplacian_mask")],
        **options,
    )
    for encoding in model.encodings:  # as after some training: they start at zero
        nn.init.normal_(encoding.linear.weight)
    return model


def zinc(**options: Any) -> nn.Module:
    return GraphTransformer(
        update_edges=True,
        node_encoder=CategoricalNodes(64, 28),
        edge_encoder=CategoricalEdges(64, 4),
        encodings=[EigenvectorEncoding("laplacian_eigenvector_pe", 8, 64)],
        head=MLPReadout(64, 1),
        **options,
    )


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_published_parameter_count_on_zinc(norm: str) -> None:
    model = zinc(norm=norm)
    assert count(model) == 588_929
    assert [count(layer) for layer in model.layers] == [58_368] * 10
    assert [count(m) for m in (model.node_encoder, model.edge_encoder, model.encodings, model.head)] == [
        28 * 64,
        4 * 64,
        8 * 64 + 64,
        2_625,
    ]
    assert count(zinc(attention="full")) == 588_929 + 64  # and the vector of a pair without an edge


def published_layer(layer: nn.Module, h: Tensor, e: Tensor, edge_index: Tensor, heads: int) -> tuple[Tensor, Tensor]:
    """The layer as the paper writes it, from the parameters of ours, for layer norm."""
    width = h.shape[1]
    (j, i), c = edge_index, width // heads
    q, k, v = (h @ w.t() for w in layer.query_key_value.weight.split(width))
    score = k[j] * q[i] / c**0.5 * (e @ layer.edge_projection.weight.t())
    message = torch.zeros_like(h)
    for node in range(h.shape[0]):
        incoming = (i == node).nonzero().flatten()
        for head in range(heads):
            part = slice(head * c, head * c + c)
            weight = score[incoming, part].sum(1).clamp(-5, 5).exp()
            if len(incoming):
                message[node, part] = (weight[:, None] * v[j[incoming], part]).sum(0) / weight.sum()

    def block(b: nn.Module, x: Tensor, update: Tensor) -> Tensor:
        x = b.norm_1(x + update @ b.out.weight.t() + b.out.bias)
        hidden = (x @ b.expand.weight.t() + b.expand.bias).clamp(min=0)
        return b.norm_2(x + hidden @ b.contract.weight.t() + b.contract.bias)

    return block(layer.node_block, h, message), block(layer.edge_block, e, score)


def test_equals_the_published_formulas_layer_by_layer(make_batch) -> None:
    batch = make_batch([5, 3])
    model = build(norm="layer", readout="none").double().eval()
    h = model.node_encoder(batch) + model.encodings[0](batch)
    e = model.edge_encoder(batch)
    for layer in model.layers:
        h, e = published_layer(layer, h, e, batch.edge_index, 3)
    torch.testing.assert_close(model(batch), h)


@pytest.mark.parametrize(("attention", "update_edges", "edges"), VARIANTS)
@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_a_batch_gives_what_its_graphs_give(make_batch, attention, update_edges, edges, norm) -> None:
    batch = make_batch([6, 1, 0, 9, 3])
    model = build(attention, update_edges, edges, norm=norm).eval()
    single = torch.cat([model(graph) for graph in batch.to_data_list()])
    torch.testing.assert_close(model(batch), single, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("attention", "update_edges", "edges"), VARIANTS)
def test_permutation_equivariance(
    make_batch, permute: Callable[[Data, Tensor], Data], attention, update_edges, edges
) -> None:
    data = make_batch([9]).to_data_list()[0]
    order, edge_order = torch.randperm(9), torch.randperm(data.edge_index.shape[1])
    other = permute(data, order)
    other.edge_index, other.edge_attr = other.edge_index[:, edge_order], other.edge_attr[edge_order]
    for readout in ("none", "mean", "sum", "max"):
        model = build(attention, update_edges, edges, readout=readout).eval()
        expected = model(data)[order] if readout == "none" else model(data)
        torch.testing.assert_close(model(other), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("update_edges", "edges"), [(False, None), (False, "linear"), (True, "linear")])
def test_full_attention_is_sparse_attention_on_the_complete_graph(make_batch, update_edges: bool, edges) -> None:
    graphs = []
    for size in (5, 1, 7):
        data = make_batch([size]).to_data_list()[0]
        data.edge_index = torch.cartesian_prod(torch.arange(size), torch.arange(size)).t()
        data.edge_attr = torch.randn(size * size, 2)
        shuffle = torch.randperm(size * size)
        data.edge_index, data.edge_attr = data.edge_index[:, shuffle], data.edge_attr[shuffle]
        graphs.append(data)
    batch = Batch.from_data_list(graphs)
    sparse, full = (build(a, update_edges, edges, readout="none").eval() for a in ("sparse", "full"))
    full.load_state_dict(sparse.state_dict(), strict=False)
    torch.testing.assert_close(full(batch), sparse(batch), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("attention", "update_edges", "edges"), VARIANTS)
def test_reach_of_attention(attention: str, update_edges: bool, edges: str | None) -> None:
    """Which nodes a layer's output depends on: its in-neighbours, or all nodes of its graph."""
    path = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), edge_attr=torch.rand(2, 2), num_nodes=4)
    batch = Batch.from_data_list([path, path])
    model = GraphTransformer(
        width=12,
        layers=1,
        heads=3,
        attention=attention,
        norm="layer",
        update_edges=update_edges,
        readout="none",
        node_encoder=nn.Identity(),
        edge_encoder=LinearEdges(2, 12) if edges else None,
    )
    x = torch.randn(8, 12)

    class Fixed(nn.Module):
        def forward(self, batch: Data) -> Tensor:
            return self.x

    model.node_encoder = Fixed()

    def function(value: Tensor) -> Tensor:
        model.node_encoder.x = value
        return model(batch)

    jacobian = torch.autograd.functional.jacobian(function, x).abs().sum((1, 3)) > 0  # [output, input]
    reach = torch.block_diag(*[torch.ones(4, 4)] * 2).bool()
    if attention == "sparse":
        reach = torch.eye(8).bool()
        reach[batch.edge_index[1], batch.edge_index[0]] = True
    assert torch.equal(jacobian, reach)
    assert model.attends_to_all_pairs == (attention == "full")


def test_attention_layout_says_what_runs() -> None:
    layouts = {(a, u): build(a, u).attention_layout for a in ("sparse", "full") for u in (False, True)}
    assert layouts == {
        ("sparse", False): "edges",
        ("sparse", True): "edges",
        ("full", False): "padded",
        ("full", True): "pair list",
    }


@pytest.mark.parametrize(("attention", "update_edges", "edges"), VARIANTS)
@pytest.mark.parametrize("sizes", [[1], [0, 1, 0], [4], [1, 1]])
@pytest.mark.parametrize("norm", ["batch", "layer"])
def test_graphs_without_edges_train(make_batch, attention, update_edges, edges, sizes, norm) -> None:
    batch = make_batch(sizes, degree=0)
    model = build(attention, update_edges, edges, norm=norm, dropout=0.1)
    out = model(batch)
    assert out.shape == (len(sizes), 12)
    out.square().sum().backward()
    assert bool(out.isfinite().all())
    grads = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert "node_encoder.type_embedding.weight" in grads
    assert all(bool(grad.isfinite().all()) for grad in grads.values())
    assert all(bool(b.isfinite().all()) for b in model.buffers())


@pytest.mark.parametrize(("attention", "update_edges", "edges"), VARIANTS)
def test_every_trainable_parameter_gets_a_gradient(make_batch, attention, update_edges, edges) -> None:
    """Otherwise DistributedDataParallel waits for it forever."""
    model = build(attention, update_edges, edges)
    model(make_batch([6, 4])).square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None] == []
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert all(name.startswith("layers.1.edge_block.") for name in frozen)
    assert bool(frozen) == update_edges


def test_edge_features_reach_the_output(make_batch) -> None:
    batch = make_batch([8])
    other = batch.clone()
    other.edge_attr = 1 - batch.edge_attr
    for attention in ("sparse", "full"):
        for update_edges in (False, True):
            model = build(attention, update_edges).eval()
            assert float((model(batch) - model(other)).abs().max()) > 1e-5


def test_without_an_edge_encoder_edge_features_are_not_read(make_batch) -> None:
    batch = make_batch([8])
    del batch.edge_attr
    for attention in ("sparse", "full"):
        for update_edges in (False, True):
            assert bool(build(attention, update_edges, None)(batch).isfinite().all())


@pytest.mark.parametrize(("attention", "update_edges", "edges"), VARIANTS)
def test_learns_one_small_batch(make_batch, attention, update_edges, edges) -> None:
    torch.manual_seed(5)
    batch = make_batch([7, 5, 6, 8], seed=11)
    target = torch.tensor([[1.0], [-1.0], [0.5], [2.0]])
    model = build(attention, update_edges, edges, width=24, head=MLPReadout(24, 1))
    model.encodings = nn.ModuleList()  # random signs would be noise
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(100):
        loss = (model(batch) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 1e-3


@pytest.mark.parametrize(("attention", "update_edges", "edges"), VARIANTS)
def test_bfloat16_autocast(make_batch, attention, update_edges, edges) -> None:
    batch = make_batch([7, 5, 20])
    model = build(attention, update_edges, edges)
    model.encodings = nn.ModuleList()
    with torch.autocast("cpu", torch.bfloat16):
        low = model(batch)
    low.float().square().sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)
    exact = model(batch)
    assert float(((low.float() - exact).norm() / exact.norm()).detach()) < 0.1


@pytest.mark.slow
@pytest.mark.parametrize(("attention", "update_edges", "edges"), VARIANTS)
def test_compiles(make_batch, attention, update_edges, edges) -> None:
    model = build(attention, update_edges, edges).eval()
    compiled = torch.compile(model, backend="eager", fullgraph=attention == "sparse")
    batch = make_batch([7, 5])
    torch.testing.assert_close(compiled(batch), model(batch), rtol=1e-4, atol=1e-5)
    torch._dynamo.reset()


def test_signs_are_random_in_training_only(make_batch) -> None:
    batch = make_batch([9] * 16)  # 48 signs: never twice the same
    batch.laplacian_mask[:] = True
    model = build(norm="layer")
    assert not torch.equal(model(batch), model(batch))
    model.eval()
    assert torch.equal(model(batch), model(batch))


def test_a_missing_encoding_names_the_transform(make_batch) -> None:
    batch = make_batch([4])
    del batch.laplacian_eigenvector_pe
    with pytest.raises(GraphPEValueError, match=r"add T.LaplacianPE\(k=3\) to the transforms"):
        build()(batch)


def test_the_batch_is_left_as_it_is(make_batch) -> None:
    batch = make_batch([6, 3])
    before = batch.clone()
    for attention in ("sparse", "full"):
        build(attention)(batch)
    assert set(batch.keys()) == set(before.keys())
    for key, value in before:
        assert torch.equal(batch[key], value) if isinstance(value, Tensor) else batch[key] == value


def test_repr_is_the_call() -> None:
    model = build("full", width=24, layers=3, dropout=0.25, norm="layer", readout="max")
    text = repr(model)
    assert text == (
        "GraphTransformer(width=24, layers=3, heads=3, attention='full', norm='layer', dropout=0.25, "
        "update_edges=True, readout='max')"
    )
    call = ast.parse(text, mode="eval").body
    arguments = {k.arg: ast.literal_eval(k.value) for k in call.keywords}
    again = GraphTransformer(**arguments, node_encoder=nn.Identity())
    assert repr(again) == text
    assert again.width == 24


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 10}, "multiple of heads"),
        ({"heads": 0}, "heads must be from 1"),
        ({"layers": 0}, "layers must be from 1"),
        ({"width": "12"}, r"width must be an integer, got '12'"),
        ({"dropout": 1.0}, r"dropout must be a number in \[0, 1\)"),
        ({"dropout": "0.1"}, "dropout must be a number"),
        ({"update_edges": "yes"}, "update_edges must be True or False"),
        ({"norm": "instance"}, "norm must be one of 'batch', 'layer'"),
        ({"readout": "median"}, "readout must be one of"),
        ({"attention": "dense"}, "attention must be one of 'sparse', 'full'"),
    ],
)
def test_bad_arguments(options: dict[str, Any], message: str) -> None:
    with pytest.raises(GraphPEError, match=message):
        GraphTransformer(**{"width": 12, "heads": 3, **options}, node_encoder=nn.Identity())


def test_the_public_names_are_there() -> None:
    architectures = [
        name for name in models.__all__ if "node_encoder" in inspect.signature(getattr(models, name)).parameters
    ]
    assert {"GraphTransformer", "GRIT", "RelationalTransformer", "Graphormer", "GPS", "SAT"} <= set(architectures)
