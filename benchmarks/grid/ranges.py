"""Values that an option of a grid goes through: lists, all of whose combinations are cells, and ranges to draw from."""

from __future__ import annotations

import ast
import math
import re
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import numpy as np

from graphpe.arguments import check_integer, check_number
from graphpe.calls import UNREADABLE, Call, parse_call
from graphpe.errors import GraphPEError, GraphPEValueError

MOST_SETTINGS = 10_000
"""Settings of one model and column; more are a mistake, or a search."""

_DIGITS = 4  # of drawn numbers: as many as tables show


@dataclass(frozen=True)
class Listed:
    """Values one after the other."""

    values: tuple[Any, ...]

    def at(self, place: float) -> Any:
        """The value at a place from 0 to 1."""
        return self.values[min(int(place * len(self.values)), len(self.values) - 1)]


@dataclass(frozen=True)
class Uniform:
    """Numbers between two bounds, `log` for those whose logarithm is uniform, `whole` for integers, both included."""

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def at(self, place: float) -> float | int:
        """The value at a place from 0 to 1."""
        if self.whole:
            return min(int(self.low) + int(place * (self.high - self.low + 1)), int(self.high))
        if self.log:
            value = math.exp(math.log(self.low) + place * (math.log(self.high) - math.log(self.low)))
        else:
            value = self.low + place * (self.high - self.low)
        return min(max(float(f"{value:.{_DIGITS}g}"), self.low), self.high)


Values = Listed | Uniform


def read_values(text: str) -> Any:
    """What stands behind `option=`: one value, `Listed` or `Uniform` ones.

    `[1e-3, 3e-3]` and `choice(1e-3, 3e-3)` list values, as do `range(2, 8, 2)` (which ends before 8), `linspace(0, 0.4,
    3)` and `geomspace(1e-4, 1e-2, 3)`; `uniform(0, 0.5)`, `loguniform(1e-4, 1e-2)` and `integers(2, 6)` are ranges to
    draw from. Words need no quotes.

    Raises:
        GraphPEValueError: A list is empty or names a value twice, or bounds are none.
    """
    text = text.strip()
    if text.startswith("[") and text.endswith("]"):
        return _listed(text, [_value(part) for part in split_outside(text[1:-1], ",") if part.strip()])
    name = re.match(r"\w+(?=\(.*\)$)", text, re.DOTALL)
    maker = _MAKERS.get(name.group()) if name else None
    if maker is None:
        return _value(text)
    call = parse_call(text)
    try:
        if call.kwargs:
            raise GraphPEValueError("its arguments have no names")
        return maker(text, call)
    except GraphPEError as error:
        raise GraphPEValueError(f"cannot read {text!r}: {error}") from None


def settings(varied: Mapping[str, Values], *, draws: int, seed: int) -> list[dict[str, Any]]:
    """The combinations of values that options take.

    Args:
        varied: What each option goes through.
        draws: 0 for every combination of lists; else so many different ones, drawn at random. An option's draws depend
            on its name, the seed and their number only: all columns and models that vary it have the same. Where there
            are not so many combinations, all of them.
        seed: Of the drawing.

    Raises:
        GraphPEValueError: There are too many combinations, or a range and no number of draws.
    """
    ranges = [name for name, values in varied.items() if isinstance(values, Uniform)]
    if not draws and ranges:
        raise GraphPEValueError(
            f"{ranges[0]} is a range: say with --tune how many values to draw from it, or list values, "
            f"{ranges[0]}=[...]"
        )
    count = math.prod(_size(values) for values in varied.values())
    if (not draws or count <= draws) and not ranges:
        if count > MOST_SETTINGS:
            raise GraphPEValueError(f"the lists have {count:,} combinations: draw some of them with --tune")
        lists = [values.values for values in varied.values() if isinstance(values, Listed)]
        return [dict(zip(varied, combination, strict=True)) for combination in product(*lists)]
    found: dict[str, dict[str, Any]] = {}
    streams = {name: np.random.default_rng([seed, zlib.crc32(name.encode())]) for name in varied}
    # Two draws may round to the same values; ranges of few such values are drawn from as long as may find new ones.
    for _ in range(100 * draws):
        drawn = {name: values.at(streams[name].random()) for name, values in varied.items()}
        found.setdefault(repr(drawn), drawn)
        if len(found) == min(draws, count):
            break
    return list(found.values())


