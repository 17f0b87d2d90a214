"""A process that has imported everything and runs commands of graphpe in forks of itself.

Started as a script; one request in JSON a line, one answer in JSON a line. Nothing in it has trained or encoded: what
it forks is what a user's own process is, without the seconds that its imports take.
"""

from __future__ import annotations

import importlib
import json
import os
import resource
import signal
import sys
import time
import traceback
from pathlib import Path

_IMPORTED = (
    "graphpe.benchmarks.training.experiment",
    "graphpe.benchmarks.training.summary",
    "graphpe.benchmarks.grid.engine",
    "graphpe.benchmarks.grid.report",
    "graphpe.benchmarks.grid.reports.pictures",
    "graphpe.benchmarks.calls.named_graphs",
    "graphpe.benchmarks.tasks",
    "graphpe.benchmarks.runs.run",
    "graphpe.storage.precompute",
    "graphpe.models.grit",
    "torch_geometric.datasets",
    "lightning_fabric",
    "pandas",
)


def main() -> None:
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what an import says is no answer
    import torch

    torch.set_num_threads(1)
    for name in _IMPORTED:
        importlib.import_module(name)
    for name in ("train", "predict", "encode", "grid", "report"):
        importlib.import_module(f"graphpe.benchmarks.cli.{name}")
    from ogb.graphproppred import Evaluator  # noqa: F401

    for line in sys.stdin:
        request = json.loads(line)
        answer = _wait(**request["wait"]) if "wait" in request else _start(**request)
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def _start(arguments: list[str], folder: str, out: str, memory: int, file_size: int) -> int:
    """Fork a process that runs a command; its number."""
    child = os.fork()
    if child:
        return child
    status = 70
    try:
        os.setsid()
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.dup2(os.open("/dev/null", os.O_RDONLY), 0)
        for number, name in ((1, "out"), (2, "err")):
            os.dup2(os.open(f"{out}.{name}", os.O_WRONLY | os.O_CREAT | os.O_TRUNC), number)
        sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1, closefd=False) for number in (1, 2))
        os.chdir(folder)
        _limit(memory, file_size)
        from graphpe.benchmarks.cli.main import main as graphpe

        sys.argv = ["graphpe", *arguments]
        status = graphpe(arguments)
    except BaseException:
        traceback.print_exc()
    finally:
        for stream in (sys.stdout, sys.stderr):
            stream.flush()
        os._exit(status)


def _limit(memory: int, file_size: int) -> None:
    """Bytes that the process may have beside those that it was forked with, and that a file of it may; 0: no limit."""
    if memory:
        pages = int(Path("/proc/self/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + memory
        resource.setrlimit(resource.RLIMIT_AS, (most, most))
    if file_size:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # as Python itself does: an error of the write
        resource.setrlimit(resource.RLIMIT_FSIZE, (file_size, file_size))


def _wait(process: int, seconds: float) -> int | None:
    """The status with which a process ended, minus the signal where one ended it; None where it has not."""
    deadline = time.monotonic() + seconds
    while True:
        found, status = os.waitpid(process, os.WNOHANG)
        if found:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() >= deadline:
            return None
        time.sleep(0.005)


if __name__ == "__main__":
    main()
