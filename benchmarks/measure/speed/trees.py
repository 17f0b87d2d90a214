"""Speed of sums over trees: `TreeIntegrator` against dense matrices and against a search from every node.

    python -m graphpe.benchmarks.measure.speed.trees --out trees.md

Y = f(D) X with f(d) = exp(-d / 2), fields X float32 of some widths, random edge lengths (hops on real trees).

* tree: the forest is read, and the field integrated; *again*: integrated only.
* dense: distances by SciPy (Dijkstra from every node), f of them, and a product in float32; *again*: the product only.
* search: from every node one compiled search through the tree, which adds up f(d) X as it goes. Above some thousand
  nodes from some of them only, times as many as there are.

All sides run on the same threads, and take turns. What a side would need more memory for than is allowed is left out.
"""

from __future__ import annotations

import argparse
import ast
import inspect
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra
from torch import Tensor
from torch_geometric.data import Data

from graphpe.benchmarks.measure.harness import Report, command, ending, parser, take_turns
from graphpe.benchmarks.measure.inputs.graphs import data_folder
from graphpe.benchmarks.measure.inputs.large_graphs import Graph, real_graphs
from graphpe.compiled.jit import machine_code
from graphpe.graphs.packed import PackedGraphs
from graphpe.trees import (
    Cosine,
    Exponential,
    Gaussian,
    InversePower,
    Polynomial,
    Table,
    TreeFunction,
    TreeIntegrator,
)
from graphpe.trees.spanning import minimum_spanning_trees

F = Exponential(0.5)

_SOURCES = 64  # that the search starts from, where that is not all nodes


class Tree(NamedTuple):
    """A tree.

    Attributes:
        name: Of its family.
        edges: `[2, n - 1]`.
        length: `[n - 1]` float64.
        size: n.
    """

    name: str
    edges: Tensor
    length: Tensor
    size: int


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the tables, and write them where `--out` says."""
    options = read_options(argv)
    torch.set_num_threads(options.threads)
    warm_up()
    report = Report(options.out)
    report.say(
        "| tree | nodes | width | tree, ms | again, ms | dense, ms | again, ms | search, ms "
        "| dense / tree | dense / tree, again | search / tree |",
        "|---|---|---|---|---|---|---|---|---|---|---|",
    )
    times: dict[tuple[str, int, int], float] = {}
    for tree in trees(options):
        matrices: list[Tensor] = []
        build = math.nan
        if tree.size <= options.dense_nodes:
            (build,) = take_turns([lambda: matrices.append(dense_matrix(tree))], 1, warm_up=tree.size <= 2000)  # noqa: B023
        for width in options.widths:
            dense = (matrices[-1], build) if matrices else None
            row, times[tree.name, tree.size, width] = compare(tree, width, dense, options)
            report.say(row)
    about = (
        f"f(d) = exp(-d / 2) unless said; other functions: fields of width 1. {options.repeats} turns, medians (search "
        "above 2,000 nodes, building dense matrices, and the functions' table: one)."
    )
    report.say("", *growth(times), "", *functions(options), *ending(about, command("speed.trees", argv)))


def read_options(argv: Sequence[str] | None) -> argparse.Namespace:
    """The options."""
    arguments = parser(__doc__ or "", graphs=1, repeats=3)
    arguments.add_argument("--sizes", type=int, nargs="+", default=[10**3, 10**4, 10**5, 10**6])
    arguments.add_argument("--widths", type=int, nargs="+", default=[1, 32])
    arguments.add_argument("--kinds", nargs="+", default=list(FAMILIES), choices=list(FAMILIES))
    arguments.add_argument("--dense-nodes", type=int, default=10_000, help="the largest dense matrix")
    arguments.add_argument("--no-real", action="store_true", help="leave out syntax trees and meshes")
    return arguments.parse_args(argv)


FAMILIES: dict[str, Callable[[NDArray[np.int64], np.random.Generator], NDArray[np.int64]]] = {
    "random": lambda child, generator: (generator.random(len(child)) * child).astype(np.int64),
    "path": lambda child, _: child - 1,
    "star": lambda child, _: np.zeros_like(child),
    "caterpillar": lambda child, _: np.where(
        child <= len(child) // 2, child - 1, np.maximum(child - len(child) // 2 - 1, 0)
    ),
}


def make_tree(kind: str, size: int, seed: int) -> Tree:
    """A tree of a family, its nodes numbered at random, with lengths from 0 to 1."""
    generator = np.random.default_rng(seed)
    child = np.arange(1, size)
    number = generator.permutation(size)
    edges = np.stack([number[FAMILIES[kind](child, generator)], number[child]])
    return Tree(kind, torch.from_numpy(edges), torch.from_numpy(generator.random(size - 1)), size)


def trees(options: argparse.Namespace) -> Iterator[Tree]:
    """All trees."""
    for size in options.sizes:
        for kind in options.kinds:
            yield make_tree(kind, size, options.seed)
    if not options.no_real:
        yield syntax_tree()
        yield from mesh_trees(data_folder(options.data))


def syntax_tree() -> Tree:
    """The syntax tree of a module of the running Python's library."""
    nodes = [ast.parse(inspect.getsource(argparse))]
    edges = []
    for parent, node in enumerate(nodes):
        for child in ast.iter_child_nodes(node):
            edges.append((parent, len(nodes)))
            nodes.append(child)  # type: ignore[arg-type]  # the list grows as it is walked
    return Tree("syntax tree of argparse", torch.tensor(edges).T.contiguous(), torch.ones(len(edges)), len(nodes))


