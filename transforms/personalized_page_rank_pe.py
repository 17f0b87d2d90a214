"""Personalised PageRank as a transform."""

from __future__ import annotations

from torch import Tensor

from graphpe.arguments import check_flags, check_integer, check_seed
from graphpe.pairs.asked import Asked
from graphpe.pairs.pagerank import TOLERANCE, asked_pagerank, check_tolerance
from graphpe.pairs.walkers import walkers
from graphpe.structure.plan import Plan
from graphpe.transforms.base import LinkEncoding
from graphpe.walks.personalized_pagerank import check_restart, personalized_pagerank


class PersonalizedPageRankPE(LinkEncoding):
    """Personalised PageRank of every pair: where a random walk with restarts from i is in the long run.

        PPR = alpha (I - (1 - alpha) T)^-1 = alpha sum_k (1 - alpha)^k T^k,    T = D^-1 A

    with T the transition matrix of the weighted edges, where nodes that no edge leaves stay (T_ii = 1). Row i is the
    query (where walks start and restart), column j the key; rows sum to 1, and without edges PPR = I. Equal to the rows
    of networkx's `pagerank(..., alpha=1 - alpha, personalization={i: 1})` on graphs without such nodes. Parallel edges
    count once without `edge_weight` and add with it; self-loops are steps that stay. (What Benchmarking-PEs calls `PPR`
    are left singular vectors of this matrix; its eigenvectors are `DiffusionPE`.)

    Writes `personalized_page_rank`, `[sum n_b^2, 1]` float32, row-major (i, j) for each graph. Solved exactly in
    float64 on the device of the graphs: O(n_b^3) time a graph, and less on the CPU for large sparse ones. Of chosen
    pairs `[P, 1]`, by pushes from both ends, 0 <= PPR - value <= `tolerance` (see `graphpe.pairs.pagerank`).

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
        pairs: Key of chosen pairs `[2, P]`, such as `"edge_label_index"`: `[P, 1]` of those instead of all pairs (see
            `LinkEncoding`).
        tolerance: The most that values of chosen pairs may be too small by, from 1e-12 to below 1; not used otherwise.
        estimate: Walks for each chosen pair that estimate it, where that is cheaper than to compute it; None: never.
        seed: Of these walks.
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
        self,
        alpha: float = 0.15,
        *,
        undirected: bool = False,
        pairs: str | None = None,
        tolerance: float = TOLERANCE,
        estimate: int | None = None,
        seed: int = 0,
        attr_name: str = "personalized_page_rank",
    ) -> None:
        self.alpha = check_restart("alpha", alpha)
        self.undirected = check_flags(undirected=undirected)[0]
        self.tolerance = check_tolerance(tolerance)
        self.estimate = None if estimate is None else check_integer("estimate", estimate, least=1)
        self.seed = check_seed(seed)
        super().__init__(pairs, attr_name)

    @property
    def columns(self) -> int:
        return 1

    def encode_all_pairs(self, plan: Plan) -> Tensor:
        return personalized_pagerank(plan, self.alpha, self.undirected)[:, None]

    def encode_pairs(self, plan: Plan, pairs: Tensor | Asked) -> Tensor:
        return asked_pagerank(
            plan, pairs, self.alpha, self.undirected, self.tolerance, walkers(self.estimate, self.seed)
        )[:, None]
