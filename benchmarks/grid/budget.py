"""The width at which a model meets a budget of parameters."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from math import lcm
from typing import Any

from graphpe.benchmarks.calls.build import model_classes
from graphpe.benchmarks.calls.catalogue import SUPPLIED
from graphpe.benchmarks.calls.text import bind, find_class
from graphpe.calls import Call, parameters_of, parse_call
from graphpe.errors import GraphPEValueError

_LARGEST = 4096


def narrowest(text: str) -> str:
    """The call of a model with the smallest width that `widest` tries, whatever width the call names.

    Raises:
        GraphPEValueError: For an unknown model, or an argument that it does not take.
    """
    call = parse_call(text)
    constructor = find_class(call.name, model_classes(), "model")
    arguments = bind(call, constructor, without=SUPPLIED)
    heads = parameters_of(constructor).get("heads")
    width = _unit(arguments.get("heads", 1 if heads is None else heads.default))
    return str(Call(call.name, (), arguments | {"width": width}))


def widest(text: str, build: Callable[[str], Any], budget: int) -> str:
    """The call of a model with the largest width that stays within a budget of parameters.

    Widths are multiples of eight, for whole vector registers, and of twice the number of heads, for heads of an even
    width, which rotary attention needs. Finer steps come closer to the budget.

    Args:
        text: The model as a call, with its heads where it has any.
        build: Builds the model of a call, with the adapter of its task and its encodings.
        budget: Most parameters that it may have.

    Raises:
        GraphPEValueError: If even the narrowest model has more.
    """
    call = parse_call(text)
    unit = _unit(call.kwargs.get("heads", 1))

    def of_width(number: int) -> str:
        return str(replace(call, kwargs=call.kwargs | {"width": number * unit}))

    def parameters(number: int) -> int:
        return sum(weight.numel() for weight in build(of_width(number)).parameters())

    least = parameters(1)
    if least > budget:
        raise GraphPEValueError(
            f"{call.name} has {least:,} parameters at its smallest width {unit}: the budget of {budget:,} is too small"
        )
    low, high = 1, 2  # low fits
    while high * unit <= _LARGEST and parameters(high) <= budget:
        low, high = high, 2 * high
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if parameters(middle) <= budget else (low, middle)
    return of_width(low)


def _unit(heads: Any) -> int:
    return lcm(8, 2 * heads) if isinstance(heads, int) and heads > 0 else 8