def mesh_trees(folder: Path) -> Iterator[Tree]:
    """Minimum spanning trees of the meshes in the folder, in hops."""
    for graph in real_graphs(folder):
        if isinstance(graph, Graph) and graph.name.startswith("mesh"):
            packed = PackedGraphs.from_data(Data(edge_index=torch.from_numpy(graph.edges), num_nodes=graph.num_nodes))
            spanning = minimum_spanning_trees(packed)
            yield Tree(f"spanning tree of {graph.name}", spanning.edge_index, spanning.length, graph.num_nodes)


def compare(
    tree: Tree, width: int, dense: tuple[Tensor, float] | None, options: argparse.Namespace
) -> tuple[str, float]:
    """A row of the table, and the seconds of integrating again; `dense` is the matrix, and what it took to build."""
    field = torch.randn(tree.size, width, generator=torch.Generator().manual_seed(options.seed))
    kept = TreeIntegrator(tree.edges, tree.length, tree.size)
    small = tree.size <= 2000
    sides: list[Callable[[], object]] = [
        lambda: TreeIntegrator(tree.edges, tree.length, tree.size).integrate(F, field),
        lambda: kept.integrate(F, field),
    ]
    dense_whole, dense_again = math.nan, math.nan
    if dense is not None:
        matrix, build = dense
        assert_equal(kept.integrate(F, field), matrix @ field)
        whole, again, dense_again = take_turns([*sides, lambda: matrix @ field], options.repeats)
        dense_whole = build + dense_again
    else:
        whole, again = take_turns(sides, options.repeats)
    sources = tree.size if tree.size <= 10_000 else _SOURCES
    (search,) = take_turns([lambda: search_from(kept, field, sources)], 3 if small else 1, warm_up=small)
    search *= tree.size / sources
    cells = [tree.name, f"{tree.size:,}", str(width)]
    cells += [_milliseconds(t) for t in (whole, again, dense_whole, dense_again, search)]
    cells += [_ratio(dense_whole / whole), _ratio(dense_again / again), _ratio(search / whole)]
    return f"| {' | '.join(cells)} |", again


def dense_matrix(tree: Tree) -> Tensor:
    """The matrix of f of all distances, float32."""
    shape = tree.size, tree.size
    graph = coo_array((tree.length.clamp(min=1e-290).numpy(), tree.edges.numpy()), shape=shape).tocsr()
    return F(torch.from_numpy(dijkstra(graph, directed=False))).float()


def assert_equal(actual: Tensor, expected: Tensor) -> None:
    """Raise unless both sides compute the same, in float32."""
    torch.testing.assert_close(actual, expected, rtol=1e-3, atol=1e-3)


def search_from(tree: TreeIntegrator, field: Tensor, sources: int) -> NDArray[np.float32]:
    """The first rows of Y."""
    forest = tree.forest
    return _search(forest.parent, forest.subtree, forest.length, field.numpy()[forest.order], sources, 0.5)


