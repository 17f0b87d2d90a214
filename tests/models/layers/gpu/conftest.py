"""Kernels beside what they stand for: on the device where there is one, else in Triton's interpreter."""

from __future__ import annotations

import pytest

from graphpe.compiled.kernel import Kernel
from graphpe.models.layers.gpu import gated_gcn, gine, linear_relu, projections, residual
from graphpe.models.layers.gpu.ends import losses, pooling, tables


@pytest.fixture(autouse=True)
def triton() -> None:
    pytest.importorskip("triton", reason="needs Triton: pip install triton")


@pytest.fixture
def launched(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Kernels run wherever the tensors are; their names."""
    names: list[str] = []
    launch = Kernel.__call__
    monkeypatch.setattr(
        Kernel, "__call__", lambda self, *a, **c: [names.append(self.function.__name__), launch(self, *a, **c)]
    )
    for module in (gated_gcn, gine, linear_relu, projections, residual, losses, pooling, tables):
        monkeypatch.setattr(module, "has_kernels", lambda device: True)
    return names
