"""A sparse matrix times a block of vectors, fused with the sums of a three-term recurrence.

Polynomials of an operator are built by repeating Z <- a A X + b X + c Z. Memory is the limit: with torch, the product
and each of the sums is a pass over blocks that fit in no cache. On the CPU a CSR matrix does it in one compiled pass,
eight columns to a register, the rows divided among torch's threads; any other operator takes torch's way.

Measured on two cores, 250,000 rows, 24 columns of float64: grid (5 entries a row) 9 ms against torch's 100, Barabasi
-Albert (9 entries a row, no locality) 100 against 220; in float32, which halves what is moved, 6 and 48.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
import torch
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model
from torch import Tensor

from graphpe.compiled.jit import compiled
from graphpe.eigen.operators.base import MatrixOperator, Operator

ir = cgutils.ir  # llvmlite's builder of instructions

GROUP = 8  # columns to a register
_WORK_PER_THREAD = 20_000  # entries: handing work to a thread costs what about as many do


class Products(Protocol):
    """An operator on blocks in a layout of its own, in a precision of its own.

    Attributes:
        width: A block of a multiple of `width` columns wastes nothing.
    """

    width: int

    def pack(self, block: Tensor) -> Tensor:
        """The block `[n, m]` in the layout of these products; a copy that may be overwritten."""
        ...

    def unpack(self, packed: Tensor, like: Tensor) -> Tensor:
        """The block again, in the shape and dtype of `like`."""
        ...

    def step(self, a: float, x: Tensor, b: float, c: float, z: Tensor) -> Tensor:
        """The sum a A x + b x + c z of packed blocks, written over z where that is possible; z is read if c is 0."""
        ...


def products_of(operator: Operator, dtype: torch.dtype) -> Products:
    """The products of an operator in a precision: that of its dtype, or lower where its entries are known."""
    if isinstance(operator, MatrixOperator):
        if operator.is_sparse and operator.device.type == "cpu":
            return CompiledProducts(operator.matrix, dtype)
        if dtype != operator.dtype:
            operator = MatrixOperator(operator.matrix.to(dtype))
    return PlainProducts(operator)


class PlainProducts:
    """The products of any operator, by torch."""

    width = 1

    def __init__(self, operator: Operator) -> None:
        self._operator = operator

    def pack(self, block: Tensor) -> Tensor:
        """The block in the operator's dtype."""
        return block.to(self._operator.dtype, copy=True)

    def unpack(self, packed: Tensor, like: Tensor) -> Tensor:
        """The block in the dtype of `like`."""
        return packed.to(like.dtype)

    def step(self, a: float, x: Tensor, b: float, c: float, z: Tensor) -> Tensor:
        """The sum a A x + b x + c z."""
        return z.mul_(c).add_(x, alpha=b).add_(self._operator.matmul(x), alpha=a)


