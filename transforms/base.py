"""What every encoding's transform shares: reading graphs, writing values, text form, checks of parameters."""

from __future__ import annotations

import copy
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Self

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset, get_worker_info
from torch_geometric.data import Batch, Data, HeteroData
from torch_geometric.data.data import BaseData
from torch_geometric.transforms import BaseTransform

from graphpe.calls import parameters_of
from graphpe.eigen.canonical import BEYOND, maximal_axis_projection
from graphpe.eigen.result import Eigenpairs
from graphpe.errors import GraphPERuntimeError, GraphPETypeError, GraphPEValueError, GraphRangeError
from graphpe.graphs.levels import LevelOrObject
from graphpe.graphs.packed import PackedGraphs
from graphpe.limits import check_pairs
from graphpe.pairs.asked import Asked
from graphpe.spectra.signs import Basis, orient
from graphpe.storage.chunks import CHUNK_GRAPHS, CHUNK_PAIRS
from graphpe.structure.plan import Need, Plan
from graphpe.transforms.asked import asked_of, check_pairs_key, read_asked
from graphpe.transforms.hetero import EdgeType, HomogeneousView
from graphpe.transforms.names import check_own_name, stem_of
from graphpe.transforms.reading import READ, read_graphs, read_packed, view_of
from graphpe.transforms.values import AskedValues, Values
from graphpe.transforms.writing import values_in_single, write_data, write_list, write_packed

_OF_CHOSEN = ("pairs", "tolerance", "estimate", "seed")  # parameters that encodings of all pairs do not use


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
            return write_packed(data, encode_all(read_packed(data, self), [self], data.objects)[0])
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
        write_data(data, graphs, encode_all(graphs, [self], data)[0])
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
    def pairs(self) -> str | None:
        """Key of the chosen pairs that it is of; None for one of nodes, graphs or all pairs."""
        return None

    @property
    def asked_keys(self) -> list[str]:
        """Keys of the values of chosen pairs that it writes."""
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


