"""`graphpe expressivity`."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from graphpe.benchmarks.calls.own import imported
from graphpe.benchmarks.console.parser import CommandParser, UsageError
from graphpe.benchmarks.expressivity.sets import DATASETS, DEFAULT_ENCODINGS
from graphpe.errors import GraphPERuntimeError, GraphPEValueError
from graphpe.files.atomic import write_atomically
from graphpe.progress import progress_bar

EXAMPLES = """
examples:
  graphpe expressivity --data dataset/expressivity
  graphpe expressivity --data dataset/expressivity --sets sr25 EXP --encodings "RandomWalkPE(walk_length=8)" --out a.csv
"""


def add_expressivity(parser: CommandParser) -> None:
    """Add the options of `graphpe expressivity`."""
    parser.epilog = EXAMPLES
    parser.add_import()
    parser.add_argument("--data", type=str, help=f"folder that holds {', '.join(DATASETS.values())}")
    parser.add_argument("--sets", nargs="+", type=str, help=f"any of {', '.join(DATASETS)} (default: all)")
    parser.add_argument(
        "--encodings", nargs="+", type=str, help='encodings, as calls; "none" is always among them (default: a dozen)'
    )
    parser.add_argument("--out", type=str, default=None, help="file of the table, .md or .csv (default: printed)")
    parser.add_argument("--rounds", type=int, default=0, help="rounds of message passing after the encoding")
    parser.add_argument("--seed", type=int, default=0, help="seed of the random numbers of the comparison")
    parser.add_argument("--quiet", action="store_true", help="no progress bar")


def run_expressivity(parser: CommandParser, arguments: Sequence[str]) -> int:
    """Count the pairs of graphs that encodings tell apart, and print or write a table."""
    values = parser.values(arguments)
    with imported(values["imports"]):
        return _expressivity(values, arguments)


def _expressivity(values: dict[str, Any], arguments: Sequence[str]) -> int:
    # Imported here, so that `--help` is quick: torch and PyG take seconds.

    from graphpe.benchmarks.calls.build import stored_encodings
    from graphpe.benchmarks.expressivity.pairs import Verdict, compare, read_sets
    from graphpe.benchmarks.expressivity.table import as_csv, as_markdown

    if not values["data"]:
        raise UsageError("--data is missing")
    out = None if values["out"] is None else Path(values["out"]).expanduser()
    if out is not None and out.suffix not in (".md", ".csv"):
        raise UsageError(f"--out is {out}; it must end in .md or .csv")
    if out is not None and not out.absolute().parent.is_dir():
        raise GraphPERuntimeError(f"{out.absolute().parent} is no folder: {out.name} cannot be written there")
    for name in ("seed", "rounds"):
        if values[name] < 0:
            raise GraphPEValueError(f"--{name} must not be negative, got {values[name]}")
    texts = values["encodings"] or list(DEFAULT_ENCODINGS)
    encodings = [None, *(encoding for text in texts for encoding in stored_encodings([text]))]
    sets = read_sets(Path(values["data"]).expanduser(), values["sets"] or list(DATASETS))
    verdicts: list[Verdict] = []
    with progress_bar(total=len(encodings) * len(sets), leave=False, disable=values["quiet"]) as bar:
        for encoding in encodings:
            for data in sets:
                bar.set_description(f"{type(encoding).__name__ if encoding else 'none'}, {data.name}")
                verdicts.append(compare(encoding, data, rounds=values["rounds"], seed=values["seed"]))
                bar.update()
    command = shlex.join(["graphpe", "expressivity", *arguments])
    as_text = out is None or out.suffix == ".md"
    table = as_markdown(verdicts, command, rounds=values["rounds"]) if as_text else as_csv(verdicts)
    if out is None:
        print(table, end="")
        return 0
    try:
        write_atomically(out, table)
    except OSError as error:
        raise GraphPERuntimeError(f"{out} cannot be written: {error.strerror}") from None
    print(out)
    return 0
