"""How fast Python source becomes packed graphs: functions per second, nothing taken from a cache.

    python -m graphpe.benchmarks.measure.speed.parsing --workers 2 --repeats 5

Timed as one: finding and reading the files of the standard library, parsing, the walk, keeping the result on disk, the
split, vocabularies, edges, labels and packing. Beside it stands what `ast.parse` alone takes for the same files in one
process, which no walk can go below.
"""

from __future__ import annotations

import ast
import tempfile
import warnings
from collections.abc import Callable, Sequence
from pathlib import Path

from graphpe.benchmarks.measure.harness import Report, command, ending, parser, take_turns
from graphpe.benchmarks.tasks import PythonSource
from graphpe.benchmarks.tasks.code.source.files import find_sources, standard_library
from graphpe.benchmarks.tasks.code.source.read import read_corpus


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table, and write it where `--out` says."""
    known = parser(__doc__, repeats=5, threads=None, seed=None, data=None)
    known.add_argument("--root", type=Path, default=standard_library(), help="folder of source")
    known.add_argument("--workers", type=int, default=0, help="processes (0: as many as cores)")
    options = known.parse_args(argv)

    tree = find_sources(options.root)
    task = PythonSource(root=str(options.root))
    works: dict[str, Callable[[], object]] = {
        "ast.parse alone, one process": lambda: _parse_only([file.path for file in tree.files]),
        "parse and walk": lambda: read_corpus(tree, workers=options.workers, progress=False),
        "source to packed graphs": lambda: _load_afresh(task, options.workers),
    }
    functions = read_corpus(tree, workers=options.workers, progress=False)[0].num_functions
    seconds = take_turns(list(works.values()), options.repeats, warm_up=False)
    report = Report(options.out)
    report.say("| | s | functions/s |", "|---|---|---|")
    for name, taken in zip(works, seconds, strict=True):
        report.say(f"| {name} | {taken:.2f} | {functions / taken:,.0f} |")
    about = f"{len(tree.files):,} files, {functions:,} functions; medians of {options.repeats}."
    report.say(*ending(about, command("speed.parsing", argv)))


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
