"""Eight float64 numbers in one vector register, for compiled loops that treat eight matrices at once.

An array of *lanes* is flat: element e of the eight matrices stands at `8 e` to `8 e + 7`. `load` and `store` take e.
Arithmetic is lane by lane and exactly that of one number (IEEE, every operation rounded once): what a lane holds never
depends on what the others hold. LLVM maps the vectors onto whatever registers the processor has: one of AVX-512, two of
AVX2, four of SSE or NEON.

Comparisons give a mask of eight truth values, for `select` and `any_lane`.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import types
from numba.extending import lower_builtin, models, register_model, type_callable

from graphpe.compiled.jit import machine_code
from graphpe.compiled.simd import Vector, broadcast, call, inline, ir, pointer

LANES = 8
_WIDTH = ir.Constant(ir.IntType(64), LANES)


class _MaskType(types.Type):
    """Numba's type of eight truth values."""

    def __init__(self) -> None:
        super().__init__(name=f"boolx{LANES}")


_numbers, _mask = Vector(types.float64, LANES), _MaskType()
_BITS = ir.VectorType(ir.IntType(1), LANES)


@register_model(_MaskType)
class _MaskModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: types.Type) -> None:
        super().__init__(manager, kind, _BITS)


def _operator(function: Callable[..., Any], result: types.Type, emit: Callable[..., Any]) -> None:
    """Teach numba `function(lanes, lanes)`."""

    @type_callable(function)
    def typed(context: Any) -> Callable[..., Any]:
        return lambda a, b: result if a == _numbers and b == _numbers else None

    @lower_builtin(function, _numbers, _numbers)
    def lowered(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return emit(builder, *arguments)


_operator(operator.add, _numbers, lambda builder, a, b: builder.fadd(a, b))
_operator(operator.sub, _numbers, lambda builder, a, b: builder.fsub(a, b))
_operator(operator.mul, _numbers, lambda builder, a, b: builder.fmul(a, b))
_operator(operator.truediv, _numbers, lambda builder, a, b: builder.fdiv(a, b))
_operator(operator.lt, _mask, lambda builder, a, b: builder.fcmp_ordered("<", a, b))
_operator(operator.le, _mask, lambda builder, a, b: builder.fcmp_ordered("<=", a, b))
_operator(operator.eq, _mask, lambda builder, a, b: builder.fcmp_ordered("==", a, b))


def _place(context: Any, builder: Any, array_type: Any, array: Any, element: Any) -> Any:
    return pointer(context, builder, array_type, array, builder.mul(element, _WIDTH), _numbers)


@inline
def load(context, array, element):  # type: ignore[no-untyped-def]
    """The eight numbers of an element of a flat array that starts at a multiple of 64 bytes."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.load(_place(context, builder, signature.args[0], *arguments), align=64)

    return _numbers(array, types.int64), emit


@inline
def store(context, array, element, value):  # type: ignore[no-untyped-def]
    """Write the eight numbers of an element."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        builder.store(arguments[2], _place(context, builder, signature.args[0], *arguments[:2]), align=64)
        return context.get_dummy_value()

    return types.void(array, types.int64, _numbers), emit


@inline
def full(context, value):  # type: ignore[no-untyped-def]
    """The same number in all lanes."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return broadcast(builder, arguments[0], _numbers)

    return _numbers(types.float64), emit


@inline
def spread(context, array, index):  # type: ignore[no-untyped-def]
    """One number of a flat array in all lanes; `full(array[index])` for indices that are known not to be negative."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        return broadcast(builder, builder.load(builder.gep(data, [arguments[1]])), _numbers)

    return _numbers(array, types.int64), emit


@inline
def multiply_add(context, a, b, c):  # type: ignore[no-untyped-def]
    """The sum a b + c, rounded once where the processor can."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return call(builder, "fmuladd", _numbers, *arguments)

    return _numbers(_numbers, _numbers, _numbers), emit


def _unary(name: str) -> Callable[..., Any]:
    def typed(context, a):  # type: ignore[no-untyped-def]
        def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            return call(builder, name, _numbers, *arguments)

        return _numbers(_numbers), emit

    return typed


square_root = inline(_unary("sqrt"))
absolute = inline(_unary("fabs"))


@inline
def select(context, mask, a, b):  # type: ignore[no-untyped-def]
    """`a` where the mask is true, `b` elsewhere."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.select(*arguments)

    return _numbers(_mask, _numbers, _numbers), emit


@inline
def both(context, a, b):  # type: ignore[no-untyped-def]
    """Lane by lane: a and b."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.and_(*arguments)

    return _mask(_mask, _mask), emit


@inline
def any_lane(context, mask):  # type: ignore[no-untyped-def]
    """Whether the mask is true in some lane."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        bits = builder.bitcast(arguments[0], ir.IntType(LANES))
        return builder.icmp_unsigned("!=", bits, ir.Constant(ir.IntType(LANES), 0))

    return types.boolean(_mask), emit


@machine_code
def empty_lanes(elements: int) -> Any:
    """A flat array of `elements` times eight numbers that starts at a multiple of 64 bytes, not initialised.

    Args:
        elements: Number of elements, of eight numbers each.
    """
    room = np.empty(LANES * (elements + 1), np.float64)
    skip = (-(room.ctypes.data >> 3)) % LANES
    return room[skip : skip + LANES * elements]
