"""What `ChebyshevFilter`, `Lanczos` and `PartialLanczos` have in common, against dense float64."""

from __future__ import annotations

from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch
from torch import Tensor

from graphpe.eigen.operators.base import as_operator
from graphpe.eigen.operators.problem import Found, Problem
from graphpe.eigen.solvers.chebyshev import ChebyshevFilter
from graphpe.eigen.solvers.lanczos import Lanczos
from graphpe.eigen.solvers.partial_lanczos import PartialLanczos
from graphpe.structure.laplacian import laplacian, magnetic_laplacian

K = 12


def matrix_of(graph: nx.Graph, q: float | None = None) -> Tensor:
    graph = nx.convert_node_labels_to_integers(graph)
    edges = torch.tensor(list(graph.edges), dtype=torch.long).reshape(-1, 2).T
    n = graph.number_of_nodes()
    return laplacian(edges, n) if q is None else magnetic_laplacian(edges, n, q=q)


GRAPHS = {
    "path": matrix_of(nx.path_graph(150)),
    "cycle": matrix_of(nx.cycle_graph(150)),
    "star": matrix_of(nx.star_graph(150)),  # 1 in 149 copies
    "grid": matrix_of(nx.grid_2d_graph(20, 15)),
    "complete": matrix_of(nx.complete_graph(160)),
    "hypercube": matrix_of(nx.hypercube_graph(9)),  # 2/9 in 9 copies, 4/9 in 36
    "barabasi_albert": matrix_of(nx.barabasi_albert_graph(400, 4, seed=0)),
    "disconnected": matrix_of(nx.disjoint_union_all([nx.path_graph(n) for n in [1] * 14 + [2, 3, 100, 150]])),
    "edgeless": matrix_of(nx.empty_graph(200)),
    "small": matrix_of(nx.path_graph(13)),
    "directed_cycle": matrix_of(nx.cycle_graph(200, create_using=nx.DiGraph), q=0.1),
    "random_digraph": matrix_of(nx.gnp_random_graph(300, 0.02, seed=0, directed=True), q=0.1),
}
SOLVERS = {
    "chebyshev": ChebyshevFilter(),
    "chebyshev, low degree": ChebyshevFilter(degree=30, extra=4),
    "lanczos": Lanczos(),
    "lanczos, no polynomial": Lanczos(block=4, basis=60, degree=1),
    "partial lanczos": PartialLanczos(),
    "partial lanczos, small basis": PartialLanczos(basis=24),
}
solvers = pytest.mark.parametrize("solver", SOLVERS.values(), ids=SOLVERS)


def problem_of(matrix: Any, **changes: Any) -> Problem:
    options = dict(k=K, which="smallest", tol=1e-9, norm=2.0, max_iterations=300, seed=0) | changes
    return Problem(operator=as_operator(matrix), **options)


def check(problem: Problem, found: Found, dense: Tensor, skip: int = 0) -> None:
    """Values as those of the dense matrix, residuals within the tolerance, vectors orthonormal."""
    dense = dense.to(torch.complex128 if dense.is_complex() else torch.float64)
    expected = torch.linalg.eigvalsh(dense)
    expected = (expected if problem.which == "smallest" else expected.flip(0))[skip : skip + problem.k]
    vectors, values = found.vectors.to(dense.dtype), found.values.to(torch.float64)
    goal = problem.tol * problem.norm
    assert not found.values.is_complex()
    assert found.vectors.dtype == problem.operator.dtype
    torch.testing.assert_close(values, expected, rtol=0, atol=max(goal, 1e-12))
    residuals = torch.linalg.vector_norm(dense @ vectors - vectors * values, dim=0)
    assert float(residuals.max()) <= goal
    eps = torch.finfo(problem.operator.dtype).eps
    unit = torch.eye(problem.k, dtype=dense.dtype)
    assert float((vectors.mH @ vectors - unit).abs().max()) < 1e4 * eps


