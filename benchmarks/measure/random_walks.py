"""Random walks: how long a million take, and the features of their windows, beside NumPy's one step of all at a time.

    python -m graphpe.benchmarks.measure.random_walks --out random_walks.md

Graphs are molecules as one batch, an Erdos-Renyi graph whose lists fit into the processor's cache, and one whose do
not. Sides take turns; a time is the least processor time of its turns. NumPy's side draws a column of random numbers
and gathers the next nodes for each step; its walks are checked for running along edges, as ours are.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence

import numpy as np
import torch

from graphpe.benchmarks.measure.harness import Report, command, ending, parser
from graphpe.benchmarks.measure.inputs.graphs import molecules
from graphpe.compiled.jit import everything_compiled
from graphpe.graphs.packed import PackedGraphs
from graphpe.graphs.ragged import Ints
from graphpe.sampling.random_walks import Roads, graph_keys, roads, walk
from graphpe.sampling.walk_windows import window_words

LENGTH, WINDOW = 50, 8


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table, and write it where `--out` says."""
    reader = parser(str(__doc__), graphs=1000, repeats=3)
    reader.add_argument("--walks", type=int, default=1_000_000, help="walks of each graph")
    reader.add_argument("--nodes", type=int, default=1_000_000, help="nodes of the largest graph")
    options = reader.parse_args(argv)
    torch.set_num_threads(options.threads)
    rng = np.random.default_rng(options.seed)
    source, packed = molecules(options.graphs, options.data, rng)
    families = {
        f"{options.graphs:,} molecules of {source}": packed.structure(),
        "Erdos-Renyi, 10,000 nodes of degree 6": erdos_renyi(10_000, rng),
        f"Erdos-Renyi, {options.nodes:,} nodes of degree 6": erdos_renyi(options.nodes, rng),
    }
    report = Report(options.out)
    report.say(
        f"# {options.walks:,} random walks of {LENGTH} steps",
        "",
        f"| graph | lists of edges, s | walks, s | not straight back, s | windows of {WINDOW}, s | NumPy, s | NumPy / "
        "ours |",
        "|---|---|---|---|---|---|---|",
    )
    with everything_compiled():
        for name, graphs in families.items():
            times = measure(graphs, options.walks, options.repeats)
            ratio = times[-1] / times[1]
            report.say(f"| {name} | " + " | ".join(f"{seconds:.2f}" for seconds in times) + f" | {ratio:.1f}x |")
    about = f"Least processor time of {options.repeats} turns. `walks` and `NumPy` are uniform."
    report.say(*ending(about, command("random_walks", argv)))


def erdos_renyi(nodes: int, rng: np.random.Generator) -> PackedGraphs:
    """Three random edges a node, both ways."""
    ends = rng.integers(0, nodes, (2, 3 * nodes))
    edges = torch.from_numpy(np.concatenate([ends, ends[::-1]], axis=1))
    return PackedGraphs(edges, torch.tensor([0, nodes]), torch.tensor([0, 6 * nodes]))


def measure(graphs: PackedGraphs, count: int, repeats: int) -> list[float]:
    """Seconds of: lists of edges, walks, walks that do not lead straight back, windows of these, NumPy's walks."""
    edge_index, ptr = graphs.host_edge_index, graphs.host_ptr
    lists = roads(edge_index, graphs.num_nodes)
    starts, keys = np.arange(count) % graphs.num_nodes, graph_keys(0, graphs.num_graphs)
    ahead = walk(lists, ptr, starts, keys, LENGTH, backtracking=False)
    uniform = walk(lists, ptr, starts[:1000], keys, LENGTH, backtracking=True)
    for nodes in (ahead.nodes[:1000], uniform.nodes, stepwise(lists, starts[:1000], np.random.default_rng(0))):
        check(edge_index, nodes)
    sides: list[Callable[[], object]] = [
        lambda: roads(edge_index, graphs.num_nodes),
        lambda: walk(lists, ptr, starts, keys, LENGTH, backtracking=True),
        lambda: walk(lists, ptr, starts, keys, LENGTH, backtracking=False),
        lambda: window_words(lists, ahead.nodes, WINDOW),
        lambda: stepwise(lists, starts, np.random.default_rng(0)),
    ]
    best = [np.inf] * len(sides)
    for _ in range(repeats):
        for number, side in enumerate(sides):
            begin = time.process_time()
            side()
            best[number] = min(best[number], time.process_time() - begin)
    return best


def stepwise(lists: Roads, starts: Ints, rng: np.random.Generator) -> Ints:
    """Uniform walks by NumPy, one step of all at a time; -1 after the end."""
    targets, degree = np.append(lists.entries[:, 0], -1), np.append(np.diff(lists.ptr), 0)
    nodes = np.empty((len(starts), LENGTH + 1), dtype=targets.dtype)
    nodes[:, 0] = starts
    for step in range(LENGTH):
        here = nodes[:, step]
        place = lists.ptr[here] + (rng.random(len(starts)) * degree[here]).astype(np.int64)
        nodes[:, step + 1] = targets[np.where(degree[here] > 0, place, -1)]
    return nodes


def check(edge_index: Ints, nodes: Ints) -> None:
    """Raise unless walks run along edges."""
    size = int(max(edge_index.max(), nodes.max())) + 1
    known = np.unique(edge_index[0] * size + edge_index[1])
    tail, head = nodes[:, :-1].astype(np.int64), nodes[:, 1:]
    steps = (tail * size + head)[head >= 0]
    if not np.isin(steps, known).all():
        raise AssertionError("a walk leaves the edges")


if __name__ == "__main__":
    main()
