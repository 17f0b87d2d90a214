"""Encodings graph by graph, as `pre_transform=` and `transform=` call them, and of the whole list at once.

    python -m graphpe.benchmarks.measure.speed.per_graph --out per_graph.md

PyG's transforms get the same `Data` objects one by one. The sides take turns, all graphs in each, as a dataset is made;
a side's time on a graph is the least processor time of its turns, which is what it takes where nothing else runs, and
the table gives means over the graphs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np
import torch
from torch_geometric.data import Data
from torch_geometric.transforms import AddLaplacianEigenvectorPE, AddRandomWalkPE

from graphpe import transforms as T
from graphpe.benchmarks.measure.harness import Report, command, ending, parser
from graphpe.benchmarks.measure.inputs.graphs import molecules


class Row(NamedTuple):
    """An encoding of ours, and PyG's of the same where there is one."""

    ours: Callable[[Any], Any]
    theirs: Callable[[Data], Data] | None = None


def rows() -> dict[str, Row]:
    """What is measured, by name."""
    return {
        "LaplacianPE(8)": Row(T.LaplacianPE(8), AddLaplacianEigenvectorPE(8, is_undirected=True)),
        "RandomWalkPE(16)": Row(T.RandomWalkPE(16), AddRandomWalkPE(16)),
        "both, in a Compose": Row(T.Compose([T.LaplacianPE(8), T.RandomWalkPE(16)])),
        "MagneticLaplacianPE(8)": Row(T.MagneticLaplacianPE(8)),
        "ShortestPathPE()": Row(T.ShortestPathPE()),
        "RelativeRandomWalkPE(16)": Row(T.RelativeRandomWalkPE(16)),
        "TreeFieldPE()": Row(T.TreeFieldPE()),
        "DegreePE()": Row(T.DegreePE()),
    }


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table, and write it where `--out` says."""
    options = parser(str(__doc__), graphs=100, repeats=10).parse_args(argv)
    torch.set_num_threads(options.threads)
    source, packed = molecules(options.graphs, options.data, np.random.default_rng(options.seed))
    graphs = [
        Data(edge_index=data.edge_index.clone(), num_nodes=data.num_nodes)
        for data in packed.select(packed.sizes > 9).structure().to_data_list()  # PyG fails on k or fewer nodes
    ]
    report = Report(options.out)
    report.say(
        f"{len(graphs)} graphs of {source}, {np.mean([data.num_nodes for data in graphs]):.1f} nodes in the mean.",
        "",
        "| encoding | one by one, us | PyG, one by one, us | PyG / ours | as one list, us | PyG / ours |",
        "|---|---|---|---|---|---|",
    )
    for name, row in rows().items():
        report.say(f"| {name} | " + " | ".join(measure(row, graphs, options.repeats)) + " |")
    about = f"us of processor time per graph; the least of {options.repeats} turns a graph."
    report.say(*ending(about, command("speed.per_graph", argv)))


def measure(row: Row, graphs: Sequence[Data], repeats: int) -> list[str]:
    """The cells of a row."""
    sides = [row.ours] if row.theirs is None else [row.ours, row.theirs]
    best = np.full((len(sides), len(graphs)), np.inf)
    whole = np.inf
    for turn in range(repeats + 1):
        for side, function in enumerate(sides):
            for i, data in enumerate(graphs):
                seconds = _seconds(function, data)
                if turn:  # the first loads compiled code
                    best[side, i] = min(best[side, i], seconds)
        whole = min(whole, _seconds(row.ours, graphs))
    each = 1e6 * best.mean(axis=1)
    list_each = 1e6 * whole / len(graphs)
    if row.theirs is None:
        return [f"{each[0]:.0f}", "", "", f"{list_each:.0f}", ""]
    return [
        f"{each[0]:.0f}",
        f"{each[1]:.0f}",
        f"{each[1] / each[0]:.1f}x",
        f"{list_each:.0f}",
        f"{each[1] / list_each:.1f}x",
    ]


def _seconds(function: Callable[[Any], Any], argument: Any) -> float:
    begin = time.process_time()
    function(argument)
    return time.process_time() - begin


if __name__ == "__main__":
    main()
