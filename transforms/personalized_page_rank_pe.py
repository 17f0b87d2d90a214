"""Personalised PageRank as a transform."""

from __future__ import annotations

from graphpe.arguments import check_flags
from graphpe.structure.plan import Plan
from graphpe.transforms.base import PairEncoding
from graphpe.transforms.names import check_own_name
from graphpe.transforms.values import Values
from graphpe.walks.personalized_pagerank import check_restart, personalized_pagerank


class PersonalizedPageRankPE(PairEncoding):
    """Personalised PageRank of every pair: where a random walk with restarts from i is in the long run.

        PPR = alpha (I - (1 - alpha) T)^-1 = alpha sum_k (1 - alpha)^k T^k,    T = D^-1 A

    with T the transition matrix of the weighted edges, where nodes that no edge leaves stay (T_ii = 1). Row i is the
    query (where walks start and restart), column j the key; rows sum to 1, and without edges PPR = I. Equal to the rows
    of networkx's `pagerank(..., alpha=1 - alpha, personalization={i: 1})` on graphs without such nodes. Parallel edges
    count once without `edge_weight` and add with it; self-loops are steps that stay. (What Benchmarking-PEs calls `PPR`
    are left singular vectors of this matrix; its eigenvectors are `DiffusionPE`.)

    Writes `personalized_page_rank`, `[sum n_b^2, 1]` float32, row-major (i, j) for each graph. Solved exactly in
    float64 on the device of the graphs: O(n_b^3) time a graph, and less on the CPU for large sparse ones.

    Example:
        >>> import torch
        >>> from torch_geometric.data import Data
        >>> from graphpe.transforms.personalized_page_rank_pe import PersonalizedPageRankPE
        >>> edge = Data(edge_index=torch.tensor([[0, 1], [1, 0]]), num_nodes=2)
        >>> PersonalizedPageRankPE(0.5)(edge).personalized_page_rank.view(2, 2)  # 1/2 + 1/8 + 1/32 + ... = 2/3
        tensor([[0.6667, 0.3333],
                [0.3333, 0.6667]])

    Args:
        alpha: Restart probability, above 0 and at most 1.
        undirected: Walk every edge both ways: A becomes max(A, A^T).
        attr_name: Key of the encoding.

    Raises:
        GraphPETypeError: A parameter is of another type; when called, the graph is no PyG graph.
        GraphPEValueError: A parameter is out of range; when called, there is no `edge_index`, or `edge_weight` is
            negative or not finite.

    References:
        Page, Brin, Motwani, Winograd: The PageRank Citation Ranking: Bringing Order to the Web. 1999, section 6.
        Gasteiger, Weißenberger, Günnemann: Diffusion Improves Graph Learning. NeurIPS 2019, section 3.
    """

    working_bytes = 40

    def __init__(
        self, alpha: float = 0.15, *, undirected: bool = False, attr_name: str = "personalized_page_rank"
    ) -> None:
        self.alpha = check_restart("alpha", alpha)
        self.undirected = check_flags(undirected=undirected)[0]
        self.attr_name = check_own_name(attr_name, "values of pairs of nodes")

    @property
    def columns(self) -> int:
        return 1

    def encode(self, plan: Plan) -> Values:
        """PageRank of each pair."""
        rank = personalized_pagerank(plan, self.alpha, self.undirected)
        return Values(pair={self.attr_name: rank[:, None]})
