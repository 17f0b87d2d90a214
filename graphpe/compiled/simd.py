"""Short vectors of numbers, one register or a few, for compiled loops: the channels of a head, the columns of a block.

A loop over such numbers that reads and writes several arrays is not vectorised by the compiler: it cannot know that the
arrays do not overlap. Here the loads, the sums and the stores say so themselves. Products and sums that follow each
other may be fused into one instruction; where that must not be, see `graphpe.compiled.lanes`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, models, register_model

ir = cgutils.ir  # llvmlite's builder of instructions

_FUSED = ("contract",)
_APPROXIMATE = ("reassoc", "contract", "arcp", "afn", "nnan", "ninf")


class Vector(types.Type):
    """Numba's type of a few numbers side by side.

    Attributes:
        number: Numba's type of each.
        length: How many.
        scalar: LLVM's type of each.
        vector: LLVM's type of all.
    """

    def __init__(self, number: types.Float, length: int) -> None:
        self.number = number
        self.length = length
        super().__init__(name=f"{number}x{length}")

    @property
    def scalar(self) -> Any:
        """LLVM's type of one number."""
        return ir.DoubleType() if self.number == types.float64 else ir.FloatType()

    @property
    def vector(self) -> Any:
        """LLVM's type of the vector."""
        return ir.VectorType(self.scalar, self.length)

    def constant(self, value: float) -> Any:
        """The same number in every lane.

        Args:
            value: The number.
        """
        return ir.Constant(self.vector, [value] * self.length)


@register_model(Vector)
class _VectorModel(models.PrimitiveModel):
    def __init__(self, manager: Any, kind: Vector) -> None:
        super().__init__(manager, kind, kind.vector)


def inline(function: Callable[..., Any]) -> Any:
    """A function of compiled code that writes its own instructions; `Any`, for numba's types say nothing about it.

    Args:
        function: From numba's typing context and types to a signature and what emits the instructions.
    """
    return intrinsic(function)


def call(builder: Any, name: str, kind: Vector, *arguments: Any, flags: tuple[str, ...] = ()) -> Any:
    """Emit a call of one of LLVM's functions of vectors.

    Args:
        builder: What emits instructions.
        name: LLVM's name of the function, without `llvm.` and its types.
        kind: The vectors' type.
        *arguments: Its arguments, LLVM's values.
        flags: What the compiler may do to its rounding, in LLVM's words.
    """
    full = f"llvm.{name}.v{kind.length}f{kind.number.bitwidth}"
    signature = ir.FunctionType(kind.vector, [kind.vector] * len(arguments))
    function = cgutils.get_or_insert_function(builder.module, signature, full)
    return builder.call(function, arguments, fastmath=flags)


def broadcast(builder: Any, number: Any, kind: Vector) -> Any:
    """Emit one number in every lane.

    Args:
        builder: What emits instructions.
        number: The number, LLVM's value.
        kind: The type of the result.
    """
    first = builder.insert_element(ir.Constant(kind.vector, ir.Undefined), number, ir.IntType(32)(0))
    return builder.shuffle_vector(
        first, first, ir.Constant(ir.VectorType(ir.IntType(32), kind.length), [0] * kind.length)
    )


def pointer(context: Any, builder: Any, kind: Any, array: Any, index: Any, lanes: Vector) -> Any:
    """Emit where a flat array of type `kind` holds the numbers from an index on.

    Args:
        context: Numba's context of the target.
        builder: What emits instructions.
        kind: Numba's type of the array.
        array: The array, LLVM's value.
        index: Index of the first number.
        lanes: Type of the vector that stands there.
    """
    data = context.make_array(kind)(context, builder, array).data
    return builder.bitcast(builder.gep(data, [index]), lanes.vector.as_pointer())


def _reduce(builder: Any, name: str, lanes: Vector, value: Any) -> Any:
    """Emit one number from those in the lanes."""
    full = f"llvm.vector.reduce.{name}.v{lanes.length}f{lanes.number.bitwidth}"
    kind = ir.FunctionType(lanes.scalar, [lanes.vector])
    return builder.call(cgutils.get_or_insert_function(builder.module, kind, full), [value], fastmath=("nnan",))


