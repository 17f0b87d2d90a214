"""Depth in a directed graph as a transform."""

from __future__ import annotations

from graphpe.calls import parameters_of
from graphpe.structure.plan import Need, Plan
from graphpe.structure.reachability import Direction, Path, check_direction, check_path, condensation, depths
from graphpe.transforms.base import Encoding
from graphpe.transforms.names import check_attr_name, check_count
from graphpe.transforms.values import Values


class DepthPE(Encoding):
    """The depth of each node of a directed graph.

    On a directed acyclic graph: the number of edges on the longest (or shortest) path that ends at the node and starts
    at a source, a node without predecessors; sources have depth 0. With cycles: the same on the graph of strongly
    connected components, so that nodes that lead to each other share a depth and edges inside a component do not count.
    An undirected graph is all of depth 0.

    `direction="leaves"` counts against the edges: the height of a node, edges on the longest (or shortest) path that
    starts at it and ends at a node without successors, which have 0. In a syntax tree whose edges lead from parents to
    children that is the height of its subtree. Beside the depth it needs an `attr_name` of its own. Reversing all edges
    exchanges the two.

    Writes `depth_pe`, `[N, 1]` int64: rows of a table of `max_depth + 1` embeddings where there is a `max_depth`.
    Edges of weight 0 are none; other weights, parallel edges and self-loops change nothing. O(N + E), on the CPU.

    DAGformer feeds the longest depths through sines and cosines.

    Args:
        max_depth: Largest depth, 1 to 4096; deeper nodes have this one. None for no limit.
        path: `"longest"` (every edge leads deeper) or `"shortest"` (from the nearest source, or to the nearest leaf).
        direction: Count from the `"root"`, nodes without predecessors, or from the `"leaves"`, those without
            successors. `repr` leaves out the default, so that what was stored is found again.
        attr_name: Key of the encoding; None appends it to `x`, and `"x"` replaces it.

    Raises:
        GraphPETypeError: A parameter is of another type; when called, the graph is no PyG graph.
        GraphPEValueError: A parameter is out of range; when called, there is no `edge_index`, or `edge_weight` is
            negative or not finite.

    References:
        Luo, Thost, Shi: Transformers over Directed Acyclic Graphs. NeurIPS 2023, section 3.2.

    Example:
        >>> shortcut = Data(edge_index=torch.tensor([[0, 1, 0], [1, 2, 2]]), num_nodes=4)
        >>> T.DepthPE()(shortcut).depth_pe.flatten()
        tensor([0, 1, 2, 0])
        >>> T.DepthPE(path="shortest")(shortcut).depth_pe.flatten()
        tensor([0, 1, 1, 0])
        >>> T.DepthPE(direction="leaves", attr_name="height")(shortcut).height.flatten()
        tensor([2, 1, 0, 0])
    """

    def __init__(
        self,
        max_depth: int | None = None,
        *,
        path: Path = "longest",
        direction: Direction = "root",
        attr_name: str | None = "depth_pe",
    ) -> None:
        self.max_depth = None if max_depth is None else check_count("max_depth", max_depth)
        check_path(path)
        self.path: Path = path
        check_direction(direction)
        self.direction: Direction = direction
        self.attr_name = check_attr_name(attr_name)

    @property
    def columns(self) -> int:
        return 1

    @property
    def vocabulary(self) -> int | None:
        """Different depths where they are cut."""
        return None if self.max_depth is None else self.max_depth + 1

    @property
    def needs(self) -> list[Need]:
        """Strongly connected components."""
        return [Need(condensation, 0)]

    def encode(self, plan: Plan) -> Values:
        depth = depths(plan, self.path, self.direction)
        if self.max_depth is not None:
            depth = depth.clamp(max=self.max_depth)
        return Values(node={self.attr_name: depth[:, None]})

    def __repr__(self) -> str:
        """The call; without the direction where it is the default, which what was stored before does not name."""
        given = [each for each in parameters_of(type(self)) if each != "direction" or self.direction != "root"]
        return f"DepthPE({', '.join(f'{each}={getattr(self, each)!r}' for each in given)})"
