from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from graphpe.benchmarks.calls.build import build_model, model_classes
from graphpe.benchmarks.tasks.graph_level import GraphAdapter
from graphpe.benchmarks.training.config import TrainConfig
from graphpe.benchmarks.training.experiment import resolve, run_experiment
from graphpe.benchmarks.training.steps.flops import flops_of
from graphpe.graphs.packed import PackedGraphs
from graphpe.graphs.to_pyg import to_batch
from graphpe.models.attention.neighbours.neighbours import Neighbours
from graphpe.models.attention.neighbours.sums import MANY_PAIRS, neighbour_sums

ADAPTER = GraphAdapter((6,), (4,), 1, "squared")


def molecules(graphs: int = 3, nodes: int = 5) -> PackedGraphs:
    """Paths, both ways."""
    node = np.arange(nodes - 1)
    one = np.concatenate([np.stack([node, node + 1]), np.stack([node + 1, node])], 1)
    edges = np.concatenate([one + nodes * number for number in range(graphs)], 1)
    return PackedGraphs(
        edge_index=torch.from_numpy(edges),
        ptr=torch.arange(graphs + 1) * nodes,
        edge_ptr=torch.arange(graphs + 1) * one.shape[1],
        node={"x": torch.randint(0, 6, (nodes * graphs, 1))},
        edge={"edge_attr": torch.randint(0, 4, (edges.shape[1], 1))},
        graph={"y": torch.randn(graphs, 1)},
    )


def test_a_layer_by_hand() -> None:
    layer, x = nn.Linear(8, 4), torch.randn(5, 8)
    flops, why = flops_of(lambda: layer(x).relu().sum().backward())
    product = 2 * 5 * 8 * 4  # forward, and again for the gradient of the weights
    relu, total, bias = 2 * 5 * 4, 5 * 4, 5 * 4  # there and back; the sum; the bias's gradient
    assert (flops, why) == (2 * product + relu + total + bias, "")


def test_dense_attention_is_its_two_products_and_the_softmax() -> None:
    q, k, v = torch.randn(3, 2, 7, 4, 16)  # two graphs, seven heads, four nodes
    flops, why = flops_of(lambda: functional.scaled_dot_product_attention(q, k, v))
    products, softmax = 2 * (2 * 2 * 7 * 4 * 4 * 16), 4 * 2 * 7 * 4 * 4
    scaled = q.numel() + k.numel()
    assert (flops, why) == (products + softmax + scaled, "")


def test_compiled_passes_are_counted_by_their_formulas() -> None:
    nodes, width = 200, 16
    edges = torch.randint(0, nodes, (2, MANY_PAIRS))
    weight, x = torch.randn(MANY_PAIRS, 2), torch.randn(nodes, width)
    pairs = Neighbours(edges, nodes)
    values = []
    flops, why = flops_of(lambda: values.append(neighbour_sums(weight, x, pairs)))
    assert (flops, why) == (2 * MANY_PAIRS * width, "")  # a product and a sum for each edge and channel
    torch.testing.assert_close(values[0], neighbour_sums(weight, x, pairs))


def test_what_cannot_be_counted_is_said() -> None:
    _, why = flops_of(lambda: torch.linalg.eigh(torch.eye(3)))
    assert "eigh" in why
    _, why = flops_of(lambda: torch.ones(3).numpy().sum())
    assert why == "numbers leave PyTorch"
    _, why = flops_of(lambda: torch.fft.fft(torch.ones(3)))
    assert "complex" in why


def count(text: str) -> tuple[float, str]:
    batch = to_batch(molecules())
    model = build_model(text, ADAPTER, [])
    return flops_of(lambda: ADAPTER.loss(model(batch), batch).backward())


def test_a_wider_model_has_four_times_the_products() -> None:
    narrow, wide = (count(f"GraphTransformer(width={width}, layers=2, heads=2)")[0] for width in (64, 128))
    assert 3 < wide / narrow < 4


@pytest.mark.slow
@pytest.mark.parametrize("name", sorted(set(model_classes()) - {"Specformer"}))
def test_every_model_is_counted_or_says_why_not(name: str) -> None:
    # Slow: twenty models. Specformer needs an encoding.
    flops, why = count(f"{name}()")
    assert flops > 0
    assert why == ("numbers leave PyTorch" if name == "TopologicalTransformer" else "")


def test_a_run_says_what_it_cost(tmp_path: Path) -> None:
    config = TrainConfig(
        task="path-length(train=24, valid=8, test=8)",
        model="GINE(width=8, layers=1)",
        encodings=(),
        batch_size=8,
        epochs=2,
        warmup_steps=1,
    )
    run_experiment(resolve(config), run_path=tmp_path / "run", progress=False, workers=1, cache=tmp_path)
    cost = json.loads((tmp_path / "run" / "summary.json").read_text())["cost"]
    records = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    assert cost["unit"] == "graph"
    assert cost["seen"] == 2 * 24
    assert cost["cpu_seconds"] == pytest.approx(sum(record["cpu_seconds"] for record in records))
    assert 0 < cost["per_cpu_second"] < math.inf
    assert cost["flops"] > 1000
