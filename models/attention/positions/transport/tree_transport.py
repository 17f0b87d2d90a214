"""Transport along trees: orthogonal maps of the edges, multiplied along the path between two nodes.

Kogkalidis, Bernardy, Garg, "Algebraic Positional Encodings" (NeurIPS 2024, arXiv:2312.16045): positions are paths,
steps of a path are orthogonal matrices, and walking back is the transposed matrix. For trees they have one matrix for
each branch (first child, second child, ...), for sequences one matrix, which is RoPE up to a basis.
"""

from __future__ import annotations

from typing import Any, ClassVar, Literal, get_args

import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.arguments import check_choice, check_counts, check_flags
from graphpe.errors import GraphPEValueError
from graphpe.models.attention.positions.node_positions import Attending, NodePositions
from graphpe.models.attention.positions.rotations.angles import check_planes
from graphpe.models.attention.positions.rotations.orthogonal import apply_blocks, rotation
from graphpe.models.attention.positions.transport.rooted import (
    AGAINST,
    BOTH,
    RootedTrees,
    TreeRoot,
    products,
    root_trees,
)

Steps = Literal["direction", "order", "type"]


class TreeTransport(NodePositions):
    """Queries, keys and values transported along a tree of each component (Kogkalidis et al. 2024).

    A step from a parent to its child v has an orthogonal map H_v, chosen by the edge. With T_v = T_parent(v) H_v, and
    T = I at the roots,

        out_i = sum_j softmax_j((T_i q_i) . (T_j k_j) / sqrt(C)) T_i^T T_j v_j,
        T_i^T T_j = H_i^T ... H_a'^T H_a'' ... H_j

    which is the product along the path from j to i, exactly: what lies above the lowest common ancestor cancels, going
    up is the transposed map. (Between components it is the path through both roots.) Maps of a step:

    * `direction`: H of a one-way edge, H^T where it leads from the child to the parent, another map where there is an
      edge each way. With b = 2 the maps are rotations and commute: T_i^T T_j turns by the edges along minus those
      against direction, which is the group U(1) with a learned potential: where all edges are one-way, reversing them
      conjugates (the sign of every second channel of queries, keys, values and results), and on graphs whose cycles are
      balanced (`MagneticRotary`) it is exact on the edges that are not of the tree, too.
    * `order`: a map for the first child, the second, ... in the order of the edges, those from number `maps` on share
      the last: the paper's for trees, and for syntax trees, with `tree="edges"`.
    * `type`: a map for each value of `batch[type_key]` (integers, `[E]`, or the first column of `[E, C]`); the
      transposed one where the edge leads only from the child to the parent.

    On a directed path with `direction` that is RoPE, in a learned basis of each block and with learned angles.

    H = exp(S), S skew-symmetric, in blocks of b channels for each head. T is computed once a batch, by
    doubling: O(N D b^2 log depth) time and O(N D b log depth) memory, nothing of the size of pairs; linear attention
    stays linear. Trees are built on the host.

    What it depends on: on the tree. `shortest` trees follow a renumbering of the nodes where the graph decides them
    (`graphpe.trees.spanning`); the choice of the root matters where maps of a step and back are not each other's
    transposed, that is for `order` and for edges both ways.

    Differs from the paper: values are transported, too (`values=False`: not); maps are rotations, of
    determinant 1; one module serves all layers; other trees than those of syntax.

    Example:
        >>> edges = torch.tensor([[0, 0, 1, 1], [1, 2, 3, 4]])
        >>> data = Data(x=torch.randn(5, 3), edge_index=edges)
        >>> transport = M.TreeTransport(16, heads=4, steps="order", tree="edges")
        >>> model = M.GPS(width=16, layers=2, heads=4, node_encoder=M.LinearNodes(3, 16), positions=[transport])
        >>> model(data).shape
        torch.Size([1, 16])

    Args:
        width: Width D of queries, keys and values.
        heads: Number of heads.
        steps: What chooses a step's map: `direction`, `order` or `type`.
        maps: Number of maps of `order` and `type`.
        block: Size b of the blocks; divides D / heads.
        tree: `shortest`: shortest paths from a node of largest degree; `edges`: as the edges lead (see `root_trees`).
        type_key: Name of the types of edges in the batch.
        values: Whether values are transported.

    Raises:
        GraphPEValueError: If a number is out of range; in a model if the batch has no such types, or
            `tree="edges"` and edges lead round in a cycle.
    """

    on_host: ClassVar[bool] = True

    def __init__(
        self,
        width: int,
        heads: int,
        *,
        steps: Steps = "direction",
        maps: int = 4,
        block: int = 4,
        tree: TreeRoot = "shortest",
        type_key: str = "edge_attr",
        values: bool = True,
    ) -> None:
        super().__init__()
        width, heads, maps, block = check_counts(width=width, heads=heads, maps=maps, block=block)
        blocks = check_planes(width, heads, block)
        check_choice("steps", steps, get_args(Steps))
        check_choice("tree", tree, get_args(TreeRoot))
        (values,) = check_flags(values=values)
        self.heads = heads
        self.steps = steps
        self.maps = 2 if steps == "direction" else maps
        self.block = block
        self.tree: TreeRoot = tree
        self.type_key = type_key
        self.values = values
        self.skew = nn.Parameter(torch.randn(self.maps, heads, blocks, block, block) * 0.5)

    def prepare(self, batch: Data, nodes: Attending) -> Tensor:
        """T of every node, head and block, `[N, H, blocks, b, b]`.

        Args:
            batch: A `Batch`, or a `Data` as a batch of one graph.
            nodes: Its nodes as they attend; extra ones have T = I.
        """
        trees = root_trees(batch, nodes, self.tree)
        step = rotation(self.skew)
        rest = torch.eye(self.block, dtype=step.dtype, device=step.device).expand(1, *step.shape[1:])
        table = torch.cat([step, step.transpose(-1, -2), rest])
        label = self._labels(batch, trees)
        if self.steps != "order":
            label = label + self.maps * (trees.direction == AGAINST)
        label = torch.where(trees.below, label, 2 * self.maps)
        return products(table.index_select(0, label), trees)

    def _labels(self, batch: Data, trees: RootedTrees) -> Tensor:
        if self.steps == "direction":
            one_way = self.tree == "edges"
            return torch.zeros_like(trees.rank) if one_way else (trees.direction == BOTH).long()
        if self.steps == "order":
            return trees.rank.clamp(max=self.maps - 1)
        types = getattr(batch, self.type_key, None)
        if not isinstance(types, Tensor) or types.dim() not in (1, 2) or not types.numel():
            raise GraphPEValueError(
                f"batch.{self.type_key} must hold types of edges, integers [E] or [E, C], for steps='type'"
            )
        if types.is_floating_point() or types.is_complex() or types.dtype == torch.bool:
            raise GraphPEValueError(
                f"batch.{self.type_key} must be integers for steps='type', got {types.dtype}: bin the values first"
            )
        first = (types if types.dim() == 1 else types[:, 0]).long()
        if first.device.type == "cpu" and not 0 <= int(first.min()) <= int(first.max()) < self.maps:
            raise GraphPEValueError(
                f"batch.{self.type_key} holds types from {int(first.min())} to {int(first.max())}, and there are "
                f"maps={self.maps}: types are 0 to maps - 1"
            )
        return first.index_select(0, trees.edge)

    def transform(
        self, query: Tensor, key: Tensor, value: Tensor, prepared: Any, x: Tensor
    ) -> tuple[Tensor, Tensor, Tensor]:
        """T q, T k and T v.

        Args:
            query: Queries, `[N, D]`.
            key: Keys, `[N, D]`.
            value: Values, `[N, D]`.
            prepared: T.
            x: Not used.
        """
        del x
        moved = apply_blocks(value, prepared) if self.values else value
        return apply_blocks(query, prepared), apply_blocks(key, prepared), moved

    def restore(self, out: Tensor, prepared: Any) -> Tensor:
        """T^T out where values are transported.

        Args:
            out: What attention gave, `[N, D]`.
            prepared: T.
        """
        return apply_blocks(out, prepared.transpose(-1, -2)) if self.values else out
