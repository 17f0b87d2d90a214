"""Sums of tables over a centroid decomposition: products with Hankel matrices, by torch on any device.

Where distances are multiples of a unit, a segment (a group, or a branch of one) is a row of sums at the distances 0, 1,
..., L - 1 from the centroid, and what it adds at distance s is sum_t f(s + t) S_t: a product with a Hankel matrix,
dense up to 64 distances and by fast Fourier transforms above. Segments of like depth are worked on together.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from graphpe.compiled import compiled
from graphpe.errors import GraphPEValueError
from graphpe.trees.decomposition import Level

_DENSE = 64
_CHUNK_ROWS = 1 << 22  # times columns: entries of the sums that are worked on at a time


class Segments(NamedTuple):
    """Segments that are padded to the same number of distances.

    Attributes:
        depth: L.
        total: Segments.
        sign: 1 of groups, -1 of branches.
        node: `[M]`: the nodes.
        row: `[M]`: the segment of each, times L, plus its distance from the centroid.
    """

    depth: int
    total: int
    sign: int
    node: Tensor
    row: Tensor


def segments_by_depth(levels: list[Level], unit: float, limit: int) -> list[Segments]:
    """The groups and branches of all levels.

    Args:
        levels: The decomposition.
        unit: What distances are multiples of.
        limit: Nodes at this distance (in units) from the centroid or farther are left out: a table is 0 there.

    Raises:
        GraphPEValueError: A distance is no multiple of the unit.
    """
    out: list[Segments] = []
    for level in levels:
        ratio = level.distance / unit
        hops = ratio.round()
        wrong = (ratio - hops).abs() > 1e-6
        if bool(wrong.any()):
            value = float(level.distance[wrong][0])
            raise GraphPEValueError(
                f"a distance of {value} is no multiple of the Table's unit {unit}: give another unit"
            )
        near = hops < limit
        hop, node = hops[near].long(), level.node[near]
        out += _bucket(node, hop, level.group[near].long(), level.num_groups, 1)
        inside = level.branch[near] < level.num_branches
        branch = level.branch[near][inside].long()
        out += _bucket(node[inside], hop[inside], branch, level.num_branches, -1)
    return out


def _bucket(node: Tensor, hop: Tensor, owner: Tensor, count: int, sign: int) -> Iterator[Segments]:
    if len(node) == 0:
        return
    deepest = torch.full((count,), -1, device=node.device).scatter_reduce(0, owner, hop, "amax")
    # Depths are rounded up to powers of two: 2^size, of segments that have any node.
    size = torch.ceil(torch.log2((deepest + 1).clamp(min=1).double())).long()
    size = torch.where(deepest < 0, -1, size)
    for exponent in range(int(size.max()) + 1):
        chosen = size == exponent
        number = torch.cumsum(chosen, 0) - 1
        entry = chosen[owner]
        total = int(number[-1]) + 1
        if total:
            depth = 1 << exponent
            rows = number[owner[entry]] * depth + hop[entry]
            yield Segments(depth, total, sign, node[entry], rows.int() if total * depth < 2**31 else rows)


def sum_table(segments: list[Segments], field: Tensor, values: Tensor) -> Tensor:
    """Y_i = sum_j f(d(i, j)) X_j with f(k unit) = values_k.

    Differentiable once, in the field and in the values.

    Args:
        segments: Of the decomposition of the trees, on the device of the field.
        field: X `[N, C]`, float32 or float64.
        values: `[K]`, 0 beyond.

    Returns:
        `[N, C]`, of the dtype of the field.
    """
    return _Tables.apply(field, values, segments)


class _Tables(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, field: Tensor, values: Tensor, segments: list[Segments]) -> Tensor:
        ctx.save_for_backward(field, values)
        ctx.segments = segments
        return _apply(segments, field, values)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        field, values = ctx.saved_tensors
        to_field = _apply(ctx.segments, grad, values) if ctx.needs_input_grad[0] else None
        to_values = _pair(ctx.segments, grad, field, len(values)).to(values) if ctx.needs_input_grad[1] else None
        return to_field, to_values, None


def _apply(segments: list[Segments], field: Tensor, values: Tensor) -> Tensor:
    out = torch.zeros_like(field, dtype=torch.float64)
    table = values.to(field.device, torch.float64)
    for part in segments:
        seen = _pad(part.sign * table, 2 * part.depth)
        for columns in _chunks(part, field.size(1)):
            sums = _collect(part, field[:, columns])
            if part.depth <= _DENSE:
                place = torch.arange(part.depth, device=field.device)
                product = torch.matmul(seen[place.unsqueeze(1) + place], sums)
            else:
                spectrum = torch.fft.rfft(seen).unsqueeze(1) * torch.fft.rfft(sums, dim=1).conj()
                product = torch.fft.irfft(spectrum, n=2 * part.depth, dim=1)
                product = product[:, : part.depth]
            add_rows(out[:, columns], part.node, product.flatten(0, 1), part.row)
    return out.to(field.dtype)


def _pair(segments: list[Segments], left: Tensor, right: Tensor, count: int) -> Tensor:
    """sum_ij <left_i, right_j> over the pairs at k units, `[count]`."""
    total = torch.zeros(count, dtype=torch.float64, device=left.device)
    for part in segments:
        for columns in _chunks(part, left.size(1)):
            a, b = (torch.fft.rfft(_collect(part, x[:, columns]), n=2 * part.depth, dim=1) for x in (left, right))
            sums = torch.fft.irfft((a * b).sum((0, 2)), n=2 * part.depth)
            kept = min(count, 2 * part.depth - 1)
            total[:kept] += part.sign * sums[:kept]
    return total


def _collect(part: Segments, field: Tensor) -> Tensor:
    """The sums at each distance of each segment, `[segments, L, C]`; for a transform, with as many zeros again."""
    sums = torch.zeros(part.total * part.depth, field.size(1), dtype=torch.float64, device=field.device)
    add_rows(sums, part.row, field, part.node)
    sums = sums.view(part.total, part.depth, -1)
    if part.depth <= _DENSE:
        return sums
    return torch.nn.functional.pad(sums, (0, 0, 0, part.depth))


def add_rows(out: Tensor, place: Tensor, rows: Tensor, chosen: Tensor) -> None:
    """Add the row `chosen[i]` of `rows` to the row `place[i]` of `out`, for every i; compiled on the CPU."""
    if out.device.type == "cpu":  # 20 times as fast there as index_add_
        _add_rows(out.numpy(), place.numpy(), rows.detach().numpy(), chosen.numpy())
    else:
        out.index_add_(0, place, rows.index_select(0, chosen).to(out.dtype))


@compiled
def _add_rows(out: Any, place: Any, rows: Any, chosen: Any) -> None:
    for i in range(len(place)):
        p, q = place[i], chosen[i]
        for c in range(out.shape[1]):
            out[p, c] += rows[q, c]


def _chunks(part: Segments, columns: int) -> Iterator[slice]:
    width = max(_CHUNK_ROWS // max(part.total * part.depth, 1), 1)
    for first in range(0, columns, width):
        yield slice(first, min(first + width, columns))


def _pad(values: Tensor, size: int) -> Tensor:
    """The first values, and zeros after the last."""
    return torch.cat([values[:size], values.new_zeros(max(size - len(values), 0))])
