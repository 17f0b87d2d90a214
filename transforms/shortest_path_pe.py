"""Shortest-path distances as a transform."""

from __future__ import annotations

import math
from numbers import Real

import numpy as np
from torch import Tensor

from graphpe.arguments import check_flags
from graphpe.distances.shortest_paths import hop_distances, path_lengths, shortest_paths
from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.pairs.asked import Asked
from graphpe.pairs.path_lengths import asked_distances
from graphpe.structure.plan import Need, Plan
from graphpe.transforms.base import LinkEncoding
from graphpe.transforms.names import check_count


class ShortestPathPE(LinkEncoding):
    """The distance from i to j for every ordered pair of nodes (i, j) of a graph.

    In hops, or in lengths of edges where `weighted`. Row i n + j of a graph of n nodes is the pair (i, j), and:

    | pair | without `max_distance` | with it |
    |---|---|---|
    | i = j | 0 | 0 |
    | joined by a path | the distance | the distance, at most `max_distance` |
    | joined by no path | -1 | `max_distance` + 1 |

    so that hops are rows of a table of `max_distance + 2` embeddings. That is the layout of GraphGPS's `spatial_types`
    (with its `num_spatial_types` = `max_distance` + 1); Graphormer shifts it by 1 to keep row 0 for padding, and has
    510 where there is no path.

    Writes `shortest_path`, `[sum n^2, 1]`: int64 hops, or float32 lengths in the unit of `edge_weight`, which are
    its hops where a graph has no weights. Parallel edges count once without `edge_weight`
    and add with it, directed edges are symmetrised by max(A, A^T) (see `graphpe.laplacian`): also where weights are
    lengths. An edge of weight 0 is no edge, self-loops shorten no path.

    On the CPU. Hops: O(|E_b| n_b) a graph in the worst case, a small part of it where distances are short; lengths
    (Dijkstra): O(n_b |E_b| log n_b). Memory O(n_b^2). Of chosen pairs `[P, 1]`, by searches from both ends that stop
    where they meet, or at `max_distance` (see `graphpe.pairs.path_lengths`).

    Args:
        max_distance: Largest distance, an integer from 1 to 4096, or any positive number where `weighted`; None for no
            limit.
        undirected: Walk every edge both ways; otherwise from tail to head only.
        weighted: Take `edge_weight` as lengths.
        pairs: Key of chosen pairs `[2, P]`, such as `"edge_label_index"`: `[P, 1]` of those instead of all pairs (see
            `LinkEncoding`).
        attr_name: Key of the encoding.

    Raises:
        GraphPETypeError: A parameter is of another type; when called, the graph is no PyG graph.
        GraphPEValueError: A parameter is out of range; when called, there is no `edge_index`, or `edge_weight` is
            negative or not finite.

    References:
        Ying et al.: Do Transformers Really Perform Bad for Graph Representation? NeurIPS 2021, section 3.1.2.

    Example:
        >>> path = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), num_nodes=4)
        >>> T.ShortestPathPE()(path).shortest_path.view(4, 4)
        tensor([[ 0,  1,  2, -1],
                [ 1,  0,  1, -1],
                [ 2,  1,  0, -1],
                [-1, -1, -1,  0]])
        >>> T.ShortestPathPE(1, undirected=False)(path).shortest_path.view(4, 4)
        tensor([[0, 1, 1, 2],
                [2, 0, 1, 2],
                [2, 2, 0, 2],
                [2, 2, 2, 0]])
    """

    def __init__(
        self,
        max_distance: float | None = None,
        *,
        undirected: bool = True,
        weighted: bool = False,
        pairs: str | None = None,
        attr_name: str = "shortest_path",
    ) -> None:
        self.weighted = check_flags(weighted=weighted)[0]
        self.max_distance = None if max_distance is None else _check_distance(max_distance, weighted)
        self.undirected = check_flags(undirected=undirected)[0]
        super().__init__(pairs, attr_name)

    @property
    def columns(self) -> int:
        return 1

    @property
    def vocabulary(self) -> int | None:
        """Different hops where they are cut."""
        return None if self.weighted or self.max_distance is None else int(self.max_distance) + 2

    @property
    def needs(self) -> list[Need]:
        """Distances of all pairs."""
        return [] if self.pairs else [Need(path_lengths if self.weighted else hop_distances, 0, (self.undirected,))]

    def encode_all_pairs(self, plan: Plan) -> Tensor:
        return shortest_paths(plan, self.max_distance, self.undirected, self.weighted)[:, None]

    def encode_pairs(self, plan: Plan, pairs: Tensor | Asked) -> Tensor:
        return asked_distances(plan, pairs, self.max_distance, self.undirected, self.weighted)[:, None]


def _check_distance(value: float, weighted: bool) -> float:
    if not weighted:
        return check_count("max_distance", value)
    if not isinstance(value, Real) or isinstance(value, bool | np.bool_):
        raise GraphPETypeError(f"max_distance must be a number, got {value!r}")
    if not (math.isfinite(value) and value > 0):
        raise GraphPEValueError(f"max_distance must be positive and finite, got {value}")
    return float(value)
