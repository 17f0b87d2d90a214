"""Which graph each node of a `Data` or `Batch` is in: what it says of that in several places, compared.

PyG writes `batch`, `ptr` and the number of graphs when it makes a `Batch`. Whatever chooses or adds nodes afterwards
(`subgraph`, `RemoveIsolatedNodes`, `Pad`, ...) changes `batch` only, and a `batch` made by hand comes alone. So sizes
are those that `batch` gives, and the others say no more than how many graphs there are.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.data import Batch, Data

from graphpe.errors import GraphPETypeError, GraphPEValueError

Ints = NDArray[np.int64]


class Vectors(NamedTuple):
    """`batch` and `ptr` as they are, in int64, or None: at least one of them is there."""

    graph: Tensor | None
    ptr: Tensor | None


def vectors_of(data: Data) -> Vectors | None:
    """`batch` and `ptr` of a `Data` or `Batch`; None where there is neither, which is one graph.

    Args:
        data: The `Data` or `Batch`.

    Raises:
        GraphPETypeError: One of them is no tensor of integers.
        GraphPEValueError: One of them is no vector, or a `Batch` has neither.
    """
    graph, ptr = (_vector(name, getattr(data, name, None)) for name in ("batch", "ptr"))
    if graph is not None or ptr is not None:
        return Vectors(graph, ptr)
    if isinstance(data, Batch):
        raise GraphPEValueError(
            "the Batch has neither 'batch' nor 'ptr': give its graphs x or num_nodes before batching"
        )
    return None


class Partition(NamedTuple):
    """Nodes divided into graphs.

    Attributes:
        graph: The graph of each node `[N]`, in any order.
        sizes: Nodes of each graph `[B]`.
        ptr: Where each graph's nodes begin when they stand in the order of graphs, and, last, N: `[B + 1]`.
    """

    graph: Tensor
    sizes: Ints
    ptr: Ints


def partition(data: Data, vectors: Vectors) -> Partition:
    """The graphs of the nodes. Reads numbers on the host.

    Args:
        data: The `Data` or `Batch`.
        vectors: Its `batch` and `ptr`.

    Raises:
        GraphPEValueError: `batch` holds a negative number; `ptr` stands alone and does not divide the nodes.
    """
    graph, ptr = vectors
    if graph is None:
        assert ptr is not None, "one of the two is there"
        cuts = ptr.numpy(force=True)
        sizes, nodes = np.diff(cuts), data.num_nodes
        if not len(cuts) or cuts[0] != 0 or (sizes < 0).any() or (nodes is not None and cuts[-1] != nodes):
            raise GraphPEValueError(
                f"ptr must begin with 0, never decrease and end with the number of nodes, {nodes} "
                f"(got {_short(cuts)}): it is of other graphs; delete it, or set it anew"
            )
        number = torch.arange(len(sizes), device=ptr.device)
        return Partition(number.repeat_interleave(ptr.diff(), output_size=int(cuts[-1])), sizes, cuts)
    ids = graph.numpy(force=True)
    try:
        sizes = np.bincount(ids, minlength=0 if ptr is None else ptr.numel() - 1)
    except (ValueError, MemoryError):  # negative numbers, and those beyond any number of graphs
        raise GraphPEValueError(
            f"batch holds {ids.min() if ids.min() < 0 else ids.max()}: graphs are numbered 0, 1, 2, ..."
        ) from None
    cuts = _cuts(sizes)
    if ptr is None or cuts.tobytes() != ptr.numpy(force=True).tobytes():
        # What changed `batch` since may have cut `ptr` as if it were a value of nodes: the number counts first.
        missing = stated_graphs(data, vectors) - len(sizes)
        if missing > 0:
            sizes = np.append(sizes, np.zeros(missing, sizes.dtype))
            cuts = _cuts(sizes)
    return Partition(graph, sizes, cuts)


def _cuts(sizes: Ints) -> Ints:
    out = np.zeros(len(sizes) + 1, dtype=np.int64)
    sizes.cumsum(out=out[1:])
    return out


def stated_graphs(data: Data, vectors: Vectors) -> int:
    """The number of graphs as the batch says it, empty ones at its end included; 0 if it does not.

    Args:
        data: The `Data` or `Batch`.
        vectors: Its `batch` and `ptr`.
    """
    known = getattr(data, "_num_graphs", None)
    if isinstance(known, int):
        return known
    return 0 if vectors.ptr is None else max(vectors.ptr.numel() - 1, 0)


def _vector(name: str, value: object) -> Tensor | None:
    if value is None:
        return None
    meaning = "the graph of each node" if name == "batch" else "where the nodes of each graph begin"
    if not isinstance(value, Tensor) or value.is_floating_point() or value.is_complex() or value.dtype == torch.bool:
        kind = value.dtype if isinstance(value, Tensor) else type(value).__name__
        raise GraphPETypeError(f"{name} must be a tensor of integers, {meaning} (got {kind}): delete it")
    if value.dim() != 1:
        raise GraphPEValueError(f"{name} must be a vector, {meaning} (got shape {list(value.shape)})")
    return value.long()


def _short(cuts: Ints) -> str:
    return str(cuts.tolist()) if len(cuts) <= 8 else f"{len(cuts)} numbers, from {cuts[0]} to {cuts[-1]}"
