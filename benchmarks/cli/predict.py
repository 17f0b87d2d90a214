"""`graphpe predict`."""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import Any

from graphpe.arguments import check_integer
from graphpe.benchmarks.calls.own import imported
from graphpe.benchmarks.console.columns import aligned
from graphpe.benchmarks.console.parser import CommandParser, expanded
from graphpe.errors import GraphPEValueError

_SHOWN = 100


def add_predict(parser: CommandParser) -> None:
    """Add the options of `graphpe predict`."""
    parser.epilog = """
examples:
  graphpe predict script.py src/                              names for functions: the newest run on Python source
  graphpe predict new_molecules.csv --out predictions.csv     a table with a column of SMILES, targets or not
  graphpe predict graphs.pt --run runs/data-file-001          graphs that PyG saved
  graphpe predict folder/ --run runs/edge-list-folder-001     a folder of edge lists
"""
    parser.add_argument("paths", nargs="+", type=str, help="what the run's task reads: files, or folders of them")
    parser.add_argument(
        "--run", type=str, default=None, help="run folder (default: the newest run in runs/ that fits the files)"
    )
    parser.add_argument(
        "--out", type=str, default=None, help="file for all predictions: .csv, .csv.gz, .tsv, .jsonl or .parquet"
    )
    parser.add_import()
    parser.add_argument("--batch_size", type=int, default=64, help="graphs predicted at once")
    parser.add_argument("--workers", type=int, default=0, help="processes that read files; 0: one a core")
    parser.add_argument("--json", action="store_true", help="one JSON object a line instead of a table")


def run_predict(parser: CommandParser, arguments: Sequence[str]) -> int:
    """Predict, print the beginning of the table, and write all of it where asked."""
    values = parser.values(arguments)
    with imported(values["imports"]):
        return _predict(values)


def _predict(values: dict[str, Any]) -> int:
    check_integer("batch_size", values["batch_size"], least=1)
    check_integer("workers", values["workers"], least=0)
    # Imported here, so that `--help` is quick: torch and PyG take seconds.
    from graphpe.benchmarks.runs.frame_file import check_table_path, write_frame
    from graphpe.benchmarks.runs.inputs import Inputs, read_inputs
    from graphpe.benchmarks.runs.newest import newest_run
    from graphpe.benchmarks.runs.run import load_run
    from graphpe.graphs.packed import PackedGraphs

    out = expanded(values["out"])
    paths = [path for text in values["paths"] if (path := expanded(text)) is not None]
    if out is not None:
        check_table_path(out)
        if out.resolve() in {path.resolve() for path in paths}:
            raise GraphPEValueError(f"--out {out} is a file that is read: give another one, or it would be lost")
    named = expanded(values["run"])
    progress = not values["json"]
    reading = {"workers": values["workers"], "progress": progress}
    run = None if named is None else load_run(named)
    if run is None:
        run, inputs = newest_run(paths, **reading)
    elif run.about_links:
        inputs = Inputs(PackedGraphs.from_data_list([]), {}, [])  # it reads the pairs, too
    else:
        inputs = read_inputs(run.task, run.adapter, paths, **reading)
    if run.about_links:
        frame = run.predict(paths)
    else:
        frame = run.predict_inputs(inputs, batch_size=values["batch_size"], progress=progress)
    if out is not None:
        write_frame(frame, out)
    if values["json"]:
        print(frame.to_json(orient="records", lines=True, force_ascii=False).strip())
        return 0
    if named is None:
        print(f"run {os.path.relpath(run.folder.path)}")
    for note in inputs.notes:
        print(note)
    print("\n".join(_table(frame, written=out is not None)))
    for row in sorted(inputs.errors)[:10]:
        print(f"not read: {inputs.called(row)}: {inputs.errors[row]}")
    if inputs.errors:
        print(f"{len(inputs.errors)} of {len(inputs.errors) + len(inputs.positions)} rows could not be read")
    if out is not None:
        print(f"{len(frame):,} rows in {out}")
    return 0


def _table(frame: Any, *, written: bool) -> list[str]:
    """The first rows, cells shortened; and how to get the others, unless all are written anyway."""
    shown = frame.head(_SHOWN)
    columns = [[str(name), *map(_cell, shown[name].tolist())] for name in shown]
    lines = aligned(list(zip(*columns, strict=True)))
    left = len(frame) - len(shown)
    how = "" if written else ": --out predictions.csv writes them all"
    return [*lines, f"... and {left:,} more rows{how}"] if left else lines


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return "" if value != value else f"{value:.4g}"
    if isinstance(value, list):
        return " ".join(f"{each:.2f}" for each in value)
    text = "" if value is None else " ".join(str(value).splitlines())
    return text if len(text) <= 60 else f"...{text[-57:]}"  # the end of a path says more than its beginning
