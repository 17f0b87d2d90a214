"""Distances of graphs, from those of a spanning tree: d_G is approximated by f(d_T) with a learned rational f.

    python -m graphpe.benchmarks.measure.trees.metrics --out benchmarks/results/tree_experiments.md

f(d) = (p_0 + p_1 d + p_2 d^2) / (1 + q_1 d + q_2 d^2), q >= 0.1 for d in units of the largest d_T, is fitted to some
pairs of nodes and tested on all. With it, products with the matrix of distances are integrals over the tree. The error
is that of the matrix in the Frobenius norm, relative to d_G's.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from scipy.sparse import csr_array
from scipy.sparse.csgraph import dijkstra
from torch import Tensor
from torch.nn import functional
from torch_geometric.data import Data

from graphpe.benchmarks.measure.harness import command, parser
from graphpe.benchmarks.measure.inputs.graphs import data_folder
from graphpe.benchmarks.measure.inputs.large_graphs import Graph, real_graphs
from graphpe.benchmarks.measure.trees.mesh import read_mesh
from graphpe.benchmarks.measure.trees.sections import write_section
from graphpe.graphs.packed import PackedGraphs
from graphpe.structure.adjacency import symmetric_adjacency
from graphpe.structure.plan import Plan
from graphpe.trees.fields import TreeKind, tree_distances, trees_of
from graphpe.trees.functions.smooth import Rational

TITLE = "Distances of graphs from those of a spanning tree"
KINDS: tuple[TreeKind, ...] = ("minimum", "shortest")


class Fit(NamedTuple):
    """Relative errors over all pairs, and the function.

    Attributes:
        tree: Of d_T itself.
        scaled: Of the best multiple of d_T.
        rational: Of f(d_T).
        f: The function, of distances in units of the largest d_T.
        product: Relative difference of f(D_T) X by the tree integrator and by the matrix.
    """

    tree: float
    scaled: float
    rational: float
    f: Rational
    product: float


def main(arguments: Sequence[str] | None = None) -> None:
    """Fit all graphs, write the table and the picture."""
    options = read_options(arguments)
    lines = [
        f"d_G is approximated by f(d_T), f rational of degree 2 over 2, fitted to {options.pairs:,} random pairs. "
        "Relative error in the Frobenius norm over all pairs; product: relative difference of f(D_T) X between the "
        "integrator and the matrix.",
        "",
        "| graph | nodes | tree | d_T alone | c d_T | f(d_T) | product |",
        "|---|---:|---|---:|---:|---:|---:|",
    ]
    for name, graph in graphs(options):
        for kind in KINDS:
            fit, along, exact = fit_graph(graph, kind, options.pairs, options.steps, options.seed)
            cells = [name, f"{graph.num_nodes:,}", kind, f"{fit.tree:.3f}", f"{fit.scaled:.3f}", f"{fit.rational:.3f}"]
            lines.append(f"| {' | '.join(cells)} | {fit.product:.0e} |")
            print(lines[-1], flush=True)
            if options.out is not None and name.startswith("path") and kind == "minimum":
                plot(fit, along, exact, options.out.with_name("tree_metrics.png"))
    if options.out is not None:
        lines += ["", "![distances](tree_metrics.png)"]
    write_section(options.out, TITLE, lines, command("trees.metrics", arguments))


def read_options(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    known = parser(__doc__, threads=None, seed=None, data="real datasets")
    known.add_argument("--nodes", type=int, default=800, help="of the path")
    known.add_argument("--extra", type=int, default=600, help="random edges beside the path")
    known.add_argument("--pairs", type=int, default=20_000)
    known.add_argument("--steps", type=int, default=300)
    known.add_argument("--seed", type=int, default=0)
    return known.parse_args(arguments)


def graphs(options: argparse.Namespace) -> Iterator[tuple[str, PackedGraphs]]:
    """The graphs by name."""
    yield f"path and {options.extra} random edges", path_graph(options.nodes, options.extra, options.seed)
    folder: Path = data_folder(options.data)
    for graph in real_graphs(folder):
        if isinstance(graph, Graph) and graph.name == "minnesota":
            data = Data(edge_index=torch.from_numpy(graph.edges), num_nodes=graph.num_nodes)
            yield "minnesota (hops)", PackedGraphs.from_data(data)
    if (folder / "meshes" / "spot.obj").is_file():
        yield "mesh spot (lengths)", read_mesh(folder / "meshes" / "spot.obj").graph()


def path_graph(size: int, extra: int, seed: int) -> PackedGraphs:
    """A path with random edges, all of lengths from 0 to 1."""
    generator = np.random.default_rng(seed)
    path = np.stack([np.arange(size - 1), np.arange(1, size)])
    more = generator.integers(0, size, (2, extra))
    edges = np.concatenate([path, more[:, more[0] != more[1]]], axis=1)
    data = Data(edge_index=torch.from_numpy(edges), num_nodes=size)
    data.edge_weight = torch.from_numpy(1 - generator.random(edges.shape[1]))
    return PackedGraphs.from_data(data)


def fit_graph(graph: PackedGraphs, kind: TreeKind, pairs: int, steps: int, seed: int) -> tuple[Fit, Tensor, Tensor]:
    """The fit to one connected graph, and its distances along the tree and in the graph, `[n, n]`."""
    plan = Plan(graph)
    weighted = graph.edge_weight is not None
    size = graph.num_nodes
    along = tree_distances(plan, tree=kind, weighted=weighted).view(size, size)
    matrix = plan.once(symmetric_adjacency)
    weights = matrix.weight if weighted else np.ones(len(matrix.weight))
    exact = torch.from_numpy(dijkstra(csr_array((weights, matrix.indices, matrix.indptr), shape=(size, size))))
    generator = torch.Generator().manual_seed(seed)
    row, column = torch.randint(size, (2, pairs), generator=generator)
    unit = float(along.max())
    numerator, denominator = fit_rational(along[row, column] / unit, exact[row, column], steps)
    f = Rational(numerator, denominator)
    # The same function of distances in the units of the graph.
    scale = unit ** -torch.arange(3, dtype=torch.float64)
    unscaled = Rational(numerator * scale, denominator * scale)
    approximate = f(along / unit)
    multiple = float((along * exact).sum() / along.square().sum())
    field = torch.randn(size, 4, generator=generator, dtype=torch.float64)
    (tree,) = trees_of(plan, kind, weighted, 1, 0)
    product = approximate @ field
    difference = float((tree.integrate(unscaled, field) - product).norm() / product.norm())
    alone, scaled, rational = (
        float((guess - exact).norm() / exact.norm()) for guess in (along, multiple * along, approximate)
    )
    return Fit(alone, scaled, rational, f, difference), along, exact


def fit_rational(x: Tensor, y: Tensor, steps: int) -> tuple[Tensor, Tensor]:
    """Coefficients of numerator and denominator that bring f(x) close to y, for x from 0 to 1."""
    scale = y.square().mean().sqrt()
    top = torch.tensor([0.1, 1.0, 0.0], dtype=torch.float64, requires_grad=True)
    free = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    optimizer = torch.optim.LBFGS([top, free], max_iter=steps, line_search_fn="strong_wolfe")

    def denominator() -> Tensor:
        # Not 0, or else poles go to infinity and partial fractions of large residues cancel.
        return torch.cat([torch.ones(1, dtype=torch.float64), 0.1 + functional.softplus(free)])

    def loss() -> Tensor:
        optimizer.zero_grad()
        value = (Rational(top, denominator())(x) - y / scale).square().mean()
        value.backward()
        return value

    optimizer.step(loss)
    return top.detach() * scale, denominator().detach()


def plot(fit: Fit, along: Tensor, exact: Tensor, path: Path) -> None:
    """Some pairs' distances, and the function."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 3.6), layout="constrained")
    axes = figure.subplots()
    chosen = torch.randint(along.numel(), (4000,), generator=torch.Generator().manual_seed(0))
    axes.scatter(along.flatten()[chosen], exact.flatten()[chosen], s=2, alpha=0.3, label="pairs of nodes")
    grid = torch.linspace(0, 1, 200, dtype=torch.float64)
    axes.plot(grid * float(along.max()), fit.f(grid), color="C1", label="rational f")
    top = float(exact.max())
    axes.plot([0, top], [0, top], color="grey", linestyle=":", label="tree alone")
    axes.set(xlabel="distance along the minimum spanning tree", ylabel="distance in the graph")
    axes.legend(fontsize="small")
    figure.savefig(path, dpi=120)


if __name__ == "__main__":
    main()
