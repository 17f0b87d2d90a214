from __future__ import annotations

import math
from collections.abc import Callable

import networkx as nx
import numpy as np
import pytest
import torch
from torch import Tensor

from graphpe.eigen.operators.base import MatrixOperator
from graphpe.eigen.operators.problem import Found, Problem
from graphpe.eigen.solvers.lobpcg import LOBPCG
from graphpe.eigen.solvers.preconditioners import AMG, ChebyshevPolynomial, Jacobi
from graphpe.errors import GraphPEValueError
from graphpe.structure.laplacian import laplacian, magnetic_laplacian

DIRECTED_CYCLE = nx.cycle_graph(120, create_using=nx.DiGraph)

GRAPHS: dict[str, Callable[[], Tensor]] = {
    "path": lambda: operator(nx.path_graph(150)),
    "cycle": lambda: operator(nx.cycle_graph(150)),  # every eigenvalue twice
    "star": lambda: operator(nx.star_graph(150)),  # 1, 149 times
    "grid": lambda: operator(nx.grid_2d_graph(12, 12)),
    "complete": lambda: operator(nx.complete_graph(120)),  # n / (n - 1), n - 1 times
    "hypercube": lambda: operator(nx.hypercube_graph(7)),  # 2 / 7, 7 times
    "barbell": lambda: operator(nx.barbell_graph(50, 20)),
    "Barabasi-Albert": lambda: operator(nx.barabasi_albert_graph(200, 4, seed=0)),
    "disconnected": lambda: operator(nx.disjoint_union_all([nx.path_graph(40)] * 4 + [nx.empty_graph(3)])),
    "combinatorial": lambda: operator(nx.barabasi_albert_graph(200, 3, seed=1), normalization="comb"),
    "directed cycle": lambda: operator(DIRECTED_CYCLE, q=0.1),
    "directed cycle, no flux": lambda: operator(DIRECTED_CYCLE, q=1 / 120),
    "random digraph": lambda: operator(nx.gnp_random_graph(200, 0.03, seed=0, directed=True), q=0.1),
    "zero": lambda: operator(nx.empty_graph(100)),
}


def operator(graph: nx.Graph, q: float | None = None, normalization: str = "sym") -> Tensor:
    graph = nx.convert_node_labels_to_integers(graph)
    edge_index = torch.tensor(list(graph.edges), dtype=torch.long).reshape(-1, 2).T
    if q is None:
        return laplacian(edge_index, graph.number_of_nodes(), normalization=normalization)
    return magnetic_laplacian(edge_index, graph.number_of_nodes(), q, normalization=normalization)


def problem(matrix: Tensor, **options) -> Problem:
    norm = float(torch.linalg.matrix_norm(matrix.to_dense(), 2)) or 1.0
    arguments = dict(k=6, which="smallest", tol=1e-8, norm=norm, max_iterations=500, seed=0) | options
    return Problem(operator=MatrixOperator(matrix), **arguments)


def check(found: Found, problem: Problem, *, known: int = 0) -> None:
    """Values, residuals and orthonormality against dense float64; `known`: lowest eigenpairs that were left out."""
    matrix = problem.operator.matrix.to_dense()
    eps = torch.finfo(matrix.dtype).eps
    matrix = matrix.to(torch.complex128 if matrix.dtype.is_complex else torch.float64)
    expected = torch.linalg.eigvalsh(matrix)
    if problem.which == "largest":
        expected = expected.flip(0)
    vectors = found.vectors.to(matrix.dtype)
    assert found.vectors.dtype == problem.operator.dtype
    assert found.vectors.shape == (problem.size, problem.k)
    assert not found.values.is_complex()
    residuals = torch.linalg.vector_norm(matrix @ vectors - vectors * found.values, dim=0)
    assert residuals.max() <= 1.05 * problem.tol * problem.norm + 20 * eps * problem.norm
    expected = expected[known : known + problem.k]
    torch.testing.assert_close(found.values.double(), expected, rtol=0, atol=problem.tol * problem.norm)
    gram = vectors.mH @ vectors
    torch.testing.assert_close(gram, torch.eye(problem.k, dtype=gram.dtype), rtol=0, atol=30 * eps)


@pytest.mark.parametrize("which", ["smallest", "largest"])
@pytest.mark.parametrize("solver", [LOBPCG(), LOBPCG(ChebyshevPolynomial(8), extra=6)], ids=repr)
@pytest.mark.parametrize("graph", GRAPHS)
def test_against_dense(graph, solver, which):
    given = problem(GRAPHS[graph](), which=which)
    check(solver.solve(given), given)


@pytest.mark.parametrize("which", ["smallest", "largest"])
@pytest.mark.parametrize("graph", ["path", "grid", "star", "combinatorial", "directed cycle", "random digraph", "zero"])
def test_multigrid_and_jacobi(graph, which):
    pytest.importorskip("pyamg")
    given = problem(GRAPHS[graph](), which=which)
    check(LOBPCG(AMG()).solve(given), given)
    check(LOBPCG(Jacobi()).solve(given), given)


@pytest.mark.parametrize("graph", ["cycle", "star", "complete", "grid", "random digraph"])
@pytest.mark.parametrize("which", ["smallest", "largest"])
def test_single_precision(graph, which):
    matrix = GRAPHS[graph]()
    matrix = matrix.to(torch.complex64 if matrix.dtype.is_complex else torch.float32)
    given = problem(matrix, which=which, tol=2e-5)
    check(LOBPCG(ChebyshevPolynomial(6)).solve(given), given)


@pytest.mark.parametrize("precision", [1e-4, 1e-12])
def test_residuals_reach_the_tolerance(precision):
    given = problem(GRAPHS["grid"](), tol=precision)
    check(LOBPCG(ChebyshevPolynomial(10)).solve(given), given)


