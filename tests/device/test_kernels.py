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
from graphpe.benchmarks.measure.pretend.tensors import DEVICE, NAME
from graphpe.compiled import kernel
from graphpe.graphs.loader import PackedLoader
from graphpe.models import gps, grit
from graphpe.models.attention.gpu import edges
from graphpe.models.attention.gpu import softmax as softmax_kernels
from graphpe.models.layers import multi_head
from graphpe.models.layers.gpu import gine, linear_relu, projections, residual
from graphpe.transforms.compose import Compose

_TORCH = ".".join(torch.__version__.split(".")[:2])
_MOST = {"GRIT": (199, 244), "GPS": (174, 258)}
"""Forward and backward, of PyTorch 2.13, without the optimizer, which is one kernel for many weights. The targets are
400 and 300 in all. Products with matrices are 192 of GRIT's and 193 of GPS's, 18 or more a layer, and Triton's kernels
between them 145 and 130; what a batch begins and ends with is some 75 (sizes, pairs, encoders, readout, loss)."""


@pytest.mark.parametrize("name", _MOST)
def test_a_step_launches_no_more_kernels_than_it_did(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    text, calls = MODELS[name]
    encodings = build_encodings(calls)
    graphs = random_molecules(3, np.random.default_rng(0))
    graphs = Compose(encodings)(graphs.with_values(graph={"y": torch.randn(len(graphs), 1)}))
    torch.manual_seed(0)
    model = move_module(build_model(text, adapter(), encodings))
    for module in (kernel, edges, gps, grit, multi_head, gine, linear_relu, projections, residual):
        monkeypatch.setattr(module, "has_kernels", lambda device: device.type == NAME)
    monkeypatch.setattr(softmax_kernels, "dot_options", lambda like: {})
    with pretending() as seen:

        def counted(self: kernel.Kernel, programs: int, *args: Any, **options: Any) -> None:
            seen.calls[f"Triton's {self.function.__name__}"] += 1

        monkeypatch.setattr(kernel.Kernel, "__call__", counted)
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
