"""In- and out-degrees as a transform."""

from __future__ import annotations

import numpy as np
import torch

from graphpe.structure.adjacency import adjacency, reverse_adjacency
from graphpe.structure.laplacian import check_weights
from graphpe.structure.plan import Plan
from graphpe.transforms.base import Encoding
from graphpe.transforms.names import check_attr_name, check_count
from graphpe.transforms.values import Values


class DegreePE(Encoding):
    """In-degree and out-degree of each node.

    Column 0 is sum_u A_uv (edges that enter v), column 1 sum_w A_vw (edges that leave v). Weights add up; parallel
    edges count once without `edge_weight` and add with it; a self-loop counts once in each. O(N + E).

    Writes `degree_pe`, `[N, 2]` float32; int64 with `max_degree`, for tables of embeddings as Graphormer's.

    Args:
        max_degree: Count neighbours instead of adding weights, at most this many.
        attr_name: Key of the encoding; None appends it to `x`, and `"x"` replaces it.

    Raises:
        GraphPETypeError: A parameter is of another type; when called, the graph is no PyG graph.
        GraphPEValueError: A parameter is out of range; when called, there is no `edge_index`, or `edge_weight` is
            negative or not finite.

    References:
        Ying et al.: Do Transformers Really Perform Bad for Graph Representation? NeurIPS 2021, section 3.1.1.

    Example:
        >>> data = Data(edge_index=torch.tensor([[0, 1, 1], [1, 2, 0]]), num_nodes=3)
        >>> T.DegreePE()(data).degree_pe
        tensor([[1., 1.],
                [1., 2.],
                [1., 0.]])
    """

    def __init__(self, max_degree: int | None = None, *, attr_name: str | None = "degree_pe") -> None:
        self.max_degree = None if max_degree is None else check_count("max_degree", max_degree)
        self.attr_name = check_attr_name(attr_name)

    @property
    def columns(self) -> int:
        return 2

    @property
    def vocabulary(self) -> int | None:
        """Number of different values where they are integers."""
        return None if self.max_degree is None else self.max_degree + 1

    def encode(self, plan: Plan) -> Values:
        """In-degrees and out-degrees."""
        graphs = plan.graphs
        check_weights(graphs)
        sides = []
        for matrix in (plan.once(reverse_adjacency), plan.once(adjacency)):
            if self.max_degree is not None:
                sides.append(np.minimum(np.diff(matrix.indptr), self.max_degree))
            else:
                row = np.repeat(np.arange(graphs.num_nodes), np.diff(matrix.indptr))
                sides.append(np.bincount(row, matrix.weight, graphs.num_nodes).astype(np.float64))
        degrees = torch.from_numpy(np.stack(sides, axis=1))
        return Values(node={self.attr_name: degrees.to(graphs.device)})
