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

from graphpe.compiled.jit import compiled
from graphpe.errors import GraphPEValueError
from graphpe.trees.decomposition import Level

_DENSE = 64
_CHUNK_ROWS = 1 << 20  # times columns: entries of the sums that are worked on at a time, some megabytes


class Segments(NamedTuple):
    """Segments that are padded to the same number of distances.

    Attributes:
        depth: L.
        total: Segments.
        sign: 1 of groups, -1 of branches.
        node: `[M]`: the nodes.
        row: `[M]`: the segment of each, times `stride`, plus its distance from the centroid.
    """

    depth: int
    total: int
    sign: int
    node: Tensor
    row: Tensor

    @property
    def stride(self) -> int:
        """Rows from one segment to the next: for a transform, there are as many zeros after the distances."""
        return _stride(self.depth)


class Tables(NamedTuple):
    """The segments of a decomposition.

    Attributes:
        order: `[N]`: nodes in the order of the first level, where those of a segment are near each other.
        parts: The segments; their nodes are counted in that order.
    """

    order: Tensor
    parts: list[Segments]


def _stride(depth: int) -> int:
    return depth if depth <= _DENSE else 2 * depth


def segments_by_depth(levels: list[Level], unit: float, limit: int) -> Tables:
    """The groups and branches of all levels.

    Args:
        levels: The decomposition.
        unit: What distances are multiples of.
        limit: Nodes at this distance (in units) from the centroid or farther are left out: a table is 0 there.

    Raises:
        GraphPEValueError: A distance is no multiple of the unit.
    """
    order = levels[0].node.long()
    place = torch.empty_like(levels[0].node)
    place[order] = torch.arange(len(order), dtype=place.dtype, device=place.device)
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
        hop, node = hops[near].long(), place[level.node[near]]
        out += _bucket(node, hop, level.group[near].long(), level.num_groups, 1)
        inside = level.branch[near] < level.num_branches
        branch = level.branch[near][inside].long()
        out += _bucket(node[inside], hop[inside], branch, level.num_branches, -1)
    return Tables(order, out)


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
            rows = number[owner[entry]] * _stride(depth) + hop[entry]
            yield Segments(depth, total, sign, node[entry], rows.int() if 2 * total * depth < 2**31 else rows)


def sum_table(tables: Tables, field: Tensor, values: Tensor) -> Tensor:
    """Y_i = sum_j f(d(i, j)) X_j with f(k unit) = values_k.

    Differentiable once, in the field and in the values.

    Args:
        tables: The segments of the trees' decomposition, on the device of the field.
        field: X `[N, C]`, float32 or float64.
        values: `[K]`, 0 beyond.

    Returns:
        `[N, C]`, of the dtype of the field.
    """
    return _Tables.apply(field, values, tables)


class _Tables(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, field: Tensor, values: Tensor, tables: Tables) -> Tensor:
        ctx.save_for_backward(field, values)
        ctx.tables = tables
        return _apply(tables, field, values)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        field, values = ctx.saved_tensors
        to_field = _apply(ctx.tables, grad, values) if ctx.needs_input_grad[0] else None
        to_values = _pair(ctx.tables, grad, field, len(values)).to(values) if ctx.needs_input_grad[1] else None
        return to_field, to_values, None


def _apply(tables: Tables, field: Tensor, values: Tensor) -> Tensor:
    out = torch.empty_like(field)
    table = values.to(field.device, torch.float64)
    factors: dict[tuple[int, int], Tensor] = {}
    for columns in _chunks(tables, field.size(1)):
        x = field[:, columns].index_select(0, tables.order)
        y = torch.zeros_like(x, dtype=torch.float64)
        for part in tables.parts:
            key = part.depth, part.sign
            if key not in factors:
                factors[key] = _factor(part.depth, part.sign * table)
            sums = _collect(part, x)
            if part.depth <= _DENSE:
                product = torch.matmul(factors[key], sums)
            else:
                spectrum = torch.fft.rfft(sums, dim=1).conj_physical_().mul_(factors[key])
                product = torch.fft.irfft(spectrum, n=part.stride, dim=1)
            add_rows(y, part.node, product.flatten(0, 1), part.row)
        out[tables.order, columns] = y.to(out.dtype)
    return out


def _factor(depth: int, table: Tensor) -> Tensor:
    """The Hankel matrix, or the transform that multiplies others, `[L + 1, 1]`."""
    seen = _pad(table, 2 * depth)
    if depth > _DENSE:
        return torch.fft.rfft(seen).unsqueeze(1)
    place = torch.arange(depth, device=table.device)
    return seen[place.unsqueeze(1) + place]


def _pair(tables: Tables, left: Tensor, right: Tensor, count: int) -> Tensor:
    """sum_ij <left_i, right_j> over the pairs at k units, `[count]`."""
    total = torch.zeros(count, dtype=torch.float64, device=left.device)
    for columns in _chunks(tables, left.size(1)):
        fields = [x[:, columns].index_select(0, tables.order) for x in (left, right)]
        for part in tables.parts:
            a, b = (torch.fft.rfft(_collect(part, x), n=2 * part.depth, dim=1) for x in fields)
            sums = torch.fft.irfft((a * b).sum((0, 2)), n=2 * part.depth)
            kept = min(count, 2 * part.depth - 1)
            total[:kept] += part.sign * sums[:kept]
    return total


def _collect(part: Segments, field: Tensor) -> Tensor:
    """The sums at each distance of each segment, `[segments, L, C]`; for a transform, with as many zeros again."""
    sums = torch.zeros(part.total * part.stride, field.size(1), dtype=torch.float64, device=field.device)
    add_rows(sums, part.row, field, part.node)
    return sums.view(part.total, part.stride, -1)


def add_rows(out: Tensor, place: Tensor, rows: Tensor, chosen: Tensor) -> None:
    """Add the row `chosen[i]` of `rows` to the row `place[i]` of `out`, for every i; compiled on the CPU.

    Args:
        out: What is added to, `[rows, D]`.
        place: Rows of `out`, `[n]`.
        rows: What is added, `[rows, D]`.
        chosen: Rows of `rows`, `[n]`.
    """
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


def _chunks(tables: Tables, columns: int) -> Iterator[slice]:
    width = max(_CHUNK_ROWS // max((part.total * part.stride for part in tables.parts), default=1), 1)
    for first in range(0, columns, width):
        yield slice(first, min(first + width, columns))


def _pad(values: Tensor, size: int) -> Tensor:
    """The first values, and zeros after the last."""
    return torch.cat([values[:size], values.new_zeros(max(size - len(values), 0))])
