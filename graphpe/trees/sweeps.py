"""Sums of terms p(d) exp(lambda d) over all nodes of a tree in two passes, on the CPU, with a written backward.

Of a term c exp(lambda d) with |exp(lambda d)| <= 1, each place v first gets B_v, the sum over its subtree, from the
leaves up, then Y_v, the sum over the whole tree, from the root down. With t_v = exp(lambda w_v), w_v the length of the
edge to the parent p,

    B_v = X_v + sum over the children u: t_u B_u
    Y_v = t_v Y_p + (1 - t_v^2) B_v

which, where t is real, adds what has one sign if X has. The places of a subtree stand together and are passed in order,
so that what is read was mostly used shortly before: each pass reads or writes a row a node. Terms that grow, or with
polynomials, go to `graphpe.trees.moments`.

All sums are taken in float64 (complex128).
"""

from __future__ import annotations

import math
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.autograd.function import once_differentiable

from graphpe.compiled.jit import compiled
from graphpe.trees import moments
from graphpe.trees.forest import Floats, Forest, Ints
from graphpe.trees.functions.closed_form import Term
from graphpe.trees.functions.phases import exponential

Numbers = NDArray[Any]  # float64 or complex128
Plain = tuple[Any, Numbers]  # exponent and coefficients of a term

# Numbers of a node that are worked on at a time: terms of fewer columns, or columns, as many as fit into a core's cache
# but not fewer than a row that is worth the way to it.
_TERMS = 8
_COLUMNS = 64
_CHUNK_BYTES = 1 << 19
# Bytes that a thread keeps for its next sum: fresh memory costs more than the sums in it.
_KEPT_BYTES = 1 << 25


def sum_terms(forest: Forest, field: Tensor, terms: list[Term]) -> Tensor:
    """Y_i = sum_j f(d(i, j)) X_j over the nodes j of i's tree, f being the sum of the terms.

    O(N C R^2) for a term of R coefficients and C columns. Differentiable once, in the field and in the terms.

    Args:
        forest: The trees.
        field: X `[N, C]`, float32 or float64, on the CPU.
        terms: The terms.

    Returns:
        `[N, C]`, of the dtype of the field.
    """
    parts = [part for term in terms for part in (term.exponent, term.coefficients)]
    return _Sweeps.apply(field, forest, *parts)


class _Sweeps(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, field: Tensor, forest: Forest, *parts: Tensor) -> Tensor:
        ctx.save_for_backward(field, *parts)
        ctx.forest = forest
        return torch.from_numpy(_apply(forest, _array(field), _numbers(parts)))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Any, ...]:
        field, *parts = ctx.saved_tensors
        forest, terms = ctx.forest, _numbers(parts)
        gradient = _array(grad)
        to_parts: list[Tensor | None] = [None] * len(parts)
        if any(ctx.needs_input_grad[2:]):
            # The matrix is symmetric.
            to_field, sums = _apply_and_pair(forest, gradient, _array(field), terms)
            for i, ((_, coefficients), sums_of_term) in enumerate(zip(terms, sums, strict=True)):
                # L = Re sum_k c_k S_k with S_k = sum_ij <G_i, X_j> d^k exp(lambda d), and dS_k / dlambda = S_(k+1).
                for place, value in ((0, (coefficients * sums_of_term[1:]).sum()), (1, sums_of_term[:-1])):
                    part = parts[2 * i + place]
                    to_parts[2 * i + place] = torch.as_tensor(np.conj(value), dtype=part.dtype, device=part.device)
        else:
            to_field = _apply(forest, gradient, terms)
        return torch.from_numpy(to_field), None, *to_parts


def _array(field: Tensor) -> Numbers:
    return field.detach().contiguous().numpy()


def _numbers(parts: Any) -> list[Plain]:
    arrays = [part.detach().resolve_conj().numpy(force=True) for part in parts]
    return [(exponent[()], coefficients) for exponent, coefficients in zip(arrays[::2], arrays[1::2], strict=True)]


