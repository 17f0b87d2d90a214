"""`graphpe runs`."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from typing import Any

from graphpe.benchmarks.console.columns import aligned
from graphpe.benchmarks.console.parser import CommandParser, UsageError, expanded


def add_runs(parser: CommandParser) -> None:
    """Add the options of `graphpe runs`."""
    parser.epilog = """
examples:
  graphpe runs                              all runs in runs/, the newest first
  graphpe runs --sort test --out runs.csv   the best first; all columns in a table
  graphpe runs --compare runs/a runs/b      in which options they differ, and what came of it
"""
    parser.add_argument("paths", nargs="*", type=str, help="run folders, or folders of them (default: runs/)")
    parser.add_argument("--sort", type=str, default="date", help="column to sort by: date, test, valid, model, ...")
    parser.add_argument("--compare", action="store_true", help="the options in which the runs differ, side by side")
    parser.add_argument("--out", type=str, default=None, help="file for the whole table: .csv, .tsv, .jsonl, .parquet")


def run_runs(parser: CommandParser, arguments: Sequence[str]) -> int:
    """Print a table of runs, or a comparison of some."""
    values = parser.values(arguments)
    # Imported here, so that `--help` is quick.
    import pandas

    from graphpe.benchmarks.runs.frame_file import check_table_path, write_frame
    from graphpe.benchmarks.runs.listing import COLUMNS, compare, describe_run, find_runs, sort_rows

    out = expanded(values["out"])
    if out is not None:
        check_table_path(out)
    paths = [path for text in values["paths"] or ["runs"] if (path := expanded(text)) is not None]
    runs = find_runs(paths)
    if not runs:
        raise UsageError(f"no run in {', '.join(map(str, paths))}: train one with `graphpe train`")
    if values["compare"]:
        if len(runs) < 2:
            raise UsageError(f"one run, {runs[0].path}, has nothing to be compared with: give two or more")
        table = compare(runs)
        frame = pandas.DataFrame(table)
        print("\n".join(_side_by_side(table)))
    else:
        rows = sort_rows([describe_run(run) for run in runs], values["sort"])
        frame = pandas.DataFrame(rows, columns=list(COLUMNS))
        print("\n".join(_lines(rows)))
    if out is not None:
        write_frame(frame, out)
        print(f"{len(frame)} rows in {out}")
    return 0


def _lines(rows: Sequence[dict[str, Any]]) -> list[str]:
    """A line a run, as wide as the screen: texts are cut, numbers are not."""
    cells = [["run", "metric", "valid", "test", "epochs", "date", "task", "model", "encodings"]]
    for row in rows:
        state = row["metric"] or row["state"]
        cells.append([
            _shown(row["run"]), _cut(state, 16), _shown(row["valid"]), _shown(row["test"]), _shown(row["epochs"]),
            row["date"], _name(row["task"]), _name(row["model"]), row["encodings"] or "",
        ])  # fmt: skip
    width = shutil.get_terminal_size((160, 24)).columns
    return [_cut(line, width) for line in aligned(cells)]


def _side_by_side(table: dict[str, list[Any]]) -> list[str]:
    """A line an option, a column a run."""
    return aligned([[name, *map(_shown, values)] for name, values in table.items()])


def _shown(value: Any) -> str:
    from graphpe.benchmarks.tasks.metrics import figure  # torch takes seconds

    if value is None:
        return ""
    return figure(value) if isinstance(value, float) else str(value)


def _name(call: str | None) -> str:
    """The name of a task or a model, without its arguments."""
    return (call or "").partition("(")[0]


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else text[: max(width - 3, 0)] + "..."
