"""Targets of users' own data: from cells of a table to classes, labels (0, 1) or numbers, and how they are scored."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, get_args

import numpy as np
import torch
from torch import Tensor

from graphpe.arguments import shown
from graphpe.benchmarks.tasks import metrics
from graphpe.benchmarks.tasks.targets import Loss, is_known
from graphpe.benchmarks.tasks.user.files.decimals import MISSING, with_points
from graphpe.benchmarks.tasks.user.files.lists import expand
from graphpe.errors import GraphPERuntimeError

Metric = Literal["auto", "accuracy", "ROC-AUC", "AP", "RMSE", "MAE"]
METRICS: tuple[str, ...] = get_args(Metric)

Where = Callable[[int], str]
"""The name of a graph in messages, from its position: its file and line."""

_FEW_CLASSES = 20

_SCORES: dict[str, tuple[metrics.Metric, Loss]] = {
    "accuracy": (metrics.ACCURACY, "classes"),
    "ROC-AUC": (metrics.ROC_AUC, "binary"),
    "AP": (metrics.AVERAGE_PRECISION, "binary"),
    "RMSE": (metrics.RMSE, "squared"),
    "MAE": (metrics.MAE, "absolute"),
}


@dataclass(frozen=True)
class OwnTargets:
    """Targets that were read and checked.

    Attributes:
        values: `[B, T]`: numbers, or labels 0 and 1, in float32, NaN where one is not known; or class ids `[B, 1]`, -1
            where one is not known.
        metric: How they are scored.
        classes: Names of the classes; empty for others.
        note: A line that says what was read.
        names: Names of the targets.
    """

    values: Tensor
    metric: str
    classes: tuple[str, ...]
    note: str
    names: tuple[str, ...]

    @property
    def outputs(self) -> int:
        """Numbers that a model gives for one graph."""
        return len(self.classes) or self.values.shape[1]

    @property
    def known(self) -> Tensor:
        """Which graphs have a known target, `[B]`."""
        return is_known(self.values).any(1)

    @property
    def loss(self) -> Loss:
        """The loss that goes with the metric."""
        return _SCORES[self.metric][1]

    @property
    def scored_by(self) -> metrics.Metric:
        """The metric itself."""
        return _SCORES[self.metric][0]


def read_targets(columns: Mapping[str, Sequence[Any]], metric: str, where: Where, *, of: str = "graph") -> OwnTargets:
    """Targets from cells: numbers, bools, texts, None, and lists of those, which are several targets.

    An empty cell, None, NaN and the words nan, na, n/a, null and none stand for a target that is not known. Numbers
    with a decimal comma are read where no comma could part thousands.

    With `metric="auto"`: one column of texts, or of at most 20 whole numbers, each five times on average, is classes
    (`accuracy`); columns of 0 and 1 (empty where not known) are labels (`ROC-AUC`); everything else is numbers
    (`RMSE`).

    Args:
        columns: The cells of each target, by name.
        metric: `auto` or a metric, which says what the targets are.
        where: Names a row in messages.
        of: What has a target, for messages.

    Raises:
        GraphPERuntimeError: For a cell of the wrong kind, a target that is known for no graph, or targets that are all
            the same class.
    """
    columns = {
        key: cells
        for name, column in columns.items()
        for key, cells in expand(name, column, where, missing=_is_missing).items()
    }
    if not columns:
        raise GraphPERuntimeError(
            f"{where(0)}: the target is an empty list, expected a number, a word or several numbers"
        )
    for name, cells in columns.items():
        odd = next((row for row, cell in enumerate(cells) if not is_plain(cell)), None)
        if odd is not None:
            raise GraphPERuntimeError(f"{where(odd)}: {name} is {str(cells[odd])[:60]}, neither a number nor a word")
    pointed = {} if metric == "accuracy" else {name: with_points(name, cells, where) for name, cells in columns.items()}
    commas = [name for name, cells in pointed.items() if cells is not None]
    columns_read = columns
    columns = {name: pointed.get(name) or cells for name, cells in columns.items()}
    numbers = {name: np.array([_number(cell) for cell in cells], dtype=np.float64) for name, cells in columns.items()}
    texts = {name: [_is_text(cell) for cell in cells] for name, cells in columns.items()}
    chosen = metric == "auto"
    if chosen:
        metric = _choose_metric(numbers, texts)
    named = ", ".join(columns) if len(columns) <= 3 else f"{len(columns)} targets"
    hint = f"give metric=... to say what {'it is' if len(columns) == 1 else 'they are'}"
    if metric == "accuracy":
        values, classes = _classes(columns, numbers, texts, where, of)
        known = int((values >= 0).sum())
        if chosen and len(classes) > max(5, known // 2):
            odd = _first(next(iter(texts.values()))) or 0
            raise GraphPERuntimeError(
                f"{where(odd)}: {named} is {shown(next(iter(columns.values()))[odd])}, which is no number, and as "
                f"classes its {known} values are {len(classes)} different ones; correct it, or give metric='accuracy'"
            )
        note = f"target {named}: {len(classes)} classes, accuracy ({hint}){_unknown(columns, values)}"
        return OwnTargets(values, metric, classes, note, tuple(columns))
    for name, cells in columns.items():
        wrong = _first(texts[name])
        if wrong is not None:
            raise GraphPERuntimeError(
                f"{where(wrong)}: {name} is {shown(cells[wrong])}, not a number; correct it, or give metric='accuracy' "
                "for classes"
            )
        _check_numbers(name, numbers[name], metric, where, of)
    values = torch.from_numpy(np.stack(list(numbers.values()), axis=1)).float()
    what = "numbers" if metric in ("RMSE", "MAE") else "labels"
    note = f"target {named}: {what}, {metric} ({hint}){_unknown(columns, values)}"
    if commas:
        note += f"; decimal commas in {', '.join(commas)}: {_example(columns_read, commas[0])}"
    return OwnTargets(values, metric, (), note, tuple(columns))


def no_targets(rows: int) -> OwnTargets:
    """What stands for targets where none are named, so that graphs can be read all the same.

    Args:
        rows: Graphs, or nodes.
    """
    return OwnTargets(torch.zeros(rows, 1), "RMSE", (), "no target is read", ("none",))


def _unknown(columns: Mapping[str, Sequence[Any]], values: Tensor) -> str:
    """How many targets are not known, and the words that say so."""
    unknown = int((~is_known(values)).sum())
    if not unknown:
        return ""
    words = {cell.strip() for cells in columns.values() for cell in cells if isinstance(cell, str)}
    said = sorted(word for word in words if word and word.lower() in MISSING)
    return f"; {unknown:,} of {values.numel():,} not known{' (' + ', '.join(said) + ')' if said else ''}"


def _example(columns: Mapping[str, Sequence[Any]], name: str) -> str:
    cell = next(cell for cell in columns[name] if isinstance(cell, str) and "," in cell).strip()
    return f"{cell} is {as_float(cell.replace(',', '.')):g}"


def check_parts(targets: OwnTargets, split: Mapping[str, Tensor], what: str, *, of: str = "graph") -> None:
    """Reject a split with a part on which the metric is not defined.

    Args:
        targets: The targets.
        split: Rows of them by part.
        what: Names the data in messages.
        of: What has a target, for messages.

    Raises:
        GraphPERuntimeError: A part is empty, or no target has both labels in it.
    """
    for part, ids in split.items():
        if not len(ids):
            raise GraphPERuntimeError(f"{what}: the {part} part of the split is empty; give it at least one {of}")
        if targets.metric in ("ROC-AUC", "AP") and part != "train":
            labels = targets.values[ids]
            both = (labels == 0).any(0) & (labels == 1).any(0)
            if not bool(both.any()):
                raise GraphPERuntimeError(
                    f"{what}: {targets.metric} is not defined on the {part} part of {len(ids)} {of}s, which has only "
                    "one label; in the task's call (--task) give another split or seed, or metric='accuracy'"
                )


def _choose_metric(numbers: Mapping[str, np.ndarray], texts: Mapping[str, Sequence[bool]]) -> str:
    known = [values[~np.isnan(values)] for values in numbers.values()]
    if len(numbers) == 1:
        (values,), (text,) = known, texts.values()
        if any(text) and not len(values):
            return "accuracy"
        if len(values) and np.isin(values, (0, 1)).all():
            return "ROC-AUC"
        distinct = np.unique(values)
        whole = len(values) > 0 and bool((np.isfinite(values) & (values == np.floor(values))).all())
        few = 2 <= len(distinct) <= _FEW_CLASSES and 5 * len(distinct) <= len(values)
        return "accuracy" if whole and few else "RMSE"
    return "ROC-AUC" if all(np.isin(values, (0, 1)).all() for values in known) else "RMSE"


def _classes(
    columns: Mapping[str, Sequence[Any]],
    numbers: Mapping[str, np.ndarray],
    texts: Mapping[str, Sequence[bool]],
    where: Where,
    of: str,
) -> tuple[Tensor, tuple[str, ...]]:
    if len(columns) != 1:
        raise GraphPERuntimeError(f"accuracy takes one target, a class, got {len(columns)}: {', '.join(columns)}")
    ((name, cells),) = columns.items()
    values, text = numbers[name], texts[name]
    missing = np.isnan(values) & ~np.array(text, dtype=bool)
    if missing.all():
        raise GraphPERuntimeError(f"{where(0)}: {_nowhere_known(name, of)}")
    if any(text):
        words = [str(cell).strip() for cell in cells]
    else:
        odd = _first(~missing & (~np.isfinite(values) | (values != np.floor(values))))
        if odd is not None:
            raise GraphPERuntimeError(
                f"{where(odd)}: {name} is {shown(cells[odd])}, no class; classes are whole numbers or words "
                "(metric='RMSE' for numbers)"
            )
        words = ["" if unknown else str(int(value)) for value, unknown in zip(values, missing, strict=True)]
    known = {word for word, unknown in zip(words, missing, strict=True) if not unknown}
    classes = sorted(known, key=(lambda word: (0, int(word), "")) if not any(text) else (lambda word: (1, 0, word)))
    if len(classes) < 2:
        having = " that has one" if missing.any() else ""
        raise GraphPERuntimeError(f"{name} is {shown(classes[0])} for every {of}{having}: there is nothing to learn")
    index = {word: number for number, word in enumerate(classes)}
    ids = [[-1 if unknown else index[word]] for word, unknown in zip(words, missing, strict=True)]
    return torch.tensor(ids), tuple(classes)


def _check_numbers(name: str, values: np.ndarray, metric: str, where: Where, of: str) -> None:
    missing = np.isnan(values)
    if missing.all():
        raise GraphPERuntimeError(f"{where(0)}: {_nowhere_known(name, of)}")
    if metric in ("ROC-AUC", "AP"):
        odd = _first(~missing & ~np.isin(values, (0, 1)))
        if odd is not None:
            raise GraphPERuntimeError(
                f"{where(odd)}: {name} is {values[odd]:g}; {metric} takes 0, 1, or nothing where it is not known"
            )
        return
    at = _first(~missing & ~in_float32(values))
    if at is not None:
        raise GraphPERuntimeError(f"{where(at)}: {name} is {values[at]:g}, which is not a finite number in float32")


def _nowhere_known(name: str, of: str) -> str:
    return f"{name} is not known for any {of}: leave it out, or give a target that is"


def is_plain(cell: Any) -> bool:
    """Whether a cell is a number, a word, yes or no, or missing, and not a list or the like."""
    return cell is None or isinstance(cell, str | bool | int | float | np.number | np.bool_)


def _number(cell: Any) -> float:
    """A cell as a number; NaN where it is missing or text."""
    if cell is None:
        return math.nan
    try:
        return as_float(cell)
    except (TypeError, ValueError):
        return math.nan


def as_float(cell: Any) -> float:
    """A cell as a number; infinite where it is an integer beyond all floats.

    Raises:
        TypeError: It is no number and no text.
        ValueError: It is a text and not a number's.
    """
    try:
        return float(cell)
    except OverflowError:
        return math.inf if cell > 0 else -math.inf


def in_float32(values: np.ndarray) -> np.ndarray:
    """Which numbers are finite, also in the float32 that models compute in."""
    with np.errstate(invalid="ignore"):
        return np.abs(values) <= np.finfo(np.float32).max


def _is_missing(cell: Any) -> bool:
    """Whether a cell stands for what is not known."""
    if isinstance(cell, str):
        return cell.strip().lower() in MISSING
    return cell is None or (isinstance(cell, float) and math.isnan(cell))


def _is_text(cell: Any) -> bool:
    if not isinstance(cell, str):
        return False
    if _is_missing(cell):
        return False
    try:
        as_float(cell)
    except ValueError:
        return True
    return False


def _first(wrong: Any) -> int | None:
    positions = np.flatnonzero(wrong)
    return int(positions[0]) if len(positions) else None
