"""Milliseconds per graph of the encodings against PyG's own transforms over the same graphs, in one process.

    python -m graphpe.benchmarks.speed.encodings --out encodings.md

Ours is measured twice: graph by graph, as a dataset's `pre_transform` runs it, and over all graphs packed. PyG's
Laplacian transform gets `is_undirected=True`, the quicker of its two solvers. The sides take turns; the table gives
medians. Both use the BLAS threads that the process has: where cores are shared, set OMP_NUM_THREADS=1 for PyG's sake.
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch_geometric.data import Data
from torch_geometric.transforms import AddLaplacianEigenvectorPE, AddRandomWalkPE, BaseTransform

from graphpe import transforms as T
from graphpe.benchmarks.speed.loading import code_like, machine, molecules
from graphpe.packed import PackedGraphs


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table, and write it where `--out` says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--graphs", type=int, default=1000, help="graphs of each kind")
    parser.add_argument("--k", type=int, default=8, help="eigenvectors")
    parser.add_argument("--walk-length", type=int, default=16, help="steps of random walks")
    parser.add_argument("--repeats", type=int, default=5, help="turns of each side")
    parser.add_argument("--threads", type=int, default=1, help="torch threads, for both sides")
    parser.add_argument("--data", type=Path, help="folder with ogbg_molhiv (default: $GRAPHPE_DATA or ../shared/data)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="write the table there, as Markdown")
    options = parser.parse_args(argv)
    torch.set_num_threads(options.threads)
    generator = np.random.default_rng(options.seed)

    kinds = {
        "molecules": molecules(options.graphs, options.data, generator),
        "code-like, 60 nodes": ("random", code_like(options.graphs, generator)),
    }
    encodings: list[tuple[BaseTransform, BaseTransform | None]] = [
        (T.LaplacianPE(options.k), AddLaplacianEigenvectorPE(options.k, is_undirected=True)),
        (T.RandomWalkPE(options.walk_length), AddRandomWalkPE(options.walk_length)),
        (T.MagneticLaplacianPE(options.k), None),
    ]
    lines = [
        "| graphs | from | encoding | PyG, ms | graph by graph, ms | packed, ms | ratio, packed |",
        "|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    for name, (source, graphs) in kinds.items():
        for ours, pyg in encodings:
            one_way = directed(graphs) if pyg is None else large_enough(graphs, options.k)
            single, packed, theirs = measure(one_way, ours, pyg, options.repeats)
            ratio = "" if theirs is None else f"{theirs / packed:.1f}x"
            shown = "none" if theirs is None else f"{theirs:.3f}"
            encoding = type(ours).__name__
            lines.append(f"| {name} | {source} | {encoding} | {shown} | {single:.3f} | {packed:.3f} | {ratio} |")
            print(lines[-1], flush=True)
    blas = os.environ.get("OMP_NUM_THREADS", "unset")
    lines += ["", f"{options.repeats} turns a side, medians; OMP_NUM_THREADS {blas}; {machine()}."]
    print("\n".join(lines[-2:]))
    if options.out is not None:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


def large_enough(graphs: PackedGraphs, k: int) -> PackedGraphs:
    """The graphs that PyG can encode: it fails on k or fewer nodes."""
    return graphs.select(graphs.sizes > k + 1)


def directed(graphs: PackedGraphs) -> PackedGraphs:
    """The same graphs with each edge in one direction only, from the lower to the higher node."""
    kept = graphs.edge_index[0] < graphs.edge_index[1]
    edge_ptr = torch.cat([kept.new_zeros(1, dtype=torch.long), kept.cumsum(0)])[graphs.edge_ptr]
    return graphs.with_edges(graphs.edge_index[:, kept], edge_ptr)


def measure(
    graphs: PackedGraphs, ours: BaseTransform, pyg: BaseTransform | None, repeats: int
) -> tuple[float, float, float | None]:
    """Median milliseconds per graph of ours graph by graph, of ours packed, and of PyG's, which take turns."""
    structure = graphs.structure()
    data_list = [
        Data(edge_index=data.edge_index.clone(), num_nodes=data.num_nodes) for data in structure.to_data_list()
    ]
    sides: list[Callable[[], object]] = [lambda: [ours(data) for data in data_list], lambda: ours(structure)]
    if pyg is not None:
        sides.append(lambda: [pyg(data) for data in data_list])
    times: list[list[float]] = [[] for _ in sides]
    for _ in range(repeats + 1):
        for side, taken in zip(sides, times, strict=True):
            start = time.perf_counter()
            side()
            taken.append(1e3 * (time.perf_counter() - start) / len(graphs))
    single, packed, *theirs = (statistics.median(taken[1:]) for taken in times)  # the first turn warms up
    return single, packed, theirs[0] if theirs else None


if __name__ == "__main__":
    main()
