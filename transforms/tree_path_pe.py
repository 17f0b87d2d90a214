"""Paths from the root of a tree as a transform."""

from __future__ import annotations

from graphpe.structure.plan import Need, Plan
from graphpe.transforms.base import Encoding
from graphpe.transforms.names import check_attr_name, check_count
from graphpe.transforms.values import Values
from graphpe.trees.rooted.paths import Order, check_order, rooted_forest, tree_paths


class TreePathPE(Encoding):
    """The path from the root of a tree to each node: which child is taken at each step.

    Row v is (c_1, ..., c_d, 0, ..., 0) for a node of depth d: the root's c_1-th child, of that the c_2-th, and so on;
    0 stands behind the end, and the root has zeros only. Children are counted from 1 on, those from number
    `max_children` on share it, and a node deeper than `max_depth` has the row of its ancestor of that depth.

    A connected component whose directed edges make it a tree (from parents to children: no node has two predecessors,
    and there is no cycle), as syntax trees are, is its own. Every other one is replaced by a tree of shortest paths,
    the one of `TreeFieldPE(tree="shortest")`: breadth-first from the node of largest degree, ties by colour refinement,
    then by numbers of nodes. Self-loops, parallel edges and weights other than 0 change nothing.

    `order` says in which order children are counted:

    | `order` | children are counted | under another numbering of the nodes |
    |---|---|---|
    | `"number"` | by the numbers of their nodes, the order of the source in syntax trees numbered so | changes |
    | `"colour"` | by colour refinement (16 rounds, symmetrised); children of one colour share a number | the same |
    | `"auto"` | by number where directed edges make the tree, by colour in spanning trees | as these |

    Where symmetries of a graph leave no spanning tree that all of them keep, as on cycles and complete graphs, the
    numbers of nodes decide between several whatever the order, and the encoding is not equivariant.

    Writes `tree_path_pe`, `[N, max_depth]` int64: rows of tables of `max_children + 1` embeddings, or a sequence for
    `TreePathEncoding`. O(E log N + N max_depth), on the CPU. A `Compose` shares spanning trees with `TreeFieldPE`.

    PosFormer (Guan et al. 2024) gives symbols of formulas such identifiers, SeqPE (Li et al. 2025) positions the digits
    of their numbers, which a sequence encoder reads.

    Args:
        max_depth: Steps that are told, 1 to 4096.
        max_children: Children of one node that are told apart, 1 to 4096.
        order: `"auto"`, `"number"` or `"colour"`.
        attr_name: Key of the encoding; None appends it to `x`, and `"x"` replaces it.

    Raises:
        GraphPETypeError: A parameter is of another type; when called, the graph is no PyG graph.
        GraphPEValueError: A parameter is out of range; when called, there is no `edge_index`, or `edge_weight` is
            negative or not finite.

    References:
        Guan, Lin, Shen, Yang: PosFormer: Recognizing Complex Handwritten Mathematical Expression with Position Forest
        Transformer. ECCV 2024, arXiv:2407.07764.
        Li, Liu, Sun, Cai, Cui, Bi, Zhao, Watanabe: SeqPE: Transformer with Sequential Position Encoding. 2025,
        arXiv:2506.13277.

    Example:
        >>> tree = Data(edge_index=torch.tensor([[0, 0, 2, 2, 4], [1, 2, 3, 4, 5]]), num_nodes=6)
        >>> T.TreePathPE(max_depth=3)(tree).tree_path_pe
        tensor([[0, 0, 0],
                [1, 0, 0],
                [2, 0, 0],
                [2, 1, 0],
                [2, 2, 0],
                [2, 2, 1]])
    """

    def __init__(
        self,
        max_depth: int = 16,
        *,
        max_children: int = 16,
        order: Order = "auto",
        attr_name: str | None = "tree_path_pe",
    ) -> None:
        self.max_depth = check_count("max_depth", max_depth)
        self.max_children = check_count("max_children", max_children)
        check_order(order)
        self.order: Order = order
        self.attr_name = check_attr_name(attr_name)

    @property
    def columns(self) -> int:
        return self.max_depth

    @property
    def vocabulary(self) -> int:
        """Numbers of children, and 0."""
        return self.max_children + 1

    @property
    def needs(self) -> list[Need]:
        """The rooted trees."""
        return [Need(rooted_forest, 0)]

    def encode(self, plan: Plan) -> Values:
        """The path to each node."""
        return Values(node={self.attr_name: tree_paths(plan, self.max_depth, self.max_children, self.order)})
