"""Homomorphisms, motifs and cycles: all molecules of ogbg-molhiv, and a sample beside networkx.

    python -m graphpe.benchmarks.measure.speed.counting.substructures --out benchmarks/results/substructures.md

Of the whole dataset, packed graphs to packed graphs: processor seconds of one thread, and seconds on the clock. Of the
sample both sides get the same graphs, ours packed, networkx's as its own; they give the same numbers, and take turns.
networkx has no homomorphisms: its side extends partial maps along the neighbours of its graphs.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import NamedTuple

import networkx as nx
import numpy as np
import torch
from networkx.algorithms.isomorphism import GraphMatcher

from graphpe.benchmarks.calls.build import build_encodings
from graphpe.benchmarks.measure.harness import Report, command, ending, parser, take_turns
from graphpe.benchmarks.measure.inputs.graphs import molecules
from graphpe.graphs.packed import PackedGraphs
from graphpe.homomorphisms.canonical import automorphisms, orbits
from graphpe.homomorphisms.counts import RootedPattern, rooted
from graphpe.homomorphisms.patterns import Pattern, read_patterns

PATTERNS = "Connected(5)"
EVERY = 1 << 30  # more molecules than there are


WHOLE = ("HomomorphismPE('Connected(5)')", "CyclePE(8)")
"""What is counted in all molecules."""


class Row(NamedTuple):
    """A comparison: our encoding as a text, networkx's numbers of one graph, and how these are made.

    Attributes:
        ours: The encoding.
        theirs: From a graph to the numbers of its nodes.
        peer: How.
        more: How many times as many graphs: where networkx is quick enough.
    """

    ours: str
    theirs: Callable[[nx.Graph], np.ndarray]
    peer: str
    more: int = 1


def rows() -> list[Row]:
    """The comparisons."""
    patterns, motifs = rooted(PATTERNS), read_patterns(PATTERNS)
    return [
        Row(
            "HomomorphismPE('Connected(5)')",
            partial(homomorphisms, patterns=patterns),
            "partial maps, along `Graph.neighbors`",
        ),
        Row(
            "MotifPE('Connected(5)')",
            partial(copies, motifs=motifs, induced=False),
            "`GraphMatcher.subgraph_monomorphisms_iter`",
        ),
        Row(
            "MotifPE('Connected(5)', induced=True)",
            partial(copies, motifs=motifs, induced=True),
            "`GraphMatcher.subgraph_isomorphisms_iter`",
        ),
        Row("CyclePE(8)", partial(cycles, longest=8), "`simple_cycles(length_bound=8)`", more=50),
    ]


def homomorphisms(graph: nx.Graph, patterns: Sequence[RootedPattern]) -> np.ndarray:
    """Homomorphisms by the image of the root: `[nodes, patterns]`."""
    out = np.zeros((len(graph), len(patterns)))
    for column, pattern in enumerate(patterns):
        near: list[list[int]] = [[] for _ in range(pattern.num_nodes)]
        for a, b in pattern.edges:
            near[a].append(b)
            near[b].append(a)
        order = [pattern.root]
        for node in order:
            order += [other for other in near[node] if other not in order]
        earlier = [[order.index(other) for other in near[node] if other in order[:i]] for i, node in enumerate(order)]
        for root in graph:
            out[root, column] = sum(1 for _ in _extended(graph, earlier, [root]))
    return out


def _extended(graph: nx.Graph, earlier: list[list[int]], images: list[int]) -> Iterator[None]:
    if len(images) == len(earlier):
        yield None
        return
    first, *others = (images[place] for place in earlier[len(images)])
    for image in graph.neighbors(first):
        if all(graph.has_edge(image, other) for other in others):
            yield from _extended(graph, earlier, [*images, image])


def copies(graph: nx.Graph, motifs: Sequence[Pattern], induced: bool) -> np.ndarray:
    """Copies of motifs by orbit: `[nodes, orbits]`; each is found once for every automorphism."""
    parts = []
    for motif in motifs:
        places = orbits(motif.num_nodes, motif.edges)
        orbit = {node: i for i, nodes in enumerate(places) for node in nodes}
        found = np.zeros((len(graph), len(places)))
        matcher = GraphMatcher(graph, nx.Graph(list(motif.edges)))
        for image in matcher.subgraph_isomorphisms_iter() if induced else matcher.subgraph_monomorphisms_iter():
            for node, place in image.items():
                found[node, orbit[place]] += 1
        parts.append(found / automorphisms(motif.num_nodes, motif.edges, (0,) * motif.num_nodes))
    return np.concatenate(parts, axis=1)


def cycles(graph: nx.Graph, longest: int) -> np.ndarray:
    """The number of cycles through each node, by length: `[nodes, longest - 2]`."""
    out = np.zeros((len(graph), longest - 2))
    for cycle in nx.simple_cycles(graph, length_bound=longest):
        out[cycle, len(cycle) - 3] += 1
    return out


def main(argv: Sequence[str] | None = None) -> None:
    """Measure, print the tables, and write them where `--out` says."""
    known = parser(str(__doc__), graphs=50, repeats=2)
    known.add_argument("--whole", type=int, default=EVERY, help="molecules of the first table (default: all)")
    options = known.parse_args(argv)
    torch.set_num_threads(options.threads)
    source, graphs = molecules(options.whole, options.data, np.random.default_rng(options.seed))
    graphs = graphs.structure()
    report = Report(options.out)
    report.say(
        "# Homomorphisms, motifs and cycles",
        "",
        f"All {len(graphs):,} graphs ({source}), {graphs.num_nodes:,} nodes; {len(read_patterns(PATTERNS))} connected "
        "patterns of 2 to 5 nodes have 73 orbits.",
        "",
        "| encoding | columns | processor s | s on the clock | us per graph |",
        "|---|---|---|---|---|",
    )
    for text in WHOLE:
        report.say(measure_whole(text, graphs))
    report.say(
        "",
        "Samples of them beside networkx, processor time; the numbers of both sides are equal.",
        "",
        "| encoding | graphs | networkx | its us per graph | ours, us per graph | ratio |",
        "|---|---|---|---|---|---|",
    )
    order = np.random.default_rng(options.seed).permutation(len(graphs))
    for row in rows():
        report.say(measure(row, graphs.select(np.sort(order[: row.more * options.graphs])), options.repeats))
    about = f"{options.repeats} turns a side, medians; processor time of one thread."
    report.say(*ending(about, command("speed.counting.substructures", argv), "networkx"))


def measure_whole(text: str, graphs: PackedGraphs) -> str:
    """One line of the first table: one run, after one on some graphs."""
    (encoding,) = build_encodings([text])
    encoding(graphs.select(slice(0, 1000)))
    before = time.process_time(), time.perf_counter()
    encoding(graphs)
    processor, clock = time.process_time() - before[0], time.perf_counter() - before[1]
    each = 1e6 * processor / len(graphs)
    return f"| `{text}` | {encoding.columns} | {processor:.2f} | {clock:.2f} | {each:,.1f} |"


def measure(row: Row, sample: PackedGraphs, repeats: int) -> str:
    """One line of the second table, after a look at the numbers."""
    (encoding,) = build_encodings([row.ours])
    theirs = [nx.Graph(sample.to_networkx(i)) for i in range(len(sample))]
    for graph in theirs:
        graph.remove_edges_from(list(nx.selfloop_edges(graph)))  # random graphs have some; ours pass over them
    ours = encoding(sample).node[encoding.value_key].double().numpy()
    np.testing.assert_allclose(ours, np.log1p(np.concatenate([row.theirs(each) for each in theirs])), rtol=1e-6)
    peer, own = take_turns(
        [lambda: [row.theirs(graph) for graph in theirs], lambda: encoding(sample)],
        repeats,
        warm_up=False,
        clock=time.process_time,
    )
    peer, own = (1e6 * seconds / len(sample) for seconds in (peer, own))
    return f"| `{row.ours}` | {len(sample):,} | {row.peer} | {peer:,.0f} | {own:,.1f} | {peer / own:,.0f}x |"


if __name__ == "__main__":
    main()
