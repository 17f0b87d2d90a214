"""Coordinates of nodes from the lowest Laplacian eigenvectors, for rotary attention."""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from graphpe.arguments import check_choice
from graphpe.eigen.result import Eigenpairs
from graphpe.errors import GraphRangeError
from graphpe.graphs.packed import PackedGraphs
from graphpe.spectra.laplacian_eigenpairs import laplacian_eigenpairs, symmetrised
from graphpe.spectra.resistance import pseudo_inverse
from graphpe.structure.adjacency import symmetric_adjacency
from graphpe.structure.plan import Plan

Scale = Literal["resistance", "commute", "hops"]

_LOST = 1e-9  # of the largest eigenvalue: rounding takes digits of what is below
_MOST_NODES = 2000  # of a dense matrix


def spectral_coordinates(graphs: PackedGraphs | Plan, k: int, scale: Scale = "resistance") -> Tensor:
    """Coordinates of each node from the k lowest non-zero eigenpairs (lambda_j, u_j) of L = D - S.

        "resistance": r_ij = u_ij / sqrt(lambda_j)
        "commute":    r_ij = u_ij sqrt(vol_i / lambda_j),  vol_i the sum of the degrees of i's component
        "hops":       r_ij = asin(u_ij / a) / (2 asin(sqrt(min(lambda_j, 4)) / 2)),  a = sqrt(2 / n)

    "resistance": squared distances are effective resistances R, from below: sum_j (r_ij - r_lj)^2 <= R_il, with
    equality for k = n - 1 on a connected graph. "commute": they are commute times in the same sense (`commute_times`),
    which do not change when all weights are multiplied by a constant. "hops": a wave of amplitude a is unrolled into
    positions along it. On a path of n nodes the first coordinate is the position in hops, (n - 1) / 2 - i or its
    negative, and the others are positions folded at the turning points of their waves; elsewhere u_ij / a is cut at
    +-1.

    Where weights differ so much that eigenvalues are below 1e-9 of the largest, the pairs are those of the
    pseudo-inverse (see `graphpe.spectra.resistance`), which resolves them.

    Args:
        graphs: The graphs, or a plan that shares their work.
        k: Number of coordinates; a graph with fewer non-zero eigenvalues has zero columns.
        scale: `"resistance"`, `"commute"` or `"hops"`.

    Returns:
        `[N, k]` float64, on the device of the graphs; the sign of each column is as the solver leaves it.

    Raises:
        GraphPEValueError: `k` < 1, an unknown scale, or weights that are negative or not finite.

    References:
        Reid et al.: Wavelet-Induced Rotary Encodings. 2025, arXiv:2509.22259 ("resistance").
    """
    check_scale(scale)
    plan = Plan.of(graphs)
    pairs = laplacian_eigenpairs(plan, k, "comb")
    vectors, values, mask = _resolved(plan, k, pairs) if plan.graphs.edge_weight is not None else pairs
    batch = plan.graphs.batch
    values = torch.where(mask & (values > 0), values, 1.0)
    if scale == "resistance":
        return vectors / values.sqrt()[batch]
    if scale == "commute":
        return vectors / values.sqrt()[batch] * _volumes(plan).to(vectors.device).sqrt()[:, None]
    amplitude = (2 / plan.graphs.sizes.clamp(min=1).double()).sqrt()
    angle = torch.asin((vectors / amplitude[batch, None]).clamp(-1, 1))
    return angle / (2 * torch.asin(values.clamp(max=4).sqrt() / 2))[batch]


def _volumes(plan: Plan) -> Tensor:
    """Sum of the degrees of each node's component, `[N]`."""
    label = plan.once(symmetrised).components.label
    volume = np.bincount(label, _degrees(plan), label.max(initial=-1) + 1)
    return torch.from_numpy(volume[label])


def _degrees(plan: Plan) -> NDArray[np.float64]:
    indptr, _, weight = plan.once(symmetric_adjacency)
    nodes = plan.graphs.num_nodes
    return np.bincount(np.repeat(np.arange(nodes), np.diff(indptr)), weight, nodes).astype(np.float64)


def _resolved(plan: Plan, k: int, pairs: Eigenpairs) -> Eigenpairs:
    """The eigenpairs, with those of graphs whose lowest eigenvalues are lost in rounding from the pseudo-inverse.

    Rounding in an eigenvalue is that of the largest one; in one of L+, which has its inverse, that of the smallest.

    Raises:
        GraphRangeError: That of a graph of more than `_MOST_NODES` nodes is lost.
    """
    graphs = plan.graphs
    degree = _degrees(plan)
    ptr, pair_ptr = graphs.ptr.numpy(force=True), graphs.pair_ptr.numpy(force=True)
    vectors, values, mask = (part.numpy(force=True).copy() for part in pairs)
    largest = np.zeros(graphs.num_graphs)
    np.maximum.at(largest, graphs.batch.numpy(force=True), 2 * degree)
    lost = np.flatnonzero((mask & (values < _LOST * largest[:, None])).any(axis=1))
    for graph in lost.tolist():
        first, last = int(ptr[graph]), int(ptr[graph + 1])
        size = last - first
        if size > _MOST_NODES:
            what = f"eigenvalues from {values[graph, 0]:.3g} to {largest[graph]:.3g} are too far apart"
            raise GraphRangeError(graph, f"{what} for coordinates: give edge_weight a smaller range")
        inverse = plan.once(pseudo_inverse)[pair_ptr[graph] : pair_ptr[graph + 1]].reshape(size, size)
        found, basis = np.linalg.eigh(inverse)
        count = int(mask[graph].sum())
        values[graph, :count] = 1 / found[::-1][:count]
        vectors[first:last, :count] = basis[:, ::-1][:, :count]
    if len(lost) == 0:
        return pairs
    parts = (torch.from_numpy(part).to(graphs.device) for part in (vectors, values, mask))
    return Eigenpairs(*parts)


def check_scale(scale: str) -> None:
    """Raise unless `scale` is one of the names.

    Args:
        scale: The argument.
    """
    check_choice("scale", scale, get_args(Scale))
