"""The bias by effective resistances with and without its matrix: time, memory, and the difference of the results.

    python -m graphpe.benchmarks.measure.pairs.factored_bias --out factored_bias.md

One layer of attention on one graph (a random tree and as many edges again), forward and backward, width 64, 4 heads,
`head="linear"`. What encodings cost is not counted.

* none: no bias.
* matrix: `PairBias("resistance", ...)`, from the resistances of all pairs.
* k = ...: `PairBias("spectral_coordinates", ..., factored=True)` with so many coordinates; `exact`: with n - 1, whose
  squared distances are the resistances, on graphs of at most 1,000 nodes.

Every side has a process of its own, in turns. Memory is the process at its largest beyond what it had before the first
step: numbers of the encoding are there already.
"""

from __future__ import annotations

import resource
import statistics
import time
from collections.abc import Sequence
from typing import NamedTuple

import networkx as nx
import torch
from torch import Tensor
from torch_geometric.data import Data
from torch_geometric.utils import from_networkx

from graphpe import models as M
from graphpe import transforms as T
from graphpe.benchmarks.measure.harness import Report, command, ending, parser
from graphpe.benchmarks.measure.limited import Stopped, call_limited
from graphpe.models.batches.nodes import node_to_graph

WIDTH, HEADS, EXACT = 64, 4, 1000
_GIGABYTES = 12
_WAIT = 900


class Cost(NamedTuple):
    """Seconds of a step, processor seconds, and bytes beyond what was there before."""

    wall: float
    cpu: float
    memory: float


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the table, and write it where `--out` says."""
    arguments = parser(__doc__, repeats=3, data=None)
    arguments.add_argument("--sizes", type=int, nargs="+", default=[100, 300, 1000, 3000, 10_000])
    arguments.add_argument("--coordinates", type=int, nargs="+", default=[16, 64])
    options = arguments.parse_args(argv)
    report = Report(options.out)
    names = ["none", "matrix", *(f"k = {k}" for k in options.coordinates), "exact"]
    report.say(f"| nodes | {' | '.join(f'{name}: ms, MB' for name in names)} | largest difference, exact and matrix |")
    report.say(f"|---|{'---|' * len(names)}---|")
    for nodes in options.sizes:
        cells = [f"{nodes:,}"]
        for name in names:
            cells.append(_cell(name, nodes, options.repeats, options.threads, options.seed))
        difference = f"{compare(nodes, options.seed):.1e}" if nodes <= EXACT else ""
        report.say(f"| {' | '.join([*cells, difference])} |")
    about = f"Medians over {options.repeats} processes; milliseconds of wall time of a step."
    report.say(*ending(about, command("pairs.factored_bias", argv), threads=options.threads))


def _cell(name: str, nodes: int, repeats: int, threads: int, seed: int) -> str:
    if name == "exact" and nodes > EXACT:
        return ""
    try:
        costs = [
            call_limited(measure, name, nodes, threads, seed, seconds=_WAIT, gigabytes=_GIGABYTES)
            for _ in range(repeats)
        ]
    except Stopped as stopped:
        return str(stopped)
    wall, memory = (statistics.median(getattr(cost, of) for cost in costs) for of in ("wall", "memory"))
    return f"{1e3 * wall:,.1f}, {memory / 1e6:,.0f}"


def measure(name: str, nodes: int, threads: int, seed: int) -> Cost:
    """Steps of one side."""
    torch.set_num_threads(threads)
    torch.manual_seed(seed)
    data = graph(nodes, seed)
    if name == "matrix":
        data.resistance = torch.rand(nodes * nodes, 1)  # what they are takes no time here
    elif name != "none":
        count = nodes - 1 if name == "exact" else int(name.removeprefix("k = "))
        data.coordinates = torch.randn(nodes, count) * (2 * count) ** -0.5  # squared distances of about 1
    attention = M.MultiHeadAttention(WIDTH, HEADS)
    bias = _bias(name, data)
    before, walls, processors = _bytes(), [], []
    for step in range(4):
        start, cpu = time.perf_counter(), time.process_time()
        _step(attention, bias, data).square().sum().backward()
        if step:
            walls.append(time.perf_counter() - start)
            processors.append(time.process_time() - cpu)
    return Cost(statistics.median(walls), statistics.median(processors), _bytes() - before)


def compare(nodes: int, seed: int) -> float:
    """Largest difference of the results with the matrix and with all coordinates."""
    torch.manual_seed(seed)
    data = T.SpectralCoordinates(k=nodes - 1, attr_name="coordinates")(T.ResistancePE()(graph(nodes, seed)))
    attention = M.MultiHeadAttention(WIDTH, HEADS)
    with torch.no_grad():
        one, other = (_step(attention, _bias(name, data), data) for name in ("matrix", "exact"))
    return float((one - other).abs().max())


def graph(nodes: int, seed: int) -> Data:
    """A random tree and as many random edges again, with features."""
    joined = nx.random_labeled_tree(nodes, seed=seed)
    joined.add_edges_from(nx.gnm_random_graph(nodes, nodes, seed=seed).edges)
    return Data(edge_index=from_networkx(joined).edge_index, x=torch.randn(nodes, WIDTH), num_nodes=nodes)


def _bias(name: str, data: Data) -> list[M.PairBias]:
    if name == "none":
        return []
    if name == "matrix":
        return [M.PairBias("resistance", HEADS, head="linear")]
    return [M.PairBias("coordinates", HEADS, head="linear", channels=data.coordinates.shape[1], factored=True)]


def _step(attention: M.MultiHeadAttention, biases: list[M.PairBias], data: Data) -> Tensor:
    return attention(data.x, M.all_pairs_of(data, node_to_graph(data), biases))


def _bytes() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0


if __name__ == "__main__":
    main()
