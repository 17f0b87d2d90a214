"""The options of a grid."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from graphpe.arguments import check_choice, check_integer, check_seed
from graphpe.benchmarks.calls.text import encoding_calls
from graphpe.benchmarks.grid.options import Named
from graphpe.benchmarks.grid.ranges import MOST_SETTINGS
from graphpe.errors import GraphPEValueError

Engine = Literal["local", "ray"]
Format = Literal["csv", "latex", "md", "pdf", "png", "svg"]
"""What a report can be written as; `md`, `png` and the runs as `csv` always are."""


@dataclass(frozen=True, kw_only=True)
class GridConfig:
    """Which cells a grid has, and how they are run.

    Args:
        tasks: Tasks, as calls: "zinc", "molesol(root='dataset')".
        encodings: Columns. Each is an encoding as a call, several joined by " + ", "none", or "published" for what the
            model is published with (else what suits the task); " with SPE(hidden=16)" names what brings eigenvectors to
            the model, " as PairBias(head='fire')" what makes a bias of an encoding of pairs. Behind " @ " stand options
            of its own, as below, also arguments of its encodings: "RandomWalkPE(16) @ walk_length=[8, 16]".
        models: Models, as calls; behind " @ " options of its own: options of training, or arguments of the model,
            "GPS(layers=3) @ learning_rate=1e-3, dropout=[0, 0.2]".
        vary: Options that go through several values in all columns, unless a model or column has its own:
            "learning_rate=[1e-3, 3e-3]". Every combination of lists is a cell: [...], range(2, 8, 2), linspace(0, 0.4,
            3), geomspace(1e-4, 1e-2, 3). From ranges `tune` draws: uniform(0, 0.5), loguniform(1e-4, 1e-2), integers(2,
            6), choice(...).
        tune: Random search: so many settings are drawn, the same for every column and model; 0 for all combinations of
            lists. The report shows the best of each by validation, and apart from it the settings as given (untuned).
        tune_seed: Seed of the drawing.
        seeds: Number of seeds, 0 to `seeds` - 1.
        params: Budget of parameters, as "500k", "1.5M" or a number: every model gets the largest width that stays
            within it, instead of the width its call names. Empty for no budget.
        jobs: Cells that run at once.
        gpus: GPUs that cells share; with 0 cells see none. A cell has one, or a part if there are more jobs than GPUs.
        engine: `local`, or `ray` for the nodes of a Ray cluster (which must see the same folder).
    """

    tasks: tuple[str, ...]
    encodings: tuple[str, ...]
    models: tuple[str, ...]
    vary: tuple[str, ...] = ()
    tune: int = 0
    tune_seed: int = 0
    seeds: int = 3
    params: str | int = ""
    jobs: int = 1
    gpus: int = 0
    engine: Engine = "local"

    def __post_init__(self) -> None:
        for name in ("tasks", "encodings", "models", "vary"):
            values = tuple(getattr(self, name))
            object.__setattr__(self, name, values)
            if not values and name != "vary":
                raise GraphPEValueError(f"{name} is empty: name at least one")
            twice = sorted({value for value in values if values.count(value) > 1})
            if twice:
                raise GraphPEValueError(f"{name} names {twice[0]!r} twice")
        for name, least in (("seeds", 1), ("jobs", 1), ("gpus", 0), ("tune", 0)):
            object.__setattr__(self, name, check_integer(name, getattr(self, name), least=least))
        if self.tune > MOST_SETTINGS:
            raise GraphPEValueError(f"tune is {self.tune:,}; it must be at most {MOST_SETTINGS:,}")
        object.__setattr__(self, "tune_seed", check_seed(self.tune_seed))
        check_choice("engine", self.engine, get_args(Engine))
        parse_budget(self.params)


def parse_budget(text: str | int) -> int | None:
    """A number of parameters: "500k", "1.5M", 250000; None for an empty text.

    Raises:
        GraphPEValueError: It is something else.
    """
    if text == "":
        return None
    match = re.fullmatch(r"\s*([0-9_]+(?:\.[0-9]+)?)\s*([kKmM]?)\s*", str(text))
    number = float(match[1].replace("_", "")) * {"": 1, "k": 1e3, "m": 1e6}[match[2].lower()] if match else 0
    if not math.isfinite(number) or number < 1:
        raise GraphPEValueError(f'params is {text!r}; write a number of parameters such as "500k" or "1.5M"')
    return int(number)


@dataclass(frozen=True)
class Column:
    """What a column of a grid stands for.

    Attributes:
        encodings: Encodings as calls; None for those that the model is published with.
        encoder: What brings encodings of nodes to the model, or None for the default.
        bias: What makes a bias of an encoding of pairs, or None for the default.
        options: Its options, by name: a value, or the values that it goes through.
    """

    encodings: tuple[str, ...] | None
    encoder: str | None = None
    bias: str | None = None
    options: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def parse(cls, text: str) -> Column:
        """Read `encoding [+ encoding] [with encoder] [as bias] [@ option=value, ...]`.

        Raises:
            GraphPEValueError: If an encoding, encoder or bias is missing around a joining word.
        """
        named = Named.parse(text)
        call = named.call
        rest, _, bias = call.partition(" as ")
        rest, _, encoder = rest.partition(" with ")
        if (
            not all(part.strip() for part in rest.split(" + "))
            or (" as " in f"{call} " and not bias.strip())
            or (" with " in f"{call} " and not encoder.strip())
        ):
            raise GraphPEValueError(f'cannot read the column {text!r}: write "LaplacianPE(k=8) + DegreePE() with SPE"')
        return cls(encoding_calls([rest]), encoder.strip() or None, bias.strip() or None, named.options)