def test_not_more_than_the_iterations_allowed():
    given = problem(GRAPHS["path"](), max_iterations=3)
    found = LOBPCG().solve(given)
    assert found.iterations == 3
    gram = found.vectors.T @ found.vectors
    torch.testing.assert_close(gram, torch.eye(6, dtype=torch.float64), rtol=0, atol=1e-14)
    assert (found.values[1:] > torch.linalg.eigvalsh(given.operator.matrix.to_dense())[1:6]).all()


@pytest.mark.parametrize("sparse", [False, True])
@pytest.mark.parametrize("solver", [LOBPCG(), LOBPCG(ChebyshevPolynomial(10))], ids=repr)
def test_known_vectors_are_left_out(solver, sparse):
    """Four components: an operator as singular as its preconditioner makes of it."""
    matrix = operator(nx.disjoint_union_all([nx.path_graph(40)] * 4))
    degree = torch.where(torch.arange(160) % 40 % 39 == 0, 1.0, 2.0).double().sqrt()
    known = torch.block_diag(*[(part / part.norm())[:, None] for part in degree.split(40)])
    assert (matrix @ known).abs().max() < 1e-15
    given = problem(matrix, known=known.to_sparse_csr() if sparse else known)
    found = solver.solve(given)
    check(found, given, known=4)
    assert (known.T @ found.vectors).abs().max() < 1e-13


def test_known_complex_vectors_are_left_out():
    matrix = GRAPHS["directed cycle, no flux"]()
    values, vectors = torch.linalg.eigh(matrix.to_dense())
    given = problem(matrix, known=vectors[:, :3].contiguous(), k=4)
    assert values[3] - values[2] > 1e-4
    check(LOBPCG().solve(given), given, known=3)


@pytest.mark.parametrize("first", [6, 90])
@pytest.mark.parametrize("extra", [0, 4])
@pytest.mark.parametrize("tol", [1e-8, 1e-3])
def test_a_start_in_an_invariant_subspace_does_not_end_there(first, extra, tol):
    matrix = GRAPHS["grid"]()
    _, vectors = torch.linalg.eigh(matrix.to_dense())
    given = problem(matrix, start=vectors[:, first : first + 6].contiguous(), tol=tol)
    check(LOBPCG(extra=extra).solve(given), given)


@pytest.mark.parametrize("columns", [1, 6, 40])
def test_a_good_start_saves_iterations(columns):
    matrix = GRAPHS["grid"]()
    _, vectors = torch.linalg.eigh(matrix.to_dense())
    given = problem(matrix, start=vectors[:, :columns].contiguous())
    found = LOBPCG().solve(given)
    check(found, given)
    if columns > 1:
        assert found.matvecs < LOBPCG().solve(problem(matrix)).matvecs


@pytest.mark.parametrize("start", ["zero", "equal columns"])
def test_a_degenerate_start_is_repaired(start):
    given = problem(
        GRAPHS["grid"](), start=torch.zeros(144, 6).double() if start == "zero" else torch.ones(144, 6).double()
    )
    check(LOBPCG().solve(given), given)


def test_the_seed_decides():
    matrix = GRAPHS["Barabasi-Albert"]()
    first, again, other = (LOBPCG(Jacobi()).solve(problem(matrix, seed=seed)) for seed in (1, 1, 2))
    assert torch.equal(first.vectors, again.vectors)
    assert torch.equal(first.values, again.values)
    assert not torch.equal(first.vectors, other.vectors)


def test_multigrid_uses_no_global_random_numbers():
    pytest.importorskip("pyamg")
    results = []
    for state in (0, 1):
        np.random.seed(state)  # noqa: NPY002
        before = np.random.get_state()[1].copy()  # noqa: NPY002
        results.append(LOBPCG(AMG()).solve(problem(operator(nx.grid_2d_graph(25, 25)))))
        assert (np.random.get_state()[1] == before).all()  # noqa: NPY002
    assert torch.equal(results[0].vectors, results[1].vectors)


def test_an_operator_that_only_multiplies():
    """The path of n nodes: 1 - cos(pi j / (n - 1)) are the eigenvalues of its normalised Laplacian."""
    n = 100

    class Path:
        shape = (n, n)
        dtype = torch.float64
        device = torch.device("cpu")
        products = 0

        def matmul(self, block: Tensor) -> Tensor:
            Path.products += block.shape[1]
            weight = torch.full((n - 1, 1), 0.5, dtype=torch.float64)
            weight[[0, -1]] = math.sqrt(0.5)
            out = block.clone()
            out[1:] -= weight * block[:-1]
            out[:-1] -= weight * block[1:]
            return out

    given = Problem(Path(), k=5, which="smallest", tol=1e-9, norm=2.0, max_iterations=300, seed=0)
    found = LOBPCG(ChebyshevPolynomial(5)).solve(given)
    expected = 1 - torch.cos(math.pi * torch.arange(5, dtype=torch.float64) / (n - 1))
    torch.testing.assert_close(found.values, expected, rtol=0, atol=1e-10)
    assert found.matvecs == Path.products


@pytest.mark.parametrize("n", [1, 2, 7, 30])
def test_small_operators(n):
    for k in {1, min(3, n), n}:
        given = problem(operator(nx.path_graph(n)), k=k)
        check(LOBPCG().solve(given), given)


def test_one_vector_without_extra_ones():
    given = problem(GRAPHS["Barabasi-Albert"](), k=1)
    check(LOBPCG(extra=0).solve(given), given)


def test_extra_is_checked():
    with pytest.raises(GraphPEValueError, match="extra must be from 0 on, got -1"):
        LOBPCG(extra=-1)
