"""Batches per second of `PackedLoader` against PyG's `DataLoader` over the same graphs, in one process.

    python -m graphpe.benchmarks.speed.loading --out loading.md

PyG's side is at its best: a list of `Data` in memory (an `InMemoryDataset` copies each graph on top), `num_workers=0`.
The two sides take turns; the table gives medians over the turns.
"""

from __future__ import annotations

import argparse
import itertools
import os
import platform
import statistics
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import torch
import torch_geometric
from torch_geometric.data import Batch
from torch_geometric.loader import DataLoader

from graphpe.loader import PackedLoader
from graphpe.packed import PackedGraphs


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table, and write it where `--out` says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--batch-sizes", type=int, nargs="+", default=[32, 128], help="graphs in a batch")
    parser.add_argument("--graphs", type=int, default=10_000, help="graphs of each kind")
    parser.add_argument("--batches", type=int, default=100, help="batches in one turn of either side")
    parser.add_argument("--repeats", type=int, default=7, help="turns of each side")
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
    lines = [
        "| graphs | from | mean nodes | mean edges | batch size | PyG batches/s | packed batches/s | ratio |",
        "|---|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    for (name, (source, graphs)), batch_size in itertools.product(kinds.items(), options.batch_sizes):
        pyg, packed = measure(graphs, batch_size, options.batches, options.repeats, options.seed)
        nodes, edges = graphs.num_nodes / len(graphs), graphs.num_edges / len(graphs)
        lines.append(
            f"| {name} | {source} | {nodes:.1f} | {edges:.1f} | {batch_size} "
            f"| {pyg:,.0f} | {packed:,.0f} | {packed / pyg:.1f}x |"
        )
        print(lines[-1], flush=True)
    lines += ["", f"{options.repeats} turns of {options.batches} batches a side, medians; {machine()}."]
    print("\n".join(lines[-2:]))
    if options.out is not None:
        options.out.write_text("\n".join(lines) + "\n", encoding="utf-8")


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


def molecules(count: int, folder: Path | None, generator: np.random.Generator) -> tuple[str, PackedGraphs]:
    """The first molecules of ogbg-molhiv as OGB makes graphs of them, or random graphs of that size."""
    named = os.environ.get("GRAPHPE_DATA")
    folder = folder or (Path(named) if named else Path("..") / "shared" / "data")
    raw = folder / "ogbg_molhiv" / "raw"
    if raw.is_dir():
        return "ogbg-molhiv", read_molecules(raw, count)
    print(f"no ogbg_molhiv in {folder}: random graphs of the same size instead")
    sizes = np.maximum(generator.poisson(25.5, count), 2)
    bonds = (sizes * 1.077).astype(np.int64)
    owner = np.repeat(np.arange(count), bonds)
    edges = (generator.random((bonds.sum(), 2)) * sizes[owner, None]).astype(np.int64)
    return "random", pack(
        sizes,
        bonds,
        edges,
        node=generator.integers(0, 9, (sizes.sum(), 9)),
        edge=generator.integers(0, 4, (bonds.sum(), 3)),
        label=generator.integers(0, 2, (count, 1)),
    )


def read_molecules(raw: Path, count: int) -> PackedGraphs:
    """Graphs from OGB's raw CSV files."""
    import pandas as pd

    def table(name: str, rows: int | None = None) -> np.ndarray:
        return pd.read_csv(raw / f"{name}.csv.gz", header=None, nrows=rows).to_numpy(copy=True)

    sizes, bonds = table("num-node-list", count)[:, 0], table("num-edge-list", count)[:, 0]
    return pack(
        sizes,
        bonds,
        table("edge", bonds.sum()),
        node=table("node-feat", sizes.sum()),
        edge=table("edge-feat", bonds.sum()),
        label=table("graph-label", count),
    )


def pack(
    sizes: np.ndarray, bonds: np.ndarray, edges: np.ndarray, *, node: np.ndarray, edge: np.ndarray, label: np.ndarray
) -> PackedGraphs:
    """Undirected graphs from edges `[E, 2]` numbered within each graph: each edge, then its inverse, as OGB does."""
    ptr, edge_ptr = np.concatenate([[0], np.cumsum(sizes)]), np.concatenate([[0], np.cumsum(2 * bonds)])
    edges = edges + np.repeat(ptr[:-1], bonds)[:, None]
    both = np.stack([edges, edges[:, ::-1]], axis=1).reshape(-1, 2)
    return PackedGraphs(
        edge_index=torch.from_numpy(np.ascontiguousarray(both.T)),
        ptr=torch.from_numpy(ptr),
        edge_ptr=torch.from_numpy(edge_ptr),
        node={"x": torch.from_numpy(node)},
        edge={"edge_attr": torch.from_numpy(edge.repeat(2, axis=0))},
        graph={"y": torch.from_numpy(label)},
    )


def code_like(count: int, generator: np.random.Generator) -> PackedGraphs:
    """Random trees as large as functions are (60 nodes in the mean, long-tailed), with the features of ogbg-code2."""
    sizes = np.clip(generator.lognormal(3.775, 0.8, count).astype(np.int64), 5, 1000)
    ptr = np.concatenate([[0], np.cumsum(sizes)])
    within = np.arange(ptr[-1]) - np.repeat(ptr[:-1], sizes)
    child = within > 0
    parent = np.floor(within * generator.beta(4, 1, len(within))).astype(np.int64)
    edges = np.stack([parent, within], axis=1)[child]
    return pack(
        sizes,
        sizes - 1,
        edges,
        node=generator.integers(0, 98, (ptr[-1], 2)),
        edge=generator.integers(0, 2, (len(edges), 2)).astype(np.float32),
        label=generator.integers(0, 5000, (count, 5)),
    )


def machine() -> str:
    """What it ran on."""
    versions = f"torch {torch.__version__}, PyG {torch_geometric.__version__}, Python {platform.python_version()}"
    return f"{versions}, {torch.get_num_threads()} thread(s) of {os.cpu_count()} {platform.machine()} cores"


if __name__ == "__main__":
    main()
