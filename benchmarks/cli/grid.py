"""`graphpe grid`."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

from graphpe.arguments import check_integer
from graphpe.benchmarks.calls.own import imported
from graphpe.benchmarks.cli.report import report_lines
from graphpe.benchmarks.console.data import DataOptions, add_data
from graphpe.benchmarks.console.parser import CommandParser, UsageError, expanded
from graphpe.benchmarks.console.quoting import quoted
from graphpe.benchmarks.grid.cell import Cell
from graphpe.benchmarks.grid.config import GridConfig
from graphpe.benchmarks.training.config import Log, TrainConfig
from graphpe.errors import GraphPERuntimeError
from graphpe.files.atomic import remove_leftovers, write_atomically
from graphpe.files.locking import locked
from graphpe.files.reading import read_text
from graphpe.progress import progress_bar

EXAMPLES = """
examples:
  graphpe grid --tasks "molesol(root='dataset')" --encodings none "LaplacianPE(k=8)" "RandomWalkPE(walk_length=16)" \\
      --models "GraphTransformer(layers=3)" "GPS(layers=3)" --params 100k --seeds 3 --epochs 20 --out grids/esol
  graphpe grid molecules.csv --target solubility --encodings none "LaplacianPE(k=8)" --models GPS --out grids/own
  graphpe grid --config grid.yaml --out grids/esol
  graphpe grid ... --models "GPS(layers=3) @ learning_rate=1e-3" "GINE(layers=3) @ learning_rate=[1e-3, 3e-3]" ...
  graphpe grid ... --vary "learning_rate=loguniform(1e-4, 1e-2), dropout=[0, 0.2]" --tune 20 --out grids/tuned
  graphpe grid ... --seeds 10 --plan grids/pilot      what 3, 5, 10, 20 seeds would find, and in what time; runs nothing
