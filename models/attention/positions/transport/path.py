"""PaTH on trees: the map of a step is a Householder reflection whose direction depends on the node.

Yang et al., "PaTH Attention: Position Encoding via Accumulating Householder Transformations" (NeurIPS 2025,
arXiv:2505.16381).
"""

from __future__ import annotations

import math
from typing import Any, ClassVar, get_args

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Data

from graphpe.arguments import check_choice, check_counts, check_divides, check_probabilities
from graphpe.errors import GraphPEValueError
from graphpe.models.attention.positions.node_positions import Attending, NodePositions
from graphpe.models.attention.positions.rotations.orthogonal import apply_blocks
from graphpe.models.attention.positions.transport.content import linear_exactly
from graphpe.models.attention.positions.transport.rooted import RootedTrees, TreeRoot, products, root_trees

_MOST_GROWTH = 1e4
"""Of inverse maps along a tree: beyond, rounding of float32 is seen in the logits."""


class PaTH(NodePositions):
    """Queries and keys mapped by the product of content's reflections along a tree of each component (PaTH, 2025).

    With unit vectors w_v = W x_v / |W x_v| of each head, from the embeddings that queries and keys are made of,

        H_v = I - beta_v w_v w_v^T,    T_v = T_parent(v) H_v,    T = I at the roots
        logit_ij = (T_i q_i) . (T_j^-T k_j) / sqrt(C) = k_j . (T_j^-1 T_i) q_i / sqrt(C)

    For j an ancestor of i that is k_j . H_(j+1) ... H_i q_i, PaTH along the path from j to i: on a directed path with
    `tree="edges"` it is PaTH for all j <= i, and every pair has the product along *its* path, down as in PaTH, up by
    inverses.

    `decay=0` (default): beta = 2, H is a reflection and its own inverse, T is orthogonal, and

        T_i^T T_j = H_i ... H_a' H_a'' ... H_j

    is the product over the nodes of the path but the lowest common ancestor: symmetric, and nothing ever grows.

    `decay=d`: beta_v = 2 - d sigmoid(u . x_v + c), so that H shrinks what it reflects by up to 1 - d, PaTH's own beta
    in (2 - d, 2). The inverse I - beta / (beta - 1) w w^T stands on the side of the keys: exact, but a node map can
    grow by 1 / (1 - d) in each step. A batch whose trees are so deep that this passes 1e4 is an error. beta <= 1, which
    PaTH allows, has no inverse (at 1) or one that is not the limit of a walk back: a product over each path that no
    maps of the two nodes can give.

    O(N D C^2 log depth) time and O(N D C log depth) memory a layer, by doubling; nothing of the size of pairs, and
    linear attention stays linear. Trees are built on the host, once a batch, and are what it depends on beside content
    (see `TreeTransport`).

    Differs from the paper: W has full rank and no convolution along the sequence; beta as above; no forget gate; one
    module serves all layers.

    Example:
        >>> edges = torch.tensor([[0, 0, 1, 1], [1, 2, 3, 4]])
        >>> data = Data(x=torch.randn(5, 3), edge_index=edges)
        >>> path = M.PaTH(16, heads=4, tree="edges")
        >>> model = M.GPS(width=16, layers=2, heads=4, node_encoder=M.LinearNodes(3, 16), positions=[path])
        >>> model(data).shape
        torch.Size([1, 16])

    Args:
        width: Width D of queries, keys and embeddings.
        heads: Number of heads; divides `width`.
        decay: d, in [0, 1).
        tree: `shortest`: shortest paths from a node of largest degree; `edges`: as the edges lead (see `root_trees`).

    Raises:
        GraphPEValueError: If a number is out of range; in a model if `decay` is too large for its trees, or
            `tree="edges"` and edges lead round in a cycle.
    """

    on_host: ClassVar[bool] = True

    def __init__(self, width: int, heads: int, *, decay: float = 0.0, tree: TreeRoot = "shortest") -> None:
        super().__init__()
        width, heads = check_counts(width=width, heads=heads)
        check_divides(heads, width)
        (self.decay,) = check_probabilities(decay=decay)
        check_choice("tree", tree, get_args(TreeRoot))
        self.heads = heads
        self.tree: TreeRoot = tree
        self.direction = nn.Linear(width, width, bias=False)
        self.strength = nn.Linear(width, heads) if self.decay else None

    def prepare(self, batch: Data, nodes: Attending) -> RootedTrees:
        """The trees.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph.
            nodes: Its nodes as they attend; extra ones have T = I.
        """
        trees = root_trees(batch, nodes, self.tree)
        if trees.depth * -math.log1p(-self.decay) > math.log(_MOST_GROWTH):
            least = -math.expm1(-math.log(_MOST_GROWTH) / trees.depth)
            raise GraphPEValueError(
                f"decay={self.decay} grows beyond {_MOST_GROWTH:.0e} in trees of depth {trees.depth}: take one below "
                f"{least:.2g}, or 0"
            )
        return trees

    def transform(
        self, query: Tensor, key: Tensor, value: Tensor, prepared: Any, x: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """T q and T^-T k.

        Args:
            query: Queries, `[N, D]`.
            key: Keys, `[N, D]`.
            value: Values, `[N, D]`, which stay.
            prepared: The trees.
            x: The embeddings that reflections are made of, `[N, D]`.
        """
        w = functional.normalize(linear_exactly(self.direction, x).unflatten(1, (self.heads, -1)), dim=2)
        w = w * prepared.below.view(-1, 1, 1)  # roots do not reflect
        outer = w.unsqueeze(3) * w.unsqueeze(2)
        one = torch.eye(w.shape[2], dtype=w.dtype, device=w.device)
        if self.strength is None:
            maps = products(one - 2 * outer, prepared).unsqueeze(2)
            return apply_blocks(query, maps), apply_blocks(key, maps), value
        beta = (2 - self.decay * linear_exactly(self.strength, x).sigmoid())[:, :, None, None]
        maps = products(one - beta * outer, prepared).unsqueeze(2)
        inverse = products(one - beta / (beta - 1) * outer, prepared).unsqueeze(2)
        return apply_blocks(query, maps), apply_blocks(key, inverse), value
