"""Distances that attention counts along paths: CoPE and CABLE on graphs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Data

from graphpe.arguments import check_choice, check_flags, check_integer
from graphpe.errors import GraphPEValueError
from graphpe.models.attention.biases.pair_factors import PairFactors
from graphpe.models.attention.pairs import PairSet
from graphpe.models.attention.terms.pair_terms import PairTerms
from graphpe.models.attention.terms.paths import PathKind, Paths, read_paths, sum_along
from graphpe.models.attention.terms.products import pair_products
from graphpe.models.batches.nodes import NodeToGraph
from graphpe.models.layers.precision import exactly, in_half_precision


@dataclass(frozen=True, eq=False)
class Joined:
    """The pairs of a batch and the paths that join them.

    Attributes:
        pairs: The pairs.
        paths: The paths.
    """

    pairs: PairSet
    paths: Paths


class _OfPaths(PairTerms):
    """Terms that sum over paths of the graph, which are listed on the host for each batch; they read its edges alone.

    Args:
        heads: Number H of heads.
        width: Width D.
        paths: The kind of paths.
        directed: Whether only paths along edges count.
        apart: What each head starts with for pairs without a path.
    """

    on_host = True

    def __init__(self, heads: int, width: int, paths: PathKind, directed: bool, apart: float) -> None:
        super().__init__(heads, width)
        check_choice("paths", paths, get_args(PathKind))
        (directed,) = check_flags(directed=directed)
        if directed and paths == "tree":
            raise GraphPEValueError(
                "directed=True is of shortest paths: trees are walked both ways, use paths='shortest'"
            )
        self.paths = paths
        self.directed = directed
        self.apart = nn.Parameter(torch.full((self.heads,), apart))

    def prepare(self, batch: Data, pairs: PairSet, members: NodeToGraph) -> Joined:
        """The paths of the batch."""
        return Joined(pairs, read_paths(batch, members, self.paths, self.directed))

    def extra_repr(self) -> str:
        return f"{self.heads}, {self.width}, paths={self.paths!r}, directed={self.directed}"


class PathCounts(_OfPaths):
    """Contextual position encoding along paths (CoPE, Golovneva et al. 2024, arXiv:2405.18719).

    A query counts the nodes on the way to a key that it takes for worth counting, and attends to the count:

        g_ij     = sigmoid(q_i . k_j / sqrt(C))
        p_ij     = min(sum of g_iv over the nodes v of the path from i to j, both ends included; size - 1)
        logit_ij = q_i . (k_j + e[p_ij]) / sqrt(C),    e[p] between the vectors e[floor(p)] and e[ceil(p)]

    in every head; the vectors are shared by the heads and start at zero. Of several shortest paths the mean of their
    sums counts (`graphpe.models.attention.terms.paths`), so that nothing depends on the numbering of nodes;
    `paths="tree"` counts along one tree of shortest paths, which depends on it where `graphpe.trees.spanning` says so.
    A pair that no path joins has a learned number of its own for each head, which starts at zero. On a path graph whose
    edges lead from each token to the next, p_ij for j <= i is that of the paper; with `directed=True`, and the pairs
    without a path hidden, so is the whole attention.

    Differs from the paper: keys on both sides of a query have counts, unless `directed`; the module serves all layers
    of a model.

    O(P D) time for gates and O(S H) for sums, S about P (more where many shortest paths join two nodes); O(P H + N H
    size) memory. Paths are listed on the host once a batch, O(sum of n_b E_b log n_b), without waiting for a device
    where the batch tells its structure there. There is no form for linear attention: weights are not products.

    Example:
        >>> data = Data(edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]), x=torch.randn(5, 3), num_nodes=5)
        >>> terms = M.PathCounts(4, 16, size=8)
        >>> M.GPS(width=16, layers=1, node_encoder=M.LinearNodes(3, 16), pair_encodings=[terms])(data).shape
        torch.Size([1, 16])

    Args:
        heads: Number H of heads; divides `width`.
        width: Width D of the queries.
        size: Number of vectors: counts from size - 1 on are the last.
        paths: `shortest` or `tree`.
        directed: Whether only paths along edges from j to i count.

    Raises:
        GraphPEValueError: If an argument is out of range, or paths of trees are to be directed; in `forward` if queries
            have another width.
    """

    def __init__(
        self, heads: int, width: int, *, size: int = 32, paths: PathKind = "shortest", directed: bool = False
    ) -> None:
        super().__init__(heads, width, paths, directed, 0.0)
        self.size = check_integer("size", size, least=2)
        self.vectors = nn.Parameter(torch.zeros(self.size, self.width // self.heads))

    @in_half_precision
    def forward(self, query: Tensor, key: Tensor, prepared: Any) -> PairFactors:
        """q_i . e[p_ij] / sqrt(C) of all pairs, `[P, H]`."""
        joined: Joined = prepared
        q, k = self.split(query, key)
        q = exactly(q) * q.shape[2] ** -0.5
        counts = sum_along(torch.sigmoid(pair_products(q, k, joined.pairs)), joined.paths).clamp(max=self.size - 1)
        low = counts.detach().floor().clamp(max=self.size - 2)
        # Row: node, head, vector.
        product = torch.matmul(q, self.vectors.to(q.dtype).t()).flatten()
        row = joined.pairs.target.unsqueeze(1) * self.heads + torch.arange(self.heads, device=q.device)
        row = (row * self.size + low.long()).flatten()
        below, above = (product.index_select(0, place).view_as(counts) for place in (row, row + 1))
        term = below + (above - below) * (counts - low)
        return PairFactors(torch.where(joined.paths.joined, term, self.apart.to(term.dtype)))

    def extra_repr(self) -> str:
        return f"{super().extra_repr()}, size={self.size}"


class PathDecays(_OfPaths):
    """A bias that falls along paths as the nodes on it say (CABLE, Veisi et al. 2025, arXiv:2503.08067).

        c_v      = softplus(w_h . k_v + b_h),    k_v the key of v, all heads of it
        logit_ij = q_i . k_j / sqrt(C) - sum of c_v over the nodes v of the path from i to j, but not j

    ALiBi whose steps have lengths that the model learns to tell from their nodes. Means over shortest paths, trees,
    invariance and costs are those of `PathCounts`, O(P H) beside the sums. On a path graph whose edges lead from each
    token to the next, the bias of j <= i is c_(j+1) + ... + c_i, that of the paper. A pair that no path joins has a
    learned number for each head, which starts at -16 log 2: 16 steps of c = log 2.

    Differs from the paper: c is read from keys, a linear map of what the paper reads; keys on both sides of a query
    have biases, unless `directed`; the module serves all layers of a model.

    Example:
        >>> data = Data(edge_index=torch.tensor([[0, 1, 2, 3, 0], [1, 2, 3, 4, 4]]), x=torch.randn(5, 3), num_nodes=5)
        >>> terms = M.PathDecays(4, 16)
        >>> M.GPS(width=16, layers=1, node_encoder=M.LinearNodes(3, 16), pair_encodings=[terms])(data).shape
        torch.Size([1, 16])

    Args:
        heads: Number H of heads; divides `width`.
        width: Width D of the keys.
        paths: `shortest` or `tree`.
        directed: Whether only paths along edges from j to i count.

    Raises:
        GraphPEValueError: If an argument is out of range, or paths of trees are to be directed; in `forward` if keys
            have another width.
    """

    def __init__(self, heads: int, width: int, *, paths: PathKind = "shortest", directed: bool = False) -> None:
        super().__init__(heads, width, paths, directed, _FAR)
        self.gate = nn.Linear(self.width, self.heads)

    @in_half_precision
    def forward(self, query: Tensor, key: Tensor, prepared: Any) -> PairFactors:
        """Minus the length of the path of all pairs, `[P, H]`."""
        joined: Joined = prepared
        self.split(query, key)
        length = functional.softplus(exactly(self.gate(key))).index_select(0, joined.pairs.source)
        term = length - sum_along(length, joined.paths)
        return PairFactors(torch.where(joined.paths.joined, term, self.apart.to(term.dtype)))


_FAR = -11.090354888959125  # -16 log 2
