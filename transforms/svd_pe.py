"""Singular vectors of the adjacency matrix as a transform."""

from __future__ import annotations

import torch

from graphpe.arguments import check_seed
from graphpe.spectra.signs import Convention, check_convention, orient
from graphpe.spectra.singular import singular_triplets
from graphpe.structure.plan import Plan
from graphpe.transforms.base import RandomSigns
from graphpe.transforms.names import check_attr_name, check_count, stem_of
from graphpe.transforms.values import Values


class SVDPE(RandomSigns):
    """The k largest singular triplets of the adjacency matrix (directed, weighted).

    With A = U diag(s) V^T, node i has [U_ij sqrt(s_j), V_ij sqrt(s_j)] for j = 1, ..., k: what it does as a tail and as
    a head of edges. The sum over k = n columns gives back the edges: sum_j (U sqrt(s))_ij (V sqrt(s))_lj = A_il. The
    edges are those of `graphpe.laplacian`, not symmetrised and without added self-loops.

    u and v of a triplet share one sign, which is free; triplets of a repeated singular value are some orthonormal basis
    (always so for bipartite parts). O(n^3) a graph; large ones by Lanczos (see `graphpe.spectra.singular`).

    Differs from released code: the layout is that of Hussain et al. (EGT) and digraph_transformer, where parallel edges
    add and signs are left to the solver. Benchmarking-PEs's `SVD` is of A + I, and leaves out isolated nodes at the end
    of a graph.

    Writes, with B graphs and N nodes in total:

    | key | shape | dtype | |
    |---|---|---|---|
    | `svd_pe` | `[N, 2 k]` | float32 | k columns of U sqrt(s), then k of V sqrt(s), largest first |
    | `svd_pe_singular_values` | `[B, k]` | float32 | 0 where a graph has fewer, like the columns |

    Args:
        k: Number of triplets, 1 to 4096.
        sign: `"random"` (a fresh sign for each graph and triplet at each call), `"canonical"` (a rule that does not
            depend on the order of the nodes, see `graphpe.spectra.signs`) or `"none"` (as the solver leaves them).
        seed: Of the random signs. In a `DataLoader` worker, worker and epoch are mixed in.
        attr_name: Key of the vectors; None appends them to `x`, and `"x"` replaces it.

    Raises:
        GraphPETypeError: A parameter is of another type; when called, the graph is no PyG graph.
        GraphPEValueError: A parameter is out of range; when called, there is no `edge_index`, or `edge_weight` is
            negative or not finite.

    References:
        Hussain, Zaki, Subramanian: Global Self-Attention as a Replacement for Graph Convolution. KDD 2022, section 3.3
        (there of A + I).

    Example:
        >>> edge = Data(edge_index=torch.tensor([[0], [1]]), num_nodes=2)  # 0 is its tail, 1 its head
        >>> T.SVDPE(1)(edge).svd_pe.abs().round(decimals=4)
        tensor([[1., 0.],
                [0., 1.]])
    """

    def __init__(self, k: int, *, sign: Convention = "random", seed: int = 0, attr_name: str | None = "svd_pe") -> None:
        self.k = check_count("k", k)
        check_convention(sign)
        self.sign: Convention = sign
        self.seed = check_seed(seed)
        self.attr_name = check_attr_name(attr_name)

    @property
    def graph_keys(self) -> list[str]:
        """Keys of the graph values that it writes."""
        return [f"{stem_of(self.attr_name, 'svd_pe')}_singular_values"]

    @property
    def columns(self) -> int:
        return 2 * self.k

    def encode(self, plan: Plan) -> Values:
        """Scaled singular vectors of each node."""
        graphs = plan.graphs
        left, right, values = singular_triplets(plan, self.k)
        # One sign for the pair: it is chosen for u and v stacked over twice the nodes.
        pair = torch.cat([left, right]) / 2**0.5
        pair = orient(pair, graphs.batch.repeat(2), graphs.num_graphs, self.sign, self._random())
        scaled = pair.view(2, graphs.num_nodes, self.k) * (2 * values)[graphs.batch].sqrt()
        return Values(
            node={self.attr_name: torch.cat(list(scaled), dim=1)},
            graph={self.graph_keys[0]: values},
        )