class LinkEncoding(PairEncoding):
    """An encoding of ordered pairs that can also be asked for chosen ones: `[P, C]` for `pairs` `[2, P]`.

    The pairs are node ids under the key `pairs`, as PyG's `RandomLinkSplit` and `LinkNeighborLoader` write
    `edge_label_index`; in a batch, ids counted over all its graphs. Nothing is as large as the number of all pairs: one
    graph may have millions of nodes. Row p is the pair `(pairs[0, p], pairs[1, p])`, with the values that it has among
    all pairs; pairs may be there again, be of one node twice, or not be there at all (`[0, C]`).

    A subclass defines `encode_pairs`, of those, and `encode_all_pairs`.

    Args:
        pairs: Key of the chosen pairs; None for all pairs.
        attr_name: Key of the encoding.

    Raises:
        GraphPETypeError: An argument is no string.
        GraphPEValueError: PyG would not count the ids under `pairs` over a batch, or reads meaning into `attr_name`.

    Example:
        >>> path = Data(edge_index=torch.tensor([[0, 1, 1, 2], [1, 0, 2, 1]]), num_nodes=3)
        >>> path.edge_label_index = torch.tensor([[0, 2], [2, 2]])
        >>> T.ShortestPathPE(pairs="edge_label_index")(path).shortest_path
        tensor([[2],
                [0]])
    """

    def __init__(self, pairs: str | None, attr_name: str) -> None:
        self._pairs = check_pairs_key(pairs)
        self.attr_name = check_own_name(attr_name, "values of pairs of nodes")

    @property
    def pairs(self) -> str | None:
        """Key of the chosen pairs that it is of; None for all pairs."""
        return self._pairs

    @property
    def pair_keys(self) -> list[str]:
        """Keys of the values of all pairs that it writes."""
        return [self.attr_name] if self._pairs is None else []

    @property
    def asked_keys(self) -> list[str]:
        """Keys of the values of chosen pairs that it writes."""
        return [] if self._pairs is None else [self.attr_name]

    def __repr__(self) -> str:
        """The call; for all pairs without what is said of chosen ones: what was stored of those is found again."""
        if self._pairs is not None:
            return super().__repr__()
        given = [each for each in parameters_of(type(self)) if each not in _OF_CHOSEN]
        return f"{type(self).__name__}({', '.join(f'{each}={getattr(self, each)!r}' for each in given)})"

    def encode(self, plan: Plan) -> Values:
        """Values of all pairs, or of those that are chosen.

        Args:
            plan: The graphs, and the work that several encodings share.
        """
        if self._pairs is None:
            return Values(pair={self.attr_name: self.encode_all_pairs(plan)})
        values = self.encode_pairs(plan, plan.once(asked_of, self._pairs))
        return Values(asked={self.attr_name: AskedValues(self._pairs, plan.asked[self._pairs][0], values)})

    @abstractmethod
    def encode_all_pairs(self, plan: Plan) -> Tensor:
        """Values of all pairs: `[sum n^2, columns]`.

        Args:
            plan: The graphs, and the work that several encodings share.
        """

    @abstractmethod
    def encode_pairs(self, plan: Plan, pairs: Tensor | Asked) -> Tensor:
        """Values of chosen pairs: `[P, columns]`.

        Args:
            plan: The graphs, and the work that several encodings share.
            pairs: `[2, P]` node ids, counted over all graphs; or what `asked_pairs` returns for them.
        """


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
    others, so that two encodings with different `attr_name` never write the same key. With a `certificate`, gaps and
    residuals stand beside them (`..._gap`, `..._residual`: `graphpe.spectra.certificates`).

    Example:
        >>> encoding = T.LaplacianPE(k=2, attr_name="mine")
        >>> isinstance(encoding, T.SpectralEncoding), encoding.eigenvalues_name, encoding.mask_name
        (True, 'mine_eigenvalues', 'mine_mask')
    """

    default_stem: ClassVar[str] = ""
    """Of the names of eigenvalues and mask beside eigenvectors `{default_stem}_eigenvector_pe`."""
    k: int
    certificate: bool = False
    sign: Basis = "none"

    @property
    def eigenvalues_name(self) -> str:
        """Key of the eigenvalues."""
        return f"{self._stem}_eigenvalues"

    @property
    def mask_name(self) -> str:
        """Key of the mask of eigenvectors that are there."""
        return f"{self._stem}_mask"

    @property
    def gap_name(self) -> str:
        """Key of the distances of eigenvalues to their neighbours."""
        return f"{self._stem}_gap"

    @property
    def residual_name(self) -> str:
        """Key of the residuals."""
        return f"{self._stem}_residual"

    @property
    def graph_keys(self) -> list[str]:
        """Keys of the graph values that it writes."""
        certificate = [self.gap_name, self.residual_name] if self.certificate else []
        return [self.eigenvalues_name, self.mask_name, *certificate]

    @property
    def columns(self) -> int:
        return self.k

    @property
    def _computed(self) -> int:
        """Eigenpairs that are computed: some after the k-th tell what is certain of it."""
        return self.k + (BEYOND if self.sign == "map" else int(self.certificate))

    def _directed(self, spectra: Sequence[Eigenpairs], graphs: PackedGraphs) -> Tensor:
        """The first k eigenvectors of each spectrum side by side, with signs or phases by the convention."""
        if self.sign == "map":
            found = [maximal_axis_projection(pairs, graphs.host_ptr, self.k).vectors for pairs in spectra]
            return torch.cat(found, dim=1)
        # Drawn for all spectra of a graph together, so that one graph or many at once get the same.
        vectors = [pairs.vectors[:, : self.k] for pairs in spectra]
        joined = vectors[0] if len(vectors) == 1 else torch.cat(vectors, dim=1)
        generator = self._random() if self.sign == "random" else None
        return orient(joined, graphs.batch, graphs.num_graphs, self.sign, generator)

    @property
    def _stem(self) -> str:
        default = f"{self.default_stem}_eigenvector_pe"
        return self.default_stem if self.attr_name == default else stem_of(self.attr_name, self.default_stem)


def encode_all(graphs: PackedGraphs, encodings: Sequence[Encoding], content: Mapping[str, Any]) -> list[Values]:
    """The values of encodings, which share their work.

    Args:
        graphs: The graphs.
        encodings: The encodings, in the order of the result.
        content: Where chosen pairs are that they read, by key: see `graphpe.transforms.asked.read_asked`.

    Raises:
        GraphPEValueError: Values of pairs would take more memory than `graphpe.limits` allow; or an encoding's own.
    """
    if writers := [each for each in encodings if each.pair_keys]:
        row_bytes = sum(each.pair_bytes for each in writers)
        names = ", ".join(key for each in writers for key in each.pair_keys)
        check_pairs(names, graphs.num_pairs, row_bytes, row_bytes + sum(each.working_bytes for each in writers))
    asked = read_asked(content, graphs, encodings)
    plan = Plan(graphs, [need for encoding in encodings for need in encoding.needs], asked)
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
        ("asked", {}, encoding.asked_keys if not values.asked else [], 0),
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
    node, edge = (list(dict.fromkeys(key for each in encodings for key in getattr(each, level))) for level in READ)
    levels: dict[str, LevelOrObject] = {**dict.fromkeys(node, "node"), **dict.fromkeys(edge, "edge")}
    packed = PackedGraphs.from_data_list(data_list, keys=[*node, *edge], levels=levels)
    asked = {each.pairs for each in encodings if each.pairs is not None}
    start = 0
    for stop in _chunk_ends(packed.sizes.numpy(force=True)):
        graphs = packed.select(slice(start, stop))
        try:
            content = {key: [data.get(key) for data in data_list[start:stop]] for key in asked}
            for values in encode_all(graphs, encodings, content):
                write_list(out[start:stop], views[start:stop], graphs, values_in_single(values, graphs))
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
    for values in encode_all(graphs, encodings, {}):
        values = values_in_single(values, graphs)
        for key, value in values.node.items():
            view.write_nodes(data, key, value)
        for key, value in values.graph.items():
            view.write_graphs(data, key, value)
    return data
