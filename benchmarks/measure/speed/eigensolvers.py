"""The 16 lowest eigenpairs of single graphs: `graphpe.eigsh` against what people call today.

    python -m graphpe.benchmarks.measure.speed.eigensolvers --sizes 1000 10000 100000 --time-limit 60 --out out.md

Operators are normalised Laplacians, magnetic (q = 0.1) for directed graphs. Every side gets the same matrix in memory
and the same relative tolerance; afterwards its residuals are measured, and its values compared with the lowest that any
side found. Each call runs in a process of its own, which ends at the time limit; the sides take turns. A side that ran
out of time or memory on a graph is left out of larger ones of the same family. Beside the table a plot shows the growth
with n.
"""

from __future__ import annotations

import argparse
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from statistics import geometric_mean, median
from typing import Any, NamedTuple

import numpy as np

from graphpe.benchmarks.measure.harness import Report, command, ending, parser
from graphpe.benchmarks.measure.inputs.graphs import data_folder
from graphpe.benchmarks.measure.inputs.large_graphs import Graph, families, real_graphs
from graphpe.benchmarks.measure.limited import Stopped, call_limited
from graphpe.benchmarks.measure.peers.eigensolvers import NORM, OURS, PEERS, Outcome, measure, save, sides

_LONG = 10.0  # seconds: one turn is enough


class Cell(NamedTuple):
    """What became of one side on one graph.

    Attributes:
        seconds: Median; the time limit for a side that did not end; nan where there is none.
        text: For the table.
        valid: Whether its residuals and values are right.
        how: What the side says of its way, with its largest residual and the memory of its process.
    """

    seconds: float
    text: str
    valid: bool
    how: str = ""


