"""Batches per second of `PackedLoader` against PyG's `DataLoader` over the same graphs, in one process.

    python -m graphpe.benchmarks.measure.speed.loading --out loading.md

PyG's side is at its best: a list of `Data` in memory (an `InMemoryDataset` copies each graph on top), `num_workers=0`.
The two sides take turns; the table gives medians over the turns.
"""

from __future__ import annotations

import itertools
import statistics
import time
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch_geometric.data import Batch
from torch_geometric.loader import DataLoader

from graphpe.benchmarks.measure.harness import machine, parser
from graphpe.benchmarks.measure.inputs.graphs import code_like, molecules, random_molecules
from graphpe.graphs.loader import PackedLoader
from graphpe.graphs.packed import PackedGraphs


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table, and write it where `--out` says."""
    arguments = parser(str(__doc__), graphs=10_000, repeats=7)
    arguments.add_argument("--batch-sizes", type=int, nargs="+", default=[32, 128], help="graphs in a batch")
    arguments.add_argument("--batches", type=int, default=100, help="batches in one turn of either side")
    options = arguments.parse_args(argv)
    torch.set_num_threads(options.threads)
    generator = np.random.default_rng(options.seed)

    levels = {
        "molecules": molecules(options.graphs, options.data, generator),
        "code-like, 60 nodes": ("random", code_like(options.graphs, generator)),
    }
    lines = compared(levels, options.batch_sizes, options.batches, options.repeats, options.seed)
    if options.out is not None:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


def short(graphs: int, repeats: int, seed: int) -> list[str]:
    """The comparison on ten times as many generated graphs of each kind, printed as it comes; the table's lines."""
    graphs, generator = 10 * graphs, np.random.default_rng(seed)
    levels = {
        "molecules": ("random", random_molecules(graphs, generator)),
        "code-like, 60 nodes": ("random", code_like(graphs, generator)),
    }
    return compared(levels, [min(32, graphs)], 30, repeats, seed)


def compared(
    levels: dict[str, tuple[str, PackedGraphs]], batch_sizes: Sequence[int], batches: int, repeats: int, seed: int
) -> list[str]:
    """The lines of the table, printed as they come."""
    lines = [
        "| graphs | from | mean nodes | mean edges | batch size | PyG batches/s | packed batches/s | ratio |",
        "|---|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    for (name, (source, graphs)), batch_size in itertools.product(levels.items(), batch_sizes):
        pyg, packed = measure(graphs, batch_size, batches, repeats, seed)
        nodes, edges = graphs.num_nodes / len(graphs), graphs.num_edges / len(graphs)
        lines.append(
            f"| {name} | {source} | {nodes:.1f} | {edges:.1f} | {batch_size} "
            f"| {pyg:,.0f} | {packed:,.0f} | {packed / pyg:.1f}x |"
        )
        print(lines[-1], flush=True)
    lines += ["", f"{repeats} turns of {batches} batches a side, medians; {machine()}."]
    print("\n".join(lines[-2:]))
    return lines


def measure(graphs: PackedGraphs, batch_size: int, batches: int, repeats: int, seed: int) -> tuple[float, float]:
    """Median batches/s of PyG's `DataLoader` and of `PackedLoader`, which take turns."""
    data_list = [data.clone() for data in graphs.to_data_list()]  # tensors of their own, as a dataset would hold them
    check_equal(graphs, Batch.from_data_list(data_list[:batch_size]), batch_size)
    batches = min(batches, len(graphs) // batch_size)
    pyg = DataLoader(data_list, batch_size, shuffle=True, generator=torch.Generator().manual_seed(seed))
    packed = PackedLoader(graphs, batch_size, shuffle=True, seed=seed)
    rates: tuple[list[float], list[float]] = ([], [])
    for repeat in range(repeats + 1):
        packed.set_epoch(repeat)
        for loader, rate in zip((pyg, packed), rates, strict=True):
            rate.append(batches / seconds(loader, batches))
    return statistics.median(rates[0][1:]), statistics.median(rates[1][1:])  # the first turn warms up


def seconds(loader: Iterable[Batch], batches: int) -> float:
    """Time for the first batches of an epoch, its shuffling included."""
    start = time.perf_counter()
    for _ in itertools.islice(loader, batches):
        pass
    return time.perf_counter() - start


def check_equal(graphs: PackedGraphs, expected: Batch, batch_size: int) -> None:
    """Stop where the two sides would not give a model the same tensors."""
    batch = graphs.select(range(batch_size)).to_batch()
    for key in expected.keys():
        if not torch.equal(batch[key], expected[key]):
            raise SystemExit(f"PackedLoader and DataLoader disagree about {key!r}")


if __name__ == "__main__":
    main()
