"""The colour refinement that is known to see all that an encoding, or a model with encodings, sees.

What is told apart beyond it is a mistake: of the implementation, of the comparison, or of this file.

    1-WL     message passing, and attention over all pairs that knows of two nodes no more than whether there is an edge
             (Xu et al. 2019); counts of homomorphisms from trees (Dvořák 2010; Dell, Grohe & Rattan 2018)
    SPD-WL   what knows the number of hops between any two nodes (Zhang et al. 2023)
    2-FWL    what is made of powers of the adjacency matrix, diagonal ones and multisets: walks, resistances, kernels
             (Rattan & Seppelt 2023), projections on eigenspaces (Fürer 2010; Zhang, Zhao & Maron 2024); counts of
             homomorphisms from patterns of treewidth 2, so of cycles (Dvořák 2010), and of copies of motifs whose
             quotients all are such (Neuen 2024); persistence diagrams whose filtrations it knows (which nodes are in
             one component of a sublevel set are walks within it); the Edge Transformer (Müller et al. 2024)

None of the three bounds counts of other patterns, what draws nodes, walks or edges at random, and what a basis or a
spanning tree decides that the graph does not. A model with encodings is bounded by the strongest of its bounds.
"""

from __future__ import annotations

from collections.abc import Iterable

import networkx as nx

from graphpe import transforms as T
from graphpe.benchmarks.calls.build import build_encodings
from graphpe.benchmarks.expressivity.refinement import REFINEMENTS, Refinement
from graphpe.benchmarks.expressivity.sets import Case
from graphpe.calls import parse_call
from graphpe.homomorphisms.canonical import Edges
from graphpe.homomorphisms.patterns import read_patterns
from graphpe.homomorphisms.subgraphs import quotients
from graphpe.transforms.base import Encoding, SpectralEncoding

_CYCLES_OF_TREEWIDTH_TWO = 7
"""The longest cycle all of whose quotients have treewidth 2: the cycle of 8 can be folded into a clique of 4."""

_ENCODINGS: dict[type[Encoding], Refinement] = {
    T.DegreePE: "1-WL",
    T.WeisfeilerLehmanPE: "1-WL",
    T.HopFeatures: "1-WL",
    T.ShortestPathPE: "SPD-WL",
    T.ReachabilityPE: "SPD-WL",
    T.RandomWalkPE: "2-FWL",
    T.RelativeRandomWalkPE: "2-FWL",
    T.HeatKernelPE: "2-FWL",
    T.ElectrostaticPE: "2-FWL",
    T.ResistancePE: "2-FWL",
    T.CommuteTimePE: "2-FWL",
    T.PersonalizedPageRankPE: "2-FWL",
}

_MODELS: dict[str, Refinement] = {
    "GCN": "1-WL",
    "GINE": "1-WL",
    "GatedGCN": "1-WL",
    "GraphTransformer": "1-WL",
    "GPS": "1-WL",
    "GRIT": "1-WL",
    "Graphormer": "1-WL",
    "PPGT": "1-WL",
    "RelationalTransformer": "1-WL",
    "SAT": "1-WL",
    "EdgeTransformer": "2-FWL",
    "Specformer": "2-FWL",
}

_WITH_COMPONENTS = ("PersistenceEncoding",)
"""Encoders of real values of nodes that see more than these: who is in one component with whom, and cycles there."""

_FREE_OF_BASES = ("SPE", "BasisNet")
"""Encoders of eigenvectors that no choice of signs and bases changes, as long as k cuts no eigenspace."""


def bound_of(encoding: Encoding | None) -> Refinement | None:
    """What bounds an encoding by itself, as `graphpe.benchmarks.expressivity.pairs` compares it; None: nothing does.

    Args:
        encoding: The encoding; None for the types of nodes.
    """
    match encoding:
        case None:
            return "1-WL"
        case T.HomomorphismPE():
            return _of_patterns((each.num_nodes, each.edges) for each in read_patterns(encoding.patterns))
        case T.MotifPE():
            return _of_patterns(quotients(encoding.motifs, induced=encoding.induced))
        case T.CyclePE(kind="cycles"):
            return "2-FWL" if encoding.max_length <= _CYCLES_OF_TREEWIDTH_TWO else None
        case T.CyclePE():
            return "2-FWL"
        case T.DirectedRandomWalkPE():
            return "2-FWL" if encoding.level == "pair" else "1-WL"
        case T.DiffusionPE(level="pair"):
            return "2-FWL"
        case SpectralEncoding():
            return "2-FWL"  # compared as projections
        case _:
            return _ENCODINGS.get(type(encoding))


def bound_of_model(case: Case) -> Refinement | None:
    """What bounds a model with its encodings; None: nothing does.

    Args:
        case: The model, its encodings and what brings eigenvectors to it.
    """
    name = parse_call(case.model).name
    encoder = parse_call(case.encoder).name
    bounds: list[Refinement | None] = [_MODELS.get(name)]
    if encoder in _WITH_COMPONENTS:
        bounds.append("2-FWL")
    for encoding in build_encodings(case.encodings.split(" + ")):
        filtered = name == "Specformer" or encoder in _FREE_OF_BASES
        bounds.append(bound_of(encoding) if filtered or not isinstance(encoding, SpectralEncoding) else None)
    return _strongest(bounds)


def _of_patterns(patterns: Iterable[tuple[int, Edges]]) -> Refinement | None:
    of_width: tuple[Refinement | None, ...] = ("1-WL", "1-WL", "2-FWL")
    widths = [nx.approximation.treewidth_min_degree(nx.Graph(edges))[0] for _, edges in patterns]  # exact up to 2
    return _strongest(of_width[width] if width < len(of_width) else None for width in widths)


def _strongest(bounds: Iterable[Refinement | None]) -> Refinement | None:
    known = list(bounds)
    if any(each is None for each in known):
        return None
    return max((each for each in known if each is not None), key=REFINEMENTS.index)
