"""Encodings are computed in double precision and written in single: what single precision cannot hold is an error."""

from __future__ import annotations

import cmath

import torch
from torch import Tensor

from graphpe.errors import GraphRangeError
from graphpe.graphs.levels import Level
from graphpe.graphs.packed import PackedGraphs
from graphpe.spectra.resistance import DISCONNECTED

_WRITTEN = {torch.float64: torch.float32, torch.complex128: torch.complex64}
# Values that are proportional to weights of these sizes (or to their inverses, or roots) are far from float32's limits.
_SMALL, _LARGE = 1e-30, 1e30


def in_single(key: str, value: Tensor, level: Level, graphs: PackedGraphs, source: Tensor | None = None) -> Tensor:
    """The values in float32 (complex64 where they are complex, integers as they are), all of them finite.

    One pass over the values on the CPU. On another device float64 alone is looked at: it comes from the host, which has
    waited for it; what a device computes in float32 is not waited for.

    Args:
        key: What the values are called.
        value: `[N, ...]`, `[B, ...]` or `[sum n_b^2, ...]`.
        level: Which of these: `node`, `graph` or `pair`; no encoding is of edges.
        graphs: The graphs.
        source: For values of chosen pairs, `[P, ...]`: the first node of each.

    Raises:
        GraphRangeError: A value is nan, infinite or larger than float32's largest; or weights are so extreme that all
            values of a graph that are not zero are below its smallest.
    """
    if not (value.is_floating_point() or value.is_complex()):
        return value
    double = value.dtype in _WRITTEN
    out = value.to(_WRITTEN.get(value.dtype, value.dtype))
    if value.device.type != "cpu" and not double:
        return out
    # The sum alone may overflow. Asking torch whether it is finite takes twice as long as the sum of a small graph.
    if not cmath.isfinite(out.sum().item()) and not bool(out.isfinite().all()):
        raise _beyond(key, value, ~out.isfinite(), level, graphs, source)
    if double and _extreme(graphs):
        _check_not_lost(key, value, level, graphs, source)
    return out


def _extreme(graphs: PackedGraphs) -> bool:
    """Whether there are weights far from 1."""
    weight = graphs.edge_weight
    return weight is not None and bool(((weight > _LARGE) | ((weight > 0) & (weight < _SMALL))).any())


def _beyond(
    key: str, value: Tensor, wrong: Tensor, level: Level, graphs: PackedGraphs, source: Tensor | None
) -> GraphRangeError:
    """The error of the first graph with values that are not finite in single precision."""
    row = int(wrong.reshape(len(wrong), -1).any(dim=1).nonzero()[0])
    size = value[row].abs().double()
    worst = float(size[wrong[row].cpu()].max() if size.dim() else size)
    what = "is not finite" if not worst < torch.inf else f"reaches {worst:.3g}, beyond float32's {_LIMIT.max:.2g}"
    given = "what it is computed from" if graphs.edge_weight is None else "edge_weight"
    return GraphRangeError(int(_graph_of_rows(level, graphs, source)[row]), f"{key} {what}: rescale {given}")


def _check_not_lost(key: str, value: Tensor, level: Level, graphs: PackedGraphs, source: Tensor | None) -> None:
    """Raise where all that is not zero in a graph is below float32's smallest normal number."""
    size = value.abs()
    if level == "pair":
        size = size.where(value != DISCONNECTED, 0.0)
    rows = size.reshape(len(value), -1).amax(dim=1) if value.numel() else value.real.new_zeros(0)
    number = _graph_of_rows(level, graphs, source).to(rows.device)
    largest = rows.new_zeros(graphs.num_graphs).scatter_reduce(0, number, rows, "amax")
    lost = (largest > 0) & (largest < _LIMIT.tiny)
    if bool(lost.any()):
        graph = int(lost.nonzero()[0])
        what = f"is at most {float(largest[graph]):.3g}, below float32's {_LIMIT.tiny:.2g}"
        raise GraphRangeError(graph, f"{key} {what}: rescale edge_weight")


def _graph_of_rows(level: Level, graphs: PackedGraphs, source: Tensor | None) -> Tensor:
    """The graph of each row."""
    if source is not None:
        return torch.searchsorted(graphs.ptr.cpu(), source.cpu(), right=True) - 1
    ptr = {"node": graphs.ptr, "graph": torch.arange(graphs.num_graphs + 1), "pair": graphs.pair_ptr}[level]
    return torch.repeat_interleave(torch.arange(graphs.num_graphs), ptr.cpu().diff())


_LIMIT = torch.finfo(torch.float32)
