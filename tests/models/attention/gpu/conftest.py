"""Kernels beside their references: on the device where there is one, else in Triton's interpreter."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from graphpe.models.batches.nodes import NodeToGraph

DEVICE = "cuda" if torch.cuda.is_available() else "cpu"


@pytest.fixture(autouse=True)
def triton() -> None:
    pytest.importorskip("triton", reason="needs Triton: pip install triton")


def members_of(sizes: Sequence[int], *, known: bool = True) -> NodeToGraph:
    """Graphs of these sizes.

    Args:
        sizes: Of each.
        known: Whether the host knows of them.
    """
    each = torch.tensor(sizes, dtype=torch.long)
    ptr = torch.cat([each.new_zeros(1), each.cumsum(0)])
    graph = torch.arange(len(sizes)).repeat_interleave(each)
    figures = (max(sizes, default=0), sum(n * n for n in sizes)) if known else (None, None)
    return NodeToGraph(graph.to(DEVICE), ptr.to(DEVICE), *figures)


def error(value: torch.Tensor | None, expected: torch.Tensor | None) -> float:
    """How much a tensor differs, relative."""
    assert value is not None
    assert expected is not None
    assert value.shape == expected.shape
    expected = expected.double().cpu()
    return float((value.double().cpu() - expected).norm() / expected.norm().clamp(min=1e-30))
