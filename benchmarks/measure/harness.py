"""What measurements share: their options, sides that take turns, and tables with the command and the machine below."""

from __future__ import annotations

import argparse
import shlex
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from datetime import date
from pathlib import Path

from graphpe.benchmarks.console.machine import machine as machine_of_process
from graphpe.files.atomic import write_atomically

_OF_THIS_MACHINE = ("--out", "--data", "--root", "--folder")


def parser(
    description: str | None,
    *,
    graphs: int | None = None,
    repeats: int | None = None,
    threads: int | None = 1,
    seed: int | None = 0,
    data: str | None = "ogbg_molhiv",
) -> argparse.ArgumentParser:
    """The options that measurements have, each where it has a default here, and `--out`.

    Args:
        description: The module's docstring.
        graphs: Graphs of each kind.
        repeats: Turns of each side.
        threads: Threads of each side.
        seed: Of what is random.
        data: What the folder of real data holds.
    """
    out = argparse.ArgumentParser(description=description, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name, default, about in (
        ("graphs", graphs, "graphs of each kind"),
        ("repeats", repeats, "turns of each side"),
        ("threads", threads, "for every side"),
        ("seed", seed, "of what is random"),
    ):
        if default is not None:
            out.add_argument(f"--{name}", type=int, default=default, help=about)
    if data is not None:
        out.add_argument("--data", type=Path, help=f"folder with {data} (default: $GRAPHPE_DATA or ../shared/data)")
    out.add_argument("--out", type=Path, help="write the table there, as Markdown, and pictures beside it")
    return out


def take_turns(
    sides: Sequence[Callable[[], object]],
    repeats: int,
    *,
    warm_up: bool = True,
    clock: Callable[[], float] = time.perf_counter,
) -> list[float]:
    """Median seconds of each side; they take turns, so that what else the machine does falls on all of them.

    Args:
        sides: What is measured.
        repeats: Turns of each.
        warm_up: Whether there is one turn before these.
        clock: Gives seconds; `time.process_time` where others use the machine and both sides have one thread.
    """
    times: list[list[float]] = [[] for _ in sides]
    for turn in range(repeats + warm_up):
        for side, taken in zip(sides, times, strict=True):
            start = clock()
            side()
            if turn >= warm_up:
                taken.append(clock() - start)
    return [statistics.median(taken) for taken in times]


def machine(*packages: str, threads: int | None = None) -> str:
    """What it ran on, and versions.

    Args:
        packages: Further packages whose versions matter.
        threads: Of each side; None for those of torch in this process.
    """
    found = machine_of_process("cpu", *packages)
    versions = found["versions"]
    words = [f"torch {versions['torch']}", f"PyG {versions['torch_geometric']}"]
    words += [f"{name} {versions[name]}" for name in packages]
    count = found["threads"] if threads is None else threads
    return (
        f"{', '.join(words)}, Python {versions['python']}, {count} thread(s) of {found['cores']} "
        f"{found['architecture']} cores"
    )


def command(module: str, argv: Sequence[str] | None) -> str:
    """The command of a measurement; folders of this machine are left out.

    Args:
        module: Its name in `graphpe.benchmarks.measure`.
        argv: Its arguments; None for those of this process.
    """
    words: list[str] = []
    given = list(sys.argv[1:] if argv is None else argv)
    while given:
        word = given.pop(0)
        if word in _OF_THIS_MACHINE:
            del given[:1]
        elif not word.startswith(tuple(f"{option}=" for option in _OF_THIS_MACHINE)):
            words.append(word)
    return shlex.join(["python", "-m", f"graphpe.benchmarks.measure.{module}", *words])


def ending(about: str, ran: str, *packages: str, threads: int | None = None) -> list[str]:
    """The lines below a table.

    Args:
        about: How to read it; sentences.
        ran: The command.
        packages: As for `machine`; likewise `threads`.
        threads: Of each side.
    """
    words = f"{about} {date.today()}, {machine(*packages, threads=threads)}.".strip()
    return ["", words, "", f"    {ran}"]


class Report:
    """Lines that are printed as they come, and in the file so far: a run that is stopped leaves what it has."""

    def __init__(self, out: Path | None) -> None:
        self.out = out
        self.lines: list[str] = []

    def say(self, *lines: str) -> None:
        """Add lines."""
        self.lines += lines
        print("\n".join(lines), flush=True)
        if self.out is not None:
            write_atomically(self.out, "\n".join(self.lines) + "\n")
