"""Encodings of chosen pairs of one large graph, beside what SciPy does for a source at a time.

    python -m graphpe.benchmarks.measure.pairs.asked_pairs --out asked_pairs.md
    python -m graphpe.benchmarks.measure.pairs.asked_pairs --nodes 100000 --graphs path --encodings RelativeRandomWalkPE

Graphs are a path, a square grid, preferential attachment (4 links a node) and 8 nearest neighbours of points in the
plane. Half of the pairs are edges, half are drawn. SciPy multiplies one sparse row after the other (walks), iterates to
1e-6 (PageRank), searches from one source (hops) or solves with one factor (resistances), for a few of the pairs; its
seconds are scaled to all, and its values compared with ours. Ours are wall time and processor seconds from a `Data` to
a `Data`, on two threads.
"""

from __future__ import annotations

import argparse
import resource
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from scipy.sparse import csr_array, diags_array
from scipy.sparse.csgraph import dijkstra
from scipy.sparse.linalg import splu
from torch_geometric.data import Data

import graphpe
from graphpe import transforms as T
from graphpe.benchmarks.measure.harness import Report, command, ending, parser
from graphpe.benchmarks.measure.inputs.large_graphs import (
    Graph,
    barabasi_albert,
    grid,
    nearest_neighbours,
    path_graph,
)
from graphpe.compiled.jit import everything_compiled
from graphpe.errors import GraphPEError