class CompiledProducts:
    """The products of a CSR matrix on the CPU.

    Packed blocks are `[n, parts, m]` real with m a multiple of eight: real parts, then imaginary parts.
    """

    width = GROUP

    def __init__(self, matrix: Tensor, dtype: torch.dtype) -> None:
        self._parts = 2 if dtype.is_complex else 1
        self._real = torch.float64 if dtype in (torch.float64, torch.complex128) else torch.float32
        self._start = matrix.crow_indices().to(torch.int64).numpy()
        self._col = matrix.col_indices().to(torch.int32).numpy()  # half the memory to read
        self._value = matrix.values().to(dtype).numpy()
        if dtype.is_complex:
            self._value = self._value.view(np.float64 if self._real == torch.float64 else np.float32)
        threads = max(1, min(torch.get_num_threads(), int(self._start[-1]) // _WORK_PER_THREAD))
        # Of equal work: a row costs its entries and about four more for the sums.
        work = self._start + 4 * np.arange(len(self._start))
        self._cuts = np.searchsorted(work, np.linspace(0, work[-1], threads + 1)).tolist()
        self._pool = ThreadPoolExecutor(threads) if threads > 1 else None

    def pack(self, block: Tensor) -> Tensor:
        """The block, filled up with columns of zeros."""
        n, m = block.shape
        packed = torch.zeros(n, self._parts, -(-m // GROUP) * GROUP, dtype=self._real)
        if self._parts == 2:
            packed[:, 0, :m], packed[:, 1, :m] = block.real, block.imag
        else:
            packed[:, 0, :m] = block
        return packed

    def unpack(self, packed: Tensor, like: Tensor) -> Tensor:
        """The block without the columns it was filled up with."""
        m = like.shape[1]
        real = torch.float64 if like.dtype in (torch.float64, torch.complex128) else torch.float32
        if self._parts == 2:
            return torch.complex(packed[:, 0, :m].to(real), packed[:, 1, :m].to(real))
        return packed[:, 0, :m].to(real)

    def step(self, a: float, x: Tensor, b: float, c: float, z: Tensor) -> Tensor:
        """The sum a A x + b x + c z, written over z."""
        number: Any = np.float64 if self._real == torch.float64 else np.float32
        x_flat, z_flat = x.view(-1).numpy(), z.view(-1).numpy()
        kernel = _complex_rows if self._parts == 2 else _real_rows

        def rows(first: int, last: int) -> None:
            kernel(
                self._start,
                self._col,
                self._value,
                x_flat,
                z_flat,
                np.int64(x.shape[2]),
                number(a),
                number(b),
                number(c),
                np.int64(first),
                np.int64(last),
            )

        if self._pool is None:
            rows(self._cuts[0], self._cuts[-1])
        else:
            list(self._pool.map(rows, self._cuts[:-1], self._cuts[1:]))
        return z


def multiply(products: Products, block: Tensor) -> Tensor:
    """The operator times a block."""
    packed = products.pack(block)
    return products.unpack(products.step(1.0, packed, 0.0, 0.0, torch.zeros_like(packed)), block)


class _GroupType(types.Type):
    """Numba's type of the numbers in one register."""

    def __init__(self, number: types.Float) -> None:
        self.number = number
        super().__init__(name=f"{number}x{GROUP}")

    @property
    def vector(self) -> Any:
        return ir.VectorType(ir.DoubleType() if self.number == types.float64 else ir.FloatType(), GROUP)


_GROUPS = {number: _GroupType(number) for number in (types.float32, types.float64)}


@register_model(_GroupType)
class _GroupModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: _GroupType) -> None:
        super().__init__(manager, kind, kind.vector)


def _pointer(context: Any, builder: Any, kind: Any, array: Any, index: Any) -> Any:
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), _GROUPS[kind.dtype].vector.as_pointer())


def _broadcast(builder: Any, number: Any, vector: Any) -> Any:
    first = builder.insert_element(ir.Constant(vector, ir.Undefined), number, ir.IntType(32)(0))
    return builder.shuffle_vector(first, first, ir.Constant(ir.VectorType(ir.IntType(32), GROUP), [0] * GROUP))


def _inline(function: Callable[..., Any]) -> Any:
    """A function of compiled code that writes its own instructions; `Any`, for numba's types say nothing about it."""
    return intrinsic(function)


@_inline
def _load(context, array, index):  # type: ignore[no-untyped-def]
    """Eight numbers of a flat array, from an index on."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0]
        return builder.load(_pointer(context, builder, kind, *arguments), align=kind.dtype.bitwidth // 8)

    return _GROUPS[array.dtype](array, types.int64), emit


@_inline
def _store(context, array, index, value):  # type: ignore[no-untyped-def]
    """Write eight numbers."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[0]
        builder.store(arguments[2], _pointer(context, builder, kind, *arguments[:2]), align=kind.dtype.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.int64, value), emit


@_inline
def _times(context, factor, a):  # type: ignore[no-untyped-def]
    """A number times eight."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fmul(_broadcast(builder, arguments[0], signature.args[1].vector), arguments[1])

    return a(a.number, a), emit


@_inline
def _add(context, factor, a, b):  # type: ignore[no-untyped-def]
    """A number times eight, plus eight."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        kind = signature.args[1]
        name = f"llvm.fmuladd.v{GROUP}f{kind.number.bitwidth}"
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(kind.vector, [kind.vector] * 3), name)
        return builder.call(function, [_broadcast(builder, arguments[0], kind.vector), arguments[1], arguments[2]])

    return a(a.number, a, b), emit


