"""One process for each device of this machine, and one that starts them, waits for them and speaks for them.

Whatever ends one of them ends all, with one error: that of the process that failed first, never those of the others,
which only lost contact with it. Ctrl-C and SIGTERM are passed on, so that they stop together and save.
"""

from __future__ import annotations

import os
import signal
import socket
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.context import ForkServerProcess
from multiprocessing.process import BaseProcess
from multiprocessing.reduction import DupFd
from pathlib import Path
from shlex import quote
from typing import Any

from lightning_fabric import Fabric

from graphpe.benchmarks.training.config import Log, TrainConfig
from graphpe.benchmarks.training.distributed.devices import make_fabric
from graphpe.benchmarks.training.distributed.forking import begin_process, forking_context, one_thread_while_importing
from graphpe.benchmarks.training.distributed.ranks import LostContact, contact
from graphpe.benchmarks.training.interrupt import Interrupted, StopRequest, stop_on_signals
from graphpe.benchmarks.training.run_folder import RunFolder
from graphpe.errors import GraphPEError, GraphPERuntimeError
from graphpe.storage.workers import main_hidden

_PAUSE = 0.1
_GRACE = 2.0  # seconds in which the others may say what happened, once one of them has ended


@dataclass(frozen=True)
class Job:
    """A run and how it is carried out.

    Attributes:
        run: Its folder.
        config: Its options.
        resumed: Whether it goes on.
        workers: Processes that read data.
        cache: Folder for data worth keeping.
        progress: Whether to show progress.
        log: Where its epochs are logged, too.
    """

    run: RunFolder
    config: TrainConfig
    resumed: bool
    workers: int
    cache: Path | None
    progress: bool
    log: Log = "none"


@dataclass(frozen=True)
class _Failure:
    """Why a process ended without a result.

    Attributes:
        error: What it raised, if it is an error that graphpe raises on purpose; else that in one line.
        trace: Of an error that nobody foresaw.
    """

    error: GraphPEError
    trace: str = ""


Work = Callable[[Job, Fabric], dict[str, Any]]


def run_in_processes(work: Work, job: Job, count: int, lock: int | None) -> dict[str, Any]:
    """Do a job in `count` processes, one for each device.

    Args:
        work: What each does.
        job: With what.
        count: Processes.
        lock: The lock of the run's folder, held until the first of them has ended, too.

    Returns:
        The result of the first process.

    Raises:
        GraphPEError: What the process raised that failed first.
        GraphPERuntimeError: One of them was killed.
    """
    context = forking_context()
    port = _free_port()
    processes: list[ForkServerProcess] = []
    reports: list[Connection] = []
    with tempfile.TemporaryDirectory(prefix="graphpe-") as folder, stop_on_signals() as stop:
        logs = [Path(folder) / f"{rank}.txt" for rank in range(count)]
        try:
            with one_thread_while_importing(), main_hidden(unless=False):
                for rank in range(count):
                    receive, send = context.Pipe(duplex=False)
                    handle = _Lock(lock) if rank == 0 and lock is not None else None
                    place = _Place(rank, count, port, str(logs[rank]))
                    process = context.Process(target=_work, args=(work, job, place, send, handle))
                    process.start()
                    send.close()
                    processes.append(process)
                    reports.append(receive)
            _wait(processes, stop)
            outcomes = [_outcome(report) for report in reports]
            return _result(processes, outcomes, logs, job.run, stop)
        finally:
            for process in processes:
                process.kill()
                process.join()


@dataclass(frozen=True)
class _Place:
    """Which of the processes one is, where they meet, and the file for what libraries say on standard error."""

    rank: int
    count: int
    port: int
    log: str


class _Lock:
    """A lock on its way to another process, which holds it, too, from then on."""

    def __init__(self, handle: int) -> None:
        self.handle = handle

    def __reduce__(self) -> tuple[Any, ...]:
        return _received, (DupFd(self.handle),)


def _received(handle: Any) -> _Lock:
    return _Lock(handle.detach())


