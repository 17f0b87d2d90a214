"""One training step on the pretended accelerator beside the same step on the CPU."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.benchmarks.calls.build import build_encodings, build_model
from graphpe.benchmarks.measure.pretend.accelerator import move_module, pretending, to_host
from graphpe.benchmarks.measure.pretend.events import Seen
from graphpe.benchmarks.measure.pretend.tensors import DEVICE
from graphpe.benchmarks.tasks.graph_level import GraphAdapter
from graphpe.benchmarks.tasks.task import TaskAdapter
from graphpe.benchmarks.training.batch_transform import BatchTransform
from graphpe.graphs.loader import PackedLoader
from graphpe.graphs.packed import PackedGraphs
from graphpe.transforms.compose import Compose


def random_graphs(count: int = 8, *, seed: int = 0, largest: int = 20) -> PackedGraphs:
    """Graphs with one-way edges, parallel edges, loops, isolated nodes, several components; the first of one node."""
    rng = np.random.default_rng(seed)
    graphs = []
    for number in range(count):
        n = 1 if number == 0 else int(rng.integers(2, largest))
        m = max(int(1.2 * n), 1)
        a, b = rng.integers(0, n, m), rng.integers(0, n, m)
        both_ways = rng.random(m) < 0.7
        edges = np.concatenate([np.stack([a, b]), np.stack([b, a])[:, both_ways]], axis=1)
        graphs.append(
            Data(
                x=torch.from_numpy(rng.integers(0, 9, (n, 2))),
                edge_index=torch.from_numpy(edges),
                edge_attr=torch.from_numpy(rng.integers(0, 4, (edges.shape[1], 1))),
                y=torch.from_numpy(rng.standard_normal((1, 3)).astype(np.float32)),
            )
        )
    return PackedGraphs.from_data_list(graphs)


@dataclass(frozen=True)
class Case:
    """A model, and what it is trained on.

    Attributes:
        model: The architecture, as a call.
        encodings: Encodings, as calls.
        encoder: What encodes eigenvectors.
        bias: What makes biases of encodings of pairs.
        adapter: The task's.
        level: The level of the targets.
    """

    model: str
    encodings: Sequence[str] = ()
    encoder: str = "EigenvectorEncoding"
    bias: str = "auto"
    adapter: TaskAdapter = dataclasses.field(default=GraphAdapter((9, 9), (4,), 3, "absolute"))
    level: str = "graph"

    def graphs(self) -> PackedGraphs:
        """The graphs, with targets of its level."""
        packed = random_graphs()
        if self.level == "graph":
            return packed
        generator = torch.Generator().manual_seed(0)
        if self.level == "node":
            y = torch.randint(0, 4, (packed.num_nodes, 1), generator=generator)
            return packed.structure().with_values(node={**packed.node, "y": y}, edge=packed.edge)
        y = torch.randint(-1, 2, (packed.num_pairs, 1), generator=generator).float()
        return packed.structure().with_values(node=packed.node, edge=packed.edge, pair={"y": y})


@dataclass(frozen=True)
class Step:
    """A step on both.

    Attributes:
        seen: What happened there from the loader's batch to the end of the backward pass.
        forward: Kernels of the forward pass.
        output: How much the output differs, relative.
        gradient: How much gradients differ at most, relative, and of which parameter.
    """

    seen: Seen
    forward: int
    output: float
    gradient: tuple[float, str]


def step(case: Case, *, double: bool = False) -> Step:
    """Train a model for a step on the CPU and there, from the same weights.

    Args:
        case: The model.
        double: Both in float64, where rounding is amplified.
    """
    packed = case.graphs()
    encodings = build_encodings(case.encodings)
    encoded = Compose(encodings)(packed) if encodings else packed
    transform = BatchTransform([], case.adapter)
    here, there = (_model(case, double=double) for _ in range(2))
    (batch,) = PackedLoader(encoded, len(encoded), transform=transform)
    torch.manual_seed(1)
    output = here(batch)
    case.adapter.loss(output, batch).backward()
    move_module(there)
    with pretending() as seen:
        (moved,) = PackedLoader(encoded, len(encoded), transform=transform, device=DEVICE)
        torch.manual_seed(1)
        given = there(moved)
        loss = case.adapter.loss(given, moved)
        forward = seen.kernels
        loss.backward()
    theirs = dict(there.named_parameters())
    ours = {name: p.grad.double() for name, p in here.named_parameters() if p.grad is not None}
    # Biases before a normalisation have no gradient but rounding: errors are relative to the largest gradient, too.
    floor = 1e-3 * max(float(gradient.norm()) for gradient in ours.values())
    worst = max(
        (float((to_host(theirs[name].grad).double() - gradient).norm()) / (float(gradient.norm()) + floor), name)
        for name, gradient in ours.items()
    )
    return Step(seen, forward, _relative(to_host(given), output), worst)


def _model(case: Case, *, double: bool) -> nn.Module:
    torch.manual_seed(0)
    model = build_model(case.model, case.adapter, build_encodings(case.encodings), encoder=case.encoder, bias=case.bias)
    for parameter in model.parameters():  # what starts at zero hides errors
        if not parameter.detach().any():
            nn.init.normal_(parameter, std=0.1)
    return model.double() if double else model


def _relative(value: Any, expected: Tensor) -> float:
    difference = (value.detach().double() - expected.detach().double()).norm()
    return float(difference / expected.detach().double().norm().clamp(min=1e-30))
