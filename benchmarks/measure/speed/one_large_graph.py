"""Every encoding on single graphs of 10^3 to 10^6 nodes: seconds, memory, or what stopped it; PyG's beside ours.

    python -m graphpe.benchmarks.measure.speed.one_large_graph --out one_large_graph.md
    python -m graphpe.benchmarks.measure.speed.one_large_graph --sizes 50000 --graphs path --encodings RandomWalkPE PyG

Graphs are a path, a square grid, preferential attachment (4 links a node) and 8 nearest neighbours of points in the
plane, citations with the in-degrees of ogbn-arxiv, drawn evenly or copied; and Cora, CiteSeer and PubMed where their
files are. Every call, from a `Data` to a `Data`, has a process of its own with a limit of processor time and of
address space. Paths of 30 and 300 nodes go before it, and calls of less than a second are made twice, so that reading
compiled code from disk is no part of what is measured. What is compiled only for large graphs has to be there: run the
encodings once before they are measured.
A refusal is the encoding's own: an error that says at once what the graph would take, and what to do instead.
"""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from torch_geometric.data import Data
from torch_geometric.transforms import AddLaplacianEigenvectorPE, AddRandomWalkPE

from graphpe import transforms as T
from graphpe.benchmarks.measure.harness import Report, command, ending, parser
from graphpe.benchmarks.measure.inputs.graphs import data_folder
from graphpe.benchmarks.measure.inputs.large_graphs import (
    Graph,
    barabasi_albert,
    citations,
    copied_citations,
    grid,
    nearest_neighbours,
    path_graph,
    planetoid_graphs,
)
from graphpe.benchmarks.measure.limited import OUT_OF_CPU, Stopped, call_limited, limit_cpu

FAMILIES: dict[str, Callable[[int, np.random.Generator], Graph]] = {
    "path": path_graph,
    "grid": grid,
    "Barabasi-Albert": barabasi_albert,
    "kNN-geometric": nearest_neighbours,
    "citations": citations,
    "copied citations": copied_citations,
}

SIDES: dict[str, Callable[[], Any]] = {
    "LaplacianPE(8)": lambda: T.LaplacianPE(8),
    "LaplacianPE(16)": lambda: T.LaplacianPE(16),
    "PyG AddLaplacianEigenvectorPE(8)": lambda: AddLaplacianEigenvectorPE(8, is_undirected=True),
    "MagneticLaplacianPE(8)": lambda: T.MagneticLaplacianPE(8),
    "SpectralCoordinates(8)": lambda: T.SpectralCoordinates(8),
    "DiffusionPE(8)": lambda: T.DiffusionPE(8),
    "SVDPE(8)": lambda: T.SVDPE(8),
    "RandomWalkPE(8)": lambda: T.RandomWalkPE(8),
    "PyG AddRandomWalkPE(8)": lambda: AddRandomWalkPE(8),
    "RandomWalkPE(16)": lambda: T.RandomWalkPE(16),
    "PyG AddRandomWalkPE(16)": lambda: AddRandomWalkPE(16),
    "HeatKernelPE((1, 4))": lambda: T.HeatKernelPE((1.0, 4.0)),
    "HeatKernelPE((1, 4), comb)": lambda: T.HeatKernelPE((1.0, 4.0), normalization="comb"),
    "DirectedRandomWalkPE(3)": lambda: T.DirectedRandomWalkPE(3),
    "CyclePE(6)": lambda: T.CyclePE(6),
    "HomomorphismPE(Cycles(6))": lambda: T.HomomorphismPE("Cycles(6)"),
    "MotifPE(Connected(4))": lambda: T.MotifPE("Connected(4)"),
    "CyclePE(8, walks)": lambda: T.CyclePE(8, kind="walks"),
    "ElectrostaticPE()": lambda: T.ElectrostaticPE(),
    "TreeFieldPE()": lambda: T.TreeFieldPE(),
    "TreeFieldPE(random)": lambda: T.TreeFieldPE(tree="random"),
    "TreeFieldPE(shortest)": lambda: T.TreeFieldPE(tree="shortest"),
    "TreeFieldPE(hierarchical)": lambda: T.TreeFieldPE(tree="hierarchical"),
    "TreePathPE(16)": lambda: T.TreePathPE(16),
    "HopFeatures(3)": lambda: T.HopFeatures(3),
    "DegreePE()": lambda: T.DegreePE(),
    "DepthPE()": lambda: T.DepthPE(),
    "WeisfeilerLehmanPE(3)": lambda: T.WeisfeilerLehmanPE(3),
    "RelativeRandomWalkPE(8)": lambda: T.RelativeRandomWalkPE(8),
    "DirectedRandomWalkPE(3, pair)": lambda: T.DirectedRandomWalkPE(3, level="pair"),
    "ShortestPathPE()": lambda: T.ShortestPathPE(),
    "EdgePathPE(3)": lambda: T.EdgePathPE(3, num_types=2, key="kind"),
    "ResistancePE()": lambda: T.ResistancePE(),
    "CommuteTimePE()": lambda: T.CommuteTimePE(),
    "HeatKernelPE((1,), pair)": lambda: T.HeatKernelPE((1.0,), level="pair"),
    "DiffusionPE(pair)": lambda: T.DiffusionPE(level="pair"),
    "PersonalizedPageRankPE()": lambda: T.PersonalizedPageRankPE(),
    "ReachabilityPE()": lambda: T.ReachabilityPE(),
    "TreeDistancePE()": lambda: T.TreeDistancePE(),
}


