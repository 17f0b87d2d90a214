"""How fast Python source becomes packed graphs: functions per second, nothing taken from a cache.

    python -m graphpe.benchmarks.measure.speed.parsing --workers 2 --repeats 5

Timed as one: finding and reading the files of the standard library, parsing, the walk, keeping the result on disk, the
split, vocabularies, edges, labels and packing. Beside it stands what `ast.parse` alone takes for the same files in one
process, which no walk can go below.
"""

from __future__ import annotations

import argparse
import ast
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

from graphpe.benchmarks.tasks import PythonSource
from graphpe.benchmarks.tasks.code.source.files import find_sources, standard_library
from graphpe.benchmarks.tasks.code.source.read import read_corpus


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description="Functions per second from source to packed graphs.")
    parser.add_argument("--root", type=Path, default=standard_library(), help="folder of source")
    parser.add_argument("--workers", type=int, default=0, help="processes (0: as many as cores)")
    parser.add_argument("--repeats", type=int, default=5, help="runs of each, of which the median counts")
    options = parser.parse_args()

    tree = find_sources(options.root)
    task = PythonSource(root=str(options.root))
    works: dict[str, Callable[[], object]] = {
        "ast.parse alone, one process": lambda: _parse_only([file.path for file in tree.files]),
        "parse and walk": lambda: read_corpus(tree, workers=options.workers, progress=False),
        "source to packed graphs": lambda: _load_afresh(task, options.workers),
    }
    functions = read_corpus(tree, workers=options.workers, progress=False)[0].num_functions
    seconds: dict[str, list[float]] = {name: [] for name in works}
    for _ in range(options.repeats):
        for name, work in works.items():  # interleaved, so that a busy moment hits all alike
            started = time.perf_counter()
            work()
            seconds[name].append(time.perf_counter() - started)
    print(f"{options.root}: {len(tree.files):,} files, {functions:,} functions, median of {options.repeats}")
    for name, times in seconds.items():
        median = statistics.median(times)
        print(f"{name:<30} {median:6.2f} s {functions / median:10,.0f} functions/s")


def _load_afresh(task: PythonSource, workers: int) -> None:
    with tempfile.TemporaryDirectory() as empty:
        task.load(workers=workers, cache=Path(empty), progress=False)


def _parse_only(paths: list[Path]) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for path in paths:
            try:
                ast.parse(path.read_bytes())
            except (OSError, SyntaxError, ValueError, RecursionError, MemoryError):
                continue


if __name__ == "__main__":
    main()
