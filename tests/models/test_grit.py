from __future__ import annotations

import ast
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from graphpe.errors import GraphPEError, GraphPEValueError
from graphpe.models import (
    CategoricalEdges,
    CategoricalNodes,
    LinearEdges,
    MLPReadout,
    PairEmbedding,
    PairLinear,
)
from graphpe.models import grit as grit_module
from graphpe.models.attention.grit.reference import grit_attention_reference
from graphpe.models.attention.pairs import all_pairs
from graphpe.models.batches.nodes import NodeToGraph
from graphpe.models.grit import GRIT, GRITLayer, PairRows
from graphpe.models.layers.normalization import RowBatchNorm


class LinearNodes(nn.Module):
    """A linear map of `batch.x`."""

    def __init__(self, channels: int, width: int) -> None:
        super().__init__()
        self.linear = nn.Linear(channels, width)

    def forward(self, batch: Data) -> Tensor:
        return self.linear(batch.x.to(self.linear.weight.dtype))


def build(attention: str = "full", *, width: int = 12, layers: int = 2, heads: int = 3, **options: Any) -> GRIT:
    return GRIT(
        width=width,
        layers=layers,
        heads=heads,
        attention=attention,
        node_encoder=LinearNodes(2, width),
        edge_encoder=LinearEdges(2, width),
        pair_encodings=[PairLinear("rrwp", 4, width, node_width=width)],
        **options,
    )


def with_rrwp(batch: Batch) -> Batch:
    """Random numbers instead of walks: nothing may depend on what they mean."""
    return Batch.from_data_list([add_rrwp(data) for data in batch.to_data_list()])


def add_rrwp(data: Data) -> Data:
    data.rrwp = torch.rand(int(data.num_nodes or 0) ** 2, 4)
    data.hops = torch.randint(0, 5, (int(data.num_nodes or 0) ** 2, 1))
    return data


@pytest.fixture(name="make")
def make_fixture(make_batch: Callable[..., Batch]) -> Callable[..., Batch]:
    return lambda *args, **options: with_rrwp(make_batch(*args, **options))