@machine_code
def _search(
    parent: NDArray[np.int64],
    count: NDArray[np.int64],
    length: NDArray[np.float64],
    x: NDArray[np.float32],
    sources: int,
    rate: float,
) -> NDArray[np.float32]:
    size, width = x.shape
    out = np.zeros((sources, width), np.float32)
    queue, came = np.empty(size, np.int64), np.empty(size, np.int64)
    distance = np.empty(size)
    for i in range(sources):
        queue[0], came[0], distance[0] = i, -1, 0.0
        filled = 1
        for at in range(size):
            if at == filled:
                break
            v = queue[at]
            value = math.exp(-rate * distance[at])
            for c in range(width):
                out[i, c] += value * x[v, c]
            if parent[v] >= 0 and parent[v] != came[at]:
                queue[filled], came[filled], distance[filled] = parent[v], v, distance[at] + length[v]
                filled += 1
            u = v + 1
            while u < v + count[v]:
                if u != came[at]:
                    queue[filled], came[filled], distance[filled] = u, v, distance[at] + length[u]
                    filled += 1
                u += count[u]
    return out


def warm_up() -> None:
    """Compile what is measured."""
    tree = make_tree("random", 10, 0)
    for f in _functions(10).values():
        kept = TreeIntegrator(tree.edges, None, tree.size)
        kept.integrate(f, torch.ones(10, 2))
    search_from(kept, torch.ones(10, 2), 10)


def growth(times: dict[tuple[str, int, int], float]) -> list[str]:
    """How times grow between sizes, in units of n log n; a table."""
    lines = ["| tree | width | from nodes | to nodes | time grows | of n log n |", "|---|---|---|---|---|---|"]
    for (name, size, width), seconds in times.items():
        larger = times.get((name, 10 * size, width))
        if larger is not None:
            expected = 10 * math.log(10 * size) / math.log(size)
            ratio = larger / seconds
            lines.append(f"| {name} | {width} | {size:,} | {10 * size:,} | {ratio:.1f} | {ratio / expected:.2f} |")
    return lines


def functions(options: argparse.Namespace) -> list[str]:
    """What other functions and the centroid decomposition take; a table of the largest trees, in hops."""
    size = max(options.sizes)
    names = list(_functions(2))
    lines = [
        f"| tree | nodes | read, ms | decomposition, ms | {', ms | '.join(names)}, ms |",
        f"|---|---|---|---|{'---|' * len(names)}",
    ]
    for kind in options.kinds:
        tree = make_tree(kind, size, options.seed)
        field = torch.randn(size, 1, generator=torch.Generator().manual_seed(options.seed))
        built: list[TreeIntegrator] = []
        (read,) = take_turns([lambda: built.append(TreeIntegrator(tree.edges, None, size))], options.repeats)  # noqa: B023
        kept = built[-1]
        (decomposed,) = take_turns([lambda: kept.levels], 1, warm_up=False)  # noqa: B023
        bank = _functions(int(kept.diameter) + 1)
        taken = take_turns([lambda f=f: kept.integrate(f, field) for f in bank.values()], 1)  # type: ignore[misc]  # noqa: B023
        cells = [kind, f"{size:,}", *(_milliseconds(t) for t in (read, decomposed, *taken))]
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def _functions(distances: int) -> dict[str, TreeFunction]:
    """Functions that are measured, on trees with as many different distances."""
    table = torch.rand(distances, generator=torch.Generator().manual_seed(0))
    return {
        "exponential": Exponential(0.5),
        "quadratic": Polynomial([1.0, 2.0, 3.0]),
        "cosine": Cosine(0.5),
        "Gaussian": Gaussian(2.0),
        "1 / (1 + d)": InversePower(1.0),
        "table of all distances": Table(table),
        "table of 4": Table([1.0, 0.5, 0.2, 0.1]),
    }


def _milliseconds(seconds: float) -> str:
    return "-" if math.isnan(seconds) else f"{1e3 * seconds:,.1f}"


def _ratio(value: float) -> str:
    return "-" if math.isnan(value) else f"{value:,.0f} x" if value >= 10 else f"{value:.1f} x"


if __name__ == "__main__":
    main()