def split_outside(text: str, mark: str) -> list[str]:
    """The parts of a text between marks that stand outside of brackets and quotes."""
    parts, depth, quote, start = [], 0, "", 0
    for place, character in enumerate(text):
        if quote:
            quote = "" if character == quote else quote
        elif character in "'\"":
            quote = character
        elif character in "([{":
            depth += 1
        elif character in ")]}":
            depth -= 1
        elif character == mark and depth == 0:
            parts.append(text[start:place])
            start = place + 1
    return [*parts, text[start:]]


def _value(text: str) -> Any:
    """A literal, or a word as it stands."""
    try:
        return ast.literal_eval(text.strip())
    except UNREADABLE:
        return text.strip()


def _size(values: Values) -> float:
    if isinstance(values, Listed):
        return len(values.values)
    return values.high - values.low + 1 if values.whole else math.inf if values.low < values.high else 1


def _listed(text: str, values: Sequence[Any]) -> Listed:
    if not values:
        raise GraphPEValueError(f"{text} holds no value: name at least one")
    texts = [repr(value) for value in values]
    twice = next((each for each in texts if texts.count(each) > 1), None)
    if twice is not None:
        raise GraphPEValueError(f"{text} names {twice} twice")
    return Listed(tuple(values))


def _two(call: Call) -> tuple[float, float]:
    if len(call.args) != 2:
        raise GraphPEValueError("write its two bounds")
    low, high = (check_number("a bound", value) for value in call.args)
    if low > high:
        raise GraphPEValueError(f"its bounds are {low:g} and {high:g}: the smaller one comes first")
    return low, high


def _uniform(text: str, call: Call) -> Uniform:
    return Uniform(*_two(call))


def _log_uniform(text: str, call: Call) -> Uniform:
    low, high = _two(call)
    if low <= 0:
        raise GraphPEValueError(f"its bounds must be positive, got {low:g}")
    return Uniform(low, high, log=True)


def _integers(text: str, call: Call) -> Uniform:
    low, high = _two(call)
    if low != int(low) or high != int(high):
        raise GraphPEValueError("its bounds must be whole numbers")
    return Uniform(int(low), int(high), whole=True)


def _choice(text: str, call: Call) -> Listed:
    return _listed(text, call.args)


def _range(text: str, call: Call) -> Listed:
    if not 1 <= len(call.args) <= 3:
        raise GraphPEValueError("write range(2, 8, 2)")
    numbers = [check_integer("a number", value) for value in call.args]
    if len(numbers) == 3 and numbers[2] == 0:
        raise GraphPEValueError("its step is 0")
    values = range(*numbers)
    _check_count(len(values))
    return _listed(text, list(values))


def _spaced(space: Callable[..., np.ndarray]) -> Callable[[str, Call], Listed]:
    def make(text: str, call: Call) -> Listed:
        if len(call.args) != 3:
            raise GraphPEValueError("write its two ends and how many values")
        low, high = (check_number("an end", value) for value in call.args[:2])
        count = check_integer("the number of values", call.args[2], least=1)
        if space is np.geomspace and min(low, high) <= 0:
            raise GraphPEValueError(f"its ends must be positive, got {min(low, high):g}")
        _check_count(count)
        return _listed(text, [float(f"{value:.{_DIGITS}g}") for value in space(low, high, count)])

    return make


def _check_count(count: int) -> None:
    if count > MOST_SETTINGS:
        raise GraphPEValueError(f"it has {count:,} values; at most {MOST_SETTINGS:,} are listed")


_MAKERS: dict[str, Callable[[str, Call], Values]] = {
    "uniform": _uniform,
    "loguniform": _log_uniform,
    "integers": _integers,
    "choice": _choice,
    "range": _range,
    "linspace": _spaced(np.linspace),
    "geomspace": _spaced(np.geomspace),
}
