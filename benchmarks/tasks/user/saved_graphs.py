"""Graphs as a file of PyG's holds them: every value stays as it is until somebody asks for it by name."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor
from torch_geometric import EdgeIndex

from graphpe.arguments import shown
from graphpe.errors import GraphPEError, GraphPERuntimeError
from graphpe.graphs.checks import MAX_NODES, describe
from graphpe.graphs.from_pyg import TELL_NUM_NODES
from graphpe.graphs.levels import RESERVED, check_name, choose_level
from graphpe.graphs.packed import PackedGraphs
from graphpe.storage.format import Column, storable

Where = Callable[[int], str]
"""The name of a graph in messages, from its position."""

STRUCTURE = {"edge_index", "edge_weight", "num_nodes"}


class _Absent:
    def __repr__(self) -> str:
        return "nothing"


ABSENT = _Absent()
"""Stands for a value that a graph does not have."""


@dataclass(frozen=True)
class SavedGraphs:
    """Graphs whose values are read by name.

    Attributes:
        count: Number of graphs.
        names: What one graph or more has.
        values: From a name to its value in each graph, `ABSENT` where a graph lacks it.
    """

    count: int
    names: tuple[str, ...]
    values: Callable[[str], Sequence[Any]]

    @classmethod
    def of_dicts(cls, graphs: Sequence[Mapping[str, Any]]) -> Self:
        """From the values of each graph."""
        names = {name: None for graph in graphs for name, value in _named(graph)}
        return cls(len(graphs), tuple(names), lambda name: [_get(graph, name) for graph in graphs])

    @classmethod
    def of_storage(cls, content: Mapping[str, Any], slices: Mapping[str, Any], path: Path) -> Self:
        """From what an `InMemoryDataset` collates: the values of all graphs one after the other, and where to cut them.

        Args:
            content: The values.
            slices: The cuts.
            path: The file, for messages; also those that `values` raises.

        Raises:
            GraphPERuntimeError: The cuts are of different numbers of graphs, or there are none.
        """
        counts = {len(cuts) - 1 for cuts in slices.values() if isinstance(cuts, Tensor) and cuts.dim() == 1}
        if len(counts) != 1 or min(counts) < 0:
            raise GraphPERuntimeError(f"{path} is damaged: its slices do not say how many graphs there are")
        (count,) = counts
        names = tuple(name for name, _ in _named(content))

        def values(name: str) -> Sequence[Any]:
            if name == "num_nodes":
                own = content.get("_num_nodes", content.get("num_nodes"))
                if isinstance(own, int):  # of all graphs together
                    return [ABSENT] * count
            else:
                own = content.get(name)
            if own is None:
                return [ABSENT] * count
            if isinstance(own, Tensor) and isinstance(slices.get(name), Tensor):
                return _cut(name, own, slices[name], path)
            if isinstance(own, list) and len(own) == count:
                return own
            if isinstance(own, Tensor) and _length(own) == count:
                return _plain(own).tolist()
            raise GraphPERuntimeError(f"{path}: {name} is {_describe(own)}, which is nothing of {count} graphs")

        return cls(count, names, values)

    @classmethod
    def of_packed(cls, graphs: PackedGraphs) -> Self:
        """From packed graphs."""
        levels = {"node": graphs.sizes, "edge": graphs.edge_sizes, "graph": torch.ones_like(graphs.sizes)}
        found: dict[str, tuple[Tensor, Tensor]] = {
            name: (value, rows) for level, rows in levels.items() for name, value in getattr(graphs, level).items()
        }
        if graphs.edge_weight is not None:
            found["edge_weight"] = graphs.edge_weight, graphs.edge_sizes
        local = graphs.edge_index - graphs.ptr[:-1].repeat_interleave(graphs.edge_sizes)

        def values(name: str) -> Sequence[Any]:
            if name == "num_nodes":
                return graphs.sizes.tolist()
            if name == "edge_index":
                return local.split(graphs.edge_sizes.tolist(), dim=1)
            if name in found:
                value, rows = found[name]
                return value.split(rows.tolist())
            return graphs.objects.get(name, [ABSENT] * len(graphs))

        return cls(len(graphs), ("edge_index", "num_nodes", *found, *graphs.objects), values)

    def select(self, graphs: Sequence[int]) -> SavedGraphs:
        """Some of them."""

        def values(name: str) -> Sequence[Any]:
            all_values = self.values(name)
            return [all_values[graph] for graph in graphs]

        return SavedGraphs(len(graphs), self.names, values)

    def structure(self, where: Where) -> tuple[PackedGraphs, list[str]]:
        """The graphs' edges and weights, and lines worth telling.

        Raises:
            GraphPERuntimeError: A graph's edges, weights or number of nodes are wrong; it is named.
        """
        edges = self._edges(where)
        sizes, counted = self._sizes(edges, where)
        edge_sizes = torch.tensor([each.shape[1] for each in edges], dtype=torch.long)
        index = torch.cat([torch.zeros(2, 0, dtype=torch.long), *edges], dim=1)
        limit = sizes.repeat_interleave(edge_sizes)
        wrong = ((index < 0) | (index >= limit)).any(0).nonzero()
        if len(wrong):
            graph = int(torch.searchsorted(edge_sizes.cumsum(0), wrong[0, 0], right=True))
            raise GraphPERuntimeError(
                f"{where(graph)}: edge_index has the edge {index[:, wrong[0, 0]].tolist()}, but the graph has "
                f"{int(sizes[graph])} nodes: ids run from 0 to {int(sizes[graph]) - 1}"
            )
        ptr, edge_ptr = (torch.cat([each.new_zeros(1), each.cumsum(0)]) for each in (sizes, edge_sizes))
        graphs = PackedGraphs(
            edge_index=index + ptr[:-1].repeat_interleave(edge_sizes),
            ptr=ptr,
            edge_ptr=edge_ptr,
            edge_weight=self._weights(edge_sizes, where),
        )
        return graphs, counted

    def rows(self, name: str, counts: Tensor, of: str, where: Where) -> Tensor | None:
        """A value of nodes or edges, `[rows of all graphs, ...]`; None where no graph has it.

        Args:
            name: Its name.
            counts: Rows of each graph.
            of: `nodes` or `edges`.
            where: Names a graph in messages.

        Raises:
            GraphPERuntimeError: A graph has no such value, or one of another kind or length; it is named.
        """
        if name not in self.names:
            return None
        parts: list[Tensor] = []
        first = 0
        for graph, (value, count) in enumerate(zip(self.values(name), counts.tolist(), strict=True)):
            if not count and (value is ABSENT or not _as_tensor(value).numel()):
                continue
            tensor = _as_tensor(value)
            if tensor is _NO_TENSOR or not tensor.dim() or len(tensor) != count:
                has = "is missing" if value is ABSENT else f"is {_describe(value)}"
                raise GraphPERuntimeError(
                    f"{where(graph)}: {name} {has}, expected {count} rows, one for each of the {of}"
                    + (f"; give {name} to every graph or to none" if value is ABSENT else "")
                )
            if parts and tensor.shape[1:] != parts[0].shape[1:]:
                raise GraphPERuntimeError(
                    f"{where(graph)}: {name} is {list(tensor.shape)}, but that of graph {first} is "
                    f"{list(parts[0].shape)}; give every graph the same columns"
                )
            if not parts:
                first = graph
            parts.append(tensor)
        return torch.cat(parts) if parts else None

    def columns(self, name: str, sizes: Tensor, where: Where) -> dict[str, Sequence[Any]]:
        """A value of graphs as columns of cells, one for each number of it.

        Args:
            name: Its name.
            sizes: Nodes of each graph.
            where: Names a graph in messages.

        Raises:
            GraphPERuntimeError: Graphs have different numbers of numbers, or it is a value of nodes.
        """
        cells = [_cells(value) for value in self.values(name)]
        width = next((len(each) for each in cells if each is not None), 1)
        odd = next((graph for graph, each in enumerate(cells) if each is not None and len(each) != width), None)
        if odd is not None:
            found = cells[odd]
            assert found is not None
            if all(each is None or len(each) == size for each, size in zip(cells, sizes.tolist(), strict=True)):
                raise GraphPERuntimeError(
                    f"{where(0)}: no graph-level value {name!r} to predict; it is a value of nodes, one for each"
                )
            raise GraphPERuntimeError(
                f"{where(odd)}: {name} holds {len(found)} values, elsewhere {width}; give every graph the same number"
            )
        table = [[None] * width if each is None else each for each in cells]
        if width == 1:
            return {name: [row[0] for row in table]}
        return {f"{name}[{column}]": [row[column] for row in table] for column in range(width)}

    def pack(self, where: Where) -> tuple[PackedGraphs, list[str]]:
        """The graphs with every value that has a place, and lines about those that have none.

        Raises:
            GraphPERuntimeError: As for `structure`.
        """
        graphs, notes = self.structure(where)
        left_out = []
        for name in self.names:
            if name in RESERVED or name.startswith("_"):
                continue
            try:
                graphs = self._add(graphs, name)
            except GraphPEError as error:
                left_out.append(f"{name} ({' '.join(str(error).split('; ')[0].split(': ')[-1].split())[:80]})")
        if left_out:
            notes.append(f"left out, for it is no value of nodes, edges or graphs: {', '.join(left_out)}")
        return graphs, notes

    def _add(self, graphs: PackedGraphs, name: str) -> PackedGraphs:
        values = list(self.values(name))
        if any(value is ABSENT for value in values):
            raise GraphPERuntimeError("not every graph has it")
        tensors = [_as_tensor(value) for value in values if not isinstance(value, list | tuple)]
        if len(tensors) < len(values) or any(each is _NO_TENSOR for each in tensors):
            check_name(name, "object")
            if not all(map(storable, values)):
                raise GraphPERuntimeError(f"it is {_describe(values[0])}")
            return PackedGraphs.trusted(**{**vars(graphs), "objects": {**graphs.objects, name: values}})
        if len({each.shape[1:] for each in tensors}) > 1:
            raise GraphPERuntimeError("its shapes differ")
        if not tensors[0].dim():
            tensors = [each.reshape(1) for each in tensors]
        lengths = np.array([len(each) for each in tensors], dtype=np.int64)
        sizes, edge_sizes = graphs.sizes.numpy(), graphs.edge_sizes.numpy()
        levels = {"node": sizes, "edge": edge_sizes, "graph": np.ones_like(sizes), "pair": sizes**2}
        if not any(np.array_equal(lengths, rows) for rows in levels.values()) and len(set(lengths.tolist())) == 1:
            tensors = [each[None] for each in tensors]  # several numbers of each graph
            lengths = np.ones_like(lengths)
        level = choose_level(name, lengths, levels)  # type: ignore[arg-type]
        value = torch.cat(tensors)
        Column(name, level, value.dtype, tuple(value.shape[1:]))  # raises where it cannot be stored
        return graphs.with_values(**{level: {name: value}})

    def _edges(self, where: Where) -> list[Tensor]:
        values = self.values("edge_index")
        if all(value is ABSENT for value in values):
            other = next((name for name in ("adj_t", "adj") if name in self.names), None)
            if other is not None:
                raise GraphPERuntimeError(
                    f"{where(0)}: its edges are in {other}, expected edge_index [2, edges]: save the graphs with that"
                )
            return [torch.zeros(2, 0, dtype=torch.long)] * self.count
        edges = []
        for graph, value in enumerate(values):
            index = _as_tensor(value.as_tensor() if isinstance(value, EdgeIndex) else value)
            whole = index is not _NO_TENSOR and not (index.is_floating_point() or index.is_complex())
            if not whole or index.dtype == torch.bool or index.dim() != 2 or len(index) != 2:
                raise GraphPERuntimeError(
                    f"{where(graph)}: edge_index is {'missing' if value is ABSENT else _describe(value)}, expected "
                    "integers [2, edges]"
                )
            edges.append(index.long())
        return edges

    def _sizes(self, edges: Sequence[Tensor], where: Where) -> tuple[Tensor, list[str]]:
        """Nodes of each graph: what it says, else the rows of a value of nodes, else the largest id."""
        telling = [name for name in self.names if name in TELL_NUM_NODES and name != "num_nodes"]
        telling += [name for name in self.names if "node" in name and name not in ("num_nodes", "_num_nodes")]
        told = self.values("num_nodes")
        rows = [self.values(name) for name in telling]
        sizes, counted = [], 0
        for graph in range(self.count):
            size = told[graph]
            if size is ABSENT:
                lengths = (_length(value[graph]) for value in rows)
                size = next((length for length in lengths if length is not None), ABSENT)
            if size is ABSENT:
                size = int(edges[graph].max()) + 1 if edges[graph].numel() else 0
                counted += 1
            number = _whole(size)
            if number is None or not 0 <= number <= MAX_NODES:
                raise GraphPERuntimeError(
                    f"{where(graph)}: num_nodes is {_shown(size)}, expected an integer from 0 to {MAX_NODES:,}"
                )
            sizes.append(number)
        if sum(sizes) > MAX_NODES:
            raise GraphPERuntimeError(f"{where(0)} and the others have {sum(sizes):,} nodes, more than {MAX_NODES:,}")
        notes = [f"{counted:,} graphs do not say how many nodes they have: as many as their edges name"]
        return torch.tensor(sizes, dtype=torch.long), notes if counted else []

    def _weights(self, edge_sizes: Tensor, where: Where) -> Tensor | None:
        weights = self.rows("edge_weight", edge_sizes, "edges", where)
        if weights is None:
            return None
        owner = torch.arange(self.count).repeat_interleave(edge_sizes)
        if weights[:1].numel() > 1 or weights.is_complex():
            raise GraphPERuntimeError(f"{where(0)}: edge_weight is {_describe(weights)}, expected one number an edge")
        weights = weights.flatten()
        wrong = (~weights.float().isfinite()).nonzero()
        if len(wrong):
            edge = int(wrong[0, 0])
            raise GraphPERuntimeError(
                f"{where(int(owner[edge]))}: edge_weight has {float(weights[edge])}, no finite number in float32"
            )
        return weights


_NO_TENSOR = torch.zeros(0)
_DTYPES = {torch.bool, torch.uint8, torch.uint16, torch.uint32, torch.uint64, torch.int8, torch.int16, torch.int32}
_DTYPES |= {torch.int64, torch.float16, torch.bfloat16, torch.float32, torch.float64, torch.complex64, torch.complex128}


def _named(graph: Mapping[Any, Any]) -> Iterator[tuple[str, Any]]:
    """The values that there are, and their names."""
    return ((name, value) for name, value in graph.items() if isinstance(name, str) and value is not None)


def _get(graph: Mapping[str, Any], name: str) -> Any:
    value = graph.get(name)
    return ABSENT if value is None else value


def _cut(name: str, value: Tensor, slices: Tensor, path: Path) -> Sequence[Tensor]:
    """The part of each graph of a collated tensor."""
    dim = -1 if "index" in name or name == "face" else 0
    cuts = _plain(slices)
    whole = cuts.dtype == torch.long and cuts.dim() == 1 and len(cuts)
    inside = whole and _plain(value) is value and value.dim() and int(cuts[0]) == 0
    lengths = cuts.diff() if inside else None
    if lengths is None or bool((lengths < 0).any()) or int(cuts[-1]) != value.size(dim):
        raise GraphPERuntimeError(f"{path}: its slices of {name} do not fit {_describe(value)}")
    return value.split(lengths.tolist(), dim=dim)


def _as_tensor(value: Any) -> Tensor:
    """A tensor of numbers from whatever holds some; `_NO_TENSOR` where it is something else."""
    if isinstance(value, Tensor):
        return _plain(value)
    if isinstance(value, np.ndarray | np.generic | bool | int | float | complex):
        array = np.asarray(value)
        known = array.dtype.kind in "biufc" and array.dtype.itemsize <= 8 * (1 + (array.dtype.kind == "c"))
        return torch.from_numpy(array.astype(array.dtype.newbyteorder("="))) if known else _NO_TENSOR
    if isinstance(value, list | tuple):
        try:
            return _as_tensor(np.array(value))
        except (ValueError, OverflowError, TypeError, RuntimeError):
            # Lists of different lengths, integers beyond 64 bits, tensors that NumPy cannot hold.
            return _NO_TENSOR
    return _NO_TENSOR


def _plain(value: Tensor) -> Tensor:
    """A tensor of numbers in memory, whatever its layout; `_NO_TENSOR` for nested, quantised and empty shells."""
    if value.is_nested or value.dtype not in _DTYPES or value.device.type != "cpu":
        return _NO_TENSOR
    return value if value.layout == torch.strided else value.to_dense()


def _describe(value: Any) -> str:
    """What a wrong value is, for a message."""
    if isinstance(value, np.ndarray):
        return f"an array of {value.dtype} {list(value.shape)}"
    if isinstance(value, Tensor) and value.is_nested:
        return "a nested tensor"
    return describe(value)


def _shown(value: Any) -> str:
    """A wrong number, for a message."""
    return _describe(value) if isinstance(value, Tensor | np.ndarray) else shown(value)


def _whole(value: Any) -> int | None:
    """An integer, as such or as an array or tensor of one."""
    if isinstance(value, Tensor | np.ndarray):
        value = _as_tensor(value)
        value = value.item() if value.numel() == 1 else None
    return int(value) if isinstance(value, int | np.integer) and not isinstance(value, bool) else None


def _length(value: Any) -> int | None:
    tensor = _as_tensor(value) if isinstance(value, Tensor | np.ndarray) else _NO_TENSOR
    return None if tensor is _NO_TENSOR or not tensor.dim() else len(tensor)


def _cells(value: Any) -> list[Any] | None:
    """What one graph has of a value: numbers and words; None where it has none."""
    if value is ABSENT:
        return None
    if isinstance(value, Tensor):
        value = _plain(value)
        return [None] if value is _NO_TENSOR else value.flatten().tolist()
    if isinstance(value, np.ndarray):
        return value.flatten().tolist()
    if isinstance(value, np.generic):
        return [value.item()]
    if isinstance(value, list | tuple):
        return [cell for each in value for cell in _cells(each) or [None]]
    return [value]
