"""Node features summed over the hops around each node as a transform."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from scipy.sparse import csr_array, diags_array, eye_array

from graphpe.arguments import check_integer
from graphpe.structure.adjacency import Adjacency, symmetric_adjacency
from graphpe.structure.laplacian import check_weights
from graphpe.structure.plan import Plan
from graphpe.transforms.base import Encoding
from graphpe.transforms.features import check_features, read_features
from graphpe.transforms.names import MAX_COLUMNS, check_attr_name
from graphpe.transforms.values import Values


class HopFeatures(Encoding):
    """Node features as they are, and summed over 1, ..., K hops: A^k X, the tokens of NAGphormer.

    A = D^-1/2 (S + I) D^-1/2 with S the symmetrised weights, S_uv = max(A_uv, A_vu), and D the row sums of S + I.
    Parallel edges count once without `edge_weight` and add with it; a self-loop adds to the 1 of its node; a node
    without edges keeps its features. Without `features` X is a column of ones: A^k 1 is larger at nodes beside nodes of
    larger degree.

    Node values are numbers as they are: turn categories into one-hot vectors first. Those that an encoding before it in
    a
    `Compose` writes may be among them.

    Writes `hop_features`, `[N, (K + 1) F]` float32 for F features: those of hop 0 first. O(K (N + E) F) time on the
    CPU, 16 N F bytes beside the result. They belong to the whole graph: nodes that a loader samples have them from
    there.

    Args:
        hops: Number K of hops, 0 to 4096.
        features: Keys of node values `[N]` or `[N, D]`, and how many columns each has: `{"x": 9}`; None for ones.
        attr_name: Key of the encoding; None appends it to `x`, and `"x"` replaces it.

    Raises:
        GraphPETypeError: A parameter is of another type; when called, the graph is no PyG graph, or a node value holds
            no real numbers.
        GraphPEValueError: A parameter is out of range; when called, there is no `edge_index`, a node value is missing,
            has another number of columns or is not finite, or `edge_weight` is negative or not finite.

    References:
        Chen, Gao, Li, He: NAGphormer: A Tokenized Graph Transformer for Node Classification in Large Graphs. ICLR 2023,
        section 3.1.

    Example:
        >>> link = Data(x=torch.tensor([[1.0], [0.0], [5.0]]), edge_index=torch.tensor([[0], [1]]))
        >>> T.HopFeatures(2, features={"x": 1})(link).hop_features
        tensor([[1.0000, 0.5000, 0.5000],
                [0.0000, 0.5000, 0.5000],
                [5.0000, 5.0000, 5.0000]])
    """

    def __init__(
        self, hops: int, *, features: Mapping[str, int] | None = None, attr_name: str | None = "hop_features"
    ) -> None:
        self.hops = check_integer("hops", hops, least=0, most=MAX_COLUMNS)
        self.features = check_features(features)
        self.attr_name = check_attr_name(attr_name)

    @property
    def node_keys(self) -> list[str]:
        return list(self.features or ())

    @property
    def columns(self) -> int:
        return (self.hops + 1) * (sum(self.features.values()) if self.features else 1)

    def encode(self, plan: Plan) -> Values:
        """The features of all hops."""
        graphs = plan.graphs
        check_weights(graphs)
        given = read_features(plan, self.features)
        rows = np.ones((graphs.num_nodes, 1)) if given is None else given.numpy()
        product, width = _normalised(plan), rows.shape[1]
        out = np.empty((graphs.num_nodes, (self.hops + 1) * width), np.float32)
        for hop in range(self.hops + 1):
            rows = product @ rows if hop else rows
            with np.errstate(over="ignore"):  # told by whoever writes the values
                out[:, hop * width : (hop + 1) * width] = rows
        return Values(node={self.attr_name: torch.from_numpy(out).to(graphs.device)})


def _normalised(plan: Plan) -> csr_array:
    """D^-1/2 (S + I) D^-1/2 over all nodes."""
    matrix: Adjacency = plan.once(symmetric_adjacency)
    size = plan.graphs.num_nodes
    joined = csr_array((matrix.weight, matrix.indices, matrix.indptr), shape=(size, size)) + eye_array(size)
    scale = diags_array(1 / np.sqrt(joined.sum(axis=1)))
    return csr_array(scale @ joined @ scale)
