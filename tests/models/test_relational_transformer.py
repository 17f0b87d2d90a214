from __future__ import annotations

import ast
import inspect
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from graphpe.errors import GraphPEError, GraphPEValueError
from graphpe.models import relational_transformer
from graphpe.models.attention.pairs import PairSet, all_pairs, edge_pairs
from graphpe.models.batches.nodes import node_to_graph
from graphpe.models.encoders import PairEmbedding, PairLinear
from graphpe.models.layers.heads import MLPReadout, PairHead
from graphpe.models.layers.inputs import ASTNodeEncoder, LinearEdges
from graphpe.models.relational_transformer import RelationalLayer, RelationalTransformer

VARIANTS = [
    pytest.param(attention, vector, edges, id=f"{attention}-{vector}-{edges}")
    for attention in ("full", "sparse")
    for vector, edges in ((None, "linear"), (None, None), ("cat", "linear"), ("node", "linear"))
]


def build(
    attention: str = "full", global_vector: str | None = None, edges: str | None = "linear", **options: Any
) -> RelationalTransformer:
    width = options.setdefault("width", 16)
    hidden = {"node_hidden": 12, "edge_hidden_1": 10, "edge_hidden_2": 6}
    return RelationalTransformer(
        attention=attention,
        global_vector=global_vector,
        node_encoder=ASTNodeEncoder(width, 7, 7),
        edge_encoder=LinearEdges(2, width) if edges else None,
        **{"layers": 2, "heads": 4, **hidden, **options},
    )


def test_parameters_of_a_layer() -> None:
    layer = RelationalLayer(64, 8, node_hidden=32, edge_hidden_1=16, edge_hidden_2=8, dropout=0.0)
    assert sum(p.numel() for p in layer.parameters()) == 40_120


@pytest.fixture(name="released", scope="module")
def released_fixture(golden: Path) -> dict[str, Tensor]:
    with np.load(golden / "relational_layer.npz") as file:
        return {key.removeprefix("param:rt_aggr/"): torch.from_numpy(file[key]) for key in file.files}


def released_layer(values: dict[str, Tensor]) -> RelationalLayer:
    layer = RelationalLayer(16, 4, node_hidden=24, edge_hidden_1=12, edge_hidden_2=8, dropout=0.0)
    update = layer.pair_update
    groups = {
        "rt_attention_layer/linear": (
            *(layer.node_query, layer.node_key, layer.node_value),
            *(layer.pair_query, layer.pair_key, layer.pair_value),
        ),
        "linear": (layer.out, layer.node_1, layer.node_2, update.edge_1, update.edge_2, update.edge_3, update.edge_4),
        "layer_norm": (layer.node_norm_1, layer.node_norm_2, update.norm_1, update.norm_2),
    }
    with torch.no_grad():
        for name, modules in groups.items():
            for number, module in enumerate(modules):
                place = f"{name}_{number}" if number else name
                weight, bias = ("scale", "offset") if isinstance(module, nn.LayerNorm) else ("w", "b")
                module.weight.copy_(values[f"{place}/{weight}"].t())
                module.bias.copy_(values[f"{place}/{bias}"])
    return layer


def complete_graphs(sizes: list[int]) -> tuple[Data, Tensor]:
    """Every ordered pair an edge, in an order that is not that of pairs; and that order."""
    graphs = [Data(edge_index=torch.cartesian_prod(torch.arange(n), torch.arange(n)).t(), num_nodes=n) for n in sizes]
    batch = Batch.from_data_list(graphs)
    order = torch.randperm(batch.edge_index.shape[1])
    batch.edge_index = batch.edge_index[:, order]
    return batch, order


