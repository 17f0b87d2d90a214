"""Running cells: each in a process of its own, several at once, here or on Ray."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from multiprocessing.connection import wait
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any, cast

from graphpe.benchmarks.grid.cell import Cell, run_cell
from graphpe.benchmarks.training.config import Log
from graphpe.benchmarks.training.distributed.forking import forking_context, one_thread_while_importing
from graphpe.errors import GraphPERuntimeError
from graphpe.storage.parallel import ray_cluster, run_jobs, run_ray_jobs

_GRACE = 30.0  # seconds in which an interrupted cell saves its state


def run_cells(
    cells: Sequence[Cell],
    *,
    jobs: int,
    gpus: int,
    cache: Path | None,
    done: Callable[[Cell], None],
    log: Log = "none",
) -> None:
    """Run cells in processes on this machine, `jobs` at once.

    A process is forked from one that has imported everything and done nothing: it starts at once, and what one cell
    does to its process touches no other. If a process dies its cell has failed, and the others go on.

    Args:
        cells: The cells.
        jobs: Processes at once.
        gpus: GPUs that they take turns on.
        cache: Folder for data worth keeping; None means the user's cache folder.
        done: Called with each cell as it ends.
        log: Where the epochs of each are logged beside its files.
    """
    context = forking_context()

    def begin(cell: Cell, place: int) -> BaseProcess:
        cell.write()
        device = str(place % gpus) if gpus else ""
        process = context.Process(target=run_cell, args=(cell.folder, device, cache, log))
        process.start()
        return process

    with (
        one_thread_while_importing(),
        closing(run_jobs(cells, jobs, begin=begin, finished=_finished, stop=_stop)) as results,
    ):
        for cell, exit_code in results:
            _note_death(cell, exit_code)
            done(cell)


def _finished(processes: Sequence[BaseProcess]) -> Iterator[tuple[BaseProcess, int]]:
    by_sentinel = {process.sentinel: process for process in processes}
    for sentinel in wait(list(by_sentinel)):
        process = by_sentinel[cast(int, sentinel)]
        process.join()
        yield process, process.exitcode or 0


def run_cells_on_ray(
    cells: Sequence[Cell],
    *,
    jobs: int,
    gpus: int,
    cache: Path | None,
    done: Callable[[Cell], None],
    log: Log = "none",
) -> None:
    """Run cells as tasks of a Ray cluster whose nodes all see the cells' folders.

    Args:
        cells: The cells.
        jobs: Cells at once.
        gpus: GPUs that all cells share.
        cache: Folder for data worth keeping; None means the user's cache folder.
        done: Called with each cell as it ends.
        log: Where the epochs of each are logged beside its files.

    Raises:
        GraphPERuntimeError: Ray is not installed.
    """
    with ray_cluster(include_dashboard=False) as ray:
        _check_resources(ray, cells, jobs=jobs, gpus=gpus)
        # One process a cell: `max_calls=1` ends a worker after it.
        remote = ray.remote(max_calls=1, max_retries=0)(_run_in)

        def submit(cell: Cell) -> Any:
            cell.write()
            share = {"num_cpus": cell.config.threads, "num_gpus": min(1.0, gpus / jobs)}
            return remote.options(**share).remote(Path.cwd(), cell.folder, None if gpus else "", cache, log)

        with closing(run_ray_jobs(ray, cells, jobs, submit)) as results:
            for cell, outcome in results:
                if isinstance(outcome, ray.exceptions.RayError):
                    cell.fail(f"its process died ({type(outcome).__name__}); see {cell.folder / 'log.txt'}")
                else:
                    _note_death(cell, 0)
                done(cell)


def _run_in(working_folder: Path, folder: Path, device: str | None, cache: Path | None, log: Log) -> None:
    """A cell on a node of a cluster: paths that are not absolute are the user's."""
    os.chdir(working_folder)
    run_cell(folder, device, cache, log)


def _check_resources(ray: Any, cells: Sequence[Cell], *, jobs: int, gpus: int) -> None:
    """Refuse what Ray would wait for without end."""
    nodes = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    for name, needed in (
        ("CPU", max((cell.config.threads for cell in cells), default=0)),
        ("GPU", min(1.0, gpus / jobs)),
    ):
        most = max((node.get(name, 0) for node in nodes), default=0)
        if most < needed:
            raise GraphPERuntimeError(
                f"a cell takes {needed:g} {name}, but no node of the Ray cluster has more than {most:g}"
            )


def _note_death(cell: Cell, exit_code: int) -> None:
    """A process that ended without a result or a reason was killed, or ran out of memory."""
    if cell.status not in ("done", "failed"):
        why = "was stopped" if exit_code == 0 else f"ended with code {exit_code} (out of memory?)"
        cell.fail(f"its process {why}; see {cell.folder / 'log.txt'}")


def _stop(processes: Sequence[BaseProcess]) -> None:
    """Ask processes to save their state and end; end those that do not."""
    for process in processes:
        process.terminate()
    deadline = time.monotonic() + _GRACE
    for process in processes:
        process.join(max(0.0, deadline - time.monotonic()))
        if process.exitcode is None:
            process.kill()
            process.join()