@compiled
def _real_rows(
    start: Any, col: Any, value: Any, x: Any, z: Any, m: Any, a: Any, b: Any, c: Any, first: Any, last: Any
) -> None:
    for i in range(first, last):
        g = 0
        while g + 4 * GROUP <= m:  # four registers at a time: the entries are read once for 32 columns
            o = i * m + g
            s0 = _add(b, _load(x, o), _times(c, _load(z, o)))
            s1 = _add(b, _load(x, o + GROUP), _times(c, _load(z, o + GROUP)))
            s2 = _add(b, _load(x, o + 2 * GROUP), _times(c, _load(z, o + 2 * GROUP)))
            s3 = _add(b, _load(x, o + 3 * GROUP), _times(c, _load(z, o + 3 * GROUP)))
            for e in range(start[i], start[i + 1]):
                v, at = a * value[e], np.int64(col[e]) * m + g
                s0 = _add(v, _load(x, at), s0)
                s1 = _add(v, _load(x, at + GROUP), s1)
                s2 = _add(v, _load(x, at + 2 * GROUP), s2)
                s3 = _add(v, _load(x, at + 3 * GROUP), s3)
            _store(z, o, s0)
            _store(z, o + GROUP, s1)
            _store(z, o + 2 * GROUP, s2)
            _store(z, o + 3 * GROUP, s3)
            g += 4 * GROUP
        while g + 2 * GROUP <= m:
            o = i * m + g
            s0 = _add(b, _load(x, o), _times(c, _load(z, o)))
            s1 = _add(b, _load(x, o + GROUP), _times(c, _load(z, o + GROUP)))
            for e in range(start[i], start[i + 1]):
                v, at = a * value[e], np.int64(col[e]) * m + g
                s0 = _add(v, _load(x, at), s0)
                s1 = _add(v, _load(x, at + GROUP), s1)
            _store(z, o, s0)
            _store(z, o + GROUP, s1)
            g += 2 * GROUP
        while g < m:
            o = i * m + g
            s0 = _add(b, _load(x, o), _times(c, _load(z, o)))
            for e in range(start[i], start[i + 1]):
                s0 = _add(a * value[e], _load(x, np.int64(col[e]) * m + g), s0)
            _store(z, o, s0)
            g += GROUP


@compiled
def _complex_rows(
    start: Any, col: Any, value: Any, x: Any, z: Any, m: Any, a: Any, b: Any, c: Any, first: Any, last: Any
) -> None:
    for i in range(first, last):
        g = 0
        while g + 2 * GROUP <= m:
            o = 2 * i * m + g
            p = o + m
            r0 = _add(b, _load(x, o), _times(c, _load(z, o)))
            r1 = _add(b, _load(x, o + GROUP), _times(c, _load(z, o + GROUP)))
            i0 = _add(b, _load(x, p), _times(c, _load(z, p)))
            i1 = _add(b, _load(x, p + GROUP), _times(c, _load(z, p + GROUP)))
            for e in range(start[i], start[i + 1]):
                re, im, at = a * value[2 * e], a * value[2 * e + 1], 2 * np.int64(col[e]) * m + g
                u0, u1, w0, w1 = _load(x, at), _load(x, at + GROUP), _load(x, at + m), _load(x, at + m + GROUP)
                r0, r1 = _add(-im, w0, _add(re, u0, r0)), _add(-im, w1, _add(re, u1, r1))
                i0, i1 = _add(im, u0, _add(re, w0, i0)), _add(im, u1, _add(re, w1, i1))
            _store(z, o, r0)
            _store(z, o + GROUP, r1)
            _store(z, p, i0)
            _store(z, p + GROUP, i1)
            g += 2 * GROUP
        while g < m:
            o = 2 * i * m + g
            p = o + m
            r0 = _add(b, _load(x, o), _times(c, _load(z, o)))
            i0 = _add(b, _load(x, p), _times(c, _load(z, p)))
            for e in range(start[i], start[i + 1]):
                re, im, at = a * value[2 * e], a * value[2 * e + 1], 2 * np.int64(col[e]) * m + g
                u0, w0 = _load(x, at), _load(x, at + m)
                r0 = _add(-im, w0, _add(re, u0, r0))
                i0 = _add(im, u0, _add(re, w0, i0))
            _store(z, o, r0)
            _store(z, p, i0)
            g += GROUP
