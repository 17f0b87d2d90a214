"""Classes of graphs from the spectra of functions of tree distances, by random forests.

    python -m graphpe.benchmarks.measure.trees.classification --out benchmarks/results/tree_experiments.md

Features of a graph are the largest eigenvalues of the matrices f(d(i, j)) of hops, for three functions f: along a
minimum spanning tree; in the graph itself; and, for comparison, its numbers of nodes and edges alone. Labels of nodes
are not used. Accuracy of 10-fold cross-validation, stratified, with several seeds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphpe.benchmarks.measure.harness import command, parser
from graphpe.benchmarks.measure.inputs.graphs import data_folder
from graphpe.benchmarks.measure.trees.sections import write_section
from graphpe.distances.shortest_paths import shortest_paths
from graphpe.graphs.packed import PackedGraphs
from graphpe.structure.pair_blocks import pair_blocks
from graphpe.trees.functions.closed_form import Exponential, TreeFunction
from graphpe.trees.functions.smooth import InversePower
from graphpe.trees.spectrum import tree_spectra

TITLE = "Classes of graphs from the spectra of tree fields"
FUNCTIONS: dict[str, TreeFunction] = {
    "exp(-d / 2)": Exponential(0.5),
    "exp(-d / 8)": Exponential(0.125),
    "1 / (1 + d)": InversePower(1.0),
}


def main(arguments: Sequence[str] | None = None) -> None:
    """Classify, and write the table."""
    known = parser(__doc__, threads=None, seed=None, data="real datasets")
    known.add_argument("--sets", nargs="+", default=["MUTAG", "PROTEINS"])
    known.add_argument("--eigenvalues", type=int, default=10)
    known.add_argument("--forest", type=int, default=100, help="decision trees")
    known.add_argument("--seeds", type=int, default=3)
    options = known.parse_args(arguments)
    lines = [
        f"{options.eigenvalues} largest eigenvalues of f(d) for f = {', '.join(FUNCTIONS)}; random forests of "
        f"{options.forest} trees, 10 folds, {options.seeds} seeds: accuracy in per cent (mean and standard deviation "
        "over seeds).",
        "",
        "| set | graphs | largest class | nodes and edges | spectra of trees | of graphs | of trees, sizes |",
        "|---|---:|---:|---:|---:|---:|---:|",
    ]
    for name in options.sets:
        graphs, label = read_graphs(data_folder(options.data) / "tudataset" / name / "raw", name)
        sizes = torch.stack([graphs.sizes, graphs.edge_sizes], 1).double()
        along = torch.cat([tree_spectra(graphs, f, options.eigenvalues) for f in FUNCTIONS.values()], 1)
        within = torch.cat([graph_spectra(graphs, f, options.eigenvalues) for f in FUNCTIONS.values()], 1)
        cells = [name, f"{graphs.num_graphs:,}", f"{100 * np.bincount(label).max() / len(label):.1f}"]
        for features in (sizes, along, within, torch.cat([along, sizes], 1)):
            values = [accuracy(features.numpy(), label, options.forest, seed) for seed in range(options.seeds)]
            cells.append(f"{100 * np.mean(values):.1f} ± {100 * np.std(values):.1f}")
        lines.append(f"| {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    write_section(options.out, TITLE, lines, command("trees.classification", arguments))


def read_graphs(folder: Path, name: str) -> tuple[PackedGraphs, NDArray[np.int64]]:
    """The graphs and classes of a TU dataset, from its text files."""
    owner = np.loadtxt(folder / f"{name}_graph_indicator.txt", dtype=np.int64) - 1
    edges = np.loadtxt(folder / f"{name}_A.txt", dtype=np.int64, delimiter=",").T - 1
    label = np.loadtxt(folder / f"{name}_graph_labels.txt", dtype=np.int64)
    edges = edges[:, np.argsort(owner[edges[0]], kind="stable")]
    counts = np.bincount(owner, minlength=len(label)), np.bincount(owner[edges[0]], minlength=len(label))
    ptr, edge_ptr = (torch.from_numpy(np.concatenate([[0], np.cumsum(count)])) for count in counts)
    graphs = PackedGraphs(torch.from_numpy(np.ascontiguousarray(edges)), ptr, edge_ptr)
    return graphs, np.unique(label, return_inverse=True)[1]


def graph_spectra(graphs: PackedGraphs, f: Callable[[Tensor], Tensor], k: int) -> Tensor:
    """As `tree_spectra`, of the distances in the graphs themselves; O(n^3) a graph."""
    out = torch.zeros(graphs.num_graphs, k, dtype=torch.float64)
    hops = shortest_paths(graphs, undirected=True).double()
    value = torch.where(hops < 0, 0.0, f(hops.clamp(min=0)))
    for block in pair_blocks(graphs):
        matrix = block.pad(value)
        missing = graphs.sizes[block.graphs, None] <= torch.arange(block.size)
        # These matrices are positive or nearly so: what is padded comes last, and is 0 again.
        below = -1.0 - matrix.abs().sum(2).amax(1, keepdim=True)
        values = torch.linalg.eigvalsh(matrix + torch.diag_embed(torch.where(missing, below, 0.0))).flip(1)[:, :k]
        out[block.graphs, : values.size(1)] = torch.where(missing[:, :k], 0.0, values)
    return out


def accuracy(features: NDArray[np.float64], label: NDArray[np.int64], trees: int, seed: int) -> float:
    """The mean over ten folds."""
    from sklearn.ensemble import RandomForestClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_score

    forest = RandomForestClassifier(trees, random_state=seed)
    folds = StratifiedKFold(10, shuffle=True, random_state=seed)
    return float(cross_val_score(forest, features, label, cv=folds).mean())


if __name__ == "__main__":
    main()
