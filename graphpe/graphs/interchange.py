"""PackedGraphs to and from networkx graphs and sparse matrices of SciPy, torch and PyG: edges and their weights.

The `read_*` functions return the fields of a `PackedGraphs`.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import networkx as nx
import numpy as np
import scipy.sparse
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch_geometric.utils import is_sparse, to_edge_index

from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.graphs.fields import Fields


def read_networkx(graphs: nx.Graph | Iterable[nx.Graph], weight: str | None) -> dict[str, Any]:
    """Fields from one networkx graph or several.

    Nodes are numbered in the order in which networkx lists them. An undirected edge becomes two, a self-loop one,
    parallel edges stay parallel. Where any edge has the attribute `weight`, `edge_weight` is of torch's default
    floating type, and edges without the attribute weigh 1, as in networkx. Other attributes are not read: for graphs
    with features use `torch_geometric.utils.from_networkx` and `PackedGraphs.from_data_list`.

    Args:
        graphs: One networkx graph, or several.
        weight: Name of the edges' attribute that is the weight; None for graphs without weights.
    """
    graphs = [graphs] if isinstance(graphs, nx.Graph) else list(graphs)
    sources, targets, weights, weighted = [], [], [], False
    for i, graph in enumerate(graphs):
        if not isinstance(graph, nx.Graph):
            raise GraphPETypeError(f"graph {i} must be a networkx graph, got {type(graph).__name__}")
        number = {node: j for j, node in enumerate(graph)}
        directed = graph if graph.is_directed() else graph.to_directed(as_view=True)
        edges = [(number[u], number[v], values) for u, v, values in directed.edges(data=True)]
        sources.append(np.array([u for u, _, _ in edges], dtype=np.int64))
        targets.append(np.array([v for _, v, _ in edges], dtype=np.int64))
        if weight is not None:
            weighted = weighted or any(weight in values for _, _, values in edges)
            weights.append(np.array([values.get(weight, 1.0) for _, _, values in edges], dtype=np.float64))
    edge_weight = torch.from_numpy(np.concatenate(weights)).to(torch.get_default_dtype()) if weighted else None
    return _fields([len(graph) for graph in graphs], sources, targets, edge_weight)


def read_scipy(matrices: Any) -> dict[str, Any]:
    """Fields from one square sparse matrix or several: entry (i, j) is an edge from i to j.

    Every stored entry is an edge of that weight (and dtype), stored zeros too; entries stored twice are added, as SciPy
    means them. Matrices of bools have no weights.

    Args:
        matrices: One matrix, or several.
    """
    matrices = [matrices] if scipy.sparse.issparse(matrices) else list(matrices)
    for i, matrix in enumerate(matrices):
        if not scipy.sparse.issparse(matrix):
            raise GraphPETypeError(f"matrix {i} must be a SciPy sparse matrix, got {type(matrix).__name__}")
        if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1]:
            raise GraphPEValueError(f"matrix {i} must be square, got {list(matrix.shape)}")
    entries = [matrix.tocoo(copy=True) for matrix in matrices]
    for entry in entries:
        entry.sum_duplicates()
    weighted = any(entry.dtype != np.bool_ for entry in entries)
    edge_weight = torch.from_numpy(np.concatenate([entry.data for entry in entries])) if weighted else None
    return _fields(
        [matrix.shape[0] for matrix in matrices],
        [entry.row.astype(np.int64) for entry in entries],
        [entry.col.astype(np.int64) for entry in entries],
        edge_weight,
    )


def read_adj_t(*adj_t: Any) -> list[tuple[Tensor, Tensor | None]]:
    """The edges `[2, E]` of transposed adjacency matrices as PyG's `ToSparseTensor` writes them, and their weights.

    Entry (i, j) is an edge from j to i. Its value is the edge's weight, except where values are features (more than one
    number an edge), or all of all matrices are 1, which is what they hold where edges had no weights.

    Args:
        adj_t: Sparse tensors of torch (CSR, CSC or COO), or of `torch_sparse`.

    Raises:
        GraphPETypeError: One is no sparse matrix.
    """
    out: list[tuple[Tensor, Tensor | None]] = []
    weighted = False
    for matrix in adj_t:
        if not is_sparse(matrix):
            raise GraphPETypeError(
                f"adj_t must be a sparse matrix, got {type(matrix).__name__}: give edges as edge_index"
            )
        if isinstance(matrix, Tensor) and matrix.layout == torch.sparse_coo:
            matrix = matrix.coalesce()
        ends, value = to_edge_index(matrix)
        out.append((ends.flip(0), value))
        weighted |= value.dim() == 1 and value.dtype != torch.bool and not bool((value == 1).all())
    return out if weighted else [(edges, None) for edges, _ in out]


def to_networkx(graph: Fields, weight: str) -> nx.DiGraph:
    """One graph on the CPU as a `networkx.DiGraph` over nodes 0..n-1, with weights as edge attribute `weight`.

    A `networkx.MultiDiGraph` where edges are parallel. For an undirected graph call its `to_undirected()`.

    Args:
        graph: The graph.
        weight: Name of the edges' attribute that gets the weight.
    """
    edges = graph.edge_index.t().tolist()
    out = nx.DiGraph() if len(set(map(tuple, edges))) == len(edges) else nx.MultiDiGraph()
    out.add_nodes_from(range(graph.num_nodes))
    if graph.edge_weight is None:
        out.add_edges_from(edges)
    else:
        out.add_weighted_edges_from(
            ((u, v, w) for (u, v), w in zip(edges, graph.edge_weight.tolist(), strict=True)), weight=weight
        )
    return out


def to_scipy(graphs: Fields) -> scipy.sparse.csr_matrix:
    """The block-diagonal adjacency matrix `[N, N]`; parallel edges add up, and without weights each counts 1.

    Args:
        graphs: The graphs.
    """
    row, col = graphs.edge_index.numpy(force=True)
    weight = graphs.edge_weight
    data = np.ones(len(row)) if weight is None else weight.numpy(force=True)
    return scipy.sparse.csr_matrix((data, (row, col)), shape=(graphs.num_nodes, graphs.num_nodes))


def _fields(
    sizes: list[int], sources: list[NDArray[np.int64]], targets: list[NDArray[np.int64]], edge_weight: Tensor | None
) -> dict[str, Any]:
    ptr = np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]).astype(np.int64)
    counts = np.array([len(source) for source in sources], dtype=np.int64)
    local = np.zeros((2, 0), dtype=np.int64)
    if sources:
        local = np.stack([np.concatenate(sources), np.concatenate(targets)])
    return {
        "edge_index": torch.from_numpy(local + np.repeat(ptr[:-1], counts)),
        "ptr": torch.from_numpy(ptr),
        "edge_ptr": torch.from_numpy(np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)),
        "edge_weight": edge_weight,
        "node": {}, "edge": {}, "graph": {}, "pair": {}, "objects": {},
    }  # fmt: skip
