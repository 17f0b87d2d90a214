"""Kernels beside their references: on the device where there is one, else in Triton's interpreter."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch

from graphpe.models.attention.pairs import PairSet, all_pairs, edge_pairs
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


def pairs_of(sizes: Sequence[int], complete: bool) -> PairSet:
    """Pairs of graphs of these sizes.

    Args:
        sizes: Of each.
        complete: All pairs, or those that random edges join and each node with itself.
    """
    members = members_of(sizes)
    start = members.ptr.tolist()
    edges = [torch.randint(0, n, (2, 2 * n)) + start[g] for g, n in enumerate(sizes) if n]
    edge_index = torch.cat([torch.zeros(2, 0, dtype=torch.long), *edges], dim=1).to(DEVICE)
    return (all_pairs if complete else edge_pairs)(members, edge_index)


def error(value: torch.Tensor, expected: torch.Tensor) -> float:
    """How much a tensor differs, relative."""
    assert value.shape == expected.shape
    value, expected = value.detach().double(), expected.detach().double()
    return float((value - expected).norm() / expected.norm().clamp(min=1e-30))


def check_gradients(given: Sequence[torch.Tensor], exact: Sequence[torch.Tensor], least: float) -> None:
    """Raise unless gradients are those of the tensors in float64.

    Where a node has one key, gradients vanish: errors are relative to the largest of all gradients, too.
    """
    references = [x.grad for x in exact if x.grad is not None]
    floor = 0.2 + 0.1 * max(float(x.norm()) for x in references)
    for value, reference in zip(given, references, strict=True):
        assert value.grad is not None
        assert value.grad.dtype == value.dtype
        assert float((value.grad.double() - reference).norm()) <= least * (float(reference.norm()) + floor)
