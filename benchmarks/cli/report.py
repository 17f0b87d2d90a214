"""`graphpe report`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from graphpe.benchmarks.console.parser import CommandParser, expanded
from graphpe.benchmarks.grid.cell import Cell
from graphpe.benchmarks.grid.results import combine, grid_folders, read_run
from graphpe.errors import GraphPERuntimeError, GraphPEValueError
from graphpe.files.reading import read_text

EXAMPLES = """
examples:
  graphpe report grids/esol                   tables and pictures in grids/esol/report
  graphpe report grids/esol --out results
"""


def add_report(parser: CommandParser) -> None:
    """Add the options of `graphpe report`."""
    parser.epilog = EXAMPLES
    parser.add_argument("grid", type=str, help="folder of a `graphpe grid`, also while that runs")
    parser.add_argument("--out", type=str, default=None, help="folder of the report (default: report, in the grid's)")


def run_report(parser: CommandParser, arguments: Sequence[str]) -> int:
    """Write the report of a grid's finished cells, and print where it is."""
    values = parser.values(arguments)
    root = Path(values["grid"]).expanduser()
    out = expanded(values["out"]) or root / "report"
    try:
        lines = report_lines(root, out)
    except OSError as error:
        raise GraphPERuntimeError(f"cannot write the report in {out}: {error.strerror or error}") from None
    print("\n".join(lines))
    return 0


def report_lines(root: Path, out: Path) -> list[str]:
    """Write the report of the finished cells of a grid; what to tell the user of it.

    Raises:
        GraphPEValueError: No cell is finished.
    """
    from graphpe.benchmarks.grid.report import write_report  # here, so that `--help` is quick: it draws pictures

    listed = root / "cells.txt"
    cells, unreadable = grid_folders(root)
    everything = cells
    if listed.is_file():  # the newest grid's cells, in its order; others are of a grid that was changed
        order = {name: number for number, name in enumerate(read_text(listed).split())}
        cells = sorted((cell for cell in cells if cell.folder.name in order), key=lambda cell: order[cell.folder.name])
    finished = [cell for cell in cells if cell.status == "done"]
    if not finished:
        raise GraphPEValueError(f"no cell of {root} is finished yet: {len(cells)} were started")
    notes = unreadable + [_note(cell) for cell in cells if cell.status != "done"]
    skipped = root / "skipped.txt"
    notes += read_text(skipped).splitlines() if skipped.is_file() else []
    keys = list(dict.fromkeys((cell.task, cell.encoding, cell.model) for cell in cells))
    command = root / "command.txt"
    made_by = read_text(command).strip() if command.is_file() else ""
    files = write_report(combine([read_run(cell) for cell in finished], keys), out, notes, made_by)
    lines = [f"{len(finished)} finished cells of {len(cells)}", *(str(path) for path in files)]
    others = sum(cell.status == "done" for cell in everything) - len(finished)
    if others:
        lines.append(
            f"{others} finished cells in {root} are not in the report: its newest `graphpe grid` has other options or "
            "does not name them"
        )
    return lines


def _note(cell: Cell) -> str:
    name = f"{cell.task}, {cell.encoding}, {cell.model}, seed {cell.config.seed}"
    if cell.status == "damaged":
        return f"damaged, and not in the tables: {name} (the `graphpe grid` that made it evaluates it again)"
    return f"failed {name}: {cell.error}" if cell.status == "failed" else f"not finished: {name}"
