"""Encodings of some types of edges of a `HeteroData`."""

from __future__ import annotations

import copy
from collections.abc import Sequence
from typing import Any

from torch_geometric.data import HeteroData
from torch_geometric.transforms import BaseTransform

from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.transforms.base import Encoding, encode_hetero
from graphpe.transforms.hetero import EdgeType


class OfEdgeTypes(BaseTransform):
    """An encoding of the graph that some types of edges of a `HeteroData` make.

    The nodes of all types are there; those that none of these edges joins are isolated. Several of them in a PyG
    `Compose`, each around an encoding with another `attr_name`, give an encoding for each type of edges.

    Args:
        encoding: An encoding of nodes.
        edge_types: Types of edges to take, such as `[("paper", "cites", "paper")]`.

    Raises:
        GraphPETypeError: A parameter is of another type; when called, the graph is no `HeteroData`.
        GraphPEValueError: The encoding is of pairs, or there are no types; when called, the graph has no such type of
            edges; or the encoding's own.

    Example:
        >>> from torch_geometric.data import HeteroData
        >>> data = HeteroData()
        >>> data["paper"].num_nodes, data["author"].num_nodes = 3, 1
        >>> data["paper", "cites", "paper"].edge_index = torch.tensor([[0, 1], [1, 2]])
        >>> data["author", "writes", "paper"].edge_index = torch.tensor([[0, 0, 0], [0, 1, 2]])
        >>> cites = T.OfEdgeTypes(T.DegreePE(attr_name="cites_pe"), [("paper", "cites", "paper")])
        >>> cites(data)["paper"].cites_pe
        tensor([[0., 1.],
                [1., 1.],
                [1., 0.]])
        >>> cites(data)["author"].cites_pe
        tensor([[0., 0.]])
    """

    def __init__(self, encoding: Encoding, edge_types: Sequence[EdgeType]) -> None:
        if not isinstance(encoding, Encoding):
            raise GraphPETypeError(f"OfEdgeTypes takes an encoding such as LaplacianPE(k=8), got {encoding!r}")
        if encoding.pair_keys or encoding.pairs is not None:
            raise GraphPEValueError(f"OfEdgeTypes takes encodings of nodes, got {encoding!r}, which is of pairs")
        if isinstance(edge_types, str) or not isinstance(edge_types, Sequence):
            raise GraphPETypeError(f"edge_types must be a list of (source, relation, target), got {edge_types!r}")
        self.encoding = encoding
        self.edge_types: list[EdgeType] = []
        for kind in edge_types:
            if not isinstance(kind, list | tuple) or len(kind) != 3 or not all(isinstance(part, str) for part in kind):
                raise GraphPETypeError(f"edge_types must be a list of (source, relation, target), got {kind!r} in it")
            self.edge_types.append((kind[0], kind[1], kind[2]))
        if not self.edge_types:
            raise GraphPEValueError("edge_types is empty: name at least one (source, relation, target)")

    def __call__(self, data: Any) -> Any:
        """The graphs with the encoding.

        Args:
            data: A `HeteroData`, a batch or a list of them.
        """
        if isinstance(data, list | tuple):
            return [self(each) for each in data]
        return self.forward(copy.copy(data))

    def forward(self, data: Any) -> Any:
        """Write the encoding into a `HeteroData`, in place, and return it.

        Args:
            data: A `HeteroData`, or a batch of them.
        """
        if not isinstance(data, HeteroData):
            raise GraphPETypeError(
                f"OfEdgeTypes takes a HeteroData, got {type(data).__name__}: apply {self.encoding!r}"
            )
        return encode_hetero(data, [self.encoding], self.edge_types)

    def __repr__(self) -> str:
        return f"OfEdgeTypes(encoding={self.encoding!r}, edge_types={self.edge_types!r})"
