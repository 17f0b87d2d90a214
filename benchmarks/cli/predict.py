"""`graphpe predict`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

from graphpe.arguments import check_integer
from graphpe.benchmarks.console.parser import CommandParser, expanded
from graphpe.benchmarks.training.run_folder import RunFolder


def add_predict(parser: CommandParser) -> None:
    """Add the options of `graphpe predict`."""
    parser.epilog = """
examples:
  graphpe predict script.py                               the newest run in runs/
  graphpe predict src/ --run runs/python-source-001
"""
    parser.add_argument("paths", nargs="+", type=str, help="Python files or folders of them")
    parser.add_argument("--run", type=str, default=None, help="run folder (default: the newest run in runs/)")
    parser.add_argument("--batch_size", type=int, default=64, help="functions predicted at once")
    parser.add_argument("--json", action="store_true", help="one JSON object a line instead of a table")


def run_predict(parser: CommandParser, arguments: Sequence[str]) -> int:
    """Print every function's own name beside the predicted one."""
    values = parser.values(arguments)
    # Imported here, so that `--help` is quick: torch and PyG take seconds.
    from graphpe.benchmarks.tasks.code.predict import name_functions

    check_integer("batch_size", values["batch_size"], least=1)
    named = expanded(values["run"])
    run = RunFolder.latest() if named is None else RunFolder.open(named)
    paths = [Path(path).expanduser() for path in values["paths"]]
    functions, notes = name_functions(run, paths, batch_size=values["batch_size"])
    if values["json"]:
        for function in functions:
            print(json.dumps({"function": function.where, "name": function.name, "predicted": function.predicted}))
        return 0
    for note in notes:
        print(note)
    print("\n".join(_table([(each.where, each.name, each.predicted) for each in functions])))
    return 0


def _table(functions: Sequence[tuple[str, str, Sequence[tuple[str, float]]]]) -> list[str]:
    where_width = min(max(len(where) for where, _, _ in functions), 60)
    name_width = min(max(len(name) for _, name, _ in functions), 30)
    lines = [f"{'function':<{where_width}}  {'name':<{name_width}}  predicted (probability)"]
    for where, name, predicted in functions:
        guess = " ".join(f"{token} ({probability:.2f})" for token, probability in predicted)
        lines.append(f"{where:<{where_width}}  {name:<{name_width}}  {guess or '(nothing)'}")
    return lines
