"""Kernels beside their references: on the device where there is one, else in Triton's interpreter."""

from __future__ import annotations

from collections.abc import Callable, Sequence

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


def moved(reference: Callable[[list[torch.Tensor]], list[torch.Tensor]], rows: Sequence[torch.Tensor]) -> list[float]:
    """How far results in float64 move where the arguments move by a few roundings of float32.

    Where a ReLU turns in between, no float32 is closer than that.

    Args:
        reference: Results of arguments, gradients among them.
        rows: The arguments.
    """
    here = [x.detach() for x in rows]
    ways = [torch.randn_like(x).sign() * x * 2.0**-20 for x in here]
    at, up, down = (
        reference([(x + step * way).requires_grad_() for x, way in zip(here, ways, strict=True)]) for step in (0, 1, -1)
    )
    return [max(float((x - y).norm()), float((x - z).norm())) for x, y, z in zip(at, up, down, strict=True)]


def check_gradients(
    given: Sequence[torch.Tensor],
    exact: Sequence[torch.Tensor],
    least: float,
    unsure: Sequence[float] | None = None,
) -> None:
    """Raise unless gradients are those of the tensors in float64.

    Where a node has one key, gradients vanish: errors are relative to the largest of all gradients, too.

    Args:
        given: Tensors with gradients.
        exact: The same in float64.
        least: Relative error from which on it is one.
        unsure: How far each gradient may be away besides.
    """
    references = [x.grad for x in exact if x.grad is not None]
    floor = 0.2 + 0.1 * max(float(x.norm()) for x in references)
    for value, reference, more in zip(given, references, unsure or [0.0] * len(given), strict=True):
        assert value.grad is not None
        assert value.grad.dtype == value.dtype
        allowed = least * (float(reference.norm()) + floor) + more
        assert float((value.grad.double() - reference).norm()) <= allowed
