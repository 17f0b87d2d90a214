"""Several transforms as one."""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from torch.utils.data import Dataset
from torch_geometric.data import Data, HeteroData
from torch_geometric.data.data import BaseData
from torch_geometric.transforms import BaseTransform

from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.transforms.base import Encoding, encode_all, encode_hetero, encode_list, list_of
from graphpe.transforms.reading import read_graphs, read_packed
from graphpe.transforms.writing import write_data, write_packed

_LEVELS = ("keys", "graph_keys", "pair_keys", "asked_keys")


class Compose(BaseTransform):
    """Transforms applied one after the other; the result is that of PyG's `Compose`.

    Encodings that follow each other read the graph once and share their work: one decomposition, one set of walk
    powers, one distance matrix, of the largest size that any of them needs (see `graphpe.structure.plan`). Vectors of a
    repeated eigenvalue may then be another basis of its eigenspace than alone. An encoding of node values
    (`TreeFieldPE`) may read those that an encoding before it writes. Other transforms (PyG's own, functions) may stand
    among them, unless the input is a `PackedGraphs`.

    Args:
        transforms: The transforms, in order.

    Raises:
        GraphPETypeError: One of them cannot be called; when called on a `PackedGraphs`, one is no encoding of graphpe.
        GraphPEValueError: Two encodings write the same key.
    """

    def __init__(self, transforms: Sequence[Callable[[Any], Any]]) -> None:
        if callable(transforms) or not isinstance(transforms, Iterable) or isinstance(transforms, str):
            raise GraphPETypeError(f"Compose takes a list of transforms, got {transforms!r}")
        self.transforms = list(transforms)
        writer: dict[str, Any] = {}
        for transform in self.transforms:
            if not callable(transform):
                raise GraphPETypeError(f"Compose takes transforms, got {transform!r} among them")
            for key in (key for level in _LEVELS for key in _keys(transform, level)):
                if key in writer and not (key == "x" and _appends(transform)):
                    raise GraphPEValueError(
                        f"{writer[key]!r} and {transform!r} both write {key!r}: give one of them another attr_name"
                    )
                writer[key] = transform

    def __call__(self, data: Any) -> Any:
        """The graphs with all encodings."""
        if isinstance(data, PackedGraphs):
            return self._encode_packed(data)
        if isinstance(data, Dataset):
            data = list_of(data)
        return self.forward(copy.copy(data) if isinstance(data, BaseData) else data)

    def forward(self, data: Any) -> Any:
        """Apply the transforms to a PyG graph (encodings write into it) or to each of a list, and return the result.

        Args:
            data: A `Data`, a `Batch`, `PackedGraphs`, or a list of `Data`.
        """
        for run in _runs(self.transforms):
            if isinstance(run[0], Encoding) and isinstance(data, list | tuple):
                data = encode_list(data, run)
            elif isinstance(run[0], Encoding) and isinstance(data, HeteroData):
                data = encode_hetero(data, run)
            elif isinstance(run[0], Encoding) and isinstance(data, Data):
                graphs = read_graphs(data, *run)
                for values in encode_all(graphs, run, data):
                    write_data(data, graphs, values)
            elif isinstance(data, list | tuple):
                data = [Compose(run)(each) for each in data]
            else:
                for transform in run:
                    data = transform(data)
        return data

    def with_stream(self, number: int) -> Compose:
        """A copy whose random signs and phases come from the encodings' seeds and `number` alone.

        Args:
            number: Number of the stream, from 0 on: that of a part of a dataset.
        """
        return Compose([each.with_stream(number) if hasattr(each, "with_stream") else each for each in self.transforms])

    @property
    def keys(self) -> list[str]:
        """Keys of the node values that the encodings write."""
        return list(dict.fromkeys(key for transform in self.transforms for key in _keys(transform, "keys")))

    @property
    def graph_keys(self) -> list[str]:
        """Keys of the graph values that the encodings write."""
        return [key for transform in self.transforms for key in _keys(transform, "graph_keys")]

    @property
    def pair_keys(self) -> list[str]:
        """Keys of the pair values that the encodings write."""
        return [key for transform in self.transforms for key in _keys(transform, "pair_keys")]

    @property
    def asked_keys(self) -> list[str]:
        """Keys of the values of chosen pairs that the encodings write."""
        return [key for transform in self.transforms for key in _keys(transform, "asked_keys")]

    def _encode_packed(self, graphs: PackedGraphs) -> PackedGraphs:
        for run in _runs(self.transforms):
            if not isinstance(run[0], Encoding):
                raise GraphPETypeError(
                    f"{run[0]!r} takes no PackedGraphs: apply it to the Data objects of graphs.to_data_list()"
                )
            for values in encode_all(read_packed(graphs, *run), run, graphs.objects):
                graphs = write_packed(graphs, values)
        return graphs

    def __repr__(self) -> str:
        return f"Compose([{', '.join(map(repr, self.transforms))}])"


def _keys(transform: Any, name: str) -> list[str]:
    return getattr(transform, name) if isinstance(transform, Encoding | Compose) else []


def _appends(transform: Any) -> bool:
    """Whether what a transform writes into `x` goes behind what is there."""
    if isinstance(transform, Compose):
        return all(_appends(each) for each in transform.transforms if "x" in _keys(each, "keys"))
    return isinstance(transform, Encoding) and transform.attr_name is None


def _runs(transforms: Sequence[Any]) -> list[list[Any]]:
    """The transforms, those of a `Compose` among them one by one, in runs of encodings and of others.

    Encodings add values and leave edges alone, so that all of a run see the same graphs: one that reads node values
    which another writes begins a new run.
    """
    flat: list[Any] = []
    for transform in transforms:
        nested = _runs(transform.transforms) if isinstance(transform, Compose) else [[transform]]
        flat += [each for run in nested for each in run]
    runs: list[list[Any]] = []
    for each in flat:
        if runs and isinstance(each, Encoding) == isinstance(runs[-1][0], Encoding) and not _reads(each, runs[-1]):
            runs[-1].append(each)
        else:
            runs.append([each])
    return runs


def _reads(transform: Any, run: Sequence[Any]) -> bool:
    """Whether a transform reads what one of a run writes."""
    read = set(transform.node_keys) if isinstance(transform, Encoding) else set()
    return bool(read) and any(not read.isdisjoint(_keys(each, "keys")) for each in run)
