"""Many jobs, some at once: in processes of this machine, or as tasks of a Ray cluster."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Callable, Generator, Hashable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

from graphpe.errors import GraphPERuntimeError

Job = TypeVar("Job")
Handle = TypeVar("Handle", bound=Hashable)
Result = TypeVar("Result")


def run_jobs(
    jobs: Sequence[Job],
    at_once: int,
    *,
    begin: Callable[[Job, int], Handle],
    finished: Callable[[Sequence[Handle]], Iterable[tuple[Handle, Result]]],
    stop: Callable[[Sequence[Handle]], object],
) -> Generator[tuple[Job, Result], None, None]:
    """Begin jobs in their order, some at once; gives each with its result as it ends, when the next one has begun.

    Args:
        jobs: The jobs.
        at_once: How many are under way at once.
        begin: Begins a job in a place from 0 to `at_once - 1` where no other is under way; gives what stands for it.
        finished: Waits until at least one of those under way has ended; gives these with their results.
        stop: Ends those still under way, when this generator is closed or anything fails.
    """
    waiting = list(reversed(jobs))
    running: dict[Handle, tuple[Job, int]] = {}

    def begin_next(place: int) -> None:
        if waiting:
            job = waiting.pop()
            running[begin(job, place)] = job, place

    try:
        for place in range(at_once):
            begin_next(place)
        while running:
            for handle, result in finished(list(running)):
                job, place = running.pop(handle)
                begin_next(place)
                yield job, result
    finally:
        stop(list(running))


def run_ray_jobs(
    ray: Any, jobs: Sequence[Job], at_once: int, submit: Callable[[Job], Any]
) -> Generator[tuple[Job, Any], None, None]:
    """Run jobs as tasks of Ray; gives each with what its task returned, or with the error of Ray that ended it.

    Args:
        ray: The module, connected.
        jobs: The jobs.
        at_once: Tasks at once.
        submit: Submits the task of a job.
    """

    def outcome(task: Any) -> Any:
        try:
            return ray.get(task)
        except ray.exceptions.RayError as error:
            return error

    return run_jobs(
        jobs,
        at_once,
        begin=lambda job, _: submit(job),
        finished=lambda tasks: [(task, outcome(task)) for task in ray.wait(tasks, num_returns=1)[0]],
        stop=lambda tasks: [ray.cancel(task, force=True) for task in tasks],
    )


@contextmanager
def ray_cluster(**options: Any) -> Iterator[Any]:
    """The module `ray`, connected; a connection that was made here is ended here.

    Args:
        options: For `ray.init`, where no connection is there yet.

    Raises:
        GraphPERuntimeError: Ray is not installed, or there is no connection to the cluster.
    """
    try:
        ray: Any = importlib.import_module("ray")  # not `import`: type checkers need not have it
    except ImportError:
        raise GraphPERuntimeError("engine='ray' needs Ray, which is not here: pip install 'graphpe[ray]'") from None
    started_here = not ray.is_initialized()
    if started_here:
        try:
            ray.init(logging_level=logging.ERROR, log_to_driver=False, **options)
        except (ConnectionError, RuntimeError, ValueError) as error:
            text = " ".join(str(error).split())[:300]
            raise GraphPERuntimeError(f"no connection to a Ray cluster: {type(error).__name__}: {text}") from None
    try:
        yield ray
    finally:
        if started_here:
            ray.shutdown()
