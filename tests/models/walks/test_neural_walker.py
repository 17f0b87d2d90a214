from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from graphpe import models as M
from graphpe.benchmarks.measure.pretend.accelerator import move_module, pretending
from graphpe.benchmarks.measure.pretend.tensors import DEVICE
from graphpe.errors import GraphPEError, GraphPEValueError
from graphpe.graphs.loader import PackedLoader
from graphpe.graphs.packed import PackedGraphs
from graphpe.models.walks.batch_walks import BatchWalks, HostStructure, WalkPlan
from graphpe.sampling.random_walks import Walks, random_walks

WIDTH = 8


def graph(nodes: int, degree: int = 2, seed: int | None = None) -> Data:
    draw = torch.Generator().manual_seed(int(torch.randint(2**31, ())) if seed is None else seed)
    count = degree * nodes
    return Data(
        x=torch.randn(nodes, 3, generator=draw),
        edge_index=torch.randint(max(nodes, 1), (2, count), generator=draw),
        edge_attr=torch.randn(count, 2, generator=draw),
    )


def build(**options: Any) -> M.NeuralWalker:
    given = {"width": WIDTH, "layers": 2, "heads": 2, "walk_length": 6, "window": 3, "kernel": 3, **options}
    model = M.NeuralWalker(node_encoder=M.LinearNodes(3, WIDTH), edge_encoder=M.LinearEdges(2, WIDTH), **given)
    for name, buffer in model.named_buffers():  # as after some training
        if name.endswith("running_var"):
            buffer.copy_(torch.rand_like(buffer) + 0.2)
        elif name.endswith("running_mean"):
            buffer.copy_(torch.randn_like(buffer) / 5)
    return model.double().eval()


def doubled(data: Data) -> Data:
    data = data.clone()
    data.x, data.edge_attr = data.x.double(), data.edge_attr.double()
    return data


