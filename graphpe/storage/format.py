"""Encoded graphs as columns of one safetensors file, and where each shard's rows stand in it.

A column is a flat tensor over all graphs; a shard is a run of consecutive graphs, so it owns one range of every column.
Columns are what `PackedGraphs` is made of: mapped into memory, they are a `PackedGraphs`.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.graphs.ragged import Ints

NUM_NODES, NUM_EDGES = "structure.num_nodes", "structure.num_edges"
EDGE_INDEX, EDGE_WEIGHT = "structure.edge_index", "structure.edge_weight"
TEXT_SIZES, TEXT = "objects.sizes", "objects.json"
"""Python objects: one JSON dictionary per graph, UTF-8, one after another; and the bytes of each."""

_NAMES = {
    torch.bool: "BOOL", torch.uint8: "U8", torch.int8: "I8", torch.int16: "I16", torch.int32: "I32",
    torch.int64: "I64", torch.float16: "F16", torch.bfloat16: "BF16", torch.float32: "F32", torch.float64: "F64",
}  # fmt: skip
_REAL = {torch.complex64: torch.float32, torch.complex128: torch.float64}
DTYPES = {str(dtype).removeprefix("torch."): dtype for dtype in (*_NAMES, *_REAL)}
"""Every dtype that a column may have, by name."""


class Rows(NamedTuple):
    """Where the shards' rows begin and end, for each kind of row `[S + 1]`."""

    graph: list[int]
    node: list[int]
    edge: list[int]
    pair: list[int]
    text: list[int]


@dataclass(frozen=True)
class Column:
    """A flat tensor over all graphs.

    Attributes:
        name: `"<level>.<key>"`.
        rows: What a row belongs to: a field of `Rows`.
        dtype: Of its values.
        shape: Of one row.
    """

    name: str
    rows: str
    dtype: torch.dtype
    shape: tuple[int, ...]

    def __post_init__(self) -> None:
        if self.dtype not in _NAMES and self.dtype not in _REAL:
            raise GraphPEValueError(f"{self.name} is {self.dtype}, which cannot be stored: convert it, or leave it out")

    @property
    def row_bytes(self) -> int:
        """Bytes of one row."""
        return self.dtype.itemsize * math.prod(self.shape)

    @property
    def is_edge_index(self) -> bool:
        """Whether it is `[2, E]`: rows run along the second dimension."""
        return self.name == EDGE_INDEX


class Layout:
    """Where columns and shards stand in the file.

    Columns with larger items come first, so that all are aligned. Complex values are stored as pairs of real ones,
    which every version of safetensors reads.

    Args:
        columns: The columns, in the order of the file.
        rows: Rows of each level and shard.
    """

    def __init__(self, columns: Sequence[Column], rows: Rows) -> None:
        self.columns = sorted(columns, key=lambda column: (-column.dtype.itemsize, column.name))
        self.rows = rows
        content: dict[str, Any] = {"__metadata__": {"written_by": "graphpe"}}
        begin: dict[str, int] = {}
        end = 0
        for column in self.columns:
            begin[column.name], end = end, end + self.size(column)
            shape = [2] * column.is_edge_index + [self.num_rows(column), *column.shape] + [2] * (column.dtype in _REAL)
            content[column.name] = {
                "dtype": _NAMES[_REAL.get(column.dtype, column.dtype)],
                "shape": shape,
                "data_offsets": [begin[column.name], end],
            }
        text = json.dumps(content, separators=(",", ":")).encode()
        text += b" " * (-(8 + len(text)) % 16)
        self.header = len(text).to_bytes(8, "little") + text
        self.begin = {name: len(self.header) + offset for name, offset in begin.items()}
        self.total_bytes = len(self.header) + end

    @property
    def num_shards(self) -> int:
        """Number of shards."""
        return len(self.rows.graph) - 1

    def num_rows(self, column: Column) -> int:
        """Rows of a column over all graphs.

        Args:
            column: The column.
        """
        return getattr(self.rows, column.rows)[-1]

    def size(self, column: Column) -> int:
        """Bytes of a column.

        Args:
            column: The column.
        """
        return self.num_rows(column) * column.row_bytes * (2 if column.is_edge_index else 1)

    def ranges(self, column: Column, shard: int) -> list[tuple[int, int]]:
        """The bytes of the file that hold a shard's rows of a column: one range, and two for `[2, E]`.

        Args:
            column: The column.
            shard: Number of the shard.
        """
        start, stop = getattr(self.rows, column.rows)[shard : shard + 2]
        begin, width = self.begin[column.name], column.row_bytes
        lines = [begin, begin + self.num_rows(column) * width] if column.is_edge_index else [begin]
        return [(line + start * width, line + stop * width) for line in lines]

    def tensor(self, column: Column, file: Tensor) -> Tensor:
        """A column as a view of the file's bytes.

        Args:
            column: The column.
            file: The bytes of the whole file, `uint8`.
        """
        flat = file[self.begin[column.name] : self.begin[column.name] + self.size(column)].view(column.dtype)
        count = self.num_rows(column)
        return flat.reshape(2, count) if column.is_edge_index else flat.reshape(count, *column.shape)


