"""`graphpe list`."""

from __future__ import annotations

from collections.abc import Sequence

from graphpe.benchmarks.calls import catalogue
from graphpe.benchmarks.calls.own import imported
from graphpe.benchmarks.console.parser import CommandParser, UsageError

KINDS = {
    "encodings": catalogue.encodings,
    "encoders": catalogue.encoders,
    "biases": catalogue.biases,
    "models": catalogue.models,
    "tasks": catalogue.tasks,
    "recipes": catalogue.recipes,
}


def add_list(parser: CommandParser) -> None:
    """Add the arguments of `graphpe list`."""
    parser.add_import()
    parser.add_argument("what", nargs="*", type=str, help=f"any of {', '.join(KINDS)} (default: all)")


def run_list(parser: CommandParser, arguments: Sequence[str]) -> int:
    """Print one line for each encoding, model and task, and the call that builds it."""
    values = parser.values(arguments)
    asked = values["what"] or list(KINDS)
    for kind in asked:
        if kind not in KINDS:
            raise UsageError(f"nothing to list under {kind!r}; known: {', '.join(KINDS)}")
    with imported(values["imports"]):
        for position, kind in enumerate(asked):
            print(f"{'' if position == 0 else chr(10)}{kind}")
            for entry in KINDS[kind]():
                print(f"  {entry.name:<22} {entry.about}")
                print(f"  {'':<22} {entry.call}")
    return 0
