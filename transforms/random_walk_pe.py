"""Return probabilities of random walks as a transform."""

from __future__ import annotations

from graphpe.arguments import check_flags, check_seed
from graphpe.structure.plan import Need, Plan
from graphpe.transforms.base import Encoding
from graphpe.transforms.names import check_attr_name, check_count
from graphpe.transforms.values import Values
from graphpe.walks.diagonal_powers import Estimate
from graphpe.walks.return_probabilities import return_probabilities, returns


class RandomWalkPE(Encoding):
    """Probabilities that a random walk from a node is back after 1, ..., walk_length steps.

    Column k - 1 is diag(P^k) with P = D^-1 A the transition matrix of the weighted edges. Equal to PyG's
    `AddRandomWalkPE` on undirected graphs without weights and parallel edges; isolated nodes have zeros, as there.
    Directed edges are walked in their direction only, and a node that edges enter and none leaves is absorbing
    (probability 1). Parallel edges count once without `edge_weight` and add with it; self-loops are steps that stay.

    GraphGPS's `RWSE` and Benchmarking-PEs's `RWDIFF` are the same numbers, with these differences: in `RWSE` parallel
    edges add, and a node that edges enter and none leaves has zeros.

    Writes `random_walk_pe`, `[N, walk_length]` float32, on the CPU. Time: what walks of walk_length / 2 steps reach,
    summed over the nodes, at most O(walk_length |E_b| n_b) a graph. A graph that would take longer than
    `graphpe.limits` allow (a minute) is refused. With `estimate`, graphs on which that is cheaper are encoded from as
    many random vectors, in O(walk_length |E_b|) each: unbiased, with a standard error of at most
    sqrt(2 / estimate) times the distance to the limit d_j / sum d on undirected graphs, for even steps (and the mean of
    the steps beside it for odd ones); the first columns, as far as it costs no more, and the limit itself are exact.

    Example:
        >>> import torch
        >>> from torch_geometric.data import Data
        >>> from graphpe import transforms as T
        >>> path = Data(edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), num_nodes=3)
        >>> T.RandomWalkPE(4)(path).random_walk_pe.tolist()
        [[0.0, 0.5, 0.0, 0.5], [0.0, 1.0, 0.0, 1.0], [0.0, 0.5, 0.0, 0.5]]

    Args:
        walk_length: Number of steps, 1 to 4096.
        undirected: Walk every edge both ways (A becomes max(A, A^T)): on a directed acyclic graph no walk ever returns.
        estimate: Random vectors to estimate large graphs with, 1 to 4096; None: always exact.
        seed: Of these vectors.
        attr_name: Key of the encoding; None appends it to `x`, and `"x"` replaces it.

    Raises:
        GraphPETypeError: A parameter is of another type; when called, the graph is no PyG graph.
        GraphPEValueError: A parameter is out of range; when called, there is no `edge_index`, or `edge_weight` is
            negative or not finite, or a graph would take too long.

    References:
        Dwivedi, Luu, Laurent, Bengio, Bresson: Graph Neural Networks with Learnable Structural and Positional
        Representations. ICLR 2022, equation 11.
    """

    def __init__(
        self,
        walk_length: int,
        *,
        undirected: bool = False,
        estimate: int | None = None,
        seed: int = 0,
        attr_name: str | None = "random_walk_pe",
    ) -> None:
        self.walk_length = check_count("walk_length", walk_length)
        self.undirected = check_flags(undirected=undirected)[0]
        self.seed = check_seed(seed)
        self.estimate = None if estimate is None else check_count("estimate", estimate)
        self.attr_name = check_attr_name(attr_name)

    @property
    def columns(self) -> int:
        return self.walk_length

    @property
    def needs(self) -> list[Need]:
        """Return probabilities, of which shorter walks take their share."""
        return [Need(returns, self.walk_length, ("both" if self.undirected else "forward", self._estimate))]

    @property
    def _estimate(self) -> Estimate | None:
        return None if self.estimate is None else Estimate(self.estimate, self.seed)

    def encode(self, plan: Plan) -> Values:
        """Return probabilities of each node."""
        returned = return_probabilities(plan, self.walk_length, self.undirected, self._estimate)
        return Values(node={self.attr_name: returned})
