"""Every solver on every operator, against dense eigenpairs in double precision."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch
from torch import Tensor

import graphpe
from graphpe.eigen.operators.problem import Solver
from graphpe.eigen.solvers.chebyshev import ChebyshevFilter
from graphpe.eigen.solvers.dense import Dense
from graphpe.eigen.solvers.lanczos import Lanczos
from graphpe.eigen.solvers.lobpcg import LOBPCG
from graphpe.eigen.solvers.partial_lanczos import PartialLanczos
from graphpe.eigen.solvers.shift_invert import ShiftInvert

SOLVERS: dict[str, Solver] = {
    "dense": Dense(),
    "shift_invert": ShiftInvert(),
    "chebyshev": ChebyshevFilter(),
    "lanczos": Lanczos(),
    "partial_lanczos": PartialLanczos(),
    "lobpcg": LOBPCG(),
}
TOL = 1e-9


class Products:
    """An operator without entries."""

    def __init__(self, matrix: Tensor) -> None:
        self.shape, self.dtype, self.device = tuple(matrix.shape), matrix.dtype, matrix.device
        self._matrix = matrix

    def matmul(self, block: Tensor) -> Tensor:
        return self._matrix @ block


def edges(graph: nx.Graph) -> tuple[Tensor, int]:
    graph = nx.convert_node_labels_to_integers(graph)
    return torch.tensor(list(graph.edges), dtype=torch.long).reshape(-1, 2).T, len(graph)


def undirected(graph: nx.Graph, normalization: Any = "sym", seed: int | None = None) -> Tensor:
    index, size = edges(graph)
    weight = None if seed is None else torch.rand(index.shape[1], generator=torch.Generator().manual_seed(seed)) + 0.01
    return graphpe.laplacian(index, size, weight, normalization)


def magnetic(graph: nx.DiGraph, q: float) -> Tensor:
    index, size = edges(graph)
    return graphpe.magnetic_laplacian(index, size, q)


def with_values(values: list[float], seed: int) -> Tensor:
    basis = np.linalg.qr(np.random.default_rng(seed).standard_normal((len(values), len(values))))[0]
    matrix = basis * values @ basis.T
    return torch.from_numpy((matrix + matrix.T) / 2)


# Name: operator and k. Where the k-th eigenvalue is one of several, the suite compares what lies below it.
OPERATORS: dict[str, tuple[Callable[[], Tensor], int]] = {
    "path": (lambda: undirected(nx.path_graph(300)), 8),
    "cycle": (lambda: undirected(nx.cycle_graph(200)), 7),
    "star": (lambda: undirected(nx.star_graph(150)), 6),
    "grid": (lambda: undirected(nx.grid_2d_graph(15, 15)), 10),
    "grid, comb": (lambda: undirected(nx.grid_2d_graph(15, 15), "comb"), 10),
    "complete": (lambda: undirected(nx.complete_graph(80)), 5),
    "hypercube": (lambda: undirected(nx.hypercube_graph(7)), 8),
    "barbell": (lambda: undirected(nx.barbell_graph(40, 30)), 6),
    "Barabasi-Albert": (lambda: undirected(nx.barabasi_albert_graph(300, 4, seed=0)), 10),
    "disconnected": (lambda: undirected(nx.disjoint_union_all([nx.cycle_graph(n) for n in range(3, 25)])), 26),
    "isolated": (lambda: undirected(nx.disjoint_union(nx.path_graph(100), nx.empty_graph(20))), 24),
    "directed cycle": (lambda: magnetic(nx.cycle_graph(150, nx.DiGraph), 0.1), 6),
    "random digraph": (lambda: magnetic(nx.gnp_random_graph(200, 0.02, seed=0, directed=True), 0.1), 8),
    "weighted": (lambda: undirected(nx.random_geometric_graph(200, 0.15, seed=1), "comb", seed=0), 8),
    "adjacency": (lambda: torch.from_numpy(nx.to_numpy_array(nx.grid_2d_graph(12, 12))).to_sparse_csr(), 6),
    "one": (lambda: torch.tensor([[3.0]], dtype=torch.float64).to_sparse_csr(), 1),
    "all": (lambda: undirected(nx.path_graph(12)), 12),
    "zero": (lambda: undirected(nx.empty_graph(50)), 3),
    "repeated": (
        lambda: with_values([0.0] * 9 + [1.0] * 11 + [2 + i / 80 for i in range(80)], 0).to_sparse_csr(),
        14,
    ),
    "clustered": (
        lambda: with_values([i * 1e-4 for i in range(6)] + [1 + i / 90 for i in range(90)], 1).to_sparse_csr(),
        6,
    ),
}


def check(result: graphpe.EigenResult, matrix: Tensor, which: str, tol: float) -> None:
    """Values, residuals, orthonormality, and the projectors onto what lies before each gap."""
    dense = (matrix.to_dense() if matrix.layout == torch.sparse_csr else matrix).to(
        torch.complex128 if matrix.is_complex() else torch.float64
    )
    values, vectors = torch.linalg.eigh(dense)
    if which == "largest":
        values, vectors = values.flip(0), vectors.flip(1)
    k, norm = len(result.values), float(values.abs().max()) or 1.0
    mine = result.vectors.to(dense.dtype)
    assert bool(result.converged.all())
    assert result.values.dtype == matrix.dtype.to_real()
    assert result.vectors.dtype == matrix.dtype
    torch.testing.assert_close(result.values.double(), values[:k], atol=tol * norm, rtol=0)
    steps = result.values.diff()
    assert bool((steps >= 0).all() if which == "smallest" else (steps <= 0).all())
    residual = torch.linalg.vector_norm(dense @ mine - mine * result.values, dim=0)
    assert float(residual.max()) <= 2 * tol * norm
    skew = mine.mH @ mine - torch.eye(k, dtype=dense.dtype)
    assert float(skew.abs().max()) <= max(tol, 1e-10)
    for before in (torch.nonzero(values[: k + 1].diff().abs() > 1e-3 * norm).flatten() + 1).tolist():
        theirs = vectors[:, :before]
        gap = float((values[before] - values[before - 1]).abs())
        difference = mine[:, :before] @ mine[:, :before].mH - theirs @ theirs.mH
        assert float(difference.abs().max()) <= 10 * tol * norm / gap + 1e-9


@pytest.mark.parametrize("name", OPERATORS)
@pytest.mark.parametrize("solver", SOLVERS)
def test_smallest(solver: str, name: str) -> None:
    build, k = OPERATORS[name]
    matrix = build()
    check(graphpe.eigsh(matrix, k, solver=SOLVERS[solver], tol=TOL), matrix, "smallest", TOL)


@pytest.mark.parametrize("name", ["grid", "star", "Barabasi-Albert", "random digraph", "adjacency", "hypercube"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_largest(solver: str, name: str) -> None:
    build, k = OPERATORS[name]
    matrix = build()
    check(graphpe.eigsh(matrix, k, "largest", SOLVERS[solver], tol=TOL), matrix, "largest", TOL)


@pytest.mark.parametrize("name", ["path", "disconnected", "random digraph"])
@pytest.mark.parametrize("solver", SOLVERS)
def test_single_precision(solver: str, name: str) -> None:
    build, k = OPERATORS[name]
    matrix = build()
    single = matrix.to(torch.complex64 if matrix.is_complex() else torch.float32)
    check(graphpe.eigsh(single, k, solver=SOLVERS[solver]), single, "smallest", 3e-5)


@pytest.mark.parametrize("name", ["grid", "random digraph", "disconnected"])
@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("layout", ["dense", "sparse"])
def test_known_vectors_are_left_out(solver: str, name: str, layout: str) -> None:
    build, k = OPERATORS[name]
    matrix = build()
    lowest = graphpe.eigsh(matrix, 3, solver=Dense())
    known = lowest.vectors if layout == "dense" else lowest.vectors.to_sparse_csr()
    result = graphpe.eigsh(matrix, k, solver=SOLVERS[solver], tol=TOL, deflate=known)
    assert float((lowest.vectors.mH @ result.vectors).abs().max()) <= 1e-8
    shifted = matrix.to_dense() + 5 * lowest.vectors @ lowest.vectors.mH
    check(result, shifted, "smallest", TOL)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("name", ["grid", "random digraph"])
def test_same_seed_same_bits(solver: str, name: str) -> None:
    matrix = OPERATORS[name][0]()
    first, second = (graphpe.eigsh(matrix, 5, solver=SOLVERS[solver], seed=3) for _ in range(2))
    assert torch.equal(first.values, second.values)
    assert torch.equal(first.vectors, second.vectors)


@pytest.mark.parametrize("solver", [name for name in SOLVERS if name != "shift_invert"])
@pytest.mark.parametrize("name", ["grid", "random digraph"])
def test_operators_without_entries(solver: str, name: str) -> None:
    build, k = OPERATORS[name]
    matrix = build()
    check(graphpe.eigsh(Products(matrix), k, solver=SOLVERS[solver], tol=TOL), matrix, "smallest", TOL)


@pytest.mark.parametrize("solver", SOLVERS)
@pytest.mark.parametrize("columns", [1, 8, 20])
def test_start_vectors(solver: str, columns: int) -> None:
    """Good ones, too few and too many, and ones that miss what is looked for."""
    matrix = OPERATORS["grid"][0]()
    vectors = torch.linalg.eigh(matrix.to_dense())[1]
    for start in (vectors[:, :columns], vectors[:, -columns:]):
        result = graphpe.eigsh(matrix, 8, solver=SOLVERS[solver], tol=TOL, X0=start.contiguous())
        check(result, matrix, "smallest", TOL)


@pytest.mark.parametrize("name", OPERATORS)
def test_auto(name: str) -> None:
    build, k = OPERATORS[name]
    matrix = build()
    check(graphpe.eigsh(matrix, k, tol=TOL), matrix, "smallest", TOL)