def as_bytes(value: Tensor) -> NDArray[np.uint8]:
    """A tensor's values as bytes, in order.

    Args:
        value: The tensor.
    """
    # Dimensions of size 0 and 1 may have any stride, which `view` of another dtype does not accept.
    return value.contiguous().as_strided((value.numel(),), (1,)).view(torch.uint8).numpy()


class Texts:
    """The Python objects of graphs as JSON.

    Args:
        graphs: The graphs.

    Raises:
        GraphPEValueError: An object is not what JSON gives back.
    """

    def __init__(self, graphs: PackedGraphs) -> None:
        keys = sorted(graphs.objects)
        texts = []
        for i, values in enumerate(zip(*(graphs.objects[key] for key in keys), strict=True)):
            content = dict(zip(keys, values, strict=True))
            texts.append(_to_json(content, i).encode())
        self.sizes = np.array([len(text) for text in texts], dtype=np.int64)
        self.ptr = _pointers(self.sizes)
        self.blob = np.frombuffer(b"".join(texts), dtype=np.uint8)


def graph_columns(graphs: PackedGraphs, texts: Texts | None) -> dict[Column, Tensor]:
    """The columns of graphs that lie in memory, as they are.

    Args:
        graphs: The graphs.
        texts: Their Python objects as JSON; None for none.
    """
    node_sizes, edge_sizes = np.diff(graphs.host_ptr), np.diff(graphs.host_edge_ptr)
    columns = {
        Column(NUM_NODES, "graph", torch.int64, ()): torch.from_numpy(node_sizes),
        Column(NUM_EDGES, "graph", torch.int64, ()): torch.from_numpy(edge_sizes),
        Column(EDGE_INDEX, "edge", torch.int64, ()): graphs.edge_index,
    }
    if graphs.edge_weight is not None:
        columns[Column(EDGE_WEIGHT, "edge", graphs.edge_weight.dtype, ())] = graphs.edge_weight
    for level in ("node", "edge", "graph", "pair"):
        for key, value in getattr(graphs, level).items():
            columns[Column(f"{level}.{key}", level, value.dtype, tuple(value.shape[1:]))] = value
    if texts is not None:
        columns[Column(TEXT_SIZES, "graph", torch.int64, ())] = torch.from_numpy(texts.sizes)
        # A copy: `frombuffer` of bytes cannot be written to, of which torch warns.
        columns[Column(TEXT, "text", torch.uint8, ())] = torch.from_numpy(texts.blob.copy())
    return columns


def take_rows(column: Column, value: Tensor, rows: Rows, shard: int) -> Tensor:
    """A shard's rows of a column of `graph_columns`.

    Args:
        column: The column.
        value: Its tensor, for all graphs.
        rows: Rows of each level and shard.
        shard: Number of the shard.
    """
    start, stop = getattr(rows, column.rows)[shard : shard + 2]
    return value[:, start:stop] if column.is_edge_index else value[start:stop]


