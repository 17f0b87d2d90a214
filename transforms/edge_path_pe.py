"""Types of edges along shortest paths as a transform."""

from __future__ import annotations

from collections.abc import Sequence

from graphpe.arguments import check_flags
from graphpe.distances.edge_paths import edge_path_frequencies
from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.structure.plan import Plan
from graphpe.transforms.base import PairEncoding
from graphpe.transforms.names import MAX_COLUMNS, check_count, check_own_name
from graphpe.transforms.values import Values


class EdgePathPE(PairEncoding):
    """The types of the edges along shortest paths, for every ordered pair of nodes (i, j) of a graph.

    Entry (t, c) is the fraction of all shortest paths (in hops) from i to j whose t-th edge is of type c. Where the
    path is unique, that is the one-hot sequence of its edges. Row i n + j of a graph of n nodes is the pair (i, j), its
    channels are step-major: `values.unflatten(1, (max_distance, -1))` is `[sum n^2, max_distance, C]`. Steps that a
    path does not have are 0, and so are the pairs (i, i) and those that no path joins; of paths longer than
    `max_distance` the first steps are kept.

    Graphormer takes the edges along one shortest path, whichever its search finds first, so that its result depends on
    the numbering of the nodes. Its bias c_ij = 1/d sum_t <x_t, w_t> is linear in the edges: a linear layer without bias
    on these values (divided by the number of steps, d) gives its mean over all shortest paths, which depends on
    nothing but the graph, and equals it where the path is unique.

    Types are integers from 0, read from the edge value `key`. Several columns, as in OGB's molecules (`num_types=(5, 6,
    2)`), stand one after the other in C. Where several edges join two nodes, parallel ones or, with `undirected`, one
    each way, they count by equal shares. Edges of weight 0 are none; other weights do not matter; self-loops are on no
    shortest path.

    Writes `path_types`, `[sum n^2, max_distance * C]` float32 with C = sum(num_types). O(n |E_b| max_distance C) time a
    graph, on the CPU.

    Args:
        max_distance: Steps of a path that are kept.
        num_types: Number of types, of each column of the edge value.
        key: Key of the edge value, `[E]` or `[E, columns]` integers.
        undirected: Walk every edge both ways; otherwise from tail to head only.
        attr_name: Key of the encoding.

    Raises:
        GraphPETypeError: A parameter is of another type; when called, the graph is no PyG graph, or
            its edge value holds no integers.
        GraphPEValueError: A parameter is out of range, or there are more than 4096 channels; when called, there is no
            `edge_index`, no such edge value or one of another shape or range, or `edge_weight` is negative or not
            finite.

    References:
        Ying et al.: Do Transformers Really Perform Bad for Graph Representation? NeurIPS 2021, section 3.1.3.

    Example:
        >>> ring = Data(
        ...     edge_index=torch.tensor([[0, 1, 2, 3], [1, 2, 3, 0]]), edge_attr=torch.tensor([0, 0, 1, 1]), num_nodes=4
        ... )
        >>> out = T.EdgePathPE(2, num_types=2)(ring)
        >>> out.path_types.view(4, 4, 2, 2)[0, 2]
        tensor([[0.5000, 0.5000],
                [0.5000, 0.5000]])
        >>> out.path_types.view(4, 4, 2, 2)[1, 3]
        tensor([[1., 0.],
                [0., 1.]])
    """

    def __init__(
        self,
        max_distance: int,
        *,
        num_types: int | Sequence[int],
        key: str = "edge_attr",
        undirected: bool = True,
        attr_name: str = "path_types",
    ) -> None:
        self.max_distance = check_count("max_distance", max_distance)
        self.num_types = _check_num_types(num_types)
        if self.columns > MAX_COLUMNS:
            raise GraphPEValueError(
                f"max_distance {self.max_distance} and num_types {self.num_types} make {self.columns} channels, "
                f"but at most {MAX_COLUMNS} are accepted"
            )
        if not isinstance(key, str):
            raise GraphPETypeError(f"key must be a string, got {key!r}")
        self.key = key
        self.undirected = check_flags(undirected=undirected)[0]
        self.attr_name = check_own_name(attr_name, "values of pairs of nodes")

    @property
    def columns(self) -> int:
        return self.max_distance * sum(self.num_types)

    @property
    def edge_keys(self) -> list[str]:
        return [self.key]

    def encode(self, plan: Plan) -> Values:
        """Types of edges along the shortest paths of all pairs."""
        types = plan.graphs.edge[self.key]
        frequency = edge_path_frequencies(plan, types, self.num_types, self.max_distance, self.undirected)
        return Values(pair={self.attr_name: frequency})


def _check_num_types(num_types: int | Sequence[int]) -> tuple[int, ...]:
    if isinstance(num_types, list | tuple):
        numbers = tuple(check_count("num_types", number) for number in num_types)
        if not numbers:
            raise GraphPEValueError("num_types is empty: give the number of types of each column")
        return numbers
    return (check_count("num_types", num_types),)
