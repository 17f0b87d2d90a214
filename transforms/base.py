"""What every encoding's transform shares: reading graphs, writing values, text form, checks of parameters."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info
from torch_geometric import EdgeIndex
from torch_geometric.data import Batch, Data, HeteroData
from torch_geometric.data.data import BaseData
from torch_geometric.transforms import BaseTransform

from graphpe.arguments import check_integer
from graphpe.calls import parameters_of
from graphpe.errors import GraphPERuntimeError, GraphPETypeError, GraphPEValueError, GraphRangeError
from graphpe.graphs.checks import check_num_nodes
from graphpe.graphs.interchange import read_adj_t
from graphpe.graphs.levels import LevelOrObject
from graphpe.graphs.packed import PackedGraphs
from graphpe.limits import check_pairs
from graphpe.storage.chunks import CHUNK_GRAPHS, CHUNK_PAIRS
from graphpe.structure.laplacian import check_edges
from graphpe.structure.plan import Need, Plan
from graphpe.transforms.hetero import EdgeType, HomogeneousView, homogeneous_view
from graphpe.transforms.into_x import appended
from graphpe.transforms.precision import in_single

MAX_COLUMNS = 4096
"""The most eigenvectors or steps that an encoding accepts; a larger number is taken for a mistake."""

# PyG reads meaning into parts of a name: it shifts what is named *index* or *batch*, stacks *adj*, counts *node* and
# *edge*.
_MEANINGFUL = ("index", "batch", "adj", "node", "edge")
_READ = ("node_keys", "edge_keys")
_TAKEN = ("x", "y", "pos", "face", "time", "ptr", "max_size", "num_pairs", "norm", "num_classes", "keys")


@dataclass(frozen=True)
class Values:
    """What an encoding writes, by key: values of nodes `[N, ...]`, graphs `[B, ...]` and pairs `[sum n_b^2, ...]`.

    Pairs are ordered pairs of nodes of one graph, row-major (query i, key j). What is of double precision is written in
    single (`graphpe.transforms.precision`). Values of nodes whose key is None are appended to `x`.

    Attributes:
        node: Values of nodes by key.
        graph: Values of graphs.
        pair: Values of pairs.

    Example:
        >>> T.Values(node={"ones_pe": torch.ones(2, 1)})
        Values(node={'ones_pe': tensor([[1.],
                [1.]])}, graph={}, pair={})
    """

    node: dict[str | None, Tensor] = field(default_factory=dict)
    graph: dict[str, Tensor] = field(default_factory=dict)
    pair: dict[str, Tensor] = field(default_factory=dict)


class Encoding(BaseTransform):
    """A structural encoding as a PyG transform.

    Takes a `Data`, a `Batch` or a `PackedGraphs` and returns a copy of it with the encoding's values; the input and its
    tensors stay as they are, and the values are on its device. A list of `Data`, or a PyG dataset, gives a list of
    copies: what each graph would get alone, at the speed of batches. `repr` is the call that builds the transform.
    Edges may also be an `EdgeIndex`, or an `adj_t` as PyG's `ToSparseTensor` writes it.

    Values of nodes stand under `attr_name`, as in PyG: None appends their columns to `x` (and makes an `x` where there
    is none), in the type of `x`; `"x"` puts them in its place. Where `x` holds whole numbers and the encoding does not,
    None is an error (PyG's transforms round the encoding to whole numbers there).

    Of a `HeteroData` (or a batch or list of them) it encodes the homogeneous view, all nodes and the edges of all
    types, and writes each type of nodes its rows; values of graphs stand beside the types. `OfEdgeTypes` takes some
    types of edges only. Values of pairs have no place there, which is an error.

    A subclass stores each of its parameters under the parameter's name and defines `encode`, and `needs` if other
    encodings may share its work; `columns` for models that graphpe builds.

    Example:
        >>> class LoopPE(T.Encoding):
        ...     attr_name = "loop_pe"
        ...     columns = 1
        ...     def encode(self, plan):
        ...         source, target = plan.graphs.edge_index
        ...         loops = torch.bincount(source[source == target], minlength=plan.graphs.num_nodes)
        ...         return T.Values(node={self.attr_name: loops[:, None].float()})
        >>> LoopPE()(Data(edge_index=torch.tensor([[0, 1], [0, 0]]), num_nodes=2)).loop_pe.tolist()
        [[1.0], [0.0]]
    """

    attr_name: str | None
    working_bytes = 24
    """Bytes that are held for each pair while values of pairs are computed, beside these."""

    def __call__(self, data: Any) -> Any:
        """The graphs with the encoding."""
        if isinstance(data, PackedGraphs):
            return write_packed(data, encode_all(read_packed(data, self), [self])[0])
        if isinstance(data, list | tuple | Dataset):
            return encode_list(data, [self])
        return self.forward(copy.copy(data) if isinstance(data, BaseData) else data)

    def forward(self, data: Any) -> Any:
        """Write the encoding into a PyG `Data`, `HeteroData` or `Batch`, in place, and return it.

        Args:
            data: A `Data`, a `HeteroData` or a `Batch`.
        """
        if isinstance(data, HeteroData):
            return encode_hetero(data, [self])
        graphs = read_graphs(data, self)
        write_data(data, graphs, encode_all(graphs, [self])[0])
        return data

    @abstractmethod
    def encode(self, plan: Plan) -> Values:
        """The values of the encoding, from the edges of `plan.graphs`, weights, `node_keys` and `edge_keys` alone.

        Args:
            plan: The graphs, and the work that several encodings share.
        """

    @property
    def needs(self) -> list[Need]:
        """The shared parts, and how much of them, that `encode` will ask the plan for."""
        return []

    @property
    def node_keys(self) -> list[str]:
        """Keys of the node values that it reads."""
        return []

    @property
    def edge_keys(self) -> list[str]:
        """Keys of the edge values that it reads."""
        return []

    @property
    def value_key(self) -> str:
        """Where the values are: `attr_name`, or `x`."""
        return "x" if self.attr_name is None else self.attr_name

    @property
    def keys(self) -> list[str]:
        """Keys of the node values that it writes."""
        return [self.value_key]

    @property
    def graph_keys(self) -> list[str]:
        """Keys of the graph values that it writes."""
        return []

    @property
    def pair_keys(self) -> list[str]:
        """Keys of the pair values that it writes."""
        return []

    @property
    def pair_bytes(self) -> int:
        """Bytes of the values of one pair; 0 if it writes none."""
        if not self.pair_keys:
            return 0
        return 4 if type(self).columns is Encoding.columns else self.columns * (4 if self.vocabulary is None else 8)

    @property
    def columns(self) -> int:
        """Channels of the values under `attr_name`: of each node, or of each pair."""
        raise GraphPERuntimeError(
            f"{type(self).__name__} does not say how many columns it writes: give it a property `columns`"
        )

    @property
    def vocabulary(self) -> int | None:
        """Where the values under `attr_name` are integers for a table of embeddings: they are from 0 to this - 1."""
        return None

    def __repr__(self) -> str:
        name, parameters = type(self).__name__, parameters_of(type(self))
        if unknown := [each for each in parameters if not hasattr(self, each)]:
            raise GraphPERuntimeError(
                f"{name} has an argument {unknown[0]}, but no attribute of that name: store it, self.{unknown[0]} = "
                f"{unknown[0]}"
            )
        return f"{name}({', '.join(f'{each}={getattr(self, each)!r}' for each in parameters)})"


class PairEncoding(Encoding):
    """An encoding of ordered pairs of nodes: `[sum n_b^2, ...]`, row-major (query i, key j), under `attr_name`.

    Example:
        >>> class SamePE(T.PairEncoding):
        ...     attr_name = "same_pe"
        ...     columns = 1
        ...     def encode(self, plan):
        ...         same = [torch.eye(size).reshape(-1, 1) for size in plan.graphs.sizes.tolist()]
        ...         return T.Values(pair={self.attr_name: torch.cat(same)})
        >>> SamePE()(Data(edge_index=torch.tensor([[0], [1]]), num_nodes=2)).same_pe.flatten()
        tensor([1., 0., 0., 1.])
    """

    attr_name: str

    @property
    def keys(self) -> list[str]:
        """Keys of the node values that it writes."""
        return []

    @property
    def pair_keys(self) -> list[str]:
        """Keys of the pair values that it writes."""
        return [self.attr_name]


class RandomSigns(Encoding):
    """An encoding whose signs or phases may be random: drawn from a generator of its own, seeded once."""

    seed: int
    _stream: tuple[int, ...] = ()
    _random_state: tuple[list[int], np.random.Generator] | None = None  # what seeded the generator, and the generator

    def with_stream(self, number: int) -> Self:
        """A copy that draws from the start, by `seed` and `number` alone: what a part of a dataset gets is its own.

        Args:
            number: Number of the part, from 0 on.
        """
        out = copy.copy(self)
        out._stream, out._random_state = (number,), None  # noqa: SLF001  (its own class)
        return out

    def _random(self) -> np.random.Generator:
        """The generator; in a worker of a `DataLoader`, seeded by worker and epoch, too."""
        worker = get_worker_info()
        key = [self.seed, *self._stream] if worker is None else [self.seed, *self._stream, worker.seed]
        if self._random_state is None or self._random_state[0] != key:
            self._random_state = key, np.random.default_rng(key)
        return self._random_state[1]


class SpectralEncoding(RandomSigns):
    """An encoding of eigenvectors, which come with eigenvalues and a mask.

    Eigenvalues and mask are named `laplacian_eigenvalues` and `laplacian_mask` (`magnetic_...`) beside eigenvectors of
    the default name or in `x`, and after the eigenvectors (`{attr_name}_eigenvalues`, `{attr_name}_mask`) beside
    others, so that two encodings with different `attr_name` never write the same key.

    Example:
        >>> encoding = T.LaplacianPE(k=2, attr_name="mine")
        >>> isinstance(encoding, T.SpectralEncoding), encoding.eigenvalues_name, encoding.mask_name
        (True, 'mine_eigenvalues', 'mine_mask')
    """

    default_stem: ClassVar[str] = ""
    """Of the names of eigenvalues and mask beside eigenvectors `{default_stem}_eigenvector_pe`."""
    k: int

    @property
    def eigenvalues_name(self) -> str:
        """Key of the eigenvalues."""
        return f"{self._stem}_eigenvalues"

    @property
    def mask_name(self) -> str:
        """Key of the mask of eigenvectors that are there."""
        return f"{self._stem}_mask"

    @property
    def graph_keys(self) -> list[str]:
        """Keys of the graph values that it writes."""
        return [self.eigenvalues_name, self.mask_name]

    @property
    def columns(self) -> int:
        return self.k

    @property
    def _stem(self) -> str:
        default = f"{self.default_stem}_eigenvector_pe"
        return self.default_stem if self.attr_name == default else stem_of(self.attr_name, self.default_stem)


def encode_all(graphs: PackedGraphs, encodings: Sequence[Encoding]) -> list[Values]:
    """The values of encodings, which share their work.

    Args:
        graphs: The graphs.
        encodings: The encodings, in the order of the result.

    Raises:
        GraphPEValueError: Values of pairs would take more memory than `graphpe.limits` allow; or an encoding's own.
    """
    if writers := [each for each in encodings if each.pair_keys]:
        row_bytes = sum(each.pair_bytes for each in writers)
        names = ", ".join(key for each in writers for key in each.pair_keys)
        check_pairs(names, graphs.num_pairs, row_bytes, row_bytes + sum(each.working_bytes for each in writers))
    plan = Plan(graphs, [need for encoding in encodings for need in encoding.needs])
    found = [encoding.encode(plan) for encoding in encodings]
    for encoding, values in zip(encodings, found, strict=True):
        if not type(encoding).__module__.startswith("graphpe."):  # ours are tested, and small graphs are quick
            _check_values(encoding, values, graphs)
    return found


def _check_values(encoding: Encoding, values: Values, graphs: PackedGraphs) -> None:
    """Check what an encoding gave: tensors under the keys that it names, with a row for each node, graph or pair.

    Raises:
        GraphPERuntimeError: It gave something else, as only own encodings do.
    """
    name = type(encoding).__name__
    if not isinstance(values, Values):
        raise GraphPERuntimeError(
            f"{name}.encode gave a {type(values).__name__}: it has to give Values(node={{key: ...}})"
        )
    for level, written, keys, rows in (
        ("node", values.node, encoding.keys, graphs.num_nodes),
        ("graph", values.graph, encoding.graph_keys, graphs.num_graphs),
        ("pair", values.pair, encoding.pair_keys, graphs.num_pairs if values.pair else 0),
    ):
        if {"x" if key is None else key for key in written} != set(keys):
            raise GraphPERuntimeError(
                f"{name}.encode gave the {level} values {list(written)}, but it is to write {keys}"
            )
        for key, value in written.items():
            if not isinstance(value, Tensor) or value.dim() == 0 or len(value) != rows:
                what = list(value.shape) if isinstance(value, Tensor) else type(value).__name__
                raise GraphPERuntimeError(f"{name}.encode gave {key} as {what}: it has to be a tensor of {rows} rows")


def encode_list(items: Any, encodings: Sequence[Encoding]) -> list[Data]:
    """Copies of the `Data` of a list or dataset with the values of encodings: those of each graph alone, in batches.

    Args:
        items: The `Data` of a list or dataset.
        encodings: The encodings.

    Raises:
        GraphPETypeError: One of them is no `Data`.
        GraphPEValueError: One of them lacks `edge_index` or a value that is read; or an encoding's own.
        GraphRangeError: A value is not finite in single precision.
    """
    data_list = list_of(items)
    if not data_list:
        return []
    out = [copy.copy(data) for data in data_list]
    views: list[HomogeneousView | None] = [None] * len(out)
    for i, data in enumerate(data_list):
        if isinstance(data, HeteroData) and not isinstance(data, Batch):
            view = view_of(data, encodings)
            views[i], data_list[i] = view, view.data
            continue
        if not isinstance(data, Data) or isinstance(data, Batch):
            raise GraphPETypeError(f"{encodings[0]} takes lists of Data, got {type(data).__name__} at {i}")
        if "edge_index" not in data and "adj_t" not in data:
            raise GraphPEValueError(
                f"{encodings[0]} needs edge_index [2, num_edges]; graph {i} has {list(data.keys())}"
            )
    node, edge = (list(dict.fromkeys(key for each in encodings for key in getattr(each, level))) for level in _READ)
    levels: dict[str, LevelOrObject] = {**dict.fromkeys(node, "node"), **dict.fromkeys(edge, "edge")}
    packed = PackedGraphs.from_data_list(data_list, keys=[*node, *edge], levels=levels)
    start = 0
    for stop in _chunk_ends(packed.sizes.numpy(force=True)):
        graphs = packed.select(slice(start, stop))
        try:
            for values in encode_all(graphs, encodings):
                _write_list(out[start:stop], views[start:stop], graphs, _in_single(values, graphs))
        except GraphRangeError as error:
            raise error.at(start + error.graph) from None
        start = stop
    return out


def list_of(items: Any) -> list[Any]:
    """The items of a list or dataset.

    Args:
        items: The list or dataset.
    """
    return [items[i] for i in range(len(items))]


def _chunk_ends(sizes: np.ndarray) -> list[int]:
    """Where runs of graphs end that are encoded together. Their order stays, so that random signs are drawn alike."""
    ends, graphs, pairs = [], 0, 0
    for i, size in enumerate(sizes.tolist()):
        if graphs and (graphs == CHUNK_GRAPHS or pairs + size**2 > CHUNK_PAIRS):
            ends.append(i)
            graphs, pairs = 0, 0
        graphs, pairs = graphs + 1, pairs + size**2
    return [*ends, len(sizes)]


def _write_list(
    data_list: Sequence[Any], views: Sequence[HomogeneousView | None], graphs: PackedGraphs, values: Values
) -> None:
    """Set each graph's part of the values, in memory of its own: PyG saves all of what a view is of."""
    ptr, pair_ptr = graphs.ptr.numpy(force=True), graphs.pair_ptr.numpy(force=True)
    ones = np.ones(len(data_list), dtype=np.int64)
    writers: tuple[tuple[Mapping[Any, Tensor], np.ndarray, Callable[[HomogeneousView], Any]], ...] = (
        (values.node, np.diff(ptr), lambda view: view.write_nodes),
        (values.graph, ones, lambda view: view.write_graphs),
        (values.pair, np.diff(pair_ptr), lambda view: view.write_graphs),
    )
    for level, counts, write in writers:
        for key, value in level.items():
            for data, view, part in zip(data_list, views, value.split(counts.tolist()), strict=True):
                if view is not None:
                    write(view)(data, key, part.clone())
                else:
                    _set(vars(vars(data)["_store"])["_mapping"], key, part.clone())


def encode_hetero(data: HeteroData, encodings: Sequence[Encoding], edge_types: Sequence[EdgeType] | None = None) -> Any:
    """Write encodings of the homogeneous view into a `HeteroData` or a batch of them, in place, and return it.

    Args:
        data: The graph or graphs.
        encodings: The encodings, none of them of pairs.
        edge_types: Types of edges to take; None: all.

    Raises:
        GraphPEValueError: An encoding is of pairs; the view cannot be made; or an encoding's own.
        GraphRangeError: A value is not finite in single precision.
    """
    view = view_of(data, encodings, edge_types)
    graphs = read_graphs(view.data, *encodings)
    for values in encode_all(graphs, encodings):
        values = _in_single(values, graphs)
        for key, value in values.node.items():
            view.write_nodes(data, key, value)
        for key, value in values.graph.items():
            view.write_graphs(data, key, value)
    return data


def view_of(
    data: HeteroData, encodings: Sequence[Encoding], edge_types: Sequence[EdgeType] | None = None
) -> HomogeneousView:
    """The homogeneous view of a `HeteroData` with what encodings read; arguments and errors as in `encode_hetero`."""
    for encoding in encodings:
        if encoding.pair_keys:
            raise GraphPEValueError(
                f"{encoding} got a HeteroData, where values of pairs of nodes of different types have no place: "
                "apply it to data.to_homogeneous()"
            )
    node, edge = (list(dict.fromkeys(key for each in encodings for key in getattr(each, level))) for level in _READ)
    return homogeneous_view(data, encodings[0], node_keys=node, edge_keys=edge, edge_types=edge_types)


def read_packed(graphs: PackedGraphs, *readers: Encoding) -> PackedGraphs:
    """The edges and weights of packed graphs, and the values of nodes and edges that the readers read.

    Args:
        graphs: The graphs.
        readers: What reads values beside edges and weights: encodings, by their `node_keys` and `edge_keys`.

    Raises:
        GraphPEValueError: A value is missing.
    """
    node, edge = _read_keys(graphs.node, readers, "node"), _read_keys(graphs.edge, readers, "edge")
    if not node and not edge:
        return graphs.structure()
    return graphs.structure().with_values(
        node={key: graphs.node[key] for key in node}, edge={key: graphs.edge[key] for key in edge}
    )


def read_graphs(data: Any, *readers: Encoding) -> PackedGraphs:
    """The edges and weights of a `Data` or `Batch`, and the values that the readers (at least one) read.

    Args:
        data: A `Data` or `Batch`.
        readers: What reads values beside edges and weights: encodings, by their `node_keys` and `edge_keys`.

    Raises:
        GraphPETypeError: It is something else.
        GraphPEValueError: It has no `edge_index`, or lacks a value of nodes or edges.
    """
    reader = readers[0]
    if not isinstance(data, Data):
        raise GraphPETypeError(
            f"{reader} takes a Data, a Batch, a PackedGraphs or a list of Data, got {type(data).__name__}"
        )
    content = vars(vars(data)["_store"])["_mapping"]  # PyG's own look-ups take as long as everything here
    if content.get("edge_index") is None and content.get("adj_t") is None:
        raise GraphPEValueError(f"{reader} needs edge_index [2, num_edges]; this graph has {list(data.keys())}")
    node, edge = _read_keys(content, readers, "node"), _read_keys(content, readers, "edge")
    if isinstance(data, Batch) or "batch" in content or "ptr" in content:
        levels: dict[str, LevelOrObject] = {**dict.fromkeys(node, "node"), **dict.fromkeys(edge, "edge")}
        return PackedGraphs.from_data(data, keys=[*node, *edge], levels=levels)
    graphs = _read_one(data, content, reader)
    if not node and not edge:
        return graphs
    return graphs.with_values(node={key: data[key] for key in node}, edge={key: data[key] for key in edge})


def _read_keys(available: Any, readers: Sequence[Encoding], level: Literal["node", "edge"]) -> list[str]:
    """The values of nodes or edges that encodings read, each once."""
    reader_of: dict[str, Encoding] = {}
    for reader in readers:
        for key in reader.node_keys if level == "node" else reader.edge_keys:
            reader_of[key] = reader
    for key, reader in reader_of.items():
        if key not in available:
            raise GraphPEValueError(f"{reader} reads the {level} value {key!r}, which the graph does not have")
    return list(reader_of)


def _read_one(data: Data, content: Mapping[str, Any], reader: Encoding) -> PackedGraphs:
    """One graph, of which nothing but edges and weights has to be looked at: a fifth of the time of `from_data`."""
    edge_index, edge_weight = content.get("edge_index"), content.get("edge_weight")
    if edge_index is None:
        ((edge_index, edge_weight),) = read_adj_t(content["adj_t"])
    elif isinstance(edge_index, EdgeIndex):
        edge_index = edge_index.as_tensor()
    x = content.get("x")
    if "num_nodes" in content:
        num_nodes = content["num_nodes"]
    else:  # PyG looks through all values for what `x` tells
        num_nodes = len(x) if isinstance(x, Tensor) and x.dim() else data.num_nodes
    if num_nodes is None:
        raise GraphPEValueError(f"{reader} has to know how many nodes the graph has: set data.num_nodes")
    check_num_nodes(num_nodes)
    check_edges(edge_index, num_nodes, edge_weight)
    edge_index = edge_index.long()
    host_ptr, host_edge_ptr = np.array([0, num_nodes]), np.array([0, edge_index.size(1)])
    ptr, edge_ptr = torch.from_numpy(host_ptr), torch.from_numpy(host_edge_ptr)
    if edge_index.device.type != "cpu":
        ptr, edge_ptr = ptr.to(edge_index.device), edge_ptr.to(edge_index.device)
    return PackedGraphs.trusted(
        edge_index=edge_index,
        ptr=ptr,
        edge_ptr=edge_ptr,
        edge_weight=edge_weight,
        host_ptr=host_ptr,
        host_edge_ptr=host_edge_ptr,
        node={},
        edge={},
        graph={},
        pair={},
        objects={},
    )


def write_packed(graphs: PackedGraphs, values: Values) -> PackedGraphs:
    """The packed graphs with the values.

    Args:
        graphs: The graphs.
        values: The values of encodings, by level and key.

    Raises:
        GraphRangeError: A value is not finite in single precision.
    """
    values = _in_single(values, graphs)
    node: dict[str, Tensor] = dict(graphs.node)
    for key, value in values.node.items():
        _set(node, key, value)
    written = {key or "x": node[key or "x"] for key in values.node}
    return graphs.with_values(node=written, graph=values.graph, pair=values.pair)


def write_data(data: Data, graphs: PackedGraphs, values: Values) -> None:
    """Set the values on a `Data` or `Batch` (whose own dictionaries of slices are replaced, never changed).

    Args:
        data: The `Data` or `Batch`.
        graphs: Its graphs.
        values: The values of encodings, by level and key.

    Raises:
        GraphRangeError: A value is not finite in single precision.
    """
    values = _in_single(values, graphs)
    content = vars(vars(data)["_store"])["_mapping"]
    for written in (values.node, values.graph, values.pair):
        for key, value in written.items():
            _set(content, key, value)
    if not isinstance(data, Batch) or not hasattr(data, "_slice_dict"):
        return
    still = torch.zeros(graphs.num_graphs, dtype=torch.long)
    slices = dict.fromkeys((key or "x" for key in values.node), graphs.ptr.cpu())
    slices |= dict.fromkeys(values.graph, torch.arange(graphs.num_graphs + 1))
    slices |= dict.fromkeys(values.pair, graphs.pair_ptr.cpu())
    data._slice_dict = {**data._slice_dict, **slices}
    data._inc_dict = {**data._inc_dict, **dict.fromkeys(slices, still)}


def _set(content: dict[str, Any], key: str | None, value: Tensor) -> None:
    """Values under their key, or behind the columns of `x`."""
    content[key or "x"] = appended(content.get("x"), value) if key is None else value


def _in_single(values: Values, graphs: PackedGraphs) -> Values:
    return Values(
        node={key: in_single(key or "x", value, "node", graphs) for key, value in values.node.items()},
        graph={key: in_single(key, value, "graph", graphs) for key, value in values.graph.items()},
        pair={key: in_single(key, value, "pair", graphs) for key, value in values.pair.items()},
    )


def check_count(name: str, value: Any) -> int:
    """A number of columns: an integer from 1 to `MAX_COLUMNS`.

    Args:
        name: What the message calls it.
        value: The argument.
    """
    return check_integer(name, value, least=1, most=MAX_COLUMNS)


def check_attr_name(attr_name: Any) -> str | None:
    """Where values of nodes go: a name under which PyG keeps a tensor as it is, `x`, or None for behind `x`.

    Args:
        attr_name: The argument.
    """
    return (
        attr_name if attr_name is None or (isinstance(attr_name, str) and attr_name == "x") else _check_name(attr_name)
    )


def check_own_name(attr_name: Any, what: str) -> str:
    """A name of its own for values that cannot stand in `x`.

    Args:
        attr_name: The argument.
        what: What they are.
    """
    if attr_name is None or (isinstance(attr_name, str) and attr_name == "x"):
        raise GraphPEValueError(f"attr_name={attr_name!r} means x, where {what} have no place: give another name")
    return _check_name(attr_name)


def stem_of(attr_name: str | None, default: str) -> str:
    """What the names of values beside an encoding begin with: its name, or the default where it stands in `x`.

    Args:
        attr_name: Where the encoding stands.
        default: What they begin with otherwise.
    """
    return default if attr_name is None or attr_name == "x" else attr_name


def _check_name(attr_name: Any) -> str:
    if not isinstance(attr_name, str):
        raise GraphPETypeError(f"attr_name must be a string, got {attr_name!r}")
    part = next((part for part in _MEANINGFUL if part in attr_name), None)
    if part is not None:
        raise GraphPEValueError(
            f"attr_name {attr_name!r} contains {part!r}, which PyG reads meaning into: choose another"
        )
    if not attr_name.isidentifier() or attr_name.startswith("_") or attr_name in _TAKEN:
        raise GraphPEValueError(f"attr_name {attr_name!r} is not a free name of an attribute: choose another")
    return attr_name
