"""`graphpe grid`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

from tqdm import tqdm

from graphpe.benchmarks.cli.parser import CommandParser, UsageError
from graphpe.benchmarks.cli.report import report_lines
from graphpe.benchmarks.grid.cell import Cell
from graphpe.benchmarks.grid.cells import Skipped, grid_cells
from graphpe.benchmarks.grid.config import GridConfig
from graphpe.benchmarks.grid.engine import run_cells, run_cells_on_ray
from graphpe.benchmarks.training.config import TrainConfig
from graphpe.files import write_atomically

EXAMPLES = """
examples:
  graphpe grid --tasks "molesol(root='dataset')" --encodings none "LaplacianPE(k=8)" "RandomWalkPE(walk_length=16)" \\
      --models "GraphTransformer(layers=3)" "GPS(layers=3)" --params 100k --seeds 3 --epochs 20 --out grids/esol
  graphpe grid --config grid.yaml --out grids/esol
the same command goes on after Ctrl-C, a crash or a kill; finished cells are kept, also when the grid grows
"""

_OF_A_CELL = {"task", "model", "encodings", "seed", "root"}


def add_grid(parser: CommandParser) -> None:
    """Add the options of `graphpe grid`."""
    parser.epilog = EXAMPLES
    parser.add_argument("--config", action="config", help="YAML file with any of these options")
    parser.add_argument("--out", type=str, default=None, help="folder of the grid")
    parser.add_argument("--workers", type=int, default=0, help="processes that read data; 0: one a core")
    parser.add_argument("--cache", type=str, default=None, help="folder for parsed data (default: the user's cache)")
    parser.add_argument("--quiet", action="store_true", help="print only the files of the report")
    for name, about in (
        ("tasks", "tasks, as calls"),
        ("encodings", 'columns: "none", "LaplacianPE(k=8)", "LaplacianPE(k=8) + DegreePE() with SPE", "published"'),
        ("models", "models, as calls"),
    ):
        parser.add_argument(f"--{name}", nargs="+", type=str, default=[], help=about)
    parser.add_class_arguments(GridConfig, skip={"tasks", "encodings", "models"})
    parser.add_class_arguments(TrainConfig, skip=_OF_A_CELL)


def run_grid(parser: CommandParser, arguments: Sequence[str]) -> int:
    """Run every cell that is not done, then write the report. The status is 1 if a cell failed."""
    values = parser.values(arguments)
    out, workers, cache, quiet = (values.pop(key) for key in ("out", "workers", "cache", "quiet"))
    if out is None:
        raise UsageError("--out is missing: name a folder for the grid")
    of_grid = {field.name for field in fields(GridConfig)}
    grid = GridConfig(**{key: value for key, value in values.items() if key in of_grid})
    common = TrainConfig(**{key: value for key, value in values.items() if key not in of_grid}, encodings=())
    root, cache_path = Path(out), None if cache is None else Path(cache)

    listed = list(grid_cells(grid, common, root, workers=workers, cache=cache_path, progress=not quiet))
    cells = [each for each in listed if isinstance(each, Cell)]
    skipped = [each for each in listed if isinstance(each, Skipped)]
    notes = [f"skipped {each.task}, {each.encoding}, {each.model}: {each.reason}" for each in skipped]
    todo = [cell for cell in cells if cell.status != "done"]
    if not quiet:
        print("\n".join(notes))
        print(f"{len(cells)} cells, {len(cells) - len(todo)} done before, {len(skipped) * grid.seeds} skipped")
    root.mkdir(parents=True, exist_ok=True)
    write_atomically(root / "command.txt", f"graphpe grid {shlex.join(arguments)}\n")
    write_atomically(root / "skipped.txt", "".join(note + "\n" for note in notes))
    write_atomically(root / "cells.txt", "".join(f"{cell.folder.name}\n" for cell in cells))
    with tqdm(total=len(todo), desc="grid", unit="cell", disable=quiet) as bar:

        def done(cell: Cell) -> None:
            if cell.status == "failed" and not quiet:
                bar.write(f"failed: {cell.task}, {cell.encoding}, {cell.model}, seed {cell.config.seed}: {cell.error}")
            bar.update()

        if grid.engine == "ray":
            run_cells_on_ray(todo, gpus=grid.gpus, jobs=grid.jobs, done=done)
        else:
            run_cells(todo, jobs=grid.jobs, gpus=grid.gpus, done=done)
    failed = [cell for cell in cells if cell.status == "failed"]
    if len(failed) < len(cells):
        print("\n".join(report_lines(root, root / "report")))
    if failed:
        print(f"{len(failed)} of {len(cells)} cells failed; the same command tries them again")
    return 1 if failed else 0
