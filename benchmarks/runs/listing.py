"""Tables of runs: what was trained, what came of it, and in what some of them differ."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from pathlib import Path
from typing import Any

from graphpe.benchmarks.training.run_folder import RunFolder
from graphpe.errors import GraphPEError, GraphPEValueError

COLUMNS = ("run", "state", "task", "model", "encodings", "metric", "valid", "test", "epochs", "parameters", "date")
"""Of a table of runs."""


def find_runs(paths: Sequence[Path]) -> list[RunFolder]:
    """The runs that are given, and those in folders that are.

    Raises:
        GraphPEValueError: A path is not there.
    """
    found: dict[Path, RunFolder] = {}
    for path in paths:
        if not path.is_dir():
            raise GraphPEValueError(f"{path} is no folder: give run folders, or a folder of them")
        places = [path] if (path / "config.yaml").is_file() else sorted(path.iterdir())
        for place in places:
            if (place / "config.yaml").is_file():
                found[place] = RunFolder(place)
    return list(found.values())


def describe_run(run: RunFolder) -> dict[str, Any]:
    """A row of a table of runs. `state` is `finished`, `at epoch n` for one that has not, or what is wrong with it."""
    row: dict[str, Any] = dict.fromkeys(COLUMNS) | {"run": str(run.path)}
    row["date"] = datetime.fromtimestamp(run.config_file.stat().st_mtime).isoformat(" ", "minutes")
    try:
        config = run.read_config()
        row |= {"task": config.task, "model": config.model, "encodings": " ".join(config.encodings or ()) or "none"}
        summary = run.read_summary()
        history = run.read_metrics()
    except GraphPEError as error:
        return row | {"state": f"damaged: {error}"}
    if summary is None:
        return row | {"state": f"at epoch {len(history)}", "epochs": len(history)}
    kept = ("metric", "maximize", "valid", "test", "epochs", "parameters")
    return row | {"state": "finished"} | {name: summary[name] for name in kept}


def sort_rows(rows: Sequence[dict[str, Any]], by: str) -> list[dict[str, Any]]:
    """Rows in the order of a column; what a row lacks comes last. Better test and validation metrics come first.

    Raises:
        GraphPEValueError: There is no such column.
    """
    if by not in COLUMNS:
        raise GraphPEValueError(f"runs are not sorted by {by!r}: give one of {', '.join(COLUMNS)}")
    known = [row for row in rows if row[by] is not None]
    if by in ("valid", "test"):
        ordered = sorted(known, key=lambda row: -row[by] if row["maximize"] else row[by])
    else:
        ordered = sorted(known, key=lambda row: row[by], reverse=by == "date")
    return [*ordered, *(row for row in rows if row[by] is None)]


def compare(runs: Sequence[RunFolder]) -> dict[str, list[Any]]:
    """The options in which runs differ, and their results, a value for each run.

    Raises:
        GraphPEError: One of them is damaged.
    """
    options = [run.read_config().as_dict() for run in runs]
    differing = [name for name in options[0] if any(each[name] != options[0][name] for each in options)]
    table: dict[str, list[Any]] = {"run": [run.path.name for run in runs]}
    table |= {name: [_text(each[name]) for each in options] for name in differing}
    rows = [describe_run(run) for run in runs]
    for name in ("state", "metric", "valid", "test", "epochs", "parameters"):
        table[name] = [row[name] for row in rows]
    return table


def _text(value: Any) -> Any:
    return " ".join(map(str, value)) or "none" if isinstance(value, list) else value