@pytest.mark.parametrize("attention", ["full", "sparse"])
def test_values_of_the_released_layer(released: dict[str, Tensor], attention: str) -> None:
    layer = released_layer(released)
    batch, _ = complete_graphs([6, 6])
    members = node_to_graph(batch)
    pairs = (all_pairs if attention == "full" else edge_pairs)(members, batch.edge_index)
    nodes, pair = layer(released["nodes"].flatten(0, 1), released["pairs"].flatten(0, 2), pairs)
    torch.testing.assert_close(nodes, released["nodes_out"].flatten(0, 1), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(pair, released["pairs_out"].flatten(0, 2), atol=1e-5, rtol=1e-5)


def published_layer(layer: RelationalLayer, n: Tensor, e: Tensor, joined: Tensor) -> tuple[Tensor, Tensor]:
    """The layer as the paper writes it, pair by pair; e is `[N, N, D]` (i, j), `joined` says which pairs there are."""
    heads, channels = layer.heads, n.shape[1] // layer.heads
    message = torch.zeros_like(n)
    update, size = layer.pair_update, len(n)
    for i in range(size):
        around = joined[i].nonzero().flatten().tolist()
        q = {j: layer.node_query(n[i]) + layer.pair_query(e[i, j]) for j in around}
        k = {j: layer.node_key(n[j]) + layer.pair_key(e[i, j]) for j in around}
        v = {j: layer.node_value(n[j]) + layer.pair_value(e[i, j]) for j in around}
        for h in range(heads):
            part = slice(h * channels, h * channels + channels)
            weight = torch.stack([q[j][part] @ k[j][part] / channels**0.5 for j in around]).softmax(0)
            message[i, part] = sum(w * v[j][part] for w, j in zip(weight, around, strict=True))
    n = layer.node_norm_1(n + layer.out(message))
    n = layer.node_norm_2(n + layer.node_2(layer.node_1(n).relu()))
    out = torch.zeros_like(e)
    for i, j in joined.nonzero().tolist():
        back = e[j, i] if joined[j, i] else torch.zeros_like(e[j, i])
        y = update.norm_1(e[i, j] + update.edge_2(update.edge_1(torch.cat([e[i, j], back, n[j], n[i]])).relu()))
        out[i, j] = update.norm_2(y + update.edge_4(update.edge_3(y).relu()))
    return n, out


@pytest.mark.parametrize("attention", ["full", "sparse"])
def test_equals_the_published_formulas_layer_by_layer(make_batch, attention: str) -> None:
    batch = make_batch([7], degree=2)
    model = build(attention, pair_output=True).double().eval()
    pairs = all_pairs(node_to_graph(batch), batch.edge_index)
    joined = torch.ones(7, 7, dtype=torch.bool)
    if attention == "sparse":
        joined = torch.eye(7).bool()
        joined[batch.edge_index[1], batch.edge_index[0]] = True
        assert bool((joined & ~joined.t()).any())  # reverse pairs are missing
    e = pairs.scatter(model.edge_encoder(batch), model.absent).view(7, 7, -1)
    n = model.node_encoder(batch)
    for layer in model.layers:
        n, e = published_layer(layer, n, e, joined)
    nodes, pair, chosen = model.vectors(batch)
    torch.testing.assert_close(nodes, n)
    torch.testing.assert_close(pair, e[chosen.target, chosen.source])


@pytest.mark.parametrize(("attention", "vector", "edges"), VARIANTS)
def test_a_batch_gives_what_its_graphs_give(make_batch, attention, vector, edges) -> None:
    batch = make_batch([6, 1, 0, 9, 3])
    model = build(attention, vector, edges, pair_output=True).eval()
    graphs = batch.to_data_list()
    torch.testing.assert_close(model(batch), torch.cat([model(g) for g in graphs]), rtol=1e-4, atol=1e-5)
    nodes, pair, pairs = model.vectors(batch)
    assert pair.shape == (pairs.num_pairs, 16)
    single = [model.vectors(graph)[:2] for graph in graphs]
    torch.testing.assert_close(nodes, torch.cat([one[0] for one in single]), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(pair, torch.cat([one[1] for one in single]), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("attention", "vector", "edges"), VARIANTS)
def test_permutation_equivariance(
    make_batch, permute: Callable[[Data, Tensor], Data], attention, vector, edges
) -> None:
    data = make_batch([9]).to_data_list()[0]
    order, edge_order = torch.randperm(9), torch.randperm(data.edge_index.shape[1])
    other = permute(data, order)
    other.edge_index, other.edge_attr = other.edge_index[:, edge_order], other.edge_attr[edge_order]
    for readout in ("none", "mean", "sum", "max"):
        model = build(attention, vector, edges, readout=readout).eval()
        expected = model(data)[order] if readout == "none" else model(data)
        torch.testing.assert_close(model(other), expected, rtol=1e-4, atol=1e-5)
    model = build(attention, vector, edges, pair_output=True).eval()

    def square(of: Data) -> Tensor:
        _, pair, pairs = model.vectors(of)
        return pair.new_zeros(9, 9, 16).index_put((pairs.target, pairs.source), pair)

    torch.testing.assert_close(square(other), square(data)[order][:, order], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("vector", [None, "cat", "node"])
def test_full_attention_is_sparse_attention_on_the_complete_graph(vector: str | None) -> None:
    batch, order = complete_graphs([5, 1, 7])
    batch.edge_attr = torch.randn(order.numel(), 2)
    batch.x, batch.node_depth = torch.randint(0, 7, (13, 2)), torch.randint(0, 9, (13, 1))
    sparse, full = (build(a, vector, readout="none", pair_output=True).eval() for a in ("sparse", "full"))
    full.load_state_dict(sparse.state_dict())
    torch.testing.assert_close(full(batch), sparse(batch), rtol=1e-4, atol=1e-5)
    torch.testing.assert_close(full.vectors(batch)[1], sparse.vectors(batch)[1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(("attention", "vector", "edges"), VARIANTS)
@pytest.mark.parametrize("sizes", [[1], [0, 1, 0], [4], [1, 1]])
def test_graphs_without_edges_train(make_batch, attention, vector, edges, sizes) -> None:
    model = build(attention, vector, edges, dropout=0.1)
    out = model(make_batch(sizes, degree=0))
    assert out.shape == (len(sizes), 16)
    out.square().sum().backward()
    assert bool(out.isfinite().all())
    grads = {name: p.grad for name, p in model.named_parameters() if p.grad is not None}
    assert "node_encoder.type_embedding.weight" in grads
    assert all(bool(grad.isfinite().all()) for grad in grads.values())


@pytest.mark.parametrize(("attention", "vector", "edges"), VARIANTS)
@pytest.mark.parametrize("pair_output", [False, True])
def test_every_trainable_parameter_gets_a_gradient(make_batch, attention, vector, edges, pair_output) -> None:
    """Otherwise DistributedDataParallel waits for it forever."""
    model = build(attention, vector, edges, pair_output=pair_output)
    batch = make_batch([6, 4])
    loss = model(batch).square().sum()
    if pair_output:
        nodes, pair, _ = model.vectors(batch)
        loss = nodes.square().sum() + pair.square().sum()
    loss.backward()
    assert [name for name, p in model.named_parameters() if p.requires_grad and p.grad is None] == []
    frozen = {name for name, p in model.named_parameters() if not p.requires_grad}
    assert all(name.startswith("layers.1.pair_update.") for name in frozen)
    assert bool(frozen) != pair_output


@pytest.mark.parametrize("attention", ["full", "sparse"])
def test_what_is_read_reaches_the_output(make_batch, attention: str) -> None:
    batch = make_batch([8])
    other = batch.clone()
    other.edge_attr = 1 - batch.edge_attr
    model = build(attention).eval()
    assert not torch.allclose(model(batch), model(other), atol=1e-4)
    other = batch.clone()
    other.edge_index = batch.edge_index[:, 1:]
    for model in (build(attention, edges=None).eval(), build(attention, "cat", None).eval()):
        assert not torch.allclose(model(batch), model(other), atol=1e-4)


class SumOfPairs(PairHead):
    def forward(self, x: Tensor, pair: Tensor, pairs: PairSet) -> Tensor:
        return x.index_add(0, pairs.target, pair)


@pytest.mark.parametrize("attention", ["full", "sparse"])
def test_a_pair_head_gets_the_vectors(make_batch, attention: str) -> None:
    batch = make_batch([5, 1, 7])
    model = build(attention, pair_output=True, head=SumOfPairs()).eval()
    torch.testing.assert_close(model(batch), model.head(*model.vectors(batch)))
    with pytest.raises(GraphPEValueError, match="a PairHead reads vectors of pairs: give pair_output=True"):
        build(attention, head=SumOfPairs())


@pytest.mark.parametrize("attention", ["full", "sparse"])
def test_encodings_of_pairs_are_features_of_pairs(make_batch, attention: str) -> None:
    batch = make_batch([5, 3])
    batch.rrwp, batch.shortest_path = torch.randn(34, 4), torch.randint(0, 5, (34, 1))
    encodings = [PairLinear("rrwp", 4, 16), PairEmbedding("shortest_path", 1, 5, 16)]
    model = build(attention, pair_encodings=encodings).eval()
    seen: list[Tensor] = []
    model.layers[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[1]))
    model(batch)
    make = all_pairs if attention == "full" else edge_pairs
    pairs = make(node_to_graph(batch), batch.edge_index)
    expected = pairs.scatter(model.edge_encoder(batch), model.absent)
    torch.testing.assert_close(seen[0], expected + sum(encoding(batch, pairs) for encoding in encodings))


def test_reach_of_attention(make_batch) -> None:
    """Which nodes the output of one layer depends on: all of the graph, or in-neighbours and itself."""
    batch = make_batch([5, 4], degree=1)

    class Fixed(nn.Module):
        def forward(self, batch: Data) -> Tensor:
            return x

    for attention in ("full", "sparse"):
        model = build(attention, layers=1, readout="none")
        model.node_encoder = Fixed()

        def function(value: Tensor, model: nn.Module = model) -> Tensor:
            nonlocal x
            x = value
            return model(batch)

        x = torch.randn(9, 16)
        jacobian = torch.autograd.functional.jacobian(function, x).abs().sum((1, 3)) > 0  # [output, input]
        reach = torch.block_diag(torch.ones(5, 5), torch.ones(4, 4)).bool()
        if attention == "sparse":
            reach = torch.eye(9).bool()
            reach[batch.edge_index[1], batch.edge_index[0]] = True
        assert torch.equal(jacobian, reach)
        assert model.attends_to_all_pairs == (attention == "full")
        assert model.attention_layout == ("pair list" if attention == "full" else "edges")


def test_a_global_node_joins_all_nodes_of_its_graph(make_batch) -> None:
    batch = make_batch([5, 0, 4], degree=1)
    model = build("sparse", "node", readout="none").eval()
    seen: list[PairSet] = []
    model.layers[0].register_forward_pre_hook(lambda _, inputs: seen.append(inputs[2]))
    assert model(batch).shape == (9, 16)
    joined = torch.eye(9).bool()
    joined[batch.edge_index[1], batch.edge_index[0]] = True
    expected = torch.zeros(12, 12, dtype=torch.bool)
    node = torch.tensor([0, 1, 2, 3, 4, 7, 8, 9, 10])
    expected[node[:, None], node] = joined
    for hub, others in ((5, [0, 1, 2, 3, 4]), (6, []), (11, [7, 8, 9, 10])):
        for v in (hub, *others):
            expected[hub, v] = expected[v, hub] = True
    pairs = seen[0]
    assert torch.equal(torch.stack([pairs.target, pairs.source]).t(), expected.nonzero())
    assert torch.equal(torch.stack([pairs.source, pairs.target])[:, pairs.slot], node[batch.edge_index])


@pytest.mark.parametrize(("attention", "vector", "edges"), VARIANTS)
def test_learns_one_small_batch(make_batch, attention, vector, edges) -> None:
    torch.manual_seed(5)
    batch = make_batch([7, 5, 6, 8], seed=11)
    target = torch.tensor([[1.0], [-1.0], [0.5], [2.0]])
    model = build(attention, vector, edges, width=16, head=MLPReadout(16, 1, halve=False))
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        loss = (model(batch) - target).square().mean()
        loss.backward()
        optimizer.step()
    assert loss.item() < 1e-2


@pytest.mark.parametrize(("attention", "vector", "edges"), VARIANTS)
def test_bfloat16_autocast_and_float64(make_batch, attention, vector, edges) -> None:
    batch = make_batch([6, 1, 4])
    model = build(attention, vector, edges)
    expected = model(batch)
    with torch.autocast("cpu", torch.bfloat16):
        out = model(batch)
    out.float().square().sum().backward()
    torch.testing.assert_close(out.float(), expected, rtol=0.1, atol=0.1)
    assert all(bool(p.grad.isfinite().all()) for p in model.parameters() if p.grad is not None)
    batch.edge_attr = batch.edge_attr.double()
    torch.testing.assert_close(model.double()(batch).float(), expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("attention", ["full", "sparse"])
def test_checkpointing_changes_nothing(make_batch, attention: str) -> None:
    batch = make_batch([6, 1, 4])
    plain, checkpointed = (build(attention, checkpoint=value) for value in (False, True))
    checkpointed.load_state_dict(plain.state_dict())
    outputs = []
    for model in (plain, checkpointed):
        out = model(batch)
        out.square().sum().backward()
        outputs.append([out, *[p.grad for p in model.parameters() if p.grad is not None]])
    for one, other in zip(*outputs, strict=True):
        torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-4)


def test_dropout_is_of_training_only(make_batch) -> None:
    batch = make_batch([6, 4])
    model = build(dropout=0.5)
    assert not torch.allclose(model(batch), model(batch))
    model.eval()
    torch.testing.assert_close(model(batch), model(batch))


@pytest.mark.parametrize("attention", ["full", "sparse"])
def test_compiled_model_is_the_model(make_batch, attention: str) -> None:
    batch = make_batch([4, 3])
    model = build(attention, layers=1, readout="none").eval()
    torch.testing.assert_close(torch.compile(model, backend="eager")(batch), model(batch), rtol=1e-4, atol=1e-5)


def test_errors_say_what_to_do(make_batch) -> None:
    for options, message in (
        ({"heads": 3}, "multiple of heads"),
        ({"layers": 0}, "layers must be from 1"),
        ({"edge_hidden_2": True}, "edge_hidden_2 must be an integer"),
        ({"dropout": 1.0}, "dropout must be a number"),
        ({"attention": "dense"}, "attention must be one of 'full', 'sparse'"),
        ({"global_vector": "att"}, "global_vector must be one of None, 'cat', 'node'"),
        ({"readout": "first"}, "readout must be one of"),
        ({"pair_output": 1}, "pair_output must be True or False"),
        ({"checkpoint": None}, "checkpoint must be True or False"),
    ):
        with pytest.raises(GraphPEError, match=message):
            build(**options)
    with pytest.raises(GraphPEValueError, match="give pair_output=True"):
        build().vectors(make_batch([3]))
    with pytest.raises(GraphPEValueError, match=r"add T\.RelativeRandomWalkPE\(walk_length=4\)"):
        build(pair_encodings=[PairLinear("rrwp", 4, 16)])(make_batch([3]))


def test_repr_holds_every_literal() -> None:
    model = build("sparse", "cat", dropout=0.25, readout="sum", pair_output=True, checkpoint=True)
    call = ast.parse(repr(model), mode="eval").body
    arguments = {keyword.arg: ast.literal_eval(keyword.value) for keyword in call.keywords}
    supplied = {"node_encoder", "edge_encoder", "encodings", "pair_encodings", "head"}
    supplied.add("encodings_in")  # whose default is left out
    assert set(arguments) == set(inspect.signature(RelationalTransformer).parameters) - supplied
    again = RelationalTransformer(**arguments, node_encoder=nn.Identity())
    assert repr(again) == repr(model)


@pytest.mark.parametrize("checkpoint", [True, False])
def test_every_part_of_a_layer_heeds_checkpoint(monkeypatch: pytest.MonkeyPatch, checkpoint: bool) -> None:
    given = []
    for name in ("relational_attention", "update_pairs"):
        real = getattr(relational_transformer, name)
        monkeypatch.setattr(
            relational_transformer,
            name,
            lambda *inputs, real=real, **options: given.append(options["checkpoint"]) or real(*inputs, **options),
        )
    layer = RelationalLayer(8, 2, node_hidden=8, edge_hidden_1=8, edge_hidden_2=8, checkpoint=checkpoint)
    graph = Data(edge_index=torch.zeros(2, 0, dtype=torch.long), num_nodes=3)
    pairs = all_pairs(node_to_graph(graph), graph.edge_index)
    layer(torch.rand(3, 8), torch.rand(pairs.num_pairs, 8), pairs)
    assert given == [checkpoint, checkpoint]
