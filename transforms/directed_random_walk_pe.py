"""Random walks along the edges and against them as a transform."""

from __future__ import annotations

from typing import Literal

from graphpe.arguments import check_choice
from graphpe.structure.plan import Need, Plan
from graphpe.transforms.base import Encoding
from graphpe.transforms.names import check_attr_name, check_count, check_own_name
from graphpe.transforms.values import Values
from graphpe.walks.directed_walks import DIRECTIONS, directed_walk_pairs, directed_walk_visits
from graphpe.walks.personalized_pagerank import check_restart
from graphpe.walks.steps import powers


class DirectedRandomWalkPE(Encoding):
    """Where random walks get to, along the edges and against them, with and without restarts.

    With T = D^-1 A, where nodes that no edge leaves stay (T_ii = 1), and PPR = ppr (I - (1 - ppr) T)^-1:

        level="pair": channels [T, T^2, ..., T^K, PPR]_ij of A, then the same of A^T; row i = query, column j = key
        level="node": columns 1/n sum_u [T, T^2, ..., T^K, PPR]_uv of A, then the same of A^T

    The rows of pairs sum to 1: (T^k)_ij is the probability that a walk from i is at j after k steps. A column of nodes
    sums to 1 over a graph: the probability that a walk is at v if it begins at a node drawn uniformly; its PPR is
    PageRank. (The published absolute encoding lets a network act on T_uv before it sums over u; that takes pairs.)
    Return probabilities, the diagonal, say nothing here: on a directed acyclic graph they are 0 but for the sinks.

    Reversing all edges exchanges the two halves. On an undirected graph they are equal. Without edges, pairs are I and
    nodes 1/n. Parallel edges count once without `edge_weight` and add with it (in the released code of Geisler et al.,
    whose channels and sinks are these, they add); self-loops are steps that stay.

    Writes `directed_random_walk_pe`, float32: `[N, 2 (K + 1)]` for nodes (`2 K` without PPR), `[sum n_b^2, 2 (K + 1)]`
    row-major (i, j) for pairs. Time per graph: nodes O(K |E_b|) and some tens of sweeps of O(|E_b|) for PPR, on the
    CPU; pairs O(K n_b (|E_b| + n_b)), and O(n_b^3) for PPR.

    Example:
        >>> import torch
        >>> from torch_geometric.data import Data
        >>> from graphpe.transforms.directed_random_walk_pe import DirectedRandomWalkPE
        >>> path = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), num_nodes=3)
        >>> pairs = DirectedRandomWalkPE(2, ppr=None, level="pair")(path).directed_random_walk_pe
        >>> pairs[:, 1].view(3, 3).tolist()  # two steps along the edges: all walks are at the sink
        [[0.0, 0.0, 1.0], [0.0, 0.0, 1.0], [0.0, 0.0, 1.0]]
        >>> nodes = DirectedRandomWalkPE(2, ppr=0.5)(path).directed_random_walk_pe
        >>> nodes.shape
        torch.Size([3, 6])
        >>> (3 * nodes[:, :2]).round().tolist()  # of three walks, one a node, how many are here after 1 and 2 steps
        [[0.0, 0.0], [1.0, 0.0], [2.0, 3.0]]

    Args:
        walk_length: K, the number of powers, 1 to 4096.
        ppr: Restart probability of PPR, above 0 and at most 1; None for powers alone.
        level: `"node"` or `"pair"`.
        attr_name: Key of the encoding; for values of nodes None appends them to `x`, and `"x"` replaces it.

    Raises:
        GraphPETypeError: A parameter is of another type; when called, the graph is no PyG graph.
        GraphPEValueError: A parameter is out of range; when called, there is no `edge_index`, or `edge_weight` is
            negative or not finite.

    References:
        Geisler, Li, Mankowitz, Cemgil, Günnemann, Paduraru: Transformers Meet Directed Graphs. ICML 2023, section 5.
    """

    working_bytes = 88

    def __init__(
        self,
        walk_length: int = 3,
        *,
        ppr: float | None = 0.05,
        level: Literal["node", "pair"] = "node",
        attr_name: str | None = "directed_random_walk_pe",
    ) -> None:
        check_choice("level", level, ("node", "pair"))
        self.walk_length = check_count("walk_length", walk_length)
        self.ppr = None if ppr is None else check_restart("ppr", ppr)
        self.level = level
        own = level == "pair"
        self.attr_name = check_own_name(attr_name, "values of pairs of nodes") if own else check_attr_name(attr_name)

    @property
    def keys(self) -> list[str]:
        """Keys of the node values that it writes."""
        return [self.value_key] if self.level == "node" else []

    @property
    def pair_keys(self) -> list[str]:
        """Keys of the pair values that it writes."""
        return [self.value_key] if self.level == "pair" else []

    @property
    def columns(self) -> int:
        """Powers and PPR, in both directions."""
        return 2 * (self.walk_length + (self.ppr is not None))

    @property
    def needs(self) -> list[Need]:
        """For pairs, the powers of the step matrices."""
        if self.level == "node":
            return []
        return [Need(powers, self.walk_length + 1, (direction,)) for direction in DIRECTIONS]

    def encode(self, plan: Plan) -> Values:
        """Probabilities of each node, or of each pair."""
        if self.level == "node":
            return Values(node={self.attr_name: directed_walk_visits(plan, self.walk_length, self.ppr)})
        return Values(pair={self.value_key: directed_walk_pairs(plan, self.walk_length, self.ppr)})