FAMILIES: dict[str, Callable[[int, np.random.Generator], Graph]] = {
    "path": path_graph,
    "grid": grid,
    "kNN-geometric": nearest_neighbours,
    "Barabasi-Albert": barabasi_albert,
}
STEPS, ALPHA, TOLERANCE = 16, 0.15, 1e-6
KEY = "edge_label_index"
SIDES: dict[str, Callable[[], T.LinkEncoding]] = {
    "RelativeRandomWalkPE(16)": lambda: T.RelativeRandomWalkPE(STEPS, pairs=KEY),
    "RelativeRandomWalkPE(16, estimate=1000)": lambda: T.RelativeRandomWalkPE(STEPS, pairs=KEY, estimate=1000),
    "PersonalizedPageRankPE()": lambda: T.PersonalizedPageRankPE(ALPHA, pairs=KEY),
    "PersonalizedPageRankPE(estimate=1000)": lambda: T.PersonalizedPageRankPE(ALPHA, pairs=KEY, estimate=1000),
    "ShortestPathPE(8)": lambda: T.ShortestPathPE(8, pairs=KEY),
    "ShortestPathPE()": lambda: T.ShortestPathPE(pairs=KEY),
    "ResistancePE()": lambda: T.ResistancePE(pairs=KEY),
}


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, and write the table."""
    options = _options(argv)
    torch.set_num_threads(options.threads)
    report = Report(options.out)
    report.say(
        f"# {options.pairs:,} chosen pairs of one graph",
        "",
        "| graph | encoding | wall s | processor s | SciPy, s for all (from a few) | largest difference |",
        "|---|---|---|---|---|---|",
    )
    for family in options.graphs:
        rng = np.random.default_rng(options.seed)
        data = _data(FAMILIES[family](options.nodes, rng), options.pairs, rng)
        small = _data(FAMILIES[family](400, rng), 20, rng)
        for name, build in SIDES.items():
            if name == "ResistancePE()":
                data = _data(FAMILIES[family](options.nodes // 10, rng), options.pairs, rng)
            if any(part in name for part in options.encodings):
                shown = f"{family}, {data.num_nodes:,} nodes"
                report.say(f"| {shown} | `{name}` | {_row(build(), data, small, options)} |")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    about = (
        f"Peak memory of the whole run {peak:.1f} GiB, graphs included. A refusal names what the call would take; "
        "differences of estimates are those of single values."
    )
    report.say(*ending(about, command("pairs.asked_pairs", argv), "scipy", threads=options.threads))


def _options(argv: Sequence[str] | None) -> argparse.Namespace:
    options = parser(__doc__, threads=2, data=None)
    options.add_argument("--nodes", type=int, default=10**6)
    options.add_argument("--pairs", type=int, default=10_000)
    options.add_argument("--graphs", nargs="+", choices=list(FAMILIES), default=list(FAMILIES))
    options.add_argument("--encodings", nargs="+", default=[""], help="parts of names")
    options.add_argument("--beside", type=int, default=3, help="pairs of SciPy; 0 for none")
    return options.parse_args(argv)


def _data(graph: Graph, count: int, rng: np.random.Generator) -> Data:
    edges = torch.from_numpy(graph.edges)
    edges = torch.cat([edges, edges.flip(0)], dim=1)
    pairs = torch.from_numpy(rng.integers(0, graph.num_nodes, (2, count)))
    pairs[:, ::2] = edges[:, torch.from_numpy(rng.integers(0, edges.shape[1], pairs[:, ::2].shape[1]))]
    return Data(edge_index=edges, num_nodes=graph.num_nodes, edge_label_index=pairs)


def _row(encoding: T.LinkEncoding, data: Data, small: Data, options: argparse.Namespace) -> str:
    with everything_compiled():
        encoding(small)
        wall, processor = time.perf_counter(), time.process_time()
        try:
            with graphpe.limits(seconds=300):
                values = encoding(data)[encoding.attr_name]
        except GraphPEError as error:
            return f"refused: {str(error).split(' would take ')[-1].split(', more than')[0]} | | |"
        wall, processor = time.perf_counter() - wall, time.process_time() - processor
    if not options.beside:
        return f"{wall:.1f} | {processor:.1f} | | "
    chosen = torch.arange(0, options.pairs, max(1, options.pairs // options.beside))[: options.beside]
    start = time.process_time()
    once, other = _scipy(encoding, data, data.edge_label_index[:, chosen].numpy())
    taken = (time.process_time() - start - once) / len(chosen) * options.pairs
    difference = float(np.abs(values[chosen].double().numpy() - other).max())
    return f"{wall:.1f} | {processor:.1f} | {taken + once:,.0f} | {difference:.1e}"


def _scipy(encoding: T.LinkEncoding, data: Data, pairs: np.ndarray) -> tuple[float, np.ndarray]:
    """Seconds of what is done once, and values of pairs, one source at a time."""
    began = time.process_time()
    size = int(data.num_nodes or 0)
    ends = data.edge_index.numpy()
    matrix = csr_array((np.ones(ends.shape[1]), (ends[0], ends[1])), shape=(size, size))
    matrix.data[:] = 1.0
    step = diags_array(1.0 / np.maximum(np.diff(matrix.indptr), 1)) @ matrix
    rows = []
    once = time.process_time() - began
    if isinstance(encoding, T.RelativeRandomWalkPE):
        for i, j in pairs.T:
            row = csr_array(([1.0], ([0], [i])), shape=(1, size))
            rows.append([float(row[0, j])])
            for _ in range(STEPS - 1):
                row = row @ step
                rows[-1].append(float(row[0, j]))
        return once, np.array(rows)
    if isinstance(encoding, T.PersonalizedPageRankPE):
        back = step.T.tocsr()
        for i, j in pairs.T:
            start = np.zeros(size)
            start[i] = 1.0
            vector, total = start.copy(), ALPHA * start
            while vector.sum() > TOLERANCE:
                vector = (1 - ALPHA) * (back @ vector)
                total += ALPHA * vector
            rows.append([total[j]])
        return once, np.array(rows)
    if isinstance(encoding, T.ShortestPathPE):
        limit = np.inf if encoding.max_distance is None else float(encoding.max_distance)
        for i, j in pairs.T:
            hops = dijkstra(matrix, indices=i, unweighted=True, limit=limit)[j]
            rows.append([min(hops, limit)])
        return once, np.array(rows)
    laplacian = (diags_array(np.asarray(matrix.sum(1)).ravel()) - matrix).tocsc()[1:, 1:]
    factors = splu(laplacian, permc_spec="MMD_AT_PLUS_A", diag_pivot_thresh=0.0, options={"SymmetricMode": True})
    once = time.process_time() - began
    for i, j in pairs.T:
        right = np.zeros(size)
        right[i] += 1.0
        right[j] -= 1.0
        solved = np.concatenate([[0.0], factors.solve(right[1:])])
        rows.append([solved[i] - solved[j]])
    return once, np.array(rows)


if __name__ == "__main__":
    main()
