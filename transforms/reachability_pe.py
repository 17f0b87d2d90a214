"""Reachability along directed edges as a transform."""

from __future__ import annotations

from graphpe.structure.plan import Need, Plan
from graphpe.structure.reachability import condensation, reachability
from graphpe.transforms.base import PairEncoding
from graphpe.transforms.names import check_own_name
from graphpe.transforms.values import Values


class ReachabilityPE(PairEncoding):
    """Whether directed edges lead from i to j, for every ordered pair of nodes (i, j) of a graph.

    1 where a walk along the edges leads from i to j, 0 where none does; every node reaches itself. Row i n + j of a
    graph of n nodes is the pair (i, j); the transposed matrix says whom a node is reached from. On a directed acyclic
    graph that is the reflexive ancestor relation, to which DAG transformers restrict attention: j is an ancestor or a
    descendant of i where either (i, j) or (j, i) is 1. On an undirected graph it says which nodes share a component.

    Writes `reachability`, `[sum n^2, 1]` int64, rows of a table of 2 embeddings. Edges of weight 0 are none; other
    weights, parallel edges and self-loops change nothing. O(n (n + |E_b|) / 64) a graph to find them (a bit a pair,
    over strongly connected components) and O(n^2) to write them, on the CPU.

    Differs from DAGformer's code: no limit on the number of steps (for one, `ShortestPathPE(k, undirected=False)`).

    Args:
        attr_name: Key of the encoding.

    Raises:
        GraphPETypeError: A parameter is of another type; when called, the graph is no PyG graph.
        GraphPEValueError: When called, there is no `edge_index`, or `edge_weight` is negative or not finite.

    References:
        Luo, Thost, Shi: Transformers over Directed Acyclic Graphs. NeurIPS 2023, section 3.1.

    Example:
        >>> fork = Data(edge_index=torch.tensor([[0, 0], [1, 2]]), num_nodes=3)
        >>> T.ReachabilityPE()(fork).reachability.view(3, 3)
        tensor([[1, 1, 1],
                [0, 1, 0],
                [0, 0, 1]])
    """

    def __init__(self, *, attr_name: str = "reachability") -> None:
        self.attr_name = check_own_name(attr_name, "values of pairs of nodes")

    @property
    def columns(self) -> int:
        return 1

    @property
    def vocabulary(self) -> int | None:
        return 2

    @property
    def needs(self) -> list[Need]:
        """Strongly connected components."""
        return [Need(condensation, 0)]

    def encode(self, plan: Plan) -> Values:
        """Reachability of all pairs."""
        return Values(pair={self.attr_name: reachability(plan)[:, None]})
