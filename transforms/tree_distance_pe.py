"""Distances along a tree of each graph as a transform."""

from __future__ import annotations

import torch

from graphpe.arguments import check_flags, check_seed
from graphpe.errors import GraphPEValueError
from graphpe.structure.plan import Need, Plan
from graphpe.transforms.base import PairEncoding
from graphpe.transforms.names import check_count, check_own_name
from graphpe.transforms.values import Values
from graphpe.trees.fields import TreeKind, check_tree, tree_distances, trees_of


class TreeDistancePE(PairEncoding):
    """The distance between i and j along a tree that stands for the graph, for every ordered pair of nodes (i, j).

    Row i n + j of a graph of n nodes is the pair (i, j); -1 where no path joins them. On a graph that is a tree, these
    are its distances; otherwise those along one of the trees of `TreeFieldPE` (which says what edges mean), at least as
    large as the graph's.

    Where symmetries of a graph leave no tree that all of them keep, as on cycles and complete graphs, the tree
    `"minimum"` or `"shortest"` is one of several that the numbering of the nodes decides on, and the encoding is not
    equivariant: another numbering gives distances along another tree. `tree="random"` with many `num_trees` is the mean
    over uniformly random spanning trees instead, whose expectation is.

    Writes `tree_distance`, `[sum n^2, 1]` float32, in the unit of `edge_weight` if
    `weighted`, otherwise in hops (`"hierarchical"`: in heights of clusters). With `max_distance`, integers: int64 hops,
    at most `max_distance`, and `max_distance` + 1 where there is no path: rows of a table of `max_distance + 2`
    embeddings. O(n^2) a graph after O(E log E) for the tree, on the CPU.

    Args:
        max_distance: Largest number of hops, 1 to 4096, if not `weighted` and not `"hierarchical"`; None for no limit.
        tree: `"minimum"`, `"shortest"`, `"random"` or `"hierarchical"`.
        weighted: Take `edge_weight` as lengths; otherwise all edges have length 1.
        num_trees: Trees that are drawn, of the kinds that are: distances are means. 1 with `max_distance`.
        seed: Of random trees.
        attr_name: Key of the encoding.

    Raises:
        GraphPETypeError: A parameter is of another type; when called, the graph is no PyG graph.
        GraphPEValueError: A parameter is out of range; when called, there is no `edge_index`, or `edge_weight` is
            negative or not finite.

    Example:
        >>> path = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), num_nodes=4)
        >>> T.TreeDistancePE()(path).tree_distance.view(4, 4)
        tensor([[ 0.,  1.,  2., -1.],
                [ 1.,  0.,  1., -1.],
                [ 2.,  1.,  0., -1.],
                [-1., -1., -1.,  0.]])
    """

    def __init__(
        self,
        max_distance: int | None = None,
        *,
        tree: TreeKind = "minimum",
        weighted: bool = False,
        num_trees: int = 1,
        seed: int = 0,
        attr_name: str = "tree_distance",
    ) -> None:
        self.max_distance = None if max_distance is None else check_count("max_distance", max_distance)
        check_tree(tree)
        self.tree: TreeKind = tree
        self.weighted = check_flags(weighted=weighted)[0]
        if self.max_distance is not None and (weighted or tree == "hierarchical"):
            raise GraphPEValueError("max_distance counts hops: leave it out if weighted, or if tree='hierarchical'")
        self.num_trees = check_count("num_trees", num_trees)
        if self.max_distance is not None and self.num_trees > 1:
            raise GraphPEValueError(
                "max_distance counts hops, which a mean over num_trees is not: leave out one of them"
            )
        self.seed = check_seed(seed)
        self.attr_name = check_own_name(attr_name, "values of pairs of nodes")

    @property
    def columns(self) -> int:
        return 1

    @property
    def vocabulary(self) -> int | None:
        """Different hops where they are cut."""
        return None if self.max_distance is None else self.max_distance + 2

    @property
    def needs(self) -> list[Need]:
        return [Need(trees_of, 0, (self.tree, self.weighted, self.num_trees, self.seed))]

    def encode(self, plan: Plan) -> Values:
        """Distances of all pairs."""
        distance = tree_distances(
            plan, tree=self.tree, weighted=self.weighted, num_trees=self.num_trees, seed=self.seed
        )[:, None]
        if self.max_distance is not None:
            cut = distance.clamp(max=self.max_distance)
            distance = torch.where(distance < 0, self.max_distance + 1, cut).long()
        return Values(pair={self.attr_name: distance})
