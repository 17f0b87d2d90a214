"""Batches per second of `PackedLoader` against PyG's `DataLoader` over the same graphs, in one process.

    python -m graphpe.benchmarks.measure.speed.loading --out loading.md

PyG's side is at its best: a list of `Data` in memory (an `InMemoryDataset` copies each graph on top), `num_workers=0`.
The two sides take turns; the table gives medians over the turns.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

import numpy as np
import torch
from torch_geometric.data import Batch
from torch_geometric.loader import DataLoader

from graphpe.benchmarks.measure.harness import Report, command, ending, parser, take_turns
from graphpe.benchmarks.measure.inputs.graphs import code_like, molecules, random_molecules
from graphpe.graphs.loader import PackedLoader
from graphpe.graphs.packed import PackedGraphs

_SHORT = 30
"""Batches in one turn of `short`."""


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
    report = Report(options.out)
    compare(report, levels, options.batch_sizes, options.batches, options.repeats, options.seed)
    report.say(*ending(_about(options.repeats, options.batches), command("speed.loading", argv)))


def short(graphs: int, repeats: int, seed: int) -> list[str]:
    """The comparison on ten times as many generated graphs of each kind, printed as it comes; the table's lines."""
    graphs, generator = 10 * graphs, np.random.default_rng(seed)
    levels = {
        "molecules": ("random", random_molecules(graphs, generator)),
        "code-like, 60 nodes": ("random", code_like(graphs, generator)),
    }
    report = Report(None)
    compare(report, levels, [min(32, graphs)], _SHORT, repeats, seed)
    report.say(*ending(_about(repeats, _SHORT), "graphpe bench loading"))
    return report.lines


def _about(repeats: int, batches: int) -> str:
    return f"{repeats} turns of {batches} batches a side, medians."


def compare(
    report: Report,
    levels: dict[str, tuple[str, PackedGraphs]],
    batch_sizes: Sequence[int],
    batches: int,
    repeats: int,
    seed: int,
) -> None:
    """Add the table to a report."""
    report.say(
        "| graphs | from | mean nodes | mean edges | batch size | PyG batches/s | packed batches/s | ratio |",
        "|---|---|---|---|---|---|---|---|",
    )
    for (name, (source, graphs)), batch_size in itertools.product(levels.items(), batch_sizes):
        pyg, packed = measure(graphs, batch_size, batches, repeats, seed)
        nodes, edges = graphs.num_nodes / len(graphs), graphs.num_edges / len(graphs)
        report.say(
            f"| {name} | {source} | {nodes:.1f} | {edges:.1f} | {batch_size} "
            f"| {pyg:,.0f} | {packed:,.0f} | {packed / pyg:.1f}x |"
        )


def measure(graphs: PackedGraphs, batch_size: int, batches: int, repeats: int, seed: int) -> tuple[float, float]:
    """Median batches/s of PyG's `DataLoader` and of `PackedLoader`, which take turns."""
    data_list = [data.clone() for data in graphs.to_data_list()]  # tensors of their own, as a dataset would hold them
    check_equal(graphs, Batch.from_data_list(data_list[:batch_size]), batch_size)
    batches = min(batches, len(graphs) // batch_size)
    pyg = DataLoader(data_list, batch_size, shuffle=True, generator=torch.Generator().manual_seed(seed))
    packed = PackedLoader(graphs, batch_size, shuffle=True, seed=seed)
    epochs = itertools.count()

    def packed_turn() -> None:
        packed.set_epoch(next(epochs))
        load(packed, batches)

    theirs, ours = take_turns([lambda: load(pyg, batches), packed_turn], repeats)
    return batches / theirs, batches / ours


def load(loader: Iterable[Batch], batches: int) -> None:
    """The first batches of an epoch, its shuffling included."""
    for _ in itertools.islice(loader, batches):
        pass


def check_equal(graphs: PackedGraphs, expected: Batch, batch_size: int) -> None:
    """Stop where the two sides would not give a model the same tensors."""
    batch = graphs.select(range(batch_size)).to_batch()
    for key in expected.keys():
        if not torch.equal(batch[key], expected[key]):
            raise SystemExit(f"PackedLoader and DataLoader disagree about {key!r}")


if __name__ == "__main__":
    main()
