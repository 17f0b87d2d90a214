"""Values that others published, beside ours: shown and marked, in no test and in no rank."""

from __future__ import annotations

import csv
import io
import math
import re
from dataclasses import dataclass
from pathlib import Path

from graphpe.arguments import check_integer, check_not_negative, check_number
from graphpe.benchmarks.calls.build import build_task
from graphpe.benchmarks.calls.recipes import Recipe, read_recipe, recipe_names
from graphpe.benchmarks.grid.results import Run
from graphpe.benchmarks.tasks.user.files.separators import separator_of
from graphpe.calls import parse_call
from graphpe.errors import GraphPEError, GraphPEValueError
from graphpe.files.reading import read_text

_NEEDED = ("model", "encoding", "metric", "mean", "std", "n", "source")
_FRACTIONS = {"accuracy", "weightedaccuracy", "ap", "rocauc", "f1"}
_PUBLISHED = re.compile(
    r"(?:test )?(?P<metric>[A-Za-z][\w -]*?) (?P<mean>\d+(?:\.\d+)?)(?: \+- (?P<std>\d+(?:\.\d+)?))?"
    r"(?:, (?P<n>\d+) seeds)?(?P<unchecked>, not compared with the paper)?"
)


@dataclass(frozen=True)
class Published:
    """A value from the literature.

    Attributes:
        model: Its model, in any words; likewise `encoding` and `source`.
        encoding: Its encoding.
        metric: Of the test part, named as the task names it.
        mean: Over runs.
        deviation: Standard deviation over runs; nan where it is not known.
        runs: How many; 0 where it is not known.
        source: Where it stands.
        task: The task's name; empty for any that has the metric.
        epochs: Of a run; 0 where they are not known.
        parameters: Of the model; 0 where they are not known.
    """

    model: str
    encoding: str
    metric: str
    mean: float
    deviation: float
    runs: int
    source: str
    task: str = ""
    epochs: int = 0
    parameters: int = 0


def read_literature(path: Path) -> list[Published]:
    """Read a CSV with the columns model, encoding, metric, mean, std, n, source, and task where there are several.

    `std` and `n` may be empty. Other columns are not read; semicolons or tabs may stand for commas.

    Raises:
        GraphPEError: The file cannot be read, a column is missing, or a row has no number where one must be.
    """
    text = read_text(path)
    reader = csv.DictReader(io.StringIO(text), delimiter=separator_of(text, path))
    columns = [name.strip() for name in reader.fieldnames or ()]
    missing = [name for name in _NEEDED if name not in columns]
    if missing:
        raise GraphPEValueError(
            f"{path} has no column {missing[0]!r}: it needs {', '.join(_NEEDED)}, and may have task"
        )
    rows = []
    for values in reader:
        try:
            row = {key.strip(): (value or "").strip() for key, value in values.items() if key is not None}
            rows.append(_row(row))
        except GraphPEError as error:
            raise GraphPEValueError(f"{path}, line {reader.line_num}: {error}") from None
    if not rows:
        raise GraphPEValueError(f"{path} has no row below its header")
    return rows


def published_values() -> list[Published]:
    """The values that the recipes of this package name, as far as they were compared with their papers."""
    found = (of_recipe(read_recipe(name)) for name in recipe_names())
    return [row for row in found if row is not None and not row.source.endswith(UNCHECKED)]


UNCHECKED = "not compared with the paper"
"""How the source of a value ends that nobody has looked up in its paper."""


def of_recipe(recipe: Recipe) -> Published | None:
    """The value that a recipe names; None where that is of several tasks or splits."""
    match = _PUBLISHED.fullmatch(recipe.published)
    if match is None:
        return None
    mean, deviation = float(match["mean"]), float(match["std"] or math.nan)
    if _plain(match["metric"]) in _FRACTIONS and mean > 1:  # in per cent
        mean, deviation = mean / 100, deviation / 100
    return Published(
        model=str(recipe.options["model"]).split("(")[0],
        encoding=" + ".join(recipe.options.get("encodings") or ["none"]),
        metric=match["metric"],
        mean=mean,
        deviation=deviation,
        runs=int(match["n"] or 0),
        source=f"{recipe.paper} ({recipe.name}){f'; {UNCHECKED}' if match['unchecked'] else ''}",
        task=build_task(recipe.options["task"]).name,
        epochs=recipe.options.get("epochs", 0),
        parameters=recipe.published_parameters or recipe.parameters,
    )


def fits(row: Published, run: Run) -> bool:
    """Whether a row is of a run's task and metric."""
    same_task = not row.task or _plain(row.task) == _plain(parse_call(run.task).name)
    return same_task and _plain(row.metric) == _plain(run.metric)


def _row(values: dict[str, str]) -> Published:
    empty = next((name for name in ("model", "metric", "mean", "source") if not values[name]), None)
    if empty is not None:
        raise GraphPEValueError(f"{empty} is empty")
    mean = _number("mean", values["mean"])
    if _plain(values["metric"]) in _FRACTIONS and not 0 <= mean <= 1:
        raise GraphPEValueError(f"mean is {mean:g}; write {values['metric']} from 0 to 1, as the tables have it")
    deviation = math.nan
    if values["std"]:
        (deviation,) = check_not_negative(std=_number("std", values["std"]))
    runs = check_integer("n", _number("n", values["n"]), least=1) if values["n"] else 0
    names = values["model"], values["encoding"] or "none", values["metric"]
    return Published(*names, mean, deviation, runs, values["source"], values.get("task", ""))


def _number(name: str, text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise GraphPEValueError(f"{name} is {text!r}, not a number") from None
    return int(number) if name == "n" and number.is_integer() else check_number(name, number)


def _plain(text: str) -> str:
    return re.sub(r"[\W_]", "", text).lower()
