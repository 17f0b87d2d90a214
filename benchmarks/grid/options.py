"""Options of a model or a column of its own, behind an `@`: `GPS(layers=3) @ learning_rate=1e-3, dropout=[0, 0.1]`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from graphpe.benchmarks.grid.ranges import Listed, Uniform, read_values, split_outside
from graphpe.benchmarks.training.config import TrainConfig
from graphpe.errors import GraphPEValueError

OF_THE_GRID = ("task", "root", "model", "encodings", "seed", "devices", "nodes", "accelerator", "imports", "sizes")
"""Options of a run that a grid names elsewhere, or all its cells share."""


@dataclass(frozen=True)
class Named:
    """A model or a column, and the options that it has of its own.

    Attributes:
        call: What stands before the `@`.
        options: By name: a value, or the values that it goes through.
    """

    call: str
    options: dict[str, Any]

    @classmethod
    def parse(cls, text: str) -> Named:
        """Read `call` or `call @ option=value, option=value`.

        Raises:
            GraphPEValueError: The options cannot be read.
        """
        call, *rest = split_outside(text, "@")
        if len(rest) > 1:
            raise GraphPEValueError(f"{text!r} has more than one @: join options by commas")
        options = read_options(rest[0], text) if rest else {}
        if rest and not options:
            raise GraphPEValueError(f'{text!r} has no option behind its @: write "... @ learning_rate=1e-3"')
        return cls(call.rstrip(), options)


def read_options(text: str, where: str) -> dict[str, Any]:
    """Read `option=value, option=value`.

    Args:
        text: The options.
        where: What they stand in, for errors.

    Raises:
        GraphPEValueError: They cannot be read, or one is there twice.
    """
    found: dict[str, Any] = {}
    for part in split_outside(text, ","):
        if not part.strip():
            continue
        match = re.fullmatch(r"\s*([A-Za-z]\w*(?:-\w+)*)\s*=\s*(.*\S)\s*", part, re.DOTALL)
        if match is None:
            raise GraphPEValueError(
                f'cannot read {part.strip()!r} in {where!r}: write "learning_rate=1e-3, weight_decay=[0, 0.1]"'
            )
        name = match[1].replace("-", "_")
        if name in found:
            raise GraphPEValueError(f"{where!r} names {name} twice")
        found[name] = read_values(match[2])
    return found


def training_options() -> list[str]:
    """The options of a run that cells may have of their own."""
    return [field.name for field in fields(TrainConfig) if field.name not in OF_THE_GRID]


def varies(values: Any) -> bool:
    """Whether an option goes through several values."""
    return isinstance(values, Listed | Uniform)


def options_text(options: Mapping[str, Any]) -> str:
    """Options as tables show them."""
    return ", ".join(f"{name}={shown(value)}" for name, value in options.items())


def setting_of(options: Mapping[str, Any]) -> str:
    """Options in the form that tells settings apart: those of a grid's folder and of its `runs.csv` have the same.

    Their order has no part in it, and values are as tables show them.

    Args:
        options: By name.
    """
    return options_text({name: options[name] for name in sorted(options) if shown(options[name]) != ""})


def shown(value: Any) -> str:
    """A value as tables show it."""
    return f"{value:g}" if isinstance(value, float) else str(value)
