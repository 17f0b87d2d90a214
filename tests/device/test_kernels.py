"""Kernels of a step of the published depth as CUDA with Triton would launch them: numbers that may only fall.

Triton's kernels are counted and not run, so that nothing is said of values here.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from graphpe.benchmarks.calls.build import build_encodings, build_model
from graphpe.benchmarks.measure.gpu.steps import MODELS, adapter
from graphpe.benchmarks.measure.inputs.graphs import random_molecules
from graphpe.benchmarks.measure.pretend.accelerator import move_module, pretending
from graphpe.benchmarks.measure.pretend.tensors import DEVICE, NAME, There
from graphpe.compiled import kernel
from graphpe.graphs.loader import PackedLoader
from graphpe.models import gps, grit
from graphpe.models.attention import pairs
from graphpe.models.attention.gpu import edges, ragged
from graphpe.models.attention.gpu import softmax as softmax_kernels
from graphpe.models.batches.gpu.complete_pairs import CompletePairs
from graphpe.models.layers import inputs, multi_head
from graphpe.models.layers.gpu import (
    gine,
    linear_relu,
    projections,
    residual,
    two_layers,
    weight_gradients,
)
from graphpe.models.layers.gpu.ends import losses, pooling, tables
from graphpe.transforms.compose import Compose

_TORCH = ".".join(torch.__version__.split(".")[:2])
_MOST = {"GRIT": (141, 193), "GPS": (120, 172)}
"""Forward and backward, of PyTorch 2.13, without the optimizer, which is one kernel for many weights. Products with
matrices are 120 of GRIT's and 51 of GPS's, Triton's kernels, of which some are products, 186 and 201, and what PyTorch
does between them 28 and 40, where a batch begins and ends (sizes, orders of edges, encodings) and, of GPS, where the
gradients of queries, keys and values are joined, one a layer."""


_MODULES = (
    *(kernel, edges, ragged, pairs, gps, grit, inputs, multi_head),
    *(gine, linear_relu, projections, residual, losses, pooling, tables),
)


def _pairs(graph: torch.Tensor, ptr: torch.Tensor) -> CompletePairs:
    """What the kernel makes, on the device, without kernels."""
    nodes, length = torch.arange(len(graph)), ptr.diff()[graph]
    first = torch.cat([length.new_zeros(1), length.cumsum(0)])
    target, shift = nodes.repeat_interleave(length), ptr[graph] - first[:-1]
    source = torch.arange(len(target)) + shift[target]
    reverse = first[source] + target - ptr[graph][target]
    made = (source, target, reverse, first, first[:-1] + nodes - ptr[graph], shift)
    return CompletePairs(*(There(x) for x in made))


@pytest.mark.parametrize("name", _MOST)
def test_a_step_launches_no_more_kernels_than_it_did(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text, calls = MODELS[name]
    encodings = build_encodings(calls)
    graphs = random_molecules(3, np.random.default_rng(0))
    graphs = Compose(encodings)(graphs.with_values(graph={"y": torch.randn(len(graphs), 1)}))
    torch.manual_seed(0)
    model = move_module(build_model(text, adapter(), encodings))
    for module in _MODULES:
        monkeypatch.setattr(module, "has_kernels", lambda device: device.type == NAME)
    for module in (softmax_kernels, two_layers, weight_gradients):
        monkeypatch.setattr(module, "dot_options", lambda like: {})
    with pretending() as seen:

        def counted(self: kernel.Kernel, programs: int, *args: Any, **options: Any) -> None:
            seen.calls[f"Triton's {self.function.__name__}"] += 1

        def paired(graph: There, ptr: There, count: int) -> CompletePairs:
            seen.calls["Triton's _pairs"] += 1
            return _pairs(graph.here, ptr.here)

        monkeypatch.setattr(kernel.Kernel, "__call__", counted)
        monkeypatch.setattr(pairs, "complete_pairs", paired)  # others are led by these numbers
        (batch,) = PackedLoader(graphs, len(graphs), device=DEVICE)
        seen.calls.clear()
        loss = adapter().loss(model(batch), batch)
        forward = seen.kernels
        loss.backward()
    assert not seen.syncs, seen.report()
    backward = seen.kernels - forward
    if _TORCH == "2.13":  # another version writes the same operations out otherwise
        assert forward <= _MOST[name][0], seen.calls
        assert backward <= _MOST[name][1], seen.calls