def mlp(module: nn.Sequential, x: Tensor) -> Tensor:
    first, norm, _, _, last = module
    x = first.weight @ x + first.bias
    x = (x - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight + norm.bias
    return last.weight @ x.relu() + last.bias


def by_hand(model: M.NeuralWalker, data: Data, walks: Walks) -> Tensor:
    """The equations node by node, with convolutions, GINE and a virtual node; sums over nodes."""
    tails, heads = data.edge_index.tolist()
    joined = set(zip(tails, heads, strict=True))
    x = list(model.node_encoder(data))
    e = list(model.edge_encoder(data))
    u = None
    for block in model.layers:
        walk = block.walk
        of_nodes: list[list[Tensor]] = [[] for _ in x]
        of_edges: list[list[Tensor]] = [[] for _ in e]
        for nodes, taken in zip(walks.nodes.tolist(), walks.edges.tolist(), strict=True):
            nodes = [node for node in nodes if node >= 0]
            rows = []
            for t, node in enumerate(nodes):
                same = [float(t >= s and nodes[t - s] == node) for s in range(1, 4)]
                near = [float(t >= s and (nodes[t - s], node) in joined) for s in range(2, 4)]
                row = x[node] + walk.window_map(torch.tensor(same + near).double())
                if t < len(nodes) - 1:
                    row = row + walk.edge_map(e[taken[t]])
                rows.append(walk.input_norm(row))
            conv, norm = walk.sequence.along, walk.sequence.norm
            for t, node in enumerate(nodes):
                seen = conv.bias + sum(
                    conv.weight[:, 0, k] * rows[t + k - 1] for k in range(3) if 0 <= t + k - 1 < len(nodes)
                )
                seen = (seen - norm.running_mean) / (norm.running_var + norm.eps).sqrt() * norm.weight + norm.bias
                row = walk.sequence.across(seen.relu()).relu()
                of_nodes[node].append(row)
                if t < len(nodes) - 1:
                    of_edges[taken[t]].append(row)
        zero = torch.zeros(WIDTH).double()
        x = [v + mlp(walk.node_update, sum(h, zero) / max(len(h), 1)) for v, h in zip(x, of_nodes, strict=True)]
        e = [v + mlp(walk.edge_update, sum(h, zero) / max(len(h), 1)) for v, h in zip(e, of_edges, strict=True)]
        sums = [sum(((x[tails[k]] + e[k]).relu() for k in range(len(e)) if heads[k] == i), zero) for i in range(len(x))]
        x = [v + block.local.conv.nn(v + total) for v, total in zip(x, sums, strict=True)]
        if block.everywhere is not None:
            u = mlp(block.everywhere.update, sum(x, zero) + (zero if u is None else u))
            x = [v + u for v in x]
    return sum(x, torch.zeros(WIDTH).double())


def test_it_is_its_equations() -> None:
    model, data = build(layers=3, readout="sum", seed=5), doubled(graph(7))
    walks = random_walks(PackedGraphs.from_data(data), 6, backtracking=False, seed=5)
    assert (walks.nodes < 0).any() or (walks.nodes >= 0).all()
    torch.testing.assert_close(model(data)[0], by_hand(model, data, walks), rtol=1e-9, atol=1e-9)


class Renumbered(HostStructure):
    """The walks of another graph, carried over: which nodes and edges of it are these."""

    walked: Walks
    node: np.ndarray
    edge: np.ndarray

    def walks(self, plan: WalkPlan, seed: int, *, rate: float = 1.0, alike: bool = True) -> BatchWalks:
        nodes = np.where(self.walked.nodes < 0, -1, self.node[self.walked.nodes])
        edges = np.where(self.walked.edges < 0, -1, self.edge[self.walked.edges])
        return self.read(nodes, edges, plan.window)


@pytest.mark.parametrize(
    "options",
    [
        {"sequence": "conv"},
        {"sequence": "recurrent", "local": "GatedGCN", "global_layer": "attention"},
        {"sequence": "attention", "local": "none", "global_layer": "none"},
    ],
    ids=lambda options: options["sequence"],
)
def test_with_the_same_walks_it_is_exactly_equivariant(options: dict[str, Any], monkeypatch) -> None:
    model, data = build(readout="none", **options), doubled(graph(9))
    order, edge_order = torch.randperm(9), torch.randperm(18)
    place, edge_place = order.argsort(), edge_order.argsort()
    other = Data(
        x=data.x[order], edge_index=place[data.edge_index][:, edge_order], edge_attr=data.edge_attr[edge_order]
    )
    expected = model(data)[order]
    assert not torch.allclose(model(other), expected)  # of itself it draws others
    Renumbered.walked = random_walks(PackedGraphs.from_data(data), 6, backtracking=False, seed=0)
    Renumbered.node, Renumbered.edge = place.numpy(), edge_place.numpy()
    monkeypatch.setattr("graphpe.models.walks.neural_walker.HostStructure", Renumbered)
    torch.testing.assert_close(model(other), expected, rtol=1e-8, atol=1e-8)


def test_its_expectation_is_equivariant_and_samples_approach_it() -> None:
    model, data = build(readout="none", layers=1, samples=2000), doubled(graph(6, degree=3, seed=4))
    order = torch.tensor([3, 1, 5, 0, 2, 4])
    other = Data(x=data.x[order], edge_index=order.argsort()[data.edge_index], edge_attr=data.edge_attr)
    with torch.no_grad():
        many = float((model(other) - model(data)[order]).abs().max())
        model.samples = 10
        few = float((model(other) - model(data)[order]).abs().max())
    assert many < few / 4  # about a 14th


def test_in_evaluation_walks_are_those_of_the_seed() -> None:
    model, data = build(samples=3, seed=8), doubled(graph(8))
    single = []
    for seed in (8, 9, 10):
        model.samples, model.seed = 1, seed
        single.append(model(data))
    model.samples, model.seed = 3, 8
    state = torch.get_rng_state()
    torch.testing.assert_close(model(data), torch.stack(single).mean(0))
    assert torch.equal(torch.get_rng_state(), state)  # nothing is drawn
    assert not torch.allclose(single[0], single[1])


def test_the_mean_over_samples_is_in_the_models_precision() -> None:
    for samples in (1, 3):
        given = {"node_encoder": M.LinearNodes(3, 8), "head": torch.nn.Linear(8, 1)}
        model = M.NeuralWalker(width=8, layers=1, heads=2, samples=samples, **given).eval()
        assert model.bfloat16()(graph(8)).dtype == torch.bfloat16


def test_in_training_walks_are_new_and_follow_torchs_generator() -> None:
    model, data = build(norm="layer", readout="none"), doubled(graph(8))
    model.train()
    state = torch.get_rng_state()
    first, second = model(data), model(data)
    assert not torch.allclose(first, second)
    torch.set_rng_state(state)
    assert torch.equal(model(data), first)
    assert torch.equal(model(data), second)
    twins = model(Batch.from_data_list([data, data]))
    assert not torch.allclose(twins[:8], twins[8:])  # equal graphs of a batch have walks of their own
    few = build(norm="layer", rate=0.01)
    few.load_state_dict(model.state_dict())
    few.train()
    assert few(data).isfinite().all()  # also where no walk starts


def test_edges_of_a_loaders_batch_are_known_on_the_host() -> None:
    """A step waits for nothing: structure is that of the host, and what is copied needs no answer."""
    graphs = PackedGraphs.from_data_list([graph(n) for n in (5, 7, 3)])
    model = M.NeuralWalker(
        width=WIDTH, layers=2, heads=2, walk_length=5, window=3,
        node_encoder=M.LinearNodes(3, WIDTH), edge_encoder=M.LinearEdges(2, WIDTH),
    )  # fmt: skip
    (expected,) = PackedLoader(graphs, 3)
    torch.manual_seed(1)
    here = model(expected)
    with pretending() as seen:
        move_module(model)
        (batch,) = PackedLoader(graphs, 3, device=DEVICE)
        seen.events.clear()
        torch.manual_seed(1)
        there = model(batch)
        assert not seen.syncs, seen.report()
    assert there.shape == here.shape


def csl(nodes: int, skip: int) -> Data:
    i = torch.arange(nodes)
    tail = torch.cat([i, (i + 1) % nodes, i, (i + skip) % nodes])
    head = torch.cat([(i + 1) % nodes, i, (i + skip) % nodes, i])
    return Data(x=torch.ones(nodes, 3), edge_index=torch.stack([tail, head]), edge_attr=torch.ones(4 * nodes, 2))


def test_it_tells_apart_graphs_that_message_passing_cannot() -> None:
    """CSL graphs, all regular of one degree: GINE has one output for all, walks see their cycles."""
    graphs = [doubled(csl(41, skip)) for skip in (2, 3, 5)]
    gine = M.GINE(width=WIDTH, layers=2, node_encoder=M.LinearNodes(3, WIDTH)).double().eval()
    plain = [gine(data) for data in graphs]
    assert max(float((a - plain[0]).abs().max().detach()) for a in plain) < 1e-9
    torch.manual_seed(0)
    model = build(walk_length=20, window=8, samples=40, layers=1)
    with torch.no_grad():
        first = [model(data) for data in graphs]
        model.seed = 1000
        again = [model(data) for data in graphs]
    error = max(float((a - b).abs().max()) for a, b in zip(first, again, strict=True))
    apart = min(float((first[i] - first[j]).abs().max()) for i in range(3) for j in range(i))
    assert apart > 3 * error


def test_errors() -> None:
    for options, message in [
        ({"sequence": "mamba"}, "sequence must be one of 'conv', 'recurrent', 'attention'"),
        ({"walk_length": 0}, "walk_length must be from 1 to 65536, got 0"),
        ({"window": 33}, "window must be from 1 to 32, got 33"),
        ({"rate": 0.0}, "rate is 0, and no walk would start"),
        ({"rate": 1.5}, "rate must be from 0 to 1, got 1.5"),
        ({"kernel": 4}, "kernel must be odd, to have a node in its middle, got 4"),
        ({"samples": 0}, "samples must be from 1"),
        ({"seed": -1}, "seed must be from 0"),
        ({"backtracking": 1}, "backtracking must be True or False"),
        ({"global_layer": "vn"}, "global_layer must be one of 'virtual_node', 'attention', 'none'"),
        ({"sequence": "attention", "heads": 8}, "turns pairs of channels, and heads=8 of width=8 have an odd number"),
    ]:
        with pytest.raises(GraphPEError, match=message):
            build(**options)
    with pytest.raises(GraphPEValueError, match="batch has no edge_index"):
        build()(Data(x=torch.randn(3, 3).double()))
