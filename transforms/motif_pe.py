"""Numbers of copies of motifs around each node as a transform."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import networkx as nx
import torch

from graphpe.arguments import check_choice, check_flags
from graphpe.homomorphisms.patterns import as_literals
from graphpe.homomorphisms.subgraphs import read_motifs, subgraph_counts
from graphpe.structure.plan import Plan
from graphpe.transforms.base import Encoding
from graphpe.transforms.names import check_attr_name
from graphpe.transforms.values import Values


class MotifPE(Encoding):
    """The number of copies of each motif that a node is in, by its place in them (undirected).

    A copy of a motif is a subgraph that is isomorphic to it; with `induced`, all edges between its nodes are edges of
    the motif: these are the graphlets, and their numbers by orbit the graphlet degrees (`MotifPE("Connected(5)",
    induced=True)`: 73 orbits). A motif without a root has a column for each orbit of its nodes: column o of node v is
    the number of copies in which v stands for a node of orbit o, as log(1 + number) or as it is (`scale="none"`).
    Motifs are what `HomomorphismPE` takes as patterns, of 2 to 8 nodes (6 if `induced`). Directions, weights, parallel
    edges and self-loops do not count.

    Copies are sums of homomorphism counts of the motifs' quotients (Lovász 2012, section 5.2.3), exact integers:
    `graphpe.homomorphisms.subgraphs.subgraph_counts` returns them. A motif of n nodes has as many as there are
    partitions of its nodes without an edge inside a block, at most 52 for 5 and 4,140 for 8, most of them alike; the
    first call finds them, which for motifs of 8 nodes takes seconds. Cost, limits and errors are those of
    `HomomorphismPE`: counts of the homomorphisms have to be below 9.2e18, too.

    Graph substructure networks (GSN) feed these numbers, by orbit, to message passing.

    Writes `motif_pe`, `[N, C]` float32.

    Args:
        motifs: One motif, or a list of them.
        induced: Count induced subgraphs only.
        scale: `"log"`: log(1 + number); `"none"`: the number, which float32 rounds from 2^24 on.
        attr_name: Key of the encoding; None appends it to `x`, and `"x"` replaces it.

    Raises:
        GraphPETypeError: A parameter is of another type; when called, the graph is no PyG graph.
        GraphPEValueError: A motif is unknown, not connected or too large, or another parameter out of range; when
            called, there is no `edge_index`, `edge_weight` is negative or not finite, or a count is too large or would
            take too long.

    References:
        Bouritsas, Frasca, Zafeiriou, Bronstein: Improving Graph Neural Network Expressivity via Subgraph Isomorphism
        Counting. TPAMI 2022. Pržulj: Biological network comparison using graphlet degree distribution. Bioinformatics
        2007. Jin, Bronstein, Ceylan, Lanzinger: Homomorphism Counts for Graph Neural Networks: All About That Basis.
        ICML 2024 (the homomorphisms of the quotients themselves as features).

    Example:
        >>> square = Data(edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 0, 2]]), num_nodes=4)  # and a diagonal
        >>> encoding = T.MotifPE(["Cycle(3)", "Cycle(4)"], scale="none")
        >>> encoding(square).motif_pe
        tensor([[2., 1.],
                [1., 1.],
                [2., 1.],
                [1., 1.]])
        >>> T.MotifPE("Cycle(4)", induced=True, scale="none")(square).motif_pe.flatten()
        tensor([0., 0., 0., 0.])
    """

    def __init__(
        self,
        motifs: str | Sequence[Any] | nx.Graph,
        *,
        induced: bool = False,
        scale: Literal["log", "none"] = "log",
        attr_name: str | None = "motif_pe",
    ) -> None:
        self.motifs = as_literals(motifs)
        (self.induced,) = check_flags(induced=induced)
        read_motifs(self.motifs, self.induced)
        self.scale = check_choice("scale", scale, ("log", "none"))
        self.attr_name = check_attr_name(attr_name)

    @property
    def column_names(self) -> list[str]:
        """The motif of each column, and which of its nodes the node stands for."""
        return [f"{each.name} at {root}" for each in read_motifs(self.motifs, self.induced) for root in each.roots()]

    @property
    def columns(self) -> int:
        return len(self.column_names)

    def encode(self, plan: Plan) -> Values:
        """Numbers of copies at each node."""
        counts = subgraph_counts(plan, self.motifs, induced=self.induced).to(torch.float64)
        return Values(node={self.attr_name: counts.log1p() if self.scale == "log" else counts})
