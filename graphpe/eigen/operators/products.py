"""A sparse matrix times a block of vectors, fused with the sums of a three-term recurrence.

Polynomials of an operator are built by repeating Z <- a A X + b X + c Z. Memory is the limit: with torch, the product
and each of the sums is a pass over blocks that fit in no cache. On the CPU a CSR matrix does it in one compiled pass,
eight columns to a register, the rows divided among torch's threads; any other operator takes torch's way.

Measured on two cores, 250,000 rows, 24 columns of float64: grid (5 entries a row) 9 ms against torch's 100, Barabasi
-Albert (9 entries a row, no locality) 100 against 220; in float32, which halves what is moved, 6 and 48.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any, Protocol

import numpy as np
import torch
from torch import Tensor

from graphpe.compiled.jit import machine_code
from graphpe.compiled.simd import add_scaled, load, scale, store
from graphpe.eigen.operators.base import MatrixOperator, Operator

GROUP = 8  # columns to a register
_COLUMNS = (0,) * GROUP  # a tuple as long: what compiled code knows the number from
_WORK_PER_THREAD = 20_000  # entries: handing work to a thread costs what about as many do


class Products(Protocol):
    """An operator on blocks in a layout of its own, in a precision of its own.

    Attributes:
        width: A block of a multiple of `width` columns wastes nothing.
    """

    width: int

    def pack(self, block: Tensor) -> Tensor:
        """The block `[n, m]` in the layout of these products; a copy that may be overwritten.

        Args:
            block: The block, `[n, m]`.
        """
        ...

    def unpack(self, packed: Tensor, like: Tensor) -> Tensor:
        """The block again, in the shape and dtype of `like`.

        Args:
            packed: The packed block.
            like: A tensor of the shape and dtype that are wanted.
        """
        ...

    def step(self, a: float, x: Tensor, b: float, c: float, z: Tensor) -> Tensor:
        """The sum a A x + b x + c z of packed blocks, written over z where that is possible; z is read if c is 0.

        Args:
            a: Factor of A x.
            x: A packed block.
            b: Factor of x.
            c: Factor of z.
            z: A packed block, overwritten where that is possible.
        """
        ...


def products_of(operator: Operator, dtype: torch.dtype) -> Products:
    """The products of an operator in a precision: that of its dtype, or lower where its entries are known.

    Args:
        operator: The operator.
        dtype: The precision.
    """
    if isinstance(operator, MatrixOperator):
        if operator.is_sparse and operator.device.type == "cpu":
            return CompiledProducts(operator.matrix, dtype)
        if dtype != operator.dtype:
            operator = MatrixOperator(operator.matrix.to(dtype))
    return PlainProducts(operator)


class PlainProducts:
    """The products of any operator, by torch.

    Args:
        operator: The operator.
    """

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

    Args:
        matrix: The matrix, CSR on the CPU.
        dtype: The precision of the products.
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
    """The operator times a block.

    Args:
        products: The products of the operator.
        block: The block, `[n, m]`.
    """
    packed = products.pack(block)
    return products.unpack(products.step(1.0, packed, 0.0, 0.0, torch.zeros_like(packed)), block)


@machine_code
def _real_rows(
    start: Any, col: Any, value: Any, x: Any, z: Any, m: Any, a: Any, b: Any, c: Any, first: Any, last: Any
) -> None:
    for i in range(first, last):
        g = 0
        while g + 4 * GROUP <= m:  # four registers at a time: the entries are read once for 32 columns
            o = i * m + g
            s0 = add_scaled(b, load(x, o, _COLUMNS), scale(c, load(z, o, _COLUMNS)))
            s1 = add_scaled(b, load(x, o + GROUP, _COLUMNS), scale(c, load(z, o + GROUP, _COLUMNS)))
            s2 = add_scaled(b, load(x, o + 2 * GROUP, _COLUMNS), scale(c, load(z, o + 2 * GROUP, _COLUMNS)))
            s3 = add_scaled(b, load(x, o + 3 * GROUP, _COLUMNS), scale(c, load(z, o + 3 * GROUP, _COLUMNS)))
            for e in range(start[i], start[i + 1]):
                v, at = a * value[e], np.int64(col[e]) * m + g
                s0 = add_scaled(v, load(x, at, _COLUMNS), s0)
                s1 = add_scaled(v, load(x, at + GROUP, _COLUMNS), s1)
                s2 = add_scaled(v, load(x, at + 2 * GROUP, _COLUMNS), s2)
                s3 = add_scaled(v, load(x, at + 3 * GROUP, _COLUMNS), s3)
            store(z, o, s0)
            store(z, o + GROUP, s1)
            store(z, o + 2 * GROUP, s2)
            store(z, o + 3 * GROUP, s3)
            g += 4 * GROUP
        while g + 2 * GROUP <= m:
            o = i * m + g
            s0 = add_scaled(b, load(x, o, _COLUMNS), scale(c, load(z, o, _COLUMNS)))
            s1 = add_scaled(b, load(x, o + GROUP, _COLUMNS), scale(c, load(z, o + GROUP, _COLUMNS)))
            for e in range(start[i], start[i + 1]):
                v, at = a * value[e], np.int64(col[e]) * m + g
                s0 = add_scaled(v, load(x, at, _COLUMNS), s0)
                s1 = add_scaled(v, load(x, at + GROUP, _COLUMNS), s1)
            store(z, o, s0)
            store(z, o + GROUP, s1)
            g += 2 * GROUP
        while g < m:
            o = i * m + g
            s0 = add_scaled(b, load(x, o, _COLUMNS), scale(c, load(z, o, _COLUMNS)))
            for e in range(start[i], start[i + 1]):
                s0 = add_scaled(a * value[e], load(x, np.int64(col[e]) * m + g, _COLUMNS), s0)
            store(z, o, s0)
            g += GROUP


@machine_code
def _complex_rows(
    start: Any, col: Any, value: Any, x: Any, z: Any, m: Any, a: Any, b: Any, c: Any, first: Any, last: Any
) -> None:
    for i in range(first, last):
        g = 0
        while g + 2 * GROUP <= m:
            o = 2 * i * m + g
            p = o + m
            r0 = add_scaled(b, load(x, o, _COLUMNS), scale(c, load(z, o, _COLUMNS)))
            r1 = add_scaled(b, load(x, o + GROUP, _COLUMNS), scale(c, load(z, o + GROUP, _COLUMNS)))
            i0 = add_scaled(b, load(x, p, _COLUMNS), scale(c, load(z, p, _COLUMNS)))
            i1 = add_scaled(b, load(x, p + GROUP, _COLUMNS), scale(c, load(z, p + GROUP, _COLUMNS)))
            for e in range(start[i], start[i + 1]):
                re, im, at = a * value[2 * e], a * value[2 * e + 1], 2 * np.int64(col[e]) * m + g
                u0, u1 = load(x, at, _COLUMNS), load(x, at + GROUP, _COLUMNS)
                w0, w1 = load(x, at + m, _COLUMNS), load(x, at + m + GROUP, _COLUMNS)
                r0, r1 = add_scaled(-im, w0, add_scaled(re, u0, r0)), add_scaled(-im, w1, add_scaled(re, u1, r1))
                i0, i1 = add_scaled(im, u0, add_scaled(re, w0, i0)), add_scaled(im, u1, add_scaled(re, w1, i1))
            store(z, o, r0)
            store(z, o + GROUP, r1)
            store(z, p, i0)
            store(z, p + GROUP, i1)
            g += 2 * GROUP
        while g < m:
            o = 2 * i * m + g
            p = o + m
            r0 = add_scaled(b, load(x, o, _COLUMNS), scale(c, load(z, o, _COLUMNS)))
            i0 = add_scaled(b, load(x, p, _COLUMNS), scale(c, load(z, p, _COLUMNS)))
            for e in range(start[i], start[i + 1]):
                re, im, at = a * value[2 * e], a * value[2 * e + 1], 2 * np.int64(col[e]) * m + g
                u0, w0 = load(x, at, _COLUMNS), load(x, at + m, _COLUMNS)
                r0 = add_scaled(-im, w0, add_scaled(re, u0, r0))
                i0 = add_scaled(im, u0, add_scaled(re, w0, i0))
            store(z, o, r0)
            store(z, p, i0)
            g += GROUP
