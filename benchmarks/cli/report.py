"""`graphpe report`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Literal, get_args

from graphpe.arguments import check_choice
from graphpe.benchmarks.console.parser import CommandParser, UsageError, expanded
from graphpe.benchmarks.grid.config import Format
from graphpe.errors import GraphPERuntimeError, GraphPEValueError

EXAMPLES = """
examples:
  graphpe report grids/esol                   effects with intervals, ranks, costs, pictures in grids/esol/report
  graphpe report grids/esol --out results --format latex csv pdf
  graphpe report grids/here grids/there --out results          grids of several machines as one
  graphpe report paper/runs.csv grids/here --out results       raw numbers of a report, without the runs
  graphpe report grids/zinc grids/esol --out results           with two tasks: gains and ranks over tasks, too
  graphpe report grids/esol --best-by valid                    of several settings the best by validation
  graphpe report grids/zinc --against published --literature rows.csv
  graphpe report grids/esol --html                             one page for a browser, beside them: report/report.html
all p-values of a report are corrected together (Holm); effects.csv has every gain over none with its interval
"""

BestBy = Literal["valid"]
Against = Literal["published"]


def add_report(parser: CommandParser) -> None:
    """Add the options of `graphpe report`."""
    parser.epilog = EXAMPLES
    parser.add_argument(
        "grids", nargs="+", type=str, help="folders of `graphpe grid`, also while that runs, or runs.csv of reports"
    )
    parser.add_argument("--out", type=str, default=None, help="folder of the report (default: report, in the grid's)")
    parser.add_argument(
        "--format",
        nargs="+",
        type=str,
        default=[],
        help=f"what to write beside report.md, runs.csv and pictures in PNG: {', '.join(get_args(Format))}; csv is the "
        "tables in one file, latex for booktabs",
    )
    parser.add_argument(
        "--best_by",
        type=str,
        default=None,
        help="valid: of several settings of a model and column only the best by validation, as for `grid --tune`",
    )
    parser.add_argument(
        "--literature",
        type=str,
        default=None,
        help="CSV with columns model, encoding, metric, mean, std, n, source (and task): rows shown beside, in no test",
    )
    parser.add_argument(
        "--html",
        action="store_true",
        help="also report.html, one file with everything in it: heat maps, tables to sort and filter, the raw numbers, "
        "and, where the folders of grids are given, learning curves and the command of each cell",
    )
    parser.add_argument(
        "--against",
        type=str,
        default=None,
        help="published: likewise what recipes name as published; and, in a table of its own, each of ours beside the "
        "published figures of the same task, architecture and encoding, with the budgets of both",
    )


def run_report(parser: CommandParser, arguments: Sequence[str]) -> int:
    """Write the report of the finished cells of grids, and print where it is."""
    values = parser.values(arguments)
    for name, known in (("best_by", BestBy), ("against", Against)):
        if values[name] is not None:
            check_choice(name, values[name], get_args(known))
    for each in values["format"]:
        check_choice("format", each, get_args(Format))
    roots = [Path(root).expanduser() for root in values["grids"]]
    out = expanded(values["out"])
    missing = next((root for root in roots if root.suffix == ".csv" and not root.is_file()), None)
    if missing is not None:
        raise GraphPEValueError(f"there is no file {missing}")
    if out is None and (len(roots) > 1 or roots[0].suffix == ".csv"):
        of = "several grids" if len(roots) > 1 else "raw numbers"
        raise UsageError(f"--out is missing: name a folder for the report of {of}")
    twice = next((str(root) for root in roots if [each.resolve() for each in roots].count(root.resolve()) > 1), None)
    if twice is not None:
        raise UsageError(f"{twice} is named twice")
    out = out or roots[0] / "report"
    try:
        lines = report_lines(
            roots,
            out,
            formats=values["format"],
            best_by_valid=values["best_by"] is not None,
            literature=expanded(values["literature"]),
            published=values["against"] is not None,
            html=values["html"],
        )
    except OSError as error:
        raise GraphPERuntimeError(f"cannot write the report in {out}: {error.strerror or error}") from None
    print("\n".join(lines))
    return 0


def report_lines(
    roots: Sequence[Path],
    out: Path,
    *,
    formats: Collection[Format] = (),
    best_by_valid: bool = False,
    literature: Path | None = None,
    published: bool = False,
    html: bool = False,
) -> list[str]:
    """Write the report of the finished cells of grids; what to tell the user of it.

    Args:
        roots: The folders of the grids, and files `runs.csv` of reports.
        out: The folder of the report.
        formats: What to write beside.
        best_by_valid: Whether validation chooses among listed settings, too; it does among drawn ones.
        literature: CSV of values from the literature.
        published: Whether to show those that recipes name, and ours beside published figures of the same setting.
        html: Whether to write the page, too.

    Raises:
        GraphPEValueError: No cell is finished, grids do not fit, or the literature cannot be read.
    """
    # Here, so that `--help` is quick: they import torch, and draw pictures.
    from graphpe.benchmarks.grid.options import setting_of
    from graphpe.benchmarks.grid.report import write_report
    from graphpe.benchmarks.grid.reports.merging import Gathered, check_alike, gather, in_one_order
    from graphpe.benchmarks.grid.reports.published.beside import Beside
    from graphpe.benchmarks.grid.reports.published.literature import fits, published_values, read_literature
    from graphpe.benchmarks.grid.reports.raw import read_raw
    from graphpe.benchmarks.grid.reports.selection import best_by_validation, budgets
    from graphpe.benchmarks.grid.results import combine, read_run

    from_file = [] if literature is None else read_literature(literature)
    from_recipes = published_values() if published else []
    files = [root for root in roots if root.suffix == ".csv"]
    folders = [root for root in roots if root not in files]
    found = gather(folders) if folders else Gathered()
    raw = [run for each in files for run in read_raw(each)]
    runs = [*(read_run(cell) for cell in found.cells if cell.status == "done"), *raw]
    if not runs:
        where = ", ".join(map(str, roots))
        raise GraphPEValueError(f"no cell of {where} is finished yet: {len(found.cells)} were started")
    twice = Counter((run.task, run.encoding, run.model, setting_of(run.options), run.drawn, run.seed) for run in runs)
    (key, times), *_ = twice.most_common(1)
    if times > 1:
        where = ", ".join(map(str, roots))
        raise GraphPEValueError(
            f"{', '.join(key[:3])}, seed {key[5]} is {times} times in {where}: leave out all but one"
        )
    check_alike(runs)
    keys = [(cell.task, cell.encoding, cell.model) for cell in found.cells]
    keys += [(run.task, run.encoding, run.model) for run in raw]
    keys = in_one_order(keys) if len(roots) > 1 else list(dict.fromkeys(keys))
    settings = budgets(found.cells, raw, listed=best_by_valid)
    combinations, notes = best_by_validation(combine(runs, keys), settings)
    found.notes += [f"runs read from {path}: their folders are not looked at" for path in files]
    notes += [
        f"from the literature, and not shown, since no task here has its metric: {row.model}, {row.encoding}, "
        f"{row.metric} {row.mean:g}"
        for row in from_file
        if not any(fits(row, run) for run in runs)
    ]
    beside = Beside.of(combinations) if published else None
    written = write_report(
        combinations,
        out,
        [*found.notes, *notes],
        found.command,
        everything=runs,
        literature=[*from_file, *from_recipes],
        beside=beside,
        formats=formats,
    )
    if html:
        from graphpe.benchmarks.grid.reports.page.page import write_page

        written.append(write_page(out, combinations, found.cells, literature=[*from_file, *from_recipes]))
    lines = [f"{len(runs)} finished cells of {len(found.cells) + len(raw)}", *(str(path) for path in written)]
    if beside is not None:
        lines += beside.lines()
    if found.left_out:
        where = ", ".join(map(str, roots))
        lines.append(
            f"{found.left_out} finished cells in {where} are not in the report: its newest `graphpe grid` has other "
            "options or does not name them"
        )
    return lines