def _work(work: Work, job: Job, place: _Place, report: Connection, lock: _Lock | None) -> None:
    """What one process does; never returns. The lock is open, hence held, as long as it lives."""
    outcome: dict[str, Any] | _Failure
    begin_process()
    _redirect(place)
    addresses = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": place.port, "WORLD_SIZE": place.count}
    places = {"NODE_RANK": 0, "LOCAL_RANK": place.rank}
    os.environ.update({name: str(value) for name, value in (addresses | places).items()})
    try:
        fabric = make_fabric(job.config)
        fabric.launch()
        with contact(fabric):
            outcome = work(job, fabric)
            fabric.barrier()  # none takes its connections away while others use them
    except GraphPEError as error:
        outcome = _Failure(error)
    except KeyboardInterrupt:
        outcome = _Failure(Interrupted("stopped before there was anything to save", signal.SIGINT))
    except Exception as error:  # whatever it is, the process that waits for this one is to know
        line = " ".join(str(error).split())
        wrong = GraphPERuntimeError(
            f"process {place.rank + 1} of {place.count} failed ({type(error).__name__}: {line})"
        )
        outcome = _Failure(wrong, traceback.format_exc())
    report.send(outcome)
    sys.stdout.flush()
    sys.stderr.flush()
    sys.exit(int(isinstance(outcome, _Failure)))


def _redirect(place: _Place) -> None:
    """Standard error of libraries goes to a file, and only the first process speaks."""
    sys.stdout.flush()
    terminal = os.dup(2)
    log = os.open(place.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    os.dup2(log, 2)
    if place.rank == 0:
        sys.stderr = os.fdopen(terminal, "w", buffering=1)
        return
    os.close(terminal)
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    sys.stderr = os.fdopen(log, "w", buffering=1)


def _wait(processes: Sequence[BaseProcess], stop: StopRequest) -> None:
    """Wait until all have ended, or one has without success and the others had time to say why."""
    told, deadline = False, float("inf")
    while (running := [each for each in processes if each.exitcode is None]) and time.monotonic() < deadline:
        wait([each.sentinel for each in running], timeout=_PAUSE)
        if stop.signal_number and not told:
            told = True
            for each in running:
                os.kill(each.pid or 0, stop.signal_number)
        if deadline == float("inf") and any(each.exitcode for each in processes):
            deadline = time.monotonic() + _GRACE


def _outcome(report: Connection) -> dict[str, Any] | _Failure | None:
    try:
        return report.recv() if report.poll() else None
    except EOFError:
        return None


def _result(
    processes: Sequence[BaseProcess],
    outcomes: Sequence[dict[str, Any] | _Failure | None],
    logs: Sequence[Path],
    run: RunFolder,
    stop: StopRequest,
) -> dict[str, Any]:
    """The first process's result, or the error of the one that failed first."""
    codes = [process.exitcode for process in processes]
    first = outcomes[0]
    if isinstance(first, dict) and not any(codes):
        return first
    if stop.signal_number and not any(isinstance(each, _Failure) and _stopped(each) for each in outcomes):
        raise Interrupted("stopped before there was anything to save", stop.signal_number)
    for rank, (code, outcome) in enumerate(zip(codes, outcomes, strict=True)):
        if code and outcome is None:
            how = f"was killed by {_signal_name(-code)} (out of memory?)" if code < 0 else f"ended with status {code}"
            said = "" if -code == signal.SIGKILL else _last_line(logs[rank])
            raise GraphPERuntimeError(
                f"process {rank + 1} of {len(processes)} {how}{said and f': {said}'}; what was saved is kept, and "
                f"`graphpe train --resume {quote(str(run.path))}` goes on from there"
            )
    failures = [each for each in outcomes if isinstance(each, _Failure)]
    failures.sort(key=lambda each: isinstance(each.error, LostContact))  # those know least
    if not failures:
        raise GraphPERuntimeError(f"the processes of {run.path} ended without a result")
    if failures[0].trace:
        print(failures[0].trace, file=sys.stderr, end="")
    raise failures[0].error


def _stopped(failure: _Failure) -> bool:
    return isinstance(failure.error, Interrupted)


def _signal_name(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def _last_line(log: Path) -> str:
    """What a library said last, such as why it ended the process."""
    lines = log.read_text(errors="replace").split("\n") if log.is_file() else []
    said = (" ".join(line.split())[:200] for line in reversed(lines) if line.strip() and "Warning" not in line)
    return next(said, "")


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])