def _apply(forest: Forest, field: Numbers, terms: list[Plain]) -> Numbers:
    groups, rest = _grouped(terms, field.shape[1])
    out = np.zeros(field.shape, field.dtype if len(terms) == 1 else np.float64)
    for group in groups:
        factor, coefficients = _stacked(forest, [terms[i] for i in group])
        for (x,), y, (value,) in _chunks([field], out, factor):
            _sweep(forest.order, forest.parent, factor, coefficients, x, value, y)
    for i in rest:
        moments.add_sums(forest, field, *terms[i], out)
    return out.astype(field.dtype, copy=False)


def _apply_and_pair(forest: Forest, left: Numbers, right: Numbers, terms: list[Plain]) -> tuple[Numbers, list[Numbers]]:
    """The sums over `left`; of each term, sum_ij <left_i, right_j> d^k exp(lambda d) for k = 0, ..., K."""
    groups, rest = _grouped(terms, left.shape[1])
    out = np.zeros(left.shape, left.dtype if len(terms) == 1 else np.float64)
    sums = [np.zeros(len(coefficients) + 1, coefficients.dtype) for _, coefficients in terms]
    for group in groups:
        factor, coefficients = _stacked(forest, [terms[i] for i in group])
        for (a, b), y, (one, other) in _chunks([left, right], out, factor):
            total = np.zeros((2, *one.shape[1:]), factor.dtype)
            places = forest.order, forest.parent, forest.length
            _sweep_both(*places, factor, coefficients, a, b, one, other, y, total)
            for i, part in zip(group, total.sum(2).T, strict=True):
                sums[i] += part
    for i in rest:
        moments.add_sums(forest, left, *terms[i], out)
        sums[i] += moments.pair(forest, left, right, terms[i][0], len(sums[i]))
    return out.astype(left.dtype, copy=False), sums


