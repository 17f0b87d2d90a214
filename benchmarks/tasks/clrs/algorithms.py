"""The thirty algorithms of CLRS-30 (Velickovic et al. 2022, arXiv:2205.15659): what each reads and what it gives."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Place = Literal["node", "edge", "graph"]
ProbeKind = Literal["scalar", "mask", "mask_one", "categorical", "pointer"]


@dataclass(frozen=True)
class Probe:
    """A value of every node, every ordered pair of nodes (`edge`) or the graph.

    Attributes:
        name: Its name in dm-clrs.
        place: What has such a value.
        kind: `scalar`: a number; `mask`: yes or no; `mask_one`: yes for one node of the graph; `categorical`: one of
            `classes`; `pointer`: a node of the same graph.
        classes: Number of classes, 1 unless `categorical`.
    """

    name: str
    place: Place
    kind: ProbeKind
    classes: int = 1


@dataclass(frozen=True)
class Algorithm:
    """An algorithm's inputs and outputs; all outputs are of the same place."""

    inputs: tuple[Probe, ...]
    outputs: tuple[Probe, ...]

    @property
    def place(self) -> Place:
        """What the outputs are about."""
        return self.outputs[0].place

    @property
    def node_columns(self) -> int:
        """Columns of the inputs of nodes; those of graphs are repeated for every node."""
        return sum(probe.classes for probe in self.inputs if probe.place != "edge" and probe.kind != "pointer")

    @property
    def edge_columns(self) -> int:
        """Columns of the inputs of pairs; a node's pointer is one, too."""
        return sum(probe.place == "edge" or probe.kind == "pointer" for probe in self.inputs)

    @property
    def about_pairs(self) -> bool:
        """Whether an output is about pairs of nodes: a pointer of nodes, or anything of edges."""
        return any(probe.place == "edge" or probe.kind == "pointer" for probe in self.outputs)


def _scalars(*names: str) -> tuple[Probe, ...]:
    return tuple(Probe(name, "node", "scalar") for name in names)


def _graph(*, source: bool) -> tuple[Probe, ...]:
    edges = (Probe("A", "edge", "scalar"), Probe("adj", "edge", "mask"))
    return (*_scalars("pos"), *((Probe("s", "node", "mask_one"),) if source else ()), *edges)


_PREVIOUS = Probe("pred", "node", "pointer")
_PARENTS = (Probe("pi", "node", "pointer"),)
_TWO_STRINGS = (Probe("string", "node", "mask"), *_scalars("pos"), Probe("key", "node", "categorical", 4), _PREVIOUS)
_POINTS = _scalars("pos", "x", "y")
_SELECTED = (Probe("selected", "node", "mask"),)
_HULL = (Probe("in_hull", "node", "mask"),)
_MATCH = (Probe("match", "node", "mask_one"),)
_SORTING = Algorithm(_scalars("pos", "key"), (Probe("pred", "node", "pointer"),))
_PATHS = Algorithm(_graph(source=True), _PARENTS)

ALGORITHMS: dict[str, Algorithm] = {
    "activity_selector": Algorithm((*_scalars("pos", "s", "f"), _PREVIOUS), _SELECTED),
    "articulation_points": Algorithm(_graph(source=False), (Probe("is_cut", "node", "mask"),)),
    "bellman_ford": _PATHS,
    "bfs": _PATHS,
    "binary_search": Algorithm(
        (*_scalars("pos", "key"), Probe("target", "graph", "scalar"), _PREVIOUS), (Probe("return", "node", "mask_one"),)
    ),
    "bridges": Algorithm(_graph(source=False), (Probe("is_bridge", "edge", "mask"),)),
    "bubble_sort": _SORTING,
    "dag_shortest_paths": _PATHS,
    "dfs": Algorithm(_graph(source=False), _PARENTS),
    "dijkstra": _PATHS,
    "find_maximum_subarray_kadane": Algorithm(
        (*_scalars("pos", "key"), _PREVIOUS), (Probe("start", "node", "mask_one"), Probe("end", "node", "mask_one"))
    ),
    "floyd_warshall": Algorithm(_graph(source=False), (Probe("Pi", "edge", "pointer"),)),
    "graham_scan": Algorithm(_POINTS, _HULL),
    "heapsort": _SORTING,
    "insertion_sort": _SORTING,
    "jarvis_march": Algorithm((*_POINTS, _PREVIOUS), _HULL),
    "kmp_matcher": Algorithm(_TWO_STRINGS, _MATCH),
    "lcs_length": Algorithm(_TWO_STRINGS, (Probe("b", "edge", "categorical", 4),)),
    "matrix_chain_order": Algorithm((*_scalars("pos", "p"), _PREVIOUS), (Probe("s", "edge", "pointer"),)),
    "minimum": Algorithm((*_scalars("pos", "key"), _PREVIOUS), (Probe("min", "node", "mask_one"),)),
    "mst_kruskal": Algorithm(_graph(source=False), (Probe("in_mst", "edge", "mask"),)),
    "mst_prim": _PATHS,
    "naive_string_matcher": Algorithm(_TWO_STRINGS, _MATCH),
    "optimal_bst": Algorithm((*_scalars("pos", "p", "q"), _PREVIOUS), (Probe("root", "edge", "pointer"),)),
    "quickselect": Algorithm(_scalars("pos", "key"), (Probe("median", "node", "mask_one"),)),
    "quicksort": _SORTING,
    "segments_intersect": Algorithm(_POINTS, (Probe("intersect", "graph", "mask"),)),
    "strongly_connected_components": Algorithm(_graph(source=False), (Probe("scc_id", "node", "pointer"),)),
    "task_scheduling": Algorithm((*_scalars("pos", "d", "w"), _PREVIOUS), _SELECTED),
    "topological_sort": Algorithm(
        _graph(source=False), (Probe("topo", "node", "pointer"), Probe("topo_head", "node", "mask_one"))
    ),
}
"""Inputs are those of dm-clrs's training script: where the order of a sequence is a hint that never changes, `pred_h`,
it is the input `pred`."""
