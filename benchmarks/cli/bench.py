"""`graphpe bench`."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from graphpe.arguments import check_integer
from graphpe.benchmarks.console.parser import CommandParser, UsageError
from graphpe.errors import GraphPERuntimeError
from graphpe.files.atomic import write_atomically

COMPARISONS = {
    "encodings": "against PyG's transforms and the code of papers, graph by graph",
    "loading": "PackedLoader against PyG's DataLoader",
}

EXAMPLES = """
examples:
  graphpe bench
  graphpe bench encodings --graphs 500 --out encodings.md
"""


def add_bench(parser: CommandParser) -> None:
    """Add the options of `graphpe bench`."""
    parser.epilog = EXAMPLES
    known = "; ".join(f"{name}: {text}" for name, text in COMPARISONS.items())
    parser.add_argument("what", nargs="*", type=str, help=f"{known} (default: all)")
    parser.add_argument("--graphs", type=int, default=100, help="generated graphs of each kind")
    parser.add_argument("--repeats", type=int, default=3, help="turns of each side; figures are medians")
    parser.add_argument("--seed", type=int, default=0, help="seed of the graphs")
    parser.add_argument("--out", type=str, default=None, help="file of the tables, .md (they are printed anyway)")


def run_bench(parser: CommandParser, arguments: Sequence[str]) -> int:
    """Measure on generated graphs, in short, and print a table with ratios."""
    values = parser.values(arguments)
    asked = values["what"] or list(COMPARISONS)
    for name in asked:
        if name not in COMPARISONS:
            raise UsageError(f"nothing to measure under {name!r}; known: {', '.join(COMPARISONS)}")
    for name, least in (("graphs", 1), ("repeats", 1), ("seed", 0)):
        check_integer(f"--{name}", values[name], least=least)
    out = None if values["out"] is None else Path(values["out"]).expanduser()
    if out is not None and out.suffix != ".md":
        raise UsageError(f"--out is {out}; it must end in .md")
    if out is not None and not out.absolute().parent.is_dir():
        raise GraphPERuntimeError(f"{out.absolute().parent} is no folder: {out.name} cannot be written there")
    try:
        from graphpe.benchmarks.measure.speed import encodings, loading
    except ModuleNotFoundError:
        raise GraphPERuntimeError(
            "measurements are not installed with the package: run this from a checkout (pip install -e .)"
        ) from None

    measures = {"encodings": encodings.short, "loading": loading.short}
    lines: list[str] = []
    for name in asked:
        lines += [
            f"{name}: {COMPARISONS[name]}",
            "",
            *measures[name](values["graphs"], values["repeats"], values["seed"]),
            "",
        ]
    if out is not None:
        try:
            write_atomically(out, "\n".join(lines))
        except OSError as error:
            raise GraphPERuntimeError(f"{out} cannot be written: {error.strerror}") from None
    return 0
