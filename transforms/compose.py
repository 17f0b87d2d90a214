"""Several transforms as one."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

from torch_geometric.data import Data
from torch_geometric.transforms import BaseTransform

from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.packed import PackedGraphs
from graphpe.transforms.base import Encoding, read_graphs, write_data, write_packed


class Compose(BaseTransform):
    """Transforms applied one after the other; the result is that of PyG's `Compose`.

    Encodings that follow each other read the graph once. Other transforms (PyG's own, functions) may stand among them,
    unless the input is a `PackedGraphs`.

    Args:
        transforms: The transforms, in order.

    Raises:
        GraphPETypeError: One of them cannot be called; when called on a `PackedGraphs`, one is no encoding of graphpe.
        GraphPEValueError: Two encodings write the same key.
    """

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        if callable(transforms) or isinstance(transforms, str):
            raise GraphPETypeError(f"Compose takes a list of transforms, got {transforms!r}")
        self.transforms = list(transforms)
        writer: dict[str, Any] = {}
        for transform in self.transforms:
            if not callable(transform):
                raise GraphPETypeError(f"Compose takes transforms, got {transform!r} among them")
            for key in _keys(transform, "keys") + _keys(transform, "graph_keys"):
                if key in writer:
                    raise GraphPEValueError(
                        f"{writer[key]!r} and {transform!r} both write {key!r}: give one of them another attr_name"
                    )
                writer[key] = transform

    def __call__(self, data: Any) -> Any:
        """The graphs with all encodings."""
        if isinstance(data, PackedGraphs):
            return self._encode_packed(data)
        return self.forward(copy.copy(data))

    def forward(self, data: Any) -> Any:
        """Apply the transforms to a PyG graph (encodings write into it) or to each of a list, and return the result."""
        graphs: PackedGraphs | None = None
        for transform in self.transforms:
            if isinstance(data, list | tuple):
                data = [transform(each) for each in data]
            elif isinstance(transform, Encoding) and isinstance(data, Data):
                # Encodings add values and leave edges alone, so that the next encoding sees the same graphs.
                graphs = read_graphs(data, transform) if graphs is None else graphs
                write_data(data, graphs, transform.encode(graphs))
            else:
                data, graphs = transform(data), None
        return data

    @property
    def keys(self) -> list[str]:
        """Keys of the node values that the encodings write."""
        return [key for transform in self.transforms for key in _keys(transform, "keys")]

    @property
    def graph_keys(self) -> list[str]:
        """Keys of the graph values that the encodings write."""
        return [key for transform in self.transforms for key in _keys(transform, "graph_keys")]

    def _encode_packed(self, graphs: PackedGraphs) -> PackedGraphs:
        structure = graphs.structure()
        for transform in self.transforms:
            if isinstance(transform, Compose):
                graphs = transform(graphs)
            elif isinstance(transform, Encoding):
                graphs = write_packed(graphs, transform.encode(structure))
            else:
                raise GraphPETypeError(
                    f"{transform!r} takes no PackedGraphs: apply it to the Data objects of graphs.to_data_list()"
                )
        return graphs

    def __repr__(self) -> str:
        return f"Compose([{', '.join(map(repr, self.transforms))}])"


def _keys(transform: Any, name: str) -> list[str]:
    return getattr(transform, name) if isinstance(transform, Encoding | Compose) else []
