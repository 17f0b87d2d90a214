"""Interpolation of vertex normals on a mesh: hidden ones from the others, weighted by functions of tree distances.

    python -m graphpe.benchmarks.measure.trees.normals --out benchmarks/results/tree_experiments.md

The normal of a hidden vertex i is guessed as the direction of sum_j f(d(i, j)) n_j over the known j: one integral over
a spanning tree, its edges as long as the sides of the mesh; or an average of several over random trees. The scale of f
is the best of some for a tenth of the known vertices. Compared with the same sum over the distances of the mesh itself
(a matrix of all pairs), with the nearest known vertex, and with the mean of all known normals.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra
from torch import Tensor

from graphpe.benchmarks.measure.harness import command, parser
from graphpe.benchmarks.measure.inputs.graphs import data_folder
from graphpe.benchmarks.measure.trees.mesh import Mesh, read_mesh
from graphpe.benchmarks.measure.trees.sections import write_section
from graphpe.structure.adjacency import symmetric_adjacency
from graphpe.structure.plan import Plan
from graphpe.trees.functions.closed_form import Exponential
from graphpe.trees.spanning import (
    SpanningTree,
    average,
    minimum_spanning_trees,
    random_spanning_trees,
    shortest_path_trees,
)

TITLE = "Interpolation of vertex normals on a mesh"
SCALES = (0.5, 1.0, 2.0, 4.0, 8.0)  # rates, by the mean length of a side

Guess = Callable[[Tensor, float], Tensor]


def main(arguments: Sequence[str] | None = None) -> None:
    """Interpolate, write the table and the picture."""
    options = read_options(arguments)
    mesh = read_mesh(data_folder(options.data) / "meshes" / options.mesh)
    guesses = methods(mesh, options.trees)
    lines = [
        f"{options.mesh}: {len(mesh.position):,} vertices, {mesh.edges.shape[1]:,} sides; f(d) = exp(-r d). Mean "
        f"cosine similarity of hidden normals to the true ones, {options.seeds} draws (mean and standard deviation).",
        "",
        f"| method | {' | '.join(f'{hidden:.0%} hidden' for hidden in options.hidden)} |",
        f"|---|{'---:|' * len(options.hidden)}",
    ]
    means: dict[str, list[float]] = {}
    for name, (guess, rates) in guesses.items():
        cells = []
        for hidden in options.hidden:
            values = [similarity(mesh, guess, rates, hidden, seed) for seed in range(options.seeds)]
            means.setdefault(name, []).append(float(np.mean(values)))
            cells.append(f"{np.mean(values):.3f} ± {np.std(values):.3f}")
        lines.append(f"| {name} | {' | '.join(cells)} |")
        print(lines[-1], flush=True)
    if options.out is not None:
        plot(options.hidden, means, options.out.with_name("tree_normals.png"))
        lines += ["", "![similarity by the hidden part](tree_normals.png)"]
    write_section(options.out, TITLE, lines, command("trees.normals", arguments))


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    known = parser(__doc__, threads=None, seed=None, data="real datasets")
    known.add_argument("--mesh", default="spot.obj", help="an OBJ file in the folder meshes of the data")
    known.add_argument("--hidden", type=float, nargs="+", default=[0.2, 0.5, 0.8, 0.95])
    known.add_argument("--trees", type=int, default=16, help="random spanning trees")
    known.add_argument("--seeds", type=int, default=3)
    return known.parse_args(arguments)


def methods(mesh: Mesh, trees: int) -> dict[str, tuple[Guess, tuple[float, ...]]]:
    """The methods by name, and the rates that each may have.

    A method makes guesses `[n, 3]` from normals that are zero where they are hidden.
    """
    plan = Plan(mesh.graph())
    matrix = plan.once(symmetric_adjacency)
    mean_length = float(np.mean(matrix.weight))
    size = len(mesh.position)
    exact = dijkstra(csr_array((matrix.weight, matrix.indices, matrix.indptr), shape=(size, size)))
    distance = torch.from_numpy(exact)
    rates = tuple(scale / mean_length for scale in SCALES)
    one: dict[str, list[SpanningTree]] = {
        "tree field, minimum spanning tree": [minimum_spanning_trees(plan)],
        "tree field, shortest-path tree": [shortest_path_trees(plan)],
        "tree field, one random tree": random_spanning_trees(plan, 1, seed=1),
        f"tree field, mean over {trees} random trees": random_spanning_trees(plan, trees),
    }
    out: dict[str, tuple[Guess, tuple[float, ...]]] = {
        "mean of all known normals": (lambda known, _: known.sum(0).expand_as(known), rates[:1]),
        "nearest known vertex": (partial(nearest, distance), rates[:1]),
        "all pairs, distances of the mesh": (lambda known, rate: torch.exp(-rate * distance) @ known, rates),
    }
    for name, drawn in one.items():
        out[name] = partial(field, drawn), rates
    return out


def field(trees: Sequence[SpanningTree], known: Tensor, rate: float) -> Tensor:
    """Sums over trees."""
    return average(trees, Exponential(rate), known)


def nearest(distance: Tensor, known: Tensor, _: float) -> Tensor:
    """The normal of the nearest known vertex."""
    hidden = known.abs().sum(1) == 0
    return known[torch.where(hidden, torch.inf, distance).argmin(1)]


def similarity(mesh: Mesh, guess: Guess, rates: Sequence[float], hidden: float, seed: int) -> float:
    """Mean cosine similarity of the hidden normals, with the rate that is best for a tenth of the known ones."""
    normal = torch.from_numpy(mesh.normal)
    order = torch.randperm(len(normal), generator=torch.Generator().manual_seed(seed))
    unknown, rest = order.tensor_split([round(hidden * len(order))])
    check, fewer = rest.tensor_split([len(rest) // 10])
    best = rates[0]
    if len(rates) > 1:
        best = max(rates, key=lambda rate: _cosine(guess(_only(normal, fewer), rate), normal, check))
    return _cosine(guess(_only(normal, rest), best), normal, unknown)


def _only(normal: Tensor, chosen: Tensor) -> Tensor:
    """The normals at some vertices, zeros elsewhere."""
    return torch.zeros_like(normal).index_copy(0, chosen, normal[chosen])


def _cosine(guess: Tensor, normal: Tensor, chosen: Tensor) -> float:
    return float(torch.nn.functional.cosine_similarity(guess[chosen], normal[chosen], dim=1, eps=1e-300).mean())


def plot(hidden: Sequence[float], means: dict[str, list[float]], path: Path) -> None:
    """Similarity by the hidden part."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 3.6), layout="constrained")
    axes = figure.subplots()
    for name, values in means.items():
        if not name.startswith("mean"):
            axes.plot(hidden, values, marker="o", markersize=3, label=name)
    axes.set(xlabel="part of the vertices that is hidden", ylabel="mean cosine similarity")
    axes.legend(fontsize="x-small")
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