def shard_rows(graphs: PackedGraphs, texts: Texts | None, bounds: Sequence[int]) -> Rows:
    """Where the shards begin and end that hold the graphs `bounds[s]` to `bounds[s + 1]`.

    Args:
        graphs: The graphs.
        texts: Their Python objects as JSON; None for none.
        bounds: First graph of each shard and, last, the number of graphs.
    """
    cuts = np.asarray(bounds, dtype=np.int64)
    pointers: list[Ints] = [graphs.host_ptr, graphs.host_edge_ptr, graphs.host_pair_ptr]
    pointers.append(np.zeros_like(graphs.host_ptr) if texts is None else texts.ptr)
    return Rows(cuts.tolist(), *(ptr[cuts].tolist() for ptr in pointers))


class StoredObjects(Sequence[Any]):
    """The values of one key of stored Python objects; read when they are asked for.

    Args:
        key: The key.
        text: JSON of all graphs.
        ptr: Where that of each graph begins `[B + 1]`.
    """

    def __init__(self, key: str, text: Tensor, ptr: Ints) -> None:
        self.key, self.text, self.ptr = key, text, ptr

    def __len__(self) -> int:
        return len(self.ptr) - 1

    def __getitem__(self, index: Any) -> Any:
        """One value, or a list of them."""
        if isinstance(index, slice):
            return [self[i] for i in range(*index.indices(len(self)))]
        i = range(len(self))[index]
        return json.loads(self.text[self.ptr[i] : self.ptr[i + 1]].numpy().tobytes())[self.key]


def to_packed(tensors: Mapping[str, Tensor], keys: Sequence[str]) -> PackedGraphs:
    """The graphs that columns hold, sharing their memory.

    Args:
        tensors: The columns' values by name.
        keys: Keys of Python objects.
    """
    levels: dict[str, dict[str, Tensor]] = {"node": {}, "edge": {}, "graph": {}, "pair": {}}
    for name, value in tensors.items():
        level, _, key = name.partition(".")
        if level in levels:
            levels[level][key] = value
    ptr, edge_ptr = _pointers(tensors[NUM_NODES].numpy()), _pointers(tensors[NUM_EDGES].numpy())
    objects: dict[str, Any] = {}
    if keys:
        text_ptr = _pointers(tensors[TEXT_SIZES].numpy())
        objects = {key: StoredObjects(key, tensors[TEXT], text_ptr) for key in keys}
    return PackedGraphs.trusted(
        edge_index=tensors[EDGE_INDEX],
        ptr=torch.from_numpy(ptr),
        edge_ptr=torch.from_numpy(edge_ptr),
        edge_weight=tensors.get(EDGE_WEIGHT),
        objects=objects,
        host_ptr=ptr,
        host_edge_ptr=edge_ptr,
        **levels,
    )


def _pointers(sizes: Ints) -> Ints:
    return np.concatenate([np.zeros(1, dtype=np.int64), sizes.cumsum()])


def _to_json(content: dict[str, Any], i: int) -> str:
    try:
        text = json.dumps(content, separators=(",", ":"))
        if json.loads(text) == content:
            return text
    except (TypeError, ValueError, RecursionError):
        pass
    key = next((key for key, value in content.items() if not storable(value)), "?")
    raise GraphPEValueError(
        f"{key!r} of graph {i} is {content.get(key)!r:.80}, which JSON does not give back as it is (a tuple, a tensor, "
        "nan): convert it, or leave it out with PackedGraphs.from_dataset(dataset, keys=[...])"
    )


def storable(value: Any) -> bool:
    """Whether a Python object comes back from JSON as it is.

    Args:
        value: The object.
    """
    try:
        return json.loads(json.dumps(value)) == value
    except (TypeError, ValueError, RecursionError):
        return False