class Row(NamedTuple):
    """One graph."""

    graph: Graph
    entries: int
    cells: dict[str, Cell]

    @property
    def best_peer(self) -> tuple[str, float]:
        """The quickest of the other sides that are right, and its seconds; nan if there is none."""
        return min(
            ((name, cell.seconds) for name, cell in self.cells.items() if name in PEERS and cell.valid),
            key=lambda pair: pair[1],
            default=("none", float("nan")),
        )


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the tables, and write them and the plot where `--out` says."""
    options = _parser().parse_args(argv)
    rows = []
    report = Report(options.out)
    report.say(*_head())
    given_up: set[tuple[str, str]] = set()
    for graph in graphs(options.sizes, options.data, options.seed, options.graphs):
        if isinstance(graph, str):
            print(graph, flush=True)
            continue
        row = measure_graph(graph, options, given_up)
        rows.append(row)
        report.say(_line(row))
    ran = command("speed.eigensolvers", argv)
    after = ending(_about(options), ran, "scipy", "numpy", threads=options.threads)
    report.say("", *_means(rows, options.time_limit), "", *_choices(rows), *after)
    if options.out is not None:
        plot(rows, options.out.with_suffix(".png"))


def _parser() -> argparse.ArgumentParser:
    out = parser(__doc__, repeats=3, threads=os.cpu_count() or 1, data="graphs and meshes")
    out.add_argument("--sizes", type=int, nargs="*", default=[1000, 10_000, 100_000], help="nodes; 1000000 works, too")
    out.add_argument("--graphs", nargs="*", help="only graphs whose name holds one of these")
    out.add_argument("--sides", nargs="*", help="only these sides")
    out.add_argument("--k", type=int, default=16, help="eigenpairs")
    out.add_argument("--tol", type=float, default=1e-6, help="residual, relative to the norm")
    out.add_argument("--time-limit", type=float, default=60, help="seconds for one call, its warm-up included")
    out.add_argument("--memory", type=float, default=16, help="gigabytes for one call")
    return out


def graphs(sizes: Iterable[int], data: Path | None, seed: int, names: Sequence[str] | None) -> Iterator[Graph | str]:
    """The graphs to measure, families by ascending size, and a line for each real one that is not here."""

    def wanted(name: str) -> bool:
        return names is None or any(part in name for part in names)

    for name, make in families().items():
        if wanted(name):
            yield from (make(size, np.random.default_rng(seed)) for size in sorted(sizes))
    for graph in real_graphs(data_folder(data)):
        if wanted(graph if isinstance(graph, str) else graph.name):
            yield graph


def measure_graph(graph: Graph, options: argparse.Namespace, given_up: set[tuple[str, str]]) -> Row:
    """All sides, in turns."""
    matrix = graph.operator()
    names = [name for name in sides(graph.num_nodes, graph.directed) if not options.sides or name in options.sides]
    outcomes: dict[str, list[Outcome]] = {name: [] for name in names}
    stopped: dict[str, str] = {name: "left out" for name in names if (graph.name, name) in given_up}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "operator.npz"
        save(matrix, path)
        for _ in range(options.repeats):
            for name in names:
                before = outcomes[name]
                if name in stopped or (before and before[0].seconds > _LONG):
                    continue
                try:
                    before.append(
                        call_limited(
                            measure,
                            *(name, path, options.k, options.tol, options.threads),
                            seconds=options.time_limit,
                            gigabytes=options.memory,
                        )
                    )
                except Stopped as reason:
                    stopped[name] = str(reason)
                    given_up.add((graph.name, name))
    lowest = np.min([found.values for found in _right(outcomes, options.tol)] or [np.zeros(options.k)], axis=0)
    cells = {}
    for name in names:
        if name in stopped:
            cells[name] = Cell(float("nan"), stopped[name], False)
            continue
        found = outcomes[name]
        seconds = median(one.seconds for one in found)
        residual = max(one.residual for one in found)
        if residual > NORM * options.tol:
            cells[name] = Cell(seconds, f"{_digits(seconds)}, residual {residual:.0e}", False)
        elif max(float((one.values - lowest).max()) for one in found) > NORM * options.tol:
            cells[name] = Cell(seconds, f"{_digits(seconds)}, missed one", False)
        else:
            cells[name] = Cell(seconds, _digits(seconds), True, _how(found))
    return Row(graph, len(matrix.values()), cells)


def _how(found: list[Outcome]) -> str:
    residual = max(one.residual for one in found)
    return f"{residual:.1e} | {max(one.gigabytes for one in found):.1f} | {found[0].how}"


def _right(outcomes: dict[str, list[Outcome]], tol: float) -> Iterator[Outcome]:
    return (one for found in outcomes.values() for one in found if one.residual <= NORM * tol)


def _digits(seconds: float) -> str:
    return f"{seconds:.3f}" if seconds < 1 else f"{seconds:.2f}" if seconds < 10 else f"{seconds:.0f}"


def _head() -> list[str]:
    names = ["graph", "n", "entries", *OURS, *PEERS, "best peer / auto", "SA / auto"]
    return ["| " + " | ".join(names) + " |", "|" + "---|" * len(names)]


def _line(row: Row) -> str:
    cells = [row.cells[name].text if name in row.cells else "" for name in [*OURS, *PEERS]]
    name, best = row.best_peer
    auto = _seconds(row, "auto")
    against = f"{best / auto:.2f} ({name})" if best == best and auto == auto else ""
    plain = _seconds(row, "SciPy SA") / auto
    size = [row.graph.name, f"{row.graph.num_nodes:,}", f"{row.entries:,}"]
    return "| " + " | ".join([*size, *cells, against, f"{plain:.1f}" if plain == plain else ""]) + " |"


def _seconds(row: Row, side: str) -> float:
    """Of a side that is right; nan otherwise."""
    cell = row.cells.get(side)
    return cell.seconds if cell is not None and cell.valid else float("nan")


def _means(rows: Sequence[Row], limit: float) -> list[str]:
    """Geometric means over graphs, and the worst against the best peer."""
    lines = []
    for label, numerator in (
        ("SciPy SA", lambda row: _seconds(row, "SciPy SA")),
        ("best peer", lambda row: row.best_peer[1]),
    ):
        ratios = [numerator(row) / _seconds(row, "auto") for row in rows]
        known = [ratio for ratio in ratios if ratio == ratio]
        if known:
            lines.append(
                f"{label} / auto: {geometric_mean(known):.2f} in the geometric mean over {len(known)} of {len(rows)} "
                f"graphs, least {min(known):.2f}."
            )
    # Where ARPACK did not end, the limit is what it took at least.
    bounds = [
        limit / _seconds(row, "auto")
        for row in rows
        if row.cells.get("SciPy SA", Cell(0, "", True)).text.startswith(">") and _seconds(row, "auto") > 0
    ]
    if bounds:
        lines.append(
            f"On {len(bounds)} further graphs SciPy SA did not end within the limit, {min(bounds):.1f} times what auto "
            "took at least."
        )
    return lines


def _choices(rows: Sequence[Row]) -> list[str]:
    chosen = [(row, row.cells["auto"].how) for row in rows if "auto" in row.cells]
    return ["| graph | n | residual | GB | auto |", "|---|---|---|---|---|"] + [
        f"| {row.graph.name} | {row.graph.num_nodes:,} | {how or ' | |'} |" for row, how in chosen
    ]


def _about(options: argparse.Namespace) -> str:
    return (
        f"Seconds, medians of up to {options.repeats} turns, each in a process of its own; k = {options.k}; residuals "
        f"at most {NORM * options.tol:.0e} (|A| = {NORM:g}) or marked; limits {options.time_limit:g} s and "
        f"{options.memory:g} GB a call."
    )


def plot(rows: Sequence[Row], path: Path) -> None:
    """Seconds against n for each family of which several sizes were measured."""
    from matplotlib.figure import Figure

    names = [name for name in families() if sum(row.graph.name == name for row in rows) > 1]
    if not names:
        return
    figure = Figure(figsize=(4 * len(names), 4.5), layout="constrained")
    panels = figure.subplots(1, len(names), sharey=True, squeeze=False)[0]
    for panel, name in zip(panels, names, strict=True):
        for side in [*OURS, *PEERS]:
            points = [
                (row.graph.num_nodes, _seconds(row, side))
                for row in rows
                if row.graph.name == name and _seconds(row, side) > 0
            ]
            if points:
                style: dict[str, Any] = {"linewidth": 1}
                if side == "auto":
                    style = {"linewidth": 3, "color": "black", "zorder": 3}
                style["linestyle"] = "-" if side in OURS else "--"
                panel.loglog(*zip(*points, strict=True), marker=".", label=side, **style)
        panel.set(title=name, xlabel="nodes")
        panel.grid(alpha=0.3)
    panels[0].set_ylabel("seconds")
    handles = {label: line for panel in panels for line, label in zip(*panel.get_legend_handles_labels(), strict=True)}
    figure.legend(handles.values(), handles.keys(), loc="outside lower center", ncols=6, fontsize="small")
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