@inline
def load(context, array, index, length):  # type: ignore[no-untyped-def]
    """Numbers of a flat array from an index on; as many as the tuple `length` is long."""
    lanes = Vector(array.dtype, len(length))

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = pointer(context, builder, signature.args[0], arguments[0], arguments[1], lanes)
        return builder.load(place, align=lanes.number.bitwidth // 8)

    return lanes(array, types.int64, length), emit


@inline
def store(context, array, index, value):  # type: ignore[no-untyped-def]
    """Write them to a flat array from an index on."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        place = pointer(context, builder, signature.args[0], arguments[0], arguments[1], value)
        builder.store(arguments[2], place, align=value.number.bitwidth // 8)
        return context.get_dummy_value()

    return types.void(array, types.int64, value), emit


@inline
def spread(context, number, length):  # type: ignore[no-untyped-def]
    """One number in every lane."""
    lanes = Vector(number, len(length))

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return broadcast(builder, arguments[0], lanes)

    return lanes(number, length), emit


@inline
def plus(context, a, b):  # type: ignore[no-untyped-def]
    """The sum a + b."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fadd(*arguments, flags=_FUSED)

    return a(a, b), emit


@inline
def minus(context, a, b):  # type: ignore[no-untyped-def]
    """The difference a - b."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fsub(*arguments, flags=_FUSED)

    return a(a, b), emit


@inline
def times(context, a, b):  # type: ignore[no-untyped-def]
    """The product a b, lane by lane."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fmul(*arguments, flags=_FUSED)

    return a(a, b), emit


@inline
def scale(context, factor, a):  # type: ignore[no-untyped-def]
    """A number times a."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.fmul(broadcast(builder, arguments[0], a), arguments[1])

    return a(a.number, a), emit


@inline
def add_scaled(context, factor, a, b):  # type: ignore[no-untyped-def]
    """A number times a, plus b; rounded once where the processor can."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return call(builder, "fmuladd", a, broadcast(builder, arguments[0], a), arguments[1], arguments[2])

    return a(a.number, a, b), emit


@inline
def add_multiple(context, array, index, a, b):  # type: ignore[no-untyped-def]
    """The number of a flat array at an index, not a negative one, times a, plus b; rounded once where it can be."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        factor = broadcast(builder, builder.load(builder.gep(data, [arguments[1]])), a)
        return call(builder, "fmuladd", a, factor, arguments[2], arguments[3])

    return a(array, types.int64, a, b), emit


@inline
def total(context, a):  # type: ignore[no-untyped-def]
    """The sum over lanes, a number."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        name = f"llvm.vector.reduce.fadd.v{a.length}f{a.number.bitwidth}"
        function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(a.scalar, [a.scalar, a.vector]), name)
        return builder.call(function, [ir.Constant(a.scalar, -0.0), arguments[0]], fastmath=("reassoc",))

    return a.number(a), emit


@inline
def smaller(context, a, b):  # type: ignore[no-untyped-def]
    """The smaller of a and b, lane by lane; b where one is not a number."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.select(builder.fcmp_ordered("<", *arguments), *arguments)

    return a(a, b), emit


@inline
def larger(context, a, b):  # type: ignore[no-untyped-def]
    """The larger of a and b, lane by lane; b where one is not a number."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        return builder.select(builder.fcmp_ordered(">", *arguments), *arguments)

    return a(a, b), emit


@inline
def least(context, a):  # type: ignore[no-untyped-def]
    """The smallest over lanes, all of which are numbers."""
    return a.number(a), lambda context, builder, signature, arguments: _reduce(builder, "fmin", a, arguments[0])


@inline
def greatest(context, a):  # type: ignore[no-untyped-def]
    """The largest over lanes, all of which are numbers."""
    return a.number(a), lambda context, builder, signature, arguments: _reduce(builder, "fmax", a, arguments[0])


@inline
def positive(context, a):  # type: ignore[no-untyped-def]
    """The larger of a and 0; what is not a number stays."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        below = builder.fcmp_ordered("<=", arguments[0], a.constant(0.0))
        return builder.select(below, a.constant(0.0), arguments[0])

    return a(a), emit


@inline
def where_positive(context, a, value):  # type: ignore[no-untyped-def]
    """0 where a <= 0, else `value`."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        below = builder.fcmp_ordered("<=", arguments[0], a.constant(0.0))
        return builder.select(below, a.constant(0.0), arguments[1])

    return a(a, value), emit