@pytest.fixture(params=["fast", "reference"])
def path(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param == "reference":

        def plain(*args: Any, checkpoint: bool, **options: Any) -> Any:
            return grit_attention_reference(*args, **options)

        monkeypatch.setattr(grit_module, "grit_attention", plain)
    return request.param


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


def published(nodes: nn.Module, edges: nn.Module, head: nn.Module, steps: int, **options: Any) -> GRIT:
    width = options["width"]
    encodings = [PairLinear("rrwp", steps, width, node_width=width)]
    return GRIT(node_encoder=nodes, edge_encoder=edges, pair_encodings=encodings, head=head, **options)


def layers_to(*sizes: int) -> nn.Module:
    parts: list[nn.Module] = []
    for a, b in pairwise(sizes):
        parts += [nn.Linear(a, b), nn.ReLU()]
    return nn.Sequential(*parts[:-1])


def test_published_parameter_counts() -> None:
    zinc = published(
        CategoricalNodes(64, 21), CategoricalEdges(64, 4), MLPReadout(64, 1), 21, width=64, layers=10, heads=8
    )
    assert count(zinc) == 473_473
    assert {count(layer) for layer in zinc.layers} == {46_656}
    small = {"width": 52, "layers": 3, "heads": 4}
    mnist = published(LinearNodes(3, 52), LinearEdges(1, 52), layers_to(52, 52, 52, 10), 18, **small)
    assert count(mnist) == 102_138
    assert {count(layer) for layer in mnist.layers} == {31_304}
    cifar = published(LinearNodes(5, 52), LinearEdges(1, 52), layers_to(52, 52, 10), 18, **small)
    assert count(cifar) == 99_486


def load_published(layer: GRITLayer, parameters: dict[str, Tensor]) -> None:
    """Parameters in the layout of the released code."""
    heads, channels = layer.heads, parameters["attention.Aw"].shape[0]

    def by_part(x: Tensor) -> Tensor:  # from [heads, scale or shift, C] to [scale or shift, heads, C]
        return x.view(heads, 2, channels, *x.shape[1:]).transpose(0, 1).reshape(x.shape)

    names = {
        "attention.Q": "query",
        "attention.K": "key",
        "attention.V": "value",
        "attention.E": "pair",
        "O_h": "node_out",
        "O_e": "pair_out",
        "batch_norm1_h": "node_norm_1",
        "batch_norm1_e": "pair_norm",
        "batch_norm2_h": "node_norm_2",
        "FFN_h_layer1": "expand",
        "FFN_h_layer2": "contract",
    }
    state = {}
    for name, value in parameters.items():
        if name == "attention.Aw":
            state["score"] = value[:, :, 0].t()
        elif name == "attention.VeRow":
            state["pair_value"] = value.permute(1, 0, 2)
        elif name == "deg_coef":
            state["degree_scale"] = value[0].t()
        else:
            module, leaf = name.rsplit(".", 1)
            state[f"{names[module]}.{leaf}"] = by_part(value) if module == "attention.E" else value
    layer.load_state_dict(state)


@pytest.mark.parametrize("checkpoint", [False, True])
def test_values_of_the_released_layer(path: str, checkpoint: bool, golden: Path) -> None:
    with np.load(golden / "grit_layer.npz", allow_pickle=False) as file:
        values = {name: torch.from_numpy(np.atleast_1d(file[name])) for name in file.files}
    sizes = values["sizes"]
    ptr = torch.cat([sizes.new_zeros(1), sizes.cumsum(0)])
    pairs = all_pairs(NodeToGraph(torch.arange(len(sizes)).repeat_interleave(sizes), ptr), sizes.new_zeros(2, 0))
    assert torch.equal(pairs.source, values["source"])
    assert torch.equal(pairs.target, values["target"])
    layer = GRITLayer(16, 4, checkpoint=checkpoint)
    parameters = {name.removeprefix("param:"): value for name, value in values.items() if name.startswith("param:")}
    parameters = {k: v.squeeze(0) if k.endswith("num_batches_tracked") else v for k, v in parameters.items()}
    load_published(layer, parameters)
    log_degree = torch.log1p(values["degree"].float()).view(-1, 1)
    for mode in ("eval", "train"):
        layer.train(mode == "train")
        x, rows = layer(values["x"], PairRows(values["pair"]), pairs, log_degree)
        torch.testing.assert_close(x, values[f"x_{mode}"], rtol=1e-5, atol=1e-5)
        torch.testing.assert_close(rows.written_out(), values[f"pair_{mode}"], rtol=1e-5, atol=1e-5)


ATTENTIONS = ["full", "sparse"]


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_a_batch_gives_what_its_graphs_give(make, attention: str) -> None:
    batch = make([6, 1, 0, 9, 3])
    model = build(attention).eval()
    single = torch.cat([model(graph) for graph in batch.to_data_list()])
    torch.testing.assert_close(model(batch), single, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_permutation_equivariance(make, permute: Callable[[Data, Tensor], Data], attention: str) -> None:
    data = make([9]).to_data_list()[0]
    order, edge_order = torch.randperm(9), torch.randperm(data.edge_index.shape[1])
    other = permute(data, order)
    other.edge_index, other.edge_attr = other.edge_index[:, edge_order], other.edge_attr[edge_order]
    other.rrwp = data.rrwp.view(9, 9, 4)[order][:, order].reshape(81, 4)
    for readout in ("none", "mean"):
        model = build(attention, readout=readout).double().eval()
        expected = model(data)[order] if readout == "none" else model(data)
        torch.testing.assert_close(model(other), expected)


def test_full_attention_is_sparse_attention_on_the_complete_graph(make) -> None:
    graphs = []
    for size in (5, 1, 7):
        data = make([size]).to_data_list()[0]
        shuffle = torch.randperm(size * size)
        data.edge_index = torch.cartesian_prod(torch.arange(size), torch.arange(size)).t()[:, shuffle]
        data.edge_attr = torch.randn(size * size, 2)
        graphs.append(data)
    batch = Batch.from_data_list(graphs)
    sparse, full = (build(a, readout="none") for a in ATTENTIONS)
    full.load_state_dict(sparse.state_dict())
    for train in (True, False):
        sparse.train(train), full.train(train)
        sparse.attention_dropout = full.attention_dropout = 0.0
        for layer in (*sparse.layers, *full.layers):
            layer.attention_dropout = 0.0
        torch.testing.assert_close(full(batch), sparse(batch), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_reach_of_attention(attention: str) -> None:
    """Which nodes a layer's output depends on: its in-neighbours and itself, or all nodes of its graph."""
    path = add_rrwp(Data(edge_index=torch.tensor([[0, 1], [1, 2]]), edge_attr=torch.rand(2, 2), num_nodes=4))
    batch = Batch.from_data_list([path, path])
    model = build(attention, layers=1, readout="none").double().eval()

    def function(x: Tensor) -> Tensor:
        batch.x = x
        return model(batch)

    jacobian = torch.autograd.functional.jacobian(function, torch.randn(8, 2).double()).abs().sum((1, 3)) > 0
    reach = torch.block_diag(*[torch.ones(4, 4)] * 2).bool()
    if attention == "sparse":
        reach = torch.eye(8).bool()
        reach[batch.edge_index[1], batch.edge_index[0]] = True
    assert torch.equal(jacobian, reach)
    assert model.attends_to_all_pairs == (attention == "full")
    assert model.attention_layout == ("all pairs" if attention == "full" else "edges and self-pairs")


def test_encodings_of_pairs_are_query_by_key(make) -> None:
    """Row (i, j) of the encoding is what node i sees of node j."""
    batch = make([4])
    model = build("full", layers=1, readout="none").double().eval()
    before = model(batch)
    batch.rrwp[1 * 4 + 3] += 1
    changed = (model(batch) - before).abs().sum(1) > 1e-9
    assert changed.tolist() == [False, True, False, False]
    batch.rrwp[2 * 4 + 2] += 1  # of a pair (i, i) also reaches node i's own vector, and so every node
    assert bool(((model(batch) - before).abs().sum(1) > 1e-9).all())


@pytest.mark.parametrize("attention", ATTENTIONS)
@pytest.mark.parametrize("sizes", [[1], [0, 1, 0], [0], [4], [1, 1]])
def test_graphs_without_edges_train(make, attention: str, sizes: list[int]) -> None:
    batch = make(sizes, degree=0)
    model = build(attention, dropout=0.1)
    out = model(batch)
    assert out.shape == (len(sizes), 12)
    out.square().sum().backward()
    assert bool(out.isfinite().all())
    grads = [p.grad for p in model.parameters() if p.grad is not None]
    assert grads
    assert all(bool(grad.isfinite().all()) for grad in grads)
    assert all(bool(b.isfinite().all()) for b in model.buffers())


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_every_trainable_parameter_gets_a_gradient(make, attention: str) -> None:
    """Otherwise DistributedDataParallel waits for it forever."""
    model = build(attention)
    model(make([6, 4])).square().sum().backward()
    assert [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None] == []
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert frozen == {
        f"layers.1.{name}" for name in ("pair_out.weight", "pair_out.bias", "pair_norm.weight", "pair_norm.bias")
    }


def test_running_statistics_are_those_of_batch_normalisation(make, path: str) -> None:
    """Of real pairs only; and evaluation uses them."""
    torch.manual_seed(1)
    batch = make([7, 1, 5], seed=3)
    model = build(layers=2, attention_dropout=0.0)
    norm, oracle = model.layers[0].pair_norm, RowBatchNorm(12)
    nn.init.normal_(norm.weight), nn.init.normal_(norm.bias)
    oracle.load_state_dict(norm.state_dict())
    members = NodeToGraph(batch.batch, batch.ptr)
    pairs = all_pairs(members, batch.edge_index)
    layer, x, value = model.layers[0], torch.randn(13, 12), torch.randn(75, 12)
    for train in (True, True, False):
        layer.train(train), oracle.train(train)
        rows = layer(x, PairRows(value), pairs, torch.zeros(13, 1))[1]
        torch.testing.assert_close(rows.written_out(), oracle(rows.value), rtol=1e-4, atol=1e-5)
        for name, buffer in norm.named_buffers():
            torch.testing.assert_close(buffer, oracle.get_buffer(name))


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_checkpointing_changes_nothing(make, attention: str) -> None:
    batch = make([9, 4])
    results = []
    for checkpoint in (False, True):
        torch.manual_seed(4)
        model = build(attention, dropout=0.2, attention_dropout=0.3, checkpoint=checkpoint)
        torch.manual_seed(5)
        model(batch).square().sum().backward()
        results.append([p.grad for p in model.parameters() if p.grad is not None])
    for one, other in zip(*results, strict=True):
        torch.testing.assert_close(one, other)


def test_dropout_is_for_training_only(make) -> None:
    batch = make([9] * 4)
    for options in ({"dropout": 0.5, "attention_dropout": 0.0}, {"dropout": 0.0, "attention_dropout": 0.5}):
        model = build(**options)
        assert not torch.equal(model(batch), model(batch))
        model.eval()
        assert torch.equal(model(batch), model(batch))


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_learns_one_small_batch(make, attention: str) -> None:
    torch.manual_seed(5)
    batch = make([7, 5, 6, 8], seed=11)
    target = torch.tensor([[1.0], [-1.0], [0.5], [2.0]])
    model = build(attention, width=24, attention_dropout=0.0, head=MLPReadout(24, 1))
    optimizer = torch.optim.Adam(model.parameters(), lr=5e-3)
    for _ in range(120):
        loss = (model(batch) - target).square().mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert float(loss.detach()) < 1e-3


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_bfloat16_autocast(make, attention: str) -> None:
    batch = make([7, 5, 20])
    model = build(attention, attention_dropout=0.0)
    with torch.autocast("cpu", torch.bfloat16):
        low = model(batch)
    low.float().square().sum().backward()
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)
    exact = model(batch)
    assert float(((low.float() - exact).norm() / exact.norm()).detach()) < 0.1


@pytest.mark.parametrize("attention", ATTENTIONS)
def test_compiles(make, attention: str) -> None:
    batch = make([7, 5])
    batch.apply(lambda x: x.double() if x.is_floating_point() else x)
    model = build(attention, attention_dropout=0.0).double()
    model(batch)  # running statistics
    grads = []
    for forward in (torch.compile(model, backend="eager", fullgraph=attention == "full"), model):
        model.zero_grad()
        state = {name: value.clone() for name, value in model.state_dict().items()}
        out = forward(batch)
        out.square().sum().backward()
        grads.append([out, *[p.grad.clone() for p in model.parameters() if p.grad is not None]])
        model.load_state_dict(state)
    for one, other in zip(*grads, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-7, atol=1e-9)
    torch._dynamo.reset()


def test_what_pairs_start_from(make) -> None:
    batch = make([8])
    sources: list[dict[str, Any]] = [
        {},
        {"edge_encoder": LinearEdges(2, 12)},
        {"pair_encodings": [PairEmbedding("hops", 1, 5, 12), PairLinear("rrwp", 4, 12)]},
    ]
    for options in sources:
        for attention in ATTENTIONS:
            model = GRIT(width=12, layers=2, heads=3, attention=attention, node_encoder=LinearNodes(2, 12), **options)
            assert (model.plain_pair is not None) == (not options)
            model(batch).sum().backward()
            other = batch.clone()
            other.edge_attr, other.rrwp, other.hops = -batch.edge_attr, -batch.rrwp, 4 - batch.hops
            model.eval()
            assert torch.equal(model(batch), model(other)) == (not options)


def test_a_missing_encoding_names_the_transform(make) -> None:
    batch = make([4])
    del batch.rrwp
    with pytest.raises(GraphPEValueError, match=r"add T.RelativeRandomWalkPE\(walk_length=4\) to the transforms"):
        build()(batch)


def test_the_batch_is_left_as_it_is(make) -> None:
    batch = make([6, 3])
    before = batch.clone()
    for attention in ATTENTIONS:
        build(attention)(batch)
    assert set(batch.keys()) == set(before.keys())
    for key, value in before:
        assert torch.equal(batch[key], value) if isinstance(value, Tensor) else batch[key] == value


def test_repr_is_the_call() -> None:
    model = build("sparse", width=24, layers=3, dropout=0.25, readout="max", checkpoint=True)
    text = repr(model)
    assert text == (
        "GRIT(width=24, layers=3, heads=3, attention='sparse', dropout=0.25, attention_dropout=0.2, readout='max', "
        "checkpoint=True)"
    )
    call = ast.parse(text, mode="eval").body
    arguments = {k.arg: ast.literal_eval(k.value) for k in call.keywords}
    again = GRIT(**arguments, node_encoder=nn.Identity())
    assert repr(again) == text
    assert again.width == again.pair_width == 24
    assert (GRIT.pair_input, GRIT.pair_diagonals) == ("features", True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"width": 10}, "multiple of heads"),
        ({"heads": 0}, "heads must be from 1"),
        ({"layers": 0}, "layers must be from 1"),
        ({"dropout": 1.0}, r"dropout must be a number in \[0, 1\)"),
        ({"attention_dropout": "0.1"}, "attention_dropout must be a number"),
        ({"checkpoint": "yes"}, "checkpoint must be True or False"),
        ({"readout": "median"}, "readout must be one of"),
        ({"attention": "dense"}, "attention must be one of 'full', 'sparse'"),
    ],
)
def test_bad_arguments(options: dict[str, Any], message: str) -> None:
    with pytest.raises(GraphPEError, match=message):
        GRIT(**{"width": 12, "heads": 3, **options}, node_encoder=nn.Identity())


def test_an_option_of_the_released_code_is_an_error() -> None:
    with pytest.raises(TypeError, match="signed_sqrt"):
        GRIT(signed_sqrt=True, node_encoder=nn.Identity())  # type: ignore[call-arg]