def _grouped(terms: list[Plain], columns: int) -> tuple[list[list[int]], list[int]]:
    """The terms that are swept together, and those that `graphpe.trees.moments` sums."""
    together = max(_TERMS // columns, 1)
    groups: list[list[int]] = []
    rest: list[int] = []
    for dtype in (np.float64, np.complex128):
        chosen = [i for i, (exponent, _) in enumerate(terms) if exponent.dtype == dtype]
        fast = [i for i in chosen if terms[i][0].real <= 0 and len(terms[i][1]) == 1]
        groups += [fast[at : at + together] for at in range(0, len(fast), together)]
        rest += [i for i in chosen if i not in fast]
    return groups, rest


def _stacked(forest: Forest, terms: list[Plain]) -> tuple[Numbers, Numbers]:
    """exp(lambda w) `[N, terms]`, or in one row where all edges are of one length, and the coefficients."""
    exponents, coefficients = np.stack([t[0] for t in terms]), np.concatenate([t[1] for t in terms])
    same = _one_length(forest.parent, forest.length)
    length = forest.length if same < 0 else np.array([same])
    return exponential(exponents, length[:, None]), coefficients


@compiled
def _one_length(parent: Ints, length: Floats) -> float:
    """The length of all edges; 0 if there is none, and -1 if they differ."""
    found = -1.0
    for v in range(len(parent)):
        if parent[v] >= 0 and length[v] != found:
            if found >= 0:
                return -1.0
            found = length[v]
    return max(found, 0.0)


def _chunks(fields: list[Numbers], out: Numbers, factor: Numbers) -> Iterator[tuple[list[Numbers], Numbers, Numbers]]:
    """Some columns of the fields and of what is summed, and memory for each field, `[N, terms, columns]`."""
    nodes, columns = out.shape
    terms, copies = factor.shape[1], len(fields)
    most = max(_CHUNK_BYTES // (max(nodes, 1) * terms * copies * factor.itemsize), _COLUMNS)
    width = math.ceil(columns / math.ceil(columns / most))
    for first in range(0, columns, width):
        chunk = np.s_[:, first : first + width]
        values = _memory.array((copies, nodes, terms, min(width, columns - first)), factor.dtype)
        if width == columns:
            yield fields, out, values
        else:
            part = out[chunk].copy()
            yield [np.ascontiguousarray(x[chunk]) for x in fields], part, values
            out[chunk] = part


class _Memory(threading.local):
    def __init__(self) -> None:
        self._kept = np.empty(0, np.uint8)

    def array(self, shape: tuple[int, ...], dtype: Any) -> Numbers:
        """An array with anything in it, the same memory every time in a thread."""
        size = math.prod(shape) * np.dtype(dtype).itemsize
        memory = self._kept if size <= len(self._kept) else np.empty(size, np.uint8)
        if size <= _KEPT_BYTES:
            self._kept = memory
        return memory[:size].view(dtype).reshape(shape)


_memory = _Memory()


# In these loops the innermost index is a plain loop variable: numba then knows that it counts from the start, and that
# numbers stand side by side.


@compiled
def _sweep(
    order: Ints,
    parent: Ints,
    factor: Numbers,
    coefficients: Numbers,
    field: Floats,
    value: Numbers,
    out: Floats,
) -> None:
    """Add the sums to `out`."""
    size, terms, columns = value.shape
    step = 1 if len(factor) == size else 0
    _gather_up(order, parent, factor, field, value)
    for v in range(size):
        p, i = parent[v], order[v]
        for r in range(terms):
            coefficient = coefficients[r]
            if p >= 0:
                t = factor[v * step, r]
                s = 1.0 - t * t
                for c in range(columns):
                    value[v, r, c] = t * value[p, r, c] + s * value[v, r, c]
            for c in range(columns):
                out[i, c] += (coefficient * value[v, r, c]).real


@compiled
def _gather_up(order: Ints, parent: Ints, factor: Numbers, field: Floats, value: Numbers) -> None:
    """The sums over subtrees."""
    size, terms, columns = value.shape
    step = 1 if len(factor) == size else 0
    for v in range(size):
        i = order[v]
        for r in range(terms):
            for c in range(columns):
                value[v, r, c] = field[i, c]
    for v in range(size - 1, -1, -1):
        p = parent[v]
        if p >= 0:
            for r in range(terms):
                t = factor[v * step, r]
                for c in range(columns):
                    value[p, r, c] += t * value[v, r, c]


@compiled
def _sweep_both(
    order: Ints,
    parent: Ints,
    length: Floats,
    factor: Numbers,
    coefficients: Numbers,
    left: Floats,
    right: Floats,
    one: Numbers,
    other: Numbers,
    out: Floats,
    total: Numbers,
) -> None:
    """As `_sweep` of `left`; and what pairs add to `total` `[2, terms, columns]`.

    With B and Y of the left field and b and y of the right one, the pairs on different sides of the edge to the parent
    add, to sum_ij <left_i, right_j> d exp(lambda d), w times

        <B_v, t (y_p - t b_v)> + <t (Y_p - t B_v), b_v>

    Rounding of what is subtracted adds up, along the way to the root, to about 1 / |lambda| times that of the sum
    without d.
    """
    size, terms, columns = one.shape
    step = 1 if len(factor) == size else 0
    _gather_up(order, parent, factor, left, one)
    _gather_up(order, parent, factor, right, other)
    for v in range(size):
        p, i, w = parent[v], order[v], length[v]
        for r in range(terms):
            coefficient = coefficients[r]
            if p >= 0:
                t = factor[v * step, r]
                for c in range(columns):
                    a, b = one[v, r, c], other[v, r, c]
                    from_a, from_b = t * (one[p, r, c] - t * a), t * (other[p, r, c] - t * b)
                    total[1, r, c] += w * (a * from_b + b * from_a)
                    one[v, r, c] = a + from_a
                    other[v, r, c] = b + from_b
            for c in range(columns):
                total[0, r, c] += left[i, c] * other[v, r, c]
                out[i, c] += (coefficient * one[v, r, c]).real
