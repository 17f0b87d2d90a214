"""Published figures of a task, an architecture and an encoding, and which of ours are of the same three."""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any

from graphpe.benchmarks.calls.build import build_task, default_encodings, encoding_classes, model_classes
from graphpe.benchmarks.calls.recipes import read_recipe, recipe_names
from graphpe.benchmarks.calls.text import find_class
from graphpe.benchmarks.grid.config import Column
from graphpe.benchmarks.grid.options import Named
from graphpe.benchmarks.grid.reports.published.literature import Published, of_recipe, read_literature
from graphpe.benchmarks.grid.results import Combination
from graphpe.calls import parameters_of, parse_call
from graphpe.errors import GraphPEError

_HERE = Path(__file__).parent
_ANY = ("root", "download", "atom_types")
"""Arguments of a task that leave the graphs, their split and the metric as they are."""
_SWITCHES = ("conv", "attention", "feed_forward", "virtual_node")
"""Arguments of a model that make another architecture of it; all others are sizes and settings."""
_READERS = (
    *("EigenvectorEncoding", "EigenvectorDeepSet", "EigenvectorTransformer", "EigenvectorMLP"),
    *("LinearEncoding", "MLPEncoding"),
)
"""Encoders that bring numbers to a model; any other one makes an encoding of its own: SignNet, SPE."""

Key = tuple[Any, ...]


@dataclass(frozen=True)
class Figure:
    """A published value and what it is of, in the words of grids.

    Attributes:
        row: The value, in its source's words.
        task: The task, as a call; likewise `model`.
        model: The model.
        column: The column.
    """

    row: Published
    task: str
    model: str
    column: str


@cache
def published_figures() -> Sequence[Figure]:
    """The figures of the recipes, then those of `figures.csv`, whose words `names.csv` translates."""
    found = []
    for recipe in map(read_recipe, recipe_names()):
        row = of_recipe(recipe)
        if row is not None:
            encoder, bias = (recipe.options.get(name) for name in ("encoder", "bias"))
            column = f"{row.encoding}{f' with {encoder}' if encoder else ''}{f' as {bias}' if bias else ''}"
            found.append(Figure(row, recipe.options["task"], recipe.options["model"], column))
    with (_HERE / "names.csv").open(encoding="utf-8", newline="") as file:
        names = {(line["kind"], line["published"]): line["here"] for line in csv.DictReader(file)}
    for row in read_literature(_HERE / "figures.csv"):
        model = names.get(("model", row.model), row.model)
        found.append(Figure(row, row.task, model, names[("encoding", row.encoding)]))
    return found


def figures_beside(each: Combination) -> list[Figure]:
    """The published figures of the task, the architecture and the encodings of a combination.

    The task is the same where its graphs, split and metric are: a split by size is another one, and so are graphs that
    were drawn anew. The architecture is the same where its class, its convolution, its kind of attention, feed-forward
    blocks and virtual node are; width, layers and dropout are not looked at. Encodings are the same where their classes
    are, with any walk length or number of eigenvectors; an encoder that makes another encoding of them (SignNet, SPE),
    or what puts them into attention, is to be the same.
    """
    if any(run.sizes for run in each.runs):
        return []
    ours = _key(each.task, each.model, each.encoding, each.options)
    return [] if ours is None else [*_by_key().get((*ours, _plain(each.runs[0].metric)), ())]


@cache
def _by_key() -> Mapping[Key, list[Figure]]:
    found: dict[Key, list[Figure]] = {}
    for figure in published_figures():
        key = _key(figure.task, figure.model, figure.column, {})
        if key is not None:
            found.setdefault((*key, _plain(figure.row.metric)), []).append(figure)
    return found


def _plain(text: str) -> str:
    return "".join(filter(str.isalnum, text)).lower()


def _key(task: str, model: str, column: str, options: Mapping[str, Any]) -> Key | None:
    """What makes two results those of one setting; None for what is not of this package."""
    try:
        built = build_task(task)
        named = Named.parse(model).call
        return _of_task(built), _of_model(named, options), _of_column(column, named, task)
    except GraphPEError:
        return None


def _of_task(task: Any) -> Key:
    return type(task).__name__, *(
        (each.name, repr(getattr(task, each.name))) for each in fields(task) if each.name not in _ANY
    )


def _of_model(text: str, options: Mapping[str, Any]) -> Key:
    call = parse_call(text)
    constructor = find_class(call.name, model_classes(), "model")
    given = {**call.kwargs, **options}
    known = parameters_of(constructor)
    return constructor.__name__, *(str(given.get(name, known[name].default)) for name in _SWITCHES if name in known)


def _of_column(text: str, model: str, task: str) -> Key:
    column = Column.parse(text)
    calls = default_encodings(model, task) if column.encodings is None else column.encodings
    classes = sorted(find_class(parse_call(call).name, encoding_classes(), "encoding").__name__ for call in calls)
    encoder = "" if column.encoder is None else parse_call(column.encoder).name
    bias = "" if column.bias is None else parse_call(column.bias).name
    return *classes, "" if encoder in _READERS else encoder, bias
