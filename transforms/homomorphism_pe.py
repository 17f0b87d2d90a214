"""Numbers of homomorphisms from patterns as a transform."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import networkx as nx
import torch

from graphpe.arguments import check_choice
from graphpe.homomorphisms.counts import WEIGHTS, graph_homomorphism_counts, homomorphism_counts, rooted
from graphpe.homomorphisms.patterns import as_literals, read_patterns
from graphpe.structure.plan import Plan
from graphpe.transforms.base import Encoding
from graphpe.transforms.names import check_attr_name, check_own_name
from graphpe.transforms.values import Values


class HomomorphismPE(Encoding):
    """The number of homomorphisms of patterns that map their root to each node (undirected): MoSE.

    A homomorphism h maps each node of a pattern F to a node of the graph G, and each edge of F to an edge of G; several
    nodes may have one image. The value of node v for a pattern with root r is

        hom(F, r; G, v) = sum over h with h(r) = v of prod over nodes u of F of w(h(u)),

    w = 1 (`weights="none"`) or w(v) = 1 / degree(v) (`"inverse_degree"`): `Cycle(k)` then gives the return probability
    of a random walk of k steps, `RandomWalkPE`. Columns are log(1 + value), or the values (`scale="none"`). Directions,
    weights, parallel edges and self-loops do not count.

    Patterns are texts, `"Path(4)"`, `"Star(4)"`, `"Cycle(6)"`, `"Clique(4)"` of so many nodes, rooted with
    `"Path(4, root=0)"`; families, `"Paths(6)"`, `"Stars(5)"`, `"Cycles(8)"`, `"Cliques(5)"`, `"Trees(6)"`,
    `"Connected(5)"`: all from the smallest to so many nodes; lists of edges, `[(0, 1), (1, 2)]` or `{"edges": [(0, 1),
    (1, 2)], "root": 1}`; and undirected networkx graphs, in which a node may have the attribute `root=True`. They are
    connected, of at most 32 nodes. A pattern without a root has a column for each orbit of its nodes; `column_names`
    says which is which.

    Counts are exact integers (`graphpe.homomorphisms.counts.homomorphism_counts` returns them) or, above 9.2e18, an
    error. Trees take O(E) a node of the pattern. Nodes with two neighbours, of which patterns of treewidth 2 consist,
    make sparse tables of pairs: cycles of k nodes take O(n d^(k/2)) time and memory on graphs of degree d. What is left
    of others is enumerated, cliques of k nodes in O(E c^(k - 2)) steps with c the largest core number. What would take
    longer than `graphpe.limits` allow is refused. All patterns share their parts. On the CPU.

    Differs from the paper's released code: that roots each pattern at its node 0, leaves out trees and feeds plain
    counts through a batch norm (`scale="none"` with an encoder that normalises).

    Writes `homomorphism_pe`: `[N, C]` float32; at level "graph" `[B, C]`, where C is the number of patterns: all
    homomorphisms to the graph, wherever the root goes. Models of graphpe read values of nodes.

    Args:
        patterns: One pattern, or a list of them.
        level: `"node"` or `"graph"`.
        weights: `"none"` or `"inverse_degree"`.
        scale: `"log"`: log(1 + value); `"none"`: the value, which float32 rounds from 2^24 on.
        attr_name: Key of the encoding; for values of nodes None appends them to `x`, and `"x"` replaces it.

    Raises:
        GraphPETypeError: A parameter is of another type; when called, the graph is no PyG graph.
        GraphPEValueError: A pattern is unknown, not connected or too large, or another parameter out of range; when
            called, there is no `edge_index`, `edge_weight` is negative or not finite, or a count is above 9.2e18 or
            would take too long.

    References:
        Bao, Jin, Bronstein, Ceylan, Lanzinger: Homomorphism Counts as Structural Encodings for Graph Learning. ICLR
        2025 (MoSE). Díaz, Serna, Thilikos: Counting H-colorings of partial k-trees. TCS 2002 (the method).

    Example:
        >>> triangle = Data(edge_index=torch.tensor([[0, 1, 2, 2], [1, 2, 0, 3]]), num_nodes=4)  # and a leaf
        >>> encoding = T.HomomorphismPE(["Path(3)", "Cycle(3)"], scale="none")
        >>> encoding.column_names
        ['Path(3) at 0', 'Path(3) at 1', 'Cycle(3) at 0']
        >>> encoding(triangle).homomorphism_pe
        tensor([[5., 4., 2.],
                [5., 4., 2.],
                [5., 9., 2.],
                [3., 1., 0.]])
    """

    def __init__(
        self,
        patterns: str | Sequence[Any] | nx.Graph,
        *,
        level: Literal["node", "graph"] = "node",
        weights: Literal["none", "inverse_degree"] = "none",
        scale: Literal["log", "none"] = "log",
        attr_name: str | None = "homomorphism_pe",
    ) -> None:
        self.patterns = as_literals(patterns)
        read_patterns(self.patterns)
        self.level = check_choice("level", level, ("node", "graph"))
        self.weights = check_choice("weights", weights, WEIGHTS)
        self.scale = check_choice("scale", scale, ("log", "none"))
        of_nodes = level == "node"
        self.attr_name = check_attr_name(attr_name) if of_nodes else check_own_name(attr_name, "values of graphs")

    @property
    def column_names(self) -> list[str]:
        """The pattern of each column, and at level "node" its root."""
        if self.level == "graph":
            return [each.name for each in read_patterns(self.patterns)]
        return [each.name for each in rooted(self.patterns)]

    @property
    def columns(self) -> int:
        return len(self.column_names)

    @property
    def keys(self) -> list[str]:
        """Key of the values of nodes."""
        return [self.value_key] if self.level == "node" else []

    @property
    def graph_keys(self) -> list[str]:
        """Key of the values of graphs."""
        return [self.value_key] if self.level == "graph" else []

    def encode(self, plan: Plan) -> Values:
        """Counts of each node, or each graph."""
        count = homomorphism_counts if self.level == "node" else graph_homomorphism_counts
        values = count(plan, self.patterns, self.weights).to(torch.float64)
        values = values.log1p() if self.scale == "log" else values
        if self.level == "node":
            return Values(node={self.attr_name: values})
        return Values(graph={self.value_key: values})
