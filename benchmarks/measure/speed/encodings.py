"""Encodings against what users run today, over the same real graphs in one process.

    python -m graphpe.benchmarks.measure.speed.encodings --out encodings.md

Ours is measured from packed graphs to packed graphs (as a dataset in memory is encoded; assembling operators from
edges and splitting results included) and from a list of PyG `Data` to a list of `Data`. The other side gets the `Data`
objects one by one, as PyG applies a transform. It is measured with one BLAS thread and with the machine's default
number, because on shared cores the default makes small decompositions many times slower; ratios are against the
quicker of the two. The sides take turns; the table gives medians. Graphs on which a peer fails are left out for all.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple

import numpy as np
import torch
from threadpoolctl import threadpool_limits
from torch_geometric.data import Data
from torch_geometric.transforms import AddLaplacianEigenvectorPE, AddRandomWalkPE
from torch_geometric.utils import to_undirected

from graphpe import transforms as T
from graphpe.benchmarks.measure.harness import Report, command, ending, parser, take_turns
from graphpe.benchmarks.measure.inputs.graphs import code_like, molecules, python_functions, random_molecules
from graphpe.benchmarks.measure.peers import encodings as peers
from graphpe.graphs.packed import PackedGraphs
from graphpe.transforms.base import Encoding

# What a peer costs with several BLAS threads on shared cores is told by a few graphs.
_FEW = 50


class Row(NamedTuple):
    """One comparison: our transform, and the other side's function of a `Data`."""

    name: str
    graphs: str
    ours: Callable[[PackedGraphs], PackedGraphs]
    peer: str
    theirs: Callable[[Data], Any]
    target: float


def rows() -> list[Row]:
    """The comparisons, with the ratios that we set out to reach."""
    laplacian, walk, rrwp = T.LaplacianPE(8), T.RandomWalkPE(20), T.RelativeRandomWalkPE(21)
    magnetic, paths = T.MagneticLaplacianPE(15), T.ShortestPathPE()
    pyg = "PyG `AddLaplacianEigenvectorPE(8)`"
    eig, eigh = AddLaplacianEigenvectorPE(8), AddLaplacianEigenvectorPE(8, is_undirected=True)
    pyg_walk = AddRandomWalkPE(20)
    networkx = "networkx, as GraphGPS"
    return [
        Row("LaplacianPE(8)", "molecules", laplacian, f"{pyg}", eig, 20),
        Row("LaplacianPE(8)", "molecules", laplacian, f"{pyg}, is_undirected=True", eigh, 14),
        Row("LaplacianPE(8)", "functions, undirected", laplacian, f"{pyg}", eig, 12),
        Row("LaplacianPE(8)", "functions, undirected", laplacian, f"{pyg}, is_undirected=True", eigh, 12),
        Row("RandomWalkPE(20)", "molecules", walk, "PyG `AddRandomWalkPE(20)`", pyg_walk, 20),
        Row("RandomWalkPE(20)", "functions", walk, "PyG `AddRandomWalkPE(20)`", pyg_walk, 8),
        Row(
            "MagneticLaplacianPE(15)",
            "functions",
            magnetic,
            "numpy.linalg.eigh, complex128, as digraph_transformer",
            lambda data: peers.magnetic_eigenvectors(data, 15, 0.1),
            5,
        ),
        Row(
            "RelativeRandomWalkPE(21)",
            "molecules",
            rrwp,
            "dense powers in torch, as GRIT",
            lambda data: peers.full_rrwp(data, 21),
            6,
        ),
        Row("ShortestPathPE()", "molecules", paths, networkx, peers.shortest_paths, 50),
        Row("ShortestPathPE()", "functions, undirected", paths, networkx, peers.shortest_paths, 50),
    ]