_WARM_UP = 30, 300
_AGAIN = 1.0  # second
_WAIT = 20  # wall seconds for a processor second, at the very most: others may be at work on the machine


class Cost(NamedTuple):
    """What a call took: wall and processor seconds, and the process at its largest, imports included.

    Of the second of two calls where the first is quick.
    """

    seconds: float
    cpu: float
    gigabytes: float


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the tables, and write them where `--out` says."""
    options = _parser().parse_args(argv)
    sides = [name for name in SIDES if options.encodings is None or any(part in name for part in options.encodings)]
    report = Report(options.out)
    for title, graphs in _groups(options):
        report.say(f"## {title}", "")
        report.say(f"| encoding | {' | '.join(f'{graph.name} {graph.num_nodes:,}' for graph in graphs)} |")
        report.say("|" + "---|" * (len(graphs) + 1))
        late: dict[str, str] = {}
        notes: list[str] = []
        rows: dict[str, list[str]] = {side: [] for side in sides}
        for side in sides:
            for graph in graphs:
                cell = late.get(side) or _cell(side, graph, options, notes)
                if title != "Real graphs" and _is_late(cell, _limit(side, options)):
                    late[side] = "-"
                rows[side].append(cell)
            report.say(f"| {side} | {' | '.join(rows[side])} |")
        report.say("", *(f"- {note}" for note in dict.fromkeys(notes)), "")
    about = (
        f"Processor seconds of one call (wall seconds) and GB of its process at its largest; limits "
        f"{options.time_limit:g} s (PyG {options.peer_time_limit:g} s) and {options.gigabytes:g} GB (of address "
        "space); `-`: not tried, since a smaller graph took a tenth of that or more."
    )
    report.say(*ending(about, command("speed.one_large_graph", argv), threads=options.threads)[1:])


def _limit(side: str, options: argparse.Namespace) -> float:
    return float(options.peer_time_limit if side.startswith("PyG") else options.time_limit)


def _is_late(cell: str, limit: float) -> bool:
    """Whether ten times as many nodes would be out of time."""
    seconds, unit, _ = cell.partition(" s (")
    return cell.startswith(">") or (bool(unit) and 10 * float(seconds) > limit)


def _parser() -> argparse.ArgumentParser:
    out = parser(__doc__, data="real graphs")
    out.add_argument("--sizes", type=int, nargs="*", default=[1000, 10_000, 100_000, 1_000_000], help="nodes")
    out.add_argument("--graphs", nargs="*", help="only graphs whose name holds one of these")
    out.add_argument("--encodings", nargs="*", help="only encodings whose text holds one of these")
    out.add_argument("--time-limit", type=float, default=60, help="processor seconds for one call")
    out.add_argument("--peer-time-limit", type=float, default=60, help="processor seconds for one call of PyG's")
    out.add_argument("--gigabytes", type=float, default=8, help="address space of one call")
    return out


def _groups(options: argparse.Namespace) -> Iterator[tuple[str, list[Graph]]]:
    """Tables: a family at all sizes, and the real graphs."""
    wanted = options.graphs
    for name, make in FAMILIES.items():
        if wanted is None or any(part in name for part in wanted):
            yield name, [make(size, np.random.default_rng(options.seed)) for size in options.sizes]
    real = [graph for graph in planetoid_graphs(data_folder(options.data)) if isinstance(graph, Graph)]
    real = [graph for graph in real if wanted is None or any(part in graph.name for part in wanted)]
    if real:
        yield "Real graphs", real


def _cell(side: str, graph: Graph, options: argparse.Namespace, notes: list[str]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "edges.npy"
        np.save(path, graph.edges)
        try:
            limit = _limit(side, options)
            arguments = (side, path, graph.num_nodes, options.threads, limit)
            cost = call_limited(measure, *arguments, seconds=_WAIT * limit, gigabytes=options.gigabytes)
        except Stopped as reason:
            text = str(reason)
            if text == OUT_OF_CPU:
                return f"> {limit:g} s"
            if text.startswith("GraphPEValueError"):
                notes.append(f"{side}, {graph.num_nodes:,} nodes: {text.partition(': ')[2]}")
                return "refused"
            return text
    return f"{cost.cpu:.2f} s ({cost.seconds:.2f}), {cost.gigabytes:.1f} GB"


def measure(side: str, path: Path, num_nodes: int, threads: int, limit: float) -> Cost:
    """One call of a side on the edges in a file, each in both directions; a small graph before it."""
    torch.set_num_threads(threads)
    transform = SIDES[side]()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for size in _WARM_UP:
            node = torch.arange(size - 1)
            transform(_data(torch.stack([node, node + 1]), size))
        data = _data(torch.from_numpy(np.load(path)), num_nodes)
        limit_cpu(limit)
        for _ in range(2):
            again = data.clone()
            begin, cpu = time.perf_counter(), time.process_time()
            transform(again)
            seconds, cpu = time.perf_counter() - begin, time.process_time() - cpu
            if cpu > _AGAIN:
                break
    return Cost(seconds, cpu, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6)


def _data(edges: torch.Tensor, num_nodes: int) -> Data:
    both = torch.cat([edges, edges.flip(0)], 1).unique(dim=1)
    return Data(edge_index=both, num_nodes=num_nodes, kind=torch.zeros(both.size(1), dtype=torch.long))


if __name__ == "__main__":
    main()