@inline
def signed_root(context, a):  # type: ignore[no-untyped-def]
    """The root of |a| with the sign of a."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        root = call(builder, "sqrt", a, call(builder, "fabs", a, arguments[0]))
        return call(builder, "copysign", a, root, arguments[0])

    return a(a), emit


@inline
def signed_root_slope(context, a, smallest):  # type: ignore[no-untyped-def]
    """The derivative of `signed_root` with |a| at least `smallest`; 0 where a is 0."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        size = call(builder, "fabs", a, arguments[0])
        least = broadcast(builder, arguments[1], a)
        size = builder.select(builder.fcmp_ordered(">", size, least), size, least)
        root = call(builder, "sqrt", a, size, flags=_APPROXIMATE)
        slope = builder.fdiv(a.constant(0.5), root, flags=_APPROXIMATE)
        return builder.select(builder.fcmp_unordered("!=", arguments[0], a.constant(0.0)), slope, a.constant(0.0))

    return a(a, a.number), emit


@inline
def exponential(context, a, bound):  # type: ignore[no-untyped-def]
    """The exponential of a clamped to [-bound, bound] (bound < 80).

    2^n times a Taylor polynomial of the rest, which is at most log(2) / 2: to a few units in the last place.
    """
    bits = a.number.bitwidth
    degree, mantissa, bias = (7, 23, 127) if bits == 32 else (13, 52, 1023)

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        least, most = (broadcast(builder, b, a) for b in (builder.fneg(arguments[1]), arguments[1]))
        x = builder.select(builder.fcmp_ordered("<", arguments[0], least), least, arguments[0])
        x = builder.select(builder.fcmp_ordered(">", x, most), most, x)
        scaled = builder.fmul(x, a.constant(1 / math.log(2)))
        n = call(builder, "rint", a, scaled)
        # log(2) in two parts, the first with so few bits that n times it is exact.
        high = math.ldexp(math.floor(math.ldexp(math.log(2), 15)), -15)
        for part in (high, math.log(2) - high):
            x = builder.fsub(x, builder.fmul(n, a.constant(part), flags=_FUSED), flags=_FUSED)
        result = a.constant(1 / math.factorial(degree))
        for power in reversed(range(degree)):
            term = a.constant(1 / math.factorial(power))
            result = builder.fadd(builder.fmul(result, x, flags=_FUSED), term, flags=_FUSED)
        whole = ir.VectorType(ir.IntType(bits), a.length)
        exponent = builder.add(builder.fptosi(n, whole), ir.Constant(whole, [bias] * a.length))
        power_of_two = builder.bitcast(builder.shl(exponent, ir.Constant(whole, [mantissa] * a.length)), a.vector)
        return builder.fmul(result, power_of_two)

    return a(a, a.number), emit


@inline
def keep_some(context, a, number, stride, dropped):  # type: ignore[no-untyped-def]
    """a, or 0 in the lanes whose hash is below `dropped`: a share of `dropped` / 2^32, for numbers that are not alike.

    Hashed are 32 bits of `number` + lane `stride`, by two rounds of shifts and products.
    """
    half = ir.VectorType(ir.IntType(32), a.length)

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        def everywhere(value: Any) -> Any:
            one = ir.Constant(half, ir.Undefined)
            one = builder.insert_element(one, builder.trunc(value, ir.IntType(32)), ir.IntType(32)(0))
            return builder.shuffle_vector(one, ir.Constant(half, ir.Undefined), ir.Constant(half, [0] * a.length))

        lane = ir.Constant(half, list(range(a.length)))
        x = builder.add(everywhere(arguments[1]), builder.mul(lane, everywhere(arguments[2])))
        for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
            x = builder.xor(x, builder.lshr(x, ir.Constant(half, [shift] * a.length)))
            x = builder.mul(x, ir.Constant(half, [factor] * a.length))
        x = builder.xor(x, builder.lshr(x, ir.Constant(half, [16] * a.length)))
        below = builder.icmp_unsigned("<", x, everywhere(arguments[3]))
        return builder.select(below, a.constant(0.0), arguments[0])

    return a(a, types.int64, types.int64, types.int64), emit


@inline
def prefetch(context, array, index):  # type: ignore[no-untyped-def]
    """Ask for the number of a flat array at an index, which need not be in it, to be in the second-level cache soon."""

    def emit(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
        byte, integer = ir.IntType(8).as_pointer(), ir.IntType(32)
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        place = builder.bitcast(builder.gep(data, [arguments[1]]), byte)
        kind = ir.FunctionType(ir.VoidType(), [byte, integer, integer, integer])
        function = cgutils.get_or_insert_function(builder.module, kind, "llvm.prefetch.p0i8")
        builder.call(function, [place, integer(0), integer(2), integer(1)])
        return context.get_dummy_value()

    return types.void(array, types.int64), emit
