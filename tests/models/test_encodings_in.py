"""`encodings_in="every_layer"`: encodings through a LayerNorm of their own in every layer, against hooks that add it.

Of each architecture one form or several, against the same weights without encodings, which hooks bring to its layers.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from graphpe.errors import GraphPEValueError
from graphpe.models import GRIT, EigenvectorEncoding, GraphTransformer, LinearNodes, RelationalTransformer
from graphpe.models.gps import GPS

from .test_architectures import HEADS, MODELS, WIDTH

SMALL = {"width": WIDTH, "layers": 2}
FORMS: dict[str, tuple[type[nn.Module], dict[str, Any]]] = {
    name: (kind, options)
    for name, (kind, options, pair) in MODELS.items()
    if pair is None and not name.startswith(("NAGphormer", "EdgeTransformer"))
} | {
    "SAT++": (MODELS["SAT++"][0], MODELS["SAT++"][1]),
    "Graphormer": (MODELS["Graphormer"][0], MODELS["Graphormer"][1]),
    "GraphTransformer": (GraphTransformer, {"heads": HEADS}),
    "GraphTransformer full": (GraphTransformer, {"heads": HEADS, "attention": "full", "norm": "layer"}),
    "GRIT": (GRIT, {"heads": HEADS}),
    "GRIT sparse": (GRIT, {"heads": HEADS, "attention": "sparse"}),
    "Relational": (RelationalTransformer, {"heads": HEADS}),
    "Relational node": (RelationalTransformer, {"heads": HEADS, "global_vector": "node"}),
    "Relational cat": (RelationalTransformer, {"heads": HEADS, "global_vector": "cat", "attention": "sparse"}),
}
each = pytest.mark.parametrize("name", FORMS)


def encoding() -> nn.Module:
    out = EigenvectorEncoding("laplacian_eigenvector_pe", 3, WIDTH, mask_key="laplacian_mask")
    nn.init.normal_(out.linear.weight)
    return out


def build(name: str, encodings: list[nn.Module], **changes: Any) -> nn.Module:
    kind, options = FORMS[name]
    return kind(node_encoder=LinearNodes(4, WIDTH), encodings=encodings, **SMALL, **options, **changes)


def graphs(sizes: list[int]) -> list[Data]:
    """Trees, so that each decides its spanning tree, in both directions; one of a single node has no edge."""
    out = []
    for size in sizes:
        parent = torch.tensor([int(np.random.default_rng(node).integers(node)) for node in range(1, size)]).long()
        edges = torch.stack([parent, torch.arange(1, max(size, 1))])
        data = Data(x=torch.randn(size, 4), edge_index=torch.cat([edges, edges.flip(0)], dim=1), num_nodes=size)
        data.laplacian_eigenvector_pe = torch.randn(size, 3)
        data.laplacian_eigenvalues = torch.rand(1, 3)
        data.laplacian_mask = torch.ones(1, 3, dtype=torch.bool)
        out.append(data)
    return out


def layers_of(model: nn.Module) -> list[nn.Module]:
    return [
        layer
        for name in ("layers", "global_layers", "local_layers")
        if isinstance(found := getattr(model, name, None), nn.ModuleList)
        for layer in found
    ]


@each
def test_each_layer_gets_the_encodings_through_its_own_norm(name: str) -> None:
    (data,) = graphs([7])
    model = build(name, [encoding(), encoding()], encodings_in="every_layer").double().eval()
    if getattr(model, "virtual", None) is not None:
        pytest.skip("virtual nodes hear what layers are given, which hooks of layers do not change")
    assert len(layers_of(model)) == len(model.encoding_norms)
    for norm in model.encoding_norms:
        nn.init.normal_(norm.weight)
        nn.init.normal_(norm.bias)
    plain = build(name, []).double().eval()  # reads no encoding at all; hooks bring them to its layers
    weights = {key: value for key, value in model.state_dict().items() if key.split(".")[0][:8] != "encoding"}
    assert list(weights) == list(plain.state_dict())
    plain.load_state_dict(weights)
    plain.told_unread = True
    p = sum(one(data) for one in model.encodings).detach().numpy()
    deviation = np.sqrt(p.var(axis=1, keepdims=True) + 1e-5)
    normal = (p - p.mean(axis=1, keepdims=True)) / deviation
    for layer, norm in zip(layers_of(plain), model.encoding_norms, strict=True):
        added = torch.from_numpy(normal * norm.weight.detach().numpy() + norm.bias.detach().numpy())

        def join(_: nn.Module, inputs: tuple[Any, ...], added: Tensor = added) -> tuple[Any, ...]:
            x, *rest = inputs
            return (torch.cat([x[:7] + added, x[7:]]), *rest)  # rows behind the nodes are virtual ones

        layer.register_forward_pre_hook(join)
    torch.testing.assert_close(model(data), plain(data), rtol=1e-9, atol=1e-9)
    assert not torch.allclose(model(data), build(name, list(model.encodings)).double().eval()(data))


@each
def test_a_batch_gives_what_its_graphs_give_and_every_parameter_learns(name: str) -> None:
    model = build(name, [encoding()], encodings_in="every_layer")
    several = graphs([6, 1, 0, 4])
    out = model.train()(Batch.from_data_list(several))
    out.square().sum().backward()
    assert [n for n, p in model.named_parameters() if p.requires_grad and p.grad is None] == []
    model.double().eval()
    single = torch.cat([model(data) for data in several])
    torch.testing.assert_close(model(Batch.from_data_list(several)), single, rtol=1e-7, atol=1e-7)


@each
def test_once_is_the_default_and_nothing_else_changed(name: str) -> None:
    default, again = build(name, [encoding()]), build(name, [encoding()], encodings_in="every_layer")
    assert default.encoding_norms is None
    keys = [key for key in again.state_dict() if not key.startswith("encoding_norms.")]
    assert keys == list(default.state_dict())
    assert "encodings_in" not in repr(default)
    assert repr(again) == repr(default)[:-1] + ", encodings_in='every_layer')"
    nothing = build(name, [], encodings_in="every_layer")
    assert nothing.encoding_norms is None  # norms of nothing would never get a gradient
    with pytest.raises(GraphPEValueError, match="encodings_in must be one of 'first', 'every_layer', got 'all'"):
        build(name, [], encodings_in="all")


def test_nodes_that_are_not_in_the_order_of_their_graphs() -> None:
    model = build("GPS-GCN-linear", [encoding()], encodings_in="every_layer", readout="none").double().eval()
    batch = Batch.from_data_list(graphs([4, 3]))
    order = torch.tensor([4, 0, 5, 1, 2, 6, 3])
    mixed = Data(
        **{key: batch[key][order] for key in ("x", "batch", "laplacian_eigenvector_pe")},
        edge_index=order.argsort()[batch.edge_index],
        laplacian_mask=batch.laplacian_mask,
    )
    torch.testing.assert_close(model(mixed), model(batch)[order], rtol=1e-9, atol=1e-9)


def test_half_precision() -> None:
    model = GPS(node_encoder=LinearNodes(4, WIDTH), encodings=[encoding()], **SMALL, encodings_in="every_layer")
    assert model.bfloat16()(Batch.from_data_list(graphs([5, 2]))).isfinite().all()
