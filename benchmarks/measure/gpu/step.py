"""One training step on a device beside the same step on the CPU."""

from __future__ import annotations

from contextlib import nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from graphpe.benchmarks.calls.build import build_encodings, build_model
from graphpe.benchmarks.measure.gpu.cases import Case
from graphpe.benchmarks.measure.pretend.accelerator import move_module, pretending, to_host
from graphpe.benchmarks.measure.pretend.events import Seen
from graphpe.benchmarks.measure.pretend.tensors import NAME
from graphpe.benchmarks.training.batch_transform import BatchTransform
from graphpe.graphs.loader import PackedLoader
from graphpe.transforms.compose import Compose


@dataclass(frozen=True)
class Step:
    """A step on both.

    Attributes:
        seen: What happened on the pretended device, from the loader's batch to the end of the backward pass; nothing on
            others.
        forward: Kernels of the forward pass there.
        output: How much the output differs, relative.
        gradient: How much gradients differ at most, relative, and of which parameter.
    """

    seen: Seen
    forward: int
    output: float
    gradient: tuple[float, str]


def step(case: Case, device: torch.device, *, double: bool = False) -> Step:
    """Train a model for a step on the CPU and there, from the same weights.

    Args:
        case: The model.
        device: Where.
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
    pretended = device.type == NAME
    there = move_module(there) if pretended else there.to(device)
    with pretending() if pretended else nullcontext(Seen()) as seen:
        (moved,) = PackedLoader(encoded, len(encoded), transform=transform, device=device)
        torch.manual_seed(1)
        given = there(moved)
        loss = case.adapter.loss(given, moved)
        forward = seen.kernels
        loss.backward()
    theirs = {name: _on_host(p.grad) for name, p in there.named_parameters() if p.grad is not None}
    ours = {name: p.grad.double() for name, p in here.named_parameters() if p.grad is not None}
    # Biases before a normalisation have no gradient but rounding: errors are relative to the largest gradient, too.
    floor = 1e-3 * max(float(gradient.norm()) for gradient in ours.values())
    worst = max(
        (float((theirs[name].double() - gradient).norm()) / (float(gradient.norm()) + floor), name)
        for name, gradient in ours.items()
    )
    return Step(seen, forward, _relative(_on_host(given), output), worst)


def _on_host(value: Tensor) -> Tensor:
    return to_host(value).detach().cpu()


def _model(case: Case, *, double: bool) -> nn.Module:
    torch.manual_seed(0)
    parts: dict[str, Any] = {"encoder": case.encoder, "bias": case.bias, "perturb": case.perturb}
    model = build_model(case.model, case.adapter, build_encodings(case.encodings), **parts)
    for parameter in model.parameters():  # what starts at zero hides errors
        if not parameter.detach().any():
            nn.init.normal_(parameter, std=0.1)
    return model.double() if double else model


def _relative(value: Tensor, expected: Tensor) -> float:
    difference = (value.double() - expected.detach().double()).norm()
    return float(difference / expected.detach().double().norm().clamp(min=1e-30))
