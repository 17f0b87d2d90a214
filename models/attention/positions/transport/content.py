"""Angles that content adds up along a tree: CARoPE and Selective RoPE.

Veisi, Mansourian, "Context-aware Rotary Position Embedding" (arXiv:2507.23083); Movahedi et al., "Selective Rotary
Position Embedding" (ICLR 2026, arXiv:2511.17388).

Both turn position m of a sequence by a sum over the tokens up to m, so that the angle between two positions is the sum
over the tokens between them. A tree has such sums for every path: down they add, up they are subtracted.
"""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, ClassVar, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Data

from graphpe.arguments import check_choice, check_counts
from graphpe.models.attention.positions.node_positions import Attending, NodePositions
from graphpe.models.attention.positions.rotations.angles import check_planes, geometric, rotate_alike
from graphpe.models.attention.positions.transport.rooted import RootedTrees, TreeRoot, root_trees, sums
from graphpe.models.layers.precision import exactly


def linear_exactly(linear: nn.Linear, x: Tensor) -> Tensor:
    """A linear map in float32 or better, also under autocast: what is added up along paths, or multiplied.

    Args:
        linear: The map.
        x: Rows, `[N, in]`.
    """
    x, weight = exactly(x), exactly(linear.weight)
    bias = None if linear.bias is None else exactly(linear.bias)
    with torch.autocast(x.device.type, enabled=False):
        return functional.linear(x, weight, bias)