@solvers
@pytest.mark.parametrize("name", GRAPHS)
@pytest.mark.parametrize("which", ["smallest", "largest"])
def test_agrees_with_dense(solver, name, which):
    if name == "hypercube" and getattr(solver, "degree", 0) == 1:
        pytest.skip("few distinct eigenvalues: without a polynomial, convergence is too slow; it says so")
    problem = problem_of(GRAPHS[name], which=which)
    check(problem, solver.solve(problem), GRAPHS[name].to_dense())


@solvers
@pytest.mark.parametrize("name", ["barabasi_albert", "grid", "random_digraph"])
def test_known_vectors_are_left_out(solver, name):
    dense = GRAPHS[name].to_dense()
    known = torch.linalg.eigh(dense).eigenvectors[:, :3]
    problem = problem_of(GRAPHS[name], known=known)
    found = solver.solve(problem)
    check(problem, found, dense, skip=3)
    assert float((known.mH @ found.vectors).abs().max()) < 1e-10


@solvers
def test_outlier_far_below_that_is_known(solver):
    values = torch.cat([torch.tensor([-20.0]), torch.linspace(0.5, 1.0, 299)]).double()
    basis = torch.linalg.qr(torch.randn(300, 300, dtype=torch.float64, generator=torch.Generator().manual_seed(0))).Q
    dense = basis * values @ basis.T
    problem = problem_of((dense + dense.T) / 2, known=basis[:, :1], norm=20.0, k=4, tol=1e-10)
    check(problem, solver.solve(problem), problem.operator.matrix, skip=1)


@solvers
@pytest.mark.parametrize("dtype", [torch.float32, torch.complex64])
def test_single_precision(solver, dtype):
    matrix = GRAPHS["random_digraph" if dtype.is_complex else "barabasi_albert"].to(dtype)
    problem = problem_of(matrix, tol=2e-6)
    check(problem, solver.solve(problem), matrix.to_dense())


@solvers
def test_operator_without_entries(solver):
    class Callable:
        shape, dtype, device = (300, 300), torch.float64, torch.device("cpu")

        def matmul(self, block: Tensor) -> Tensor:
            nonlocal count
            count += block.shape[1]
            return GRAPHS["grid"] @ block

    count = 0
    problem = problem_of(Callable())
    count = 0  # without those that check the operator
    found = solver.solve(problem)
    check(problem, found, GRAPHS["grid"].to_dense())
    assert found.matvecs == count


@solvers
def test_start_that_lacks_the_lowest(solver):
    dense = GRAPHS["grid"].to_dense()
    start = torch.linalg.eigh(dense).eigenvectors[:, 2 : 2 + K]
    problem = problem_of(GRAPHS["grid"], start=start)
    check(problem, solver.solve(problem), dense)


@solvers
@pytest.mark.parametrize("start", [torch.zeros(300, 3), torch.ones(300, 20)])
def test_start_of_dependent_vectors(solver, start):
    problem = problem_of(GRAPHS["grid"], start=start.double())
    check(problem, solver.solve(problem), GRAPHS["grid"].to_dense())


@solvers
def test_same_seed_same_result(solver):
    problem = problem_of(GRAPHS["random_digraph"])
    first, second = solver.solve(problem), solver.solve(problem)
    assert torch.equal(first.vectors, second.vectors)
    other = solver.solve(problem_of(GRAPHS["random_digraph"], seed=1))
    assert not torch.equal(first.vectors, other.vectors)


@solvers
def test_stops_at_max_iterations(solver):
    matrix = matrix_of(nx.cycle_graph(3000))
    problem = problem_of(matrix, max_iterations=1)
    found = solver.solve(problem)
    assert found.iterations <= 1
    residuals = torch.linalg.vector_norm(matrix @ found.vectors - found.vectors * found.values, dim=0)
    assert float(residuals.max()) > problem.tol * problem.norm
    assert float((found.vectors.T @ found.vectors - torch.eye(K, dtype=torch.float64)).abs().max()) < 1e-10


@solvers
def test_fewer_rows_than_vectors(solver):
    for n in (1, 2, 5, 17, 40):
        dense = torch.from_numpy(np.random.default_rng(n).normal(size=(n, n)))
        dense = dense + dense.T
        problem = problem_of(dense, k=min(n, 12), norm=float(torch.linalg.matrix_norm(dense, 2)))
        check(problem, solver.solve(problem), dense)
