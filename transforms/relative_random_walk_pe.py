"""Relative random walk probabilities (RRWP) as a transform."""

from __future__ import annotations

from torch import Tensor

from graphpe.arguments import check_flags, check_integer, check_seed
from graphpe.pairs.asked import Asked
from graphpe.pairs.walk_powers import asked_walk_powers
from graphpe.pairs.walkers import walkers
from graphpe.structure.plan import Need, Plan
from graphpe.transforms.base import LinkEncoding
from graphpe.transforms.names import check_count
from graphpe.walks.steps import powers, walk_powers


class RelativeRandomWalkPE(LinkEncoding):
    """The probability that a random walk from i is at j after 0, 1, ..., walk_length - 1 steps, for every pair (RRWP).

    Channels [I, M, M^2, ..., M^(walk_length - 1)]_ij with M = D^-1 A the transition matrix of the weighted edges. Row i
    is the query (where walks start), column j the key. M is not symmetric unless the graph is regular, so the order
    of the indices matters. GRIT aggregates at the second row of its pair index: its released code stores M_ij under
    [j, i] since commit ee10422, so that walks start at the receiving node, as here; before (and in code derived from
    it), it stored M_ij under [i, j], where they end there: the transpose of each matrix here.

    The definition is GRIT's on graphs without sinks. A sink (edges enter, none leaves) absorbs: its row is that of I in
    every channel, where GRIT has 0. An isolated node's row is that of I in the first channel, then 0, as in GRIT.
    Parallel edges count once without `edge_weight` and add with it; self-loops are steps that stay.
    GRIT's code gives two channels for a walk length of 1, here it is one, I.

    GRIT's node features, the diagonal, are the rows (i, i), which `graphpe.structure.pair_blocks.diagonal_rows(graphs)`
    tells; without the constant first channel they are also `RandomWalkPE(walk_length - 1)`.

    Writes `rrwp`, `[sum n_b^2, walk_length]` float32, row-major (i, j) for each graph. Time
    O(walk_length n_b (|E_b| + n_b)) a graph, on the CPU and by Triton's kernel on a GPU. Of chosen pairs
    `[P, walk_length]`, exactly, from what half of the steps reach from either end (see `graphpe.pairs.walk_powers`).

    Example:
        >>> import torch
        >>> from torch_geometric.data import Data
        >>> from graphpe.transforms.relative_random_walk_pe import RelativeRandomWalkPE
        >>> path = Data(edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), num_nodes=3)
        >>> rrwp = RelativeRandomWalkPE(3)(path).rrwp
        >>> rrwp.shape
        torch.Size([9, 3])
        >>> rrwp.view(3, 3, 3)[:, :, 1].tolist()  # one step: from an end to the middle, from the middle to either end
        [[0.0, 1.0, 0.0], [0.5, 0.0, 0.5], [0.0, 1.0, 0.0]]

    Args:
        walk_length: Number of channels, 1 to 4096, that of no step included.
        undirected: Walk every edge both ways: A becomes max(A, A^T).
        pairs: Key of chosen pairs `[2, P]`, such as `"edge_label_index"`: `[P, walk_length]` of those instead of all
            pairs (see `LinkEncoding`).
        estimate: Walks for each chosen pair that estimate it, where that is cheaper than to compute it; None: never.
        seed: Of these walks.
        attr_name: Key of the encoding.

    Raises:
        GraphPETypeError: A parameter is of another type; when called, the graph is no PyG graph.
        GraphPEValueError: A parameter is out of range; when called, there is no `edge_index`, or `edge_weight` is
            negative or not finite.

    References:
        Ma, Lin, Lim, Romero-Soriano, Dokania, Coates, Torr, Lim: Graph Inductive Biases in Transformers without Message
        Passing. ICML 2023, section 3.1.
    """

    working_bytes = 0

    def __init__(
        self,
        walk_length: int,
        *,
        undirected: bool = False,
        pairs: str | None = None,
        estimate: int | None = None,
        seed: int = 0,
        attr_name: str = "rrwp",
    ) -> None:
        self.walk_length = check_count("walk_length", walk_length)
        self.undirected = check_flags(undirected=undirected)[0]
        self.estimate = None if estimate is None else check_integer("estimate", estimate, least=1)
        self.seed = check_seed(seed)
        super().__init__(pairs, attr_name)

    @property
    def columns(self) -> int:
        return self.walk_length

    @property
    def needs(self) -> list[Need]:
        """Powers of the step matrix, of which fewer channels take their share."""
        return [] if self.pairs else [Need(powers, self.walk_length, ("both" if self.undirected else "forward",))]

    def encode_all_pairs(self, plan: Plan) -> Tensor:
        return walk_powers(plan, self.walk_length, self.undirected)

    def encode_pairs(self, plan: Plan, pairs: Tensor | Asked) -> Tensor:
        return asked_walk_powers(plan, pairs, self.walk_length, self.undirected, walkers(self.estimate, self.seed))