class TreeAngles(NodePositions):
    """Base of rotations by angles that are sums of functions of content along a tree of each component.

        theta_v = theta_parent(v) + f(x_v),    theta = 0 at the roots

    Args:
        width: Width D.
        heads: Number of heads; C = D / heads is even.
        tree: `shortest` or `edges`, see `root_trees`.
    """

    on_host: ClassVar[bool] = True

    def __init__(self, width: int, heads: int, *, tree: TreeRoot = "shortest") -> None:
        super().__init__()
        width, heads = check_counts(width=width, heads=heads)
        self.planes = check_planes(width, heads, 2)
        check_choice("tree", tree, get_args(TreeRoot))
        self.heads = heads
        self.tree: TreeRoot = tree

    @abstractmethod
    def steps(self, x: Tensor) -> Tensor:
        """F of every node, `[N, H, C / 2]`, in float32 or better.

        Args:
            x: Embeddings, `[N, D]`.
        """

    def prepare(self, batch: Data, nodes: Attending) -> RootedTrees:
        """The trees.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph.
            nodes: Its nodes as they attend; extra ones are not turned.
        """
        return root_trees(batch, nodes, self.tree)

    def transform(
        self, query: Tensor, key: Tensor, value: Tensor, prepared: Any, x: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """Rotated queries and keys.

        Args:
            query: Queries, `[N, D]`.
            key: Keys, `[N, D]`.
            value: Values, `[N, D]`, which stay.
            prepared: The trees.
            x: The embeddings that angles are made of, `[N, D]`.
        """
        angles = sums(self.steps(x) * prepared.below.view(-1, 1, 1), prepared)
        query, key = rotate_alike(angles, query, key)
        return query, key, value


class CARoPE(TreeAngles):
    """Queries and keys rotated by bounded functions of content, summed along a tree (CARoPE, 2025).

        theta_vhc = theta_parent(v)hc + f_h(x_v)^c,    f_h(x) = 1 / (1 + softplus(w_h . x + b_h)) in (0, 1)

    in plane c = 1 ... C / 2: RoPE's powers, with a base that each token chooses for each head. theta_j - theta_i is the
    sum of f along the path from i to j, added on the way down and subtracted on the way up; constant f is rotary
    attention over the depth. On a directed path with `tree="edges"` it is CARoPE (with b = 0), in which training starts
    near RoPE: w small, b so that f = 10000^(-2 / C).

    O(N D log depth) a layer and nothing of the size of pairs; linear attention stays linear. Depends on the tree's root
    (see `TreeTransport`). Trees are built on the host, once a batch.

    Differs from the paper: the bias b, without which f is near 0.6 at first; one module serves all layers.

    Example:
        >>> edges = torch.tensor([[0, 0, 1, 1], [1, 2, 3, 4]])
        >>> data = Data(x=torch.randn(5, 3), edge_index=edges)
        >>> angles = M.CARoPE(16, heads=4, tree="edges")
        >>> model = M.GPS(width=16, layers=2, heads=4, node_encoder=M.LinearNodes(3, 16), positions=[angles])
        >>> model(data).shape
        torch.Size([1, 16])

    Args:
        width: Width D of queries, keys and embeddings.
        heads: Number of heads; C = D / heads is even.
        tree: `shortest`: shortest paths from a node of largest degree; `edges`: as the edges lead (see `root_trees`).

    Raises:
        GraphPEValueError: If a number is out of range; in a model if `tree="edges"` and edges lead round in a cycle.
    """

    def __init__(self, width: int, heads: int, *, tree: TreeRoot = "shortest") -> None:
        super().__init__(width, heads, tree=tree)
        self.base = nn.Linear(int(width), self.heads)
        softplus = math.expm1(math.log(10000.0) / self.planes)
        nn.init.normal_(self.base.weight, std=0.02)
        nn.init.constant_(self.base.bias, softplus + math.log(-math.expm1(-softplus)))

    def steps(self, x: Tensor) -> Tensor:
        """f^c of every node, `[N, H, C / 2]`.

        Args:
            x: Embeddings, `[N, D]`.
        """
        log_base = -torch.log1p(functional.softplus(linear_exactly(self.base, x)))
        power = torch.arange(1, self.planes + 1, device=x.device)
        return torch.exp(log_base.unsqueeze(2) * power)


class SelectiveRoPE(TreeAngles):
    """Queries and keys rotated by arbitrary angles of content, summed along a tree (Selective RoPE, 2026).

        theta_v = theta_parent(v) + tau (W x_v / |x_v| + b)

    for each head and plane, with RoPE's frequencies tau, learned. Angles may be of either sign and any size, so that a
    token can turn back or stand still. theta_j - theta_i is the sum along the path from i to j, added on the way down
    and subtracted on the way up. On a directed path with `tree="edges"` it is Selective RoPE without its convolution;
    W = 0, b = 1 is RoPE over the depth, near which training starts.

    O(N D log depth + N D^2) a layer and nothing of the size of pairs; made for linear attention, which stays linear.
    Depends on the tree's root (see `TreeTransport`). Trees are built on the host, once a batch.

    Differs from the released code (timurcarstensen/selective-rope): no convolution along the sequence and no gate; W
    of full rank; b starts at 1 (there it is 0 or absent).

    Example:
        >>> edges = torch.tensor([[0, 0, 1, 1], [1, 2, 3, 4]])
        >>> data = Data(x=torch.randn(5, 3), edge_index=edges)
        >>> angles = M.SelectiveRoPE(16, heads=4, tree="edges")
        >>> model = M.GPS(width=16, layers=2, heads=4, node_encoder=M.LinearNodes(3, 16), positions=[angles])
        >>> model(data).shape
        torch.Size([1, 16])

    Args:
        width: Width D of queries, keys and embeddings.
        heads: Number of heads; C = D / heads is even.
        tree: `shortest`: shortest paths from a node of largest degree; `edges`: as the edges lead (see `root_trees`).

    Raises:
        GraphPEValueError: If a number is out of range; in a model if `tree="edges"` and edges lead round in a cycle.
    """

    def __init__(self, width: int, heads: int, *, tree: TreeRoot = "shortest") -> None:
        super().__init__(width, heads, tree=tree)
        self.angle = nn.Linear(int(width), self.heads * self.planes)
        nn.init.ones_(self.angle.bias)
        self.frequency = nn.Parameter(geometric(self.planes).float().expand(self.heads, -1).clone())

    def steps(self, x: Tensor) -> Tensor:
        """Tau (W x / |x| + b) of every node, `[N, H, C / 2]`.

        Args:
            x: Embeddings, `[N, D]`.
        """
        turn = linear_exactly(self.angle, functional.normalize(exactly(x), dim=1))
        return turn.unflatten(1, (self.heads, self.planes)) * exactly(self.frequency)
