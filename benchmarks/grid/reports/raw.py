"""Raw numbers of a report, read again: with `runs.csv` anyone can redo tables, tests and pictures without the runs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, fields
from pathlib import Path
from typing import Any

import pandas as pd

from graphpe.benchmarks.grid.options import setting_of
from graphpe.benchmarks.grid.results import Run, SizeScore
from graphpe.errors import GraphPEValueError

_APART = ("options", "drawn", "baselines", "sizes", "size_unit", "unit", "machine")
_FIELDS = {each.name: each for each in fields(Run) if each.name not in _APART}
_NEEDED = tuple(name for name, each in _FIELDS.items() if each.default is MISSING)
_TEXTS = ("task", "encoding", "model", "metric")
_COUNTS = ("seed", "parameters", "peak_bytes", "epochs")


def read_raw(path: Path) -> list[Run]:
    """The runs of a `runs.csv`, with what `sizes.csv` and `baselines.csv` beside it say, if there are such.

    Options that vary are text.

    Args:
        path: The file.

    Raises:
        GraphPEValueError: It cannot be read, or is no such file; the one beside it has no line for a run.
    """
    table = _read(path)
    missing = [name for name in _NEEDED if name not in table.columns]
    if missing or not len(table):
        what = f"no column {missing[0]}" if missing else "no run"
        raise GraphPEValueError(
            f"{path} has {what}: give the folder of a grid, or a runs.csv that `graphpe report` wrote"
        )
    of_sizes, units = _sizes(path.with_name("sizes.csv"))
    baselines = _baselines(path.with_name("baselines.csv"))
    runs = []
    for number, row in enumerate(table.to_dict("records"), 2):
        values = {name: _value(name, row[name], f"{path}, line {number}") for name in _FIELDS if name in row}
        key = tuple(str(row[name]) for name in ("task", "encoding", "model", "seed"))
        options = _options(row)
        sizes = of_sizes.get((*key, setting_of(options)), ())
        if not sizes and key[0] in units:
            raise GraphPEValueError(
                f"{path.with_name('sizes.csv')} has no line for {', '.join(key[:3])}, seed {key[3]}"
            )
        drawn = str(row.get("drawn", "")) == "True"
        values |= {"drawn": drawn, "sizes": tuple(sizes), "machine": str(row.get("machine", ""))}
        values |= {"size_unit": units.get(key[0], "nodes"), "unit": row.get("unit", "graph")}
        values["baselines"] = baselines.get(str(row["task"]), {})
        runs.append(Run(**values, options=options))
    return runs


def _read(path: Path) -> pd.DataFrame:
    try:
        return pd.read_csv(path, dtype=str, keep_default_na=False)
    except FileNotFoundError:
        raise GraphPEValueError(f"there is no file {path}") from None
    except (OSError, ValueError) as error:
        raise GraphPEValueError(f"{path} cannot be read as CSV: {' '.join(str(error).split())}") from None


def _value(name: str, text: Any, where: str) -> Any:
    """What a column of a run says.

    Raises:
        GraphPEValueError: It is something else.
    """
    try:
        if name in _TEXTS and text:
            return text
        if name == "maximize":
            return {"True": True, "False": False, "1": True, "0": False}[text]
        if name in _COUNTS and float(text).is_integer():
            return int(float(text))
        if name not in (*_TEXTS, *_COUNTS):
            return float(text)
    except (KeyError, TypeError, ValueError):
        pass
    kind = "True or False" if name == "maximize" else "a whole number" if name in _COUNTS else "a number"
    raise GraphPEValueError(
        f"{where}: {name} is {text!r}, and must be {'a name' if name in _TEXTS else kind}; give a runs.csv that "
        "`graphpe report` wrote"
    )


def _options(row: Mapping[str, str]) -> dict[str, str]:
    """What varies: columns that are no number of a run."""
    known = {*_FIELDS, "drawn", "machine", "unit"}
    found = {name.removeprefix("option_"): text for name, text in row.items() if name not in known}
    return {name: text for name, text in found.items() if text != ""}


def _baselines(path: Path) -> dict[str, dict[str, tuple[float, float]]]:
    """By task and name, the metric on the validation and the test part."""
    found: dict[str, dict[str, tuple[float, float]]] = {}
    try:
        for row in _read(path).to_dict("records") if path.is_file() else ():
            found.setdefault(row["task"], {})[row["baseline"]] = (float(row["valid"]), float(row["test"]))
    except (KeyError, ValueError):
        raise GraphPEValueError(f"{path} is no baselines.csv that `graphpe report` wrote") from None
    return found


def _sizes(path: Path) -> tuple[dict[tuple[str, ...], list[SizeScore]], dict[str, str]]:
    """By task, encoding, model, seed and options: the scores; and by task what sizes count."""
    if not path.is_file():
        return {}, {}
    found: dict[tuple[str, ...], list[SizeScore]] = {}
    table = _read(path)
    try:
        for row in table.to_dict("records"):
            options = {
                name.removeprefix("option_"): text
                for name, text in row.items()
                if name.startswith("option_") and text != ""
            }
            key = (*(row[name] for name in ("task", "encoding", "model", "seed")), setting_of(options))
            most = int(row["sizes"].split()[-1].split("-")[-1])
            numbers = (float(row[name] or math.nan) for name in ("test", "constant"))
            score = SizeScore(row["sizes"], most, float(row["mean_size"]), int(row["graphs"]), *numbers)
            found.setdefault(key, []).append(score)
        return found, dict(zip(table["task"], table["unit"], strict=True))
    except (KeyError, ValueError):
        raise GraphPEValueError(f"{path} is no sizes.csv that `graphpe report` wrote") from None