def node_encodings() -> list[Encoding]:
    """Every encoding of nodes, of which `Compose` shares the work."""
    return [
        T.LaplacianPE(8),
        T.MagneticLaplacianPE(8),
        T.SpectralCoordinates(8),
        T.DiffusionPE(8),
        T.HeatKernelPE((0.5, 1.0, 2.0, 4.0)),
        T.ElectrostaticPE(),
        T.SVDPE(8),
        T.RandomWalkPE(20),
        T.DirectedRandomWalkPE(3),
        T.DegreePE(),
        T.WeisfeilerLehmanPE(3),
        T.CyclePE(6),
        T.DepthPE(),
        T.TreePathPE(),
    ]


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table, and write it where `--out` says."""
    options = parser(str(__doc__), graphs=1000, repeats=5).parse_args(argv)
    torch.set_num_threads(options.threads)
    generator = np.random.default_rng(options.seed)
    source, small = molecules(options.graphs, options.data, generator)
    functions = python_functions(max(options.graphs // 4, 1), generator)
    levels = {"molecules": small, "functions": functions, "functions, undirected": undirected(functions)}
    report = Report(options.out)
    compare(report, levels, source, options.repeats)
    report.say(
        "",
        "| all encodings of nodes | alone, summed, us | composed, us | composed / alone | target |",
        "|---|---|---|---|---|",
    )
    for name in ("molecules", "functions"):
        report.say(measure_sharing(name, levels[name], options.repeats))
    report.say(*ending(_about(options.repeats), command("speed.encodings", argv)))


def short(graphs: int, repeats: int, seed: int) -> list[str]:
    """The comparisons on as many generated graphs of each kind, printed as they come; the lines of the table."""
    generator = np.random.default_rng(seed)
    functions = code_like(graphs, generator)
    levels = {
        "molecules": random_molecules(graphs, generator),
        "functions": functions,
        "functions, undirected": undirected(functions),
    }
    report = Report(None)
    compare(report, levels, "random", repeats)
    report.say(*ending(_about(repeats), "graphpe bench encodings"))
    return report.lines


def _about(repeats: int) -> str:
    return f"us per graph; {repeats} turns a side, medians."


def compare(report: Report, levels: dict[str, PackedGraphs], source: str, repeats: int) -> None:
    """Add the table of comparisons to a report."""
    lines = [f"{name}: {describe(graphs)}" for name, graphs in levels.items()]
    lines[0] += f" ({source})"
    lines += [
        "",
        "| encoding | graphs | against | 1 thread, us | default threads, us | ours, packed, us | ours, lists, us "
        "| ratio, packed | ratio, lists | target |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    report.say(*lines)
    for row in rows():
        report.say(measure(row, large_enough(levels[row.graphs], 8), repeats))


def measure(row: Row, graphs: PackedGraphs, repeats: int) -> str:
    """One line of the table."""
    structure = graphs.structure()
    data_list = [
        Data(edge_index=data.edge_index.clone(), num_nodes=data.num_nodes) for data in structure.to_data_list()
    ]

    def theirs() -> None:
        with blas_threads(1):
            for data in data_list:
                row.theirs(data)

    def theirs_by_default() -> None:
        with blas_threads(os.cpu_count() or 1):
            for data in data_list[:: max(len(data_list) // _FEW, 1)]:
                row.theirs(data)

    times = take_turns(
        [
            theirs,
            lambda: row.ours(structure),
            lambda: row.ours(PackedGraphs.from_data_list(data_list)).to_data_list(),
        ],
        repeats,
    )
    (by_default,) = take_turns([theirs_by_default], 1)
    few = len(data_list[:: max(len(data_list) // _FEW, 1)])
    peer, packed, lists = (1e6 * seconds / len(graphs) for seconds in times)
    peer_default = 1e6 * by_default / few
    best = min(peer, peer_default)
    return (
        f"| {row.name} | {row.graphs} | {row.peer} | {peer:,.0f} | {peer_default:,.0f} | {packed:,.1f} | {lists:,.1f} "
        f"| {best / packed:.1f}x | {best / lists:.1f}x | {row.target:g}x |"
    )


def measure_sharing(name: str, graphs: PackedGraphs, repeats: int) -> str:
    """The time of all encodings of nodes composed, against the sum of each alone."""
    structure = graphs.structure()
    encodings = node_encodings()
    sides: list[Callable[[], object]] = [partial(encoding, structure) for encoding in encodings]
    *alone, composed = take_turns([*sides, lambda: T.Compose(encodings)(structure)], repeats)
    each = 1e6 / len(graphs)
    return f"| {name} | {sum(alone) * each:,.0f} | {composed * each:,.0f} | {composed / sum(alone):.2f} | 0.5 |"


@contextmanager
def blas_threads(number: int) -> Iterator[None]:
    """So many threads for NumPy's, SciPy's and torch's linear algebra."""
    before = torch.get_num_threads()
    with threadpool_limits(number):
        torch.set_num_threads(number)
        try:
            yield
        finally:
            torch.set_num_threads(before)


def large_enough(graphs: PackedGraphs, k: int) -> PackedGraphs:
    """The graphs that PyG can encode: it fails on k or fewer nodes."""
    return graphs.select(graphs.sizes > k + 1)


def undirected(graphs: PackedGraphs) -> PackedGraphs:
    """The same graphs with each edge in both directions, as PyG's Laplacian takes them."""
    both = [
        Data(edge_index=to_undirected(data.edge_index, num_nodes=data.num_nodes), num_nodes=data.num_nodes)
        for data in graphs.structure().to_data_list()
    ]
    return PackedGraphs.from_data_list(both)


def describe(graphs: PackedGraphs) -> str:
    """How many and how large."""
    sizes = graphs.sizes.double()
    return (
        f"{len(graphs):,} graphs of {sizes.mean():.1f} nodes (median {sizes.median():.0f}, most {sizes.max():.0f}) "
        f"and {graphs.num_edges / max(len(graphs), 1):.1f} edges"
    )


if __name__ == "__main__":
    main()