the same command goes on after Ctrl-C, a crash or a kill; finished cells are kept, also when the grid grows
"""

_OF_A_CELL = {"task", "model", "encodings", "seed", "root", "devices", "nodes", "init", "imports"}
_LISTS = {
    "tasks": "tasks, as calls",
    "encodings": 'columns: "none", "LaplacianPE(k=8)", "LaplacianPE(k=8) + DegreePE() with SPE", "published"; behind '
    'an @ options of their own: "LaplacianPE(8) @ learning_rate=1e-3"',
    "models": "models, as calls; behind an @ options of their own, of training or arguments of the model: "
    '"GPS(layers=3) @ learning_rate=1e-3, dropout=[0, 0.2]"',
    "vary": 'options with several values in all columns: "learning_rate=[1e-3, 3e-3]" (all combinations are cells); '
    'with --tune also ranges: "learning_rate=loguniform(1e-4, 1e-2)", "dropout=uniform(0, 0.5)"',
}


def add_grid(parser: CommandParser) -> None:
    """Add the options of `graphpe grid`."""
    parser.epilog = EXAMPLES
    add_data(parser)
    parser.add_argument("--config", action="config", help="YAML file with any of these options")
    parser.add_argument("--out", type=str, default=None, help="folder of the grid")
    parser.add_argument("--workers", type=int, default=0, help="processes that read data; 0: one a core")
    parser.add_argument("--cache", type=str, default=None, help="folder for parsed data (default: the user's cache)")
    parser.add_argument("--quiet", action="store_true", help="print only the files of the report")
    parser.add_argument(
        "--log", type=str, default="none", help="tensorboard or wandb: where the epochs of cells are logged, too"
    )
    parser.add_argument(
        "--plan",
        nargs="+",
        type=str,
        default=[],
        metavar="PILOT",
        help="folders of finished grids (a pilot, or this one's first seeds): print which differences from none 3, 5, "
        "10 and 20 seeds would find, and how long they take, and end",
    )
    for name, about in _LISTS.items():
        parser.add_argument(f"--{name}", nargs="+", type=str, default=[], help=about)
    parser.add_class_arguments(GridConfig, skip=set(_LISTS))
    parser.add_import()
    parser.add_class_arguments(TrainConfig, skip=_OF_A_CELL | {"fanout", "graphs"})
    parser.add_fanout()
    parser.add_graphs()


def run_grid(parser: CommandParser, arguments: Sequence[str]) -> int:
    """Run every cell that is not done, then write the report. The status is 1 if a cell failed.

    With `--plan`, only say what it would find.
    """
    values = parser.values(arguments)
    out, workers, cache, quiet, log = (values.pop(key) for key in ("out", "workers", "cache", "quiet", "log"))
    pilots = [Path(pilot).expanduser() for pilot in values.pop("plan")]
    check_integer("workers", workers, least=0)
    if out is None and not pilots:
        raise UsageError("--out is missing: name a folder for the grid")
    tasks = values["tasks"]
    options = DataOptions.take(values)
    if options.data is not None or options.more:
        from graphpe.benchmarks.calls.data import own_task  # here, so that `--help` is quick

        with imported(values["imports"]):
            own = own_task(options, tasks[0] if tasks else None, given_by="--tasks")
        values["tasks"] = [own]
        if not quiet:
            print(f"task {own}", flush=True)
    values |= _suited(values, parser.given(arguments))
    of_grid = {field.name for field in fields(GridConfig)}
    grid = GridConfig(**{key: value for key, value in values.items() if key in of_grid})
    common = TrainConfig(**{key: value for key, value in values.items() if key not in of_grid}, encodings=())
    _check_devices(grid, common)
    from graphpe.benchmarks.training.logs.epoch_log import check_log  # here, so that `--help` is quick

    check_log(log)
    cache_path = expanded(cache)
    cache_path = None if cache_path is None else cache_path.absolute()
    if pilots:
        with imported(common.imports):
            return _plan(grid, common, pilots, expanded(out), workers=workers, cache=cache_path, quiet=quiet)
    root = Path(out).expanduser()
    _make_folder(root)
    try:
        at_work = f"another `graphpe grid` is at work in {root}: wait for it, stop it, or name another folder"
        with imported(common.imports), locked(root, at_work):
            return _run(grid, common, root, arguments, workers=workers, cache=cache_path, quiet=quiet, log=log)
    except KeyboardInterrupt:
        raise Stopped("stopped; what cells have done so far is saved, the same command goes on") from None
    except OSError as error:
        raise GraphPERuntimeError(
            f"cannot write in {root}: {error.strerror or error}; mend that, the same command goes on"
        ) from None
    finally:
        if not any(root.iterdir()):
            root.rmdir()


def _suited(values: Mapping[str, Any], given: Collection[str]) -> dict[str, Any]:
    """Options of training that suit all tasks alike, as far as they are not given."""
    from graphpe.benchmarks.calls.build import build_task, canonical_task

    with imported(values["imports"]):
        tasks = [build_task(canonical_task(task)) for task in values["tasks"]]
    several = [task.training_defaults(values["sampler"]) for task in tasks]
    first = several[0] if several else {}
    alike = {name: value for name, value in first.items() if all(each.get(name) == value for each in several)}
    return {name: value for name, value in alike.items() if name not in given}


class Stopped(GraphPERuntimeError):
    """The user stopped a grid."""

    exit_code = 130


def _run(
    grid: GridConfig,
    common: TrainConfig,
    root: Path,
    arguments: Sequence[str],
    *,
    workers: int,
    cache: Path | None,
    quiet: bool,
    log: Log,
) -> int:
    # Imported here, so that `--help` is quick: torch and PyG take seconds.

    from graphpe.benchmarks.grid.cells import Skipped, grid_cells
    from graphpe.benchmarks.grid.engine import run_cells, run_cells_on_ray

    listed = list(grid_cells(grid, common, root, workers=workers, cache=cache, progress=not quiet))
    cells = [each for each in listed if isinstance(each, Cell)]
    skipped = [each for each in listed if isinstance(each, Skipped)]
    notes = list(
        dict.fromkeys(f"skipped {each.task}, {each.encoding}, {each.model}: {each.reason}" for each in skipped)
    )
    if not cells:
        raise GraphPERuntimeError(f"no cell of this grid can be run: {notes[0]}")
    todo = [cell for cell in cells if cell.status != "done"]
    for cell in cells:
        if cell.status == "done":
            cell.mend()
    if not quiet:
        for note in notes:
            print(note)
        print(
            f"{len(cells)} cells, {len(cells) - len(todo)} done before, {len(skipped) * grid.seeds} skipped", flush=True
        )
    remove_leftovers(root)
    write_atomically(root / "command.txt", f"graphpe grid {' '.join(map(quoted, arguments))}\n")
    write_atomically(root / "skipped.txt", "".join(note + "\n" for note in notes))
    write_atomically(root / "cells.txt", "".join(f"{cell.folder.name}\n" for cell in cells))
    with progress_bar(total=len(todo), desc="grid", unit="cell", disable=quiet or not todo) as bar:

        def done(cell: Cell) -> None:
            if cell.status == "failed" and not quiet:
                bar.write(f"failed: {cell.task}, {cell.encoding}, {cell.model}, seed {cell.config.seed}: {cell.error}")
            bar.update()

        run = run_cells_on_ray if grid.engine == "ray" else run_cells
        run(todo, jobs=grid.jobs, gpus=grid.gpus, cache=cache, log=log, done=done)
    failed = [cell for cell in cells if cell.status == "failed"]
    if len(failed) < len(cells):
        print("\n".join(report_lines([root], root / "report")))
    if failed:
        print(f"{len(failed)} of {len(cells)} cells failed; the same command tries them again")
    return 1 if failed else 0


def _plan(
    grid: GridConfig,
    common: TrainConfig,
    pilots: Sequence[Path],
    root: Path | None,
    *,
    workers: int,
    cache: Path | None,
    quiet: bool,
) -> int:
    """Say what a grid would find, and in what time."""
    from graphpe.benchmarks.grid.cells import Skipped, grid_cells  # here, so that `--help` is quick
    from graphpe.benchmarks.grid.plan import SEEDS, make_plan, plan_lines

    seeds = sorted({*SEEDS, max(grid.seeds, 2)})
    every = replace(grid, seeds=seeds[-1])
    listed = list(grid_cells(every, common, root or Path(), workers=workers, cache=cache, progress=not quiet))
    cells = [each for each in listed if isinstance(each, Cell)]
    if not cells:
        reason = next(each.reason for each in listed if isinstance(each, Skipped))
        raise GraphPERuntimeError(f"no cell of this grid can be run: {reason}")
    print("\n".join(plan_lines(make_plan(cells, pilots, seeds=seeds, jobs=grid.jobs, begun=root is not None))))
    return 0


def _check_devices(grid: GridConfig, common: TrainConfig) -> None:
    import torch  # here, so that `--help` is quick

    if common.accelerator == "cuda" and not grid.gpus:
        raise UsageError("--accelerator cuda needs --gpus, the number of GPUs that cells share")
    if grid.engine == "local" and grid.gpus > torch.cuda.device_count():
        raise UsageError(f"--gpus is {grid.gpus}, but this machine has {torch.cuda.device_count()}")


def _make_folder(root: Path) -> None:
    """The grid's folder: new, empty, or a grid's.

    Raises:
        GraphPERuntimeError: It holds something else, or cannot be made.
    """
    try:
        if root.is_dir() and not _is_ours(root):
            raise GraphPERuntimeError(f"{root} holds files that are no grid's: name another folder with --out")
        root.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise GraphPERuntimeError(
            f"cannot make the folder {root}: {error.strerror or error}; name another with --out"
        ) from None


def _is_ours(root: Path) -> bool:
    """Whether a folder is empty or a grid's: the command that made it is what is written there first."""
    command = root / "command.txt"
    if command.is_file():
        return read_text(command).startswith("graphpe grid")
    killed = ".command.txt."  # how its half is called while it is written
    return all(entry.name.startswith(killed) for entry in root.iterdir())
