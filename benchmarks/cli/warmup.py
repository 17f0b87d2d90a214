"""`graphpe warmup`."""

from __future__ import annotations

import time
from collections.abc import Sequence

from graphpe.benchmarks.console.parser import CommandParser


def add_warmup(parser: CommandParser) -> None:
    """Add the options of `graphpe warmup`."""
    parser.add_argument("--quiet", action="store_true", help="print nothing")


def run_warmup(parser: CommandParser, arguments: Sequence[str]) -> int:
    """Compile ahead."""
    values = parser.values(arguments)
    from graphpe.benchmarks.warmup import warmup  # here, so that `--help` is quick

    start = time.perf_counter()
    warmup(progress=not values["quiet"])
    if not values["quiet"]:
        print(f"encodings and models are compiled for this machine ({time.perf_counter() - start:.0f} s)")
    return 0
