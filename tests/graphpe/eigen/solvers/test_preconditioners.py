from __future__ import annotations

import sys

import networkx as nx
import pytest
import torch

from graphpe.eigen.operators.base import MatrixOperator
from graphpe.eigen.operators.problem import Problem
from graphpe.eigen.solvers.lobpcg import LOBPCG
from graphpe.eigen.solvers.preconditioners import AMG, ChebyshevPolynomial, Jacobi, chebyshev_steps
from graphpe.errors import GraphPERuntimeError, GraphPETypeError, GraphPEValueError
from graphpe.structure.laplacian import laplacian, magnetic_laplacian


def problem(*, size: int = 12, q: float | None = None, which: str = "smallest", normalization: str = "sym") -> Problem:
    graph = nx.convert_node_labels_to_integers(nx.grid_2d_graph(size, size + 8))
    edge_index = torch.tensor(list(graph.edges)).T
    if q is None:
        matrix = laplacian(edge_index, len(graph), normalization=normalization)
    else:
        matrix = magnetic_laplacian(edge_index, len(graph), q, normalization=normalization)
    norm = 2.0 if normalization == "sym" else 8.0
    return Problem(MatrixOperator(matrix), 8, which, 1e-8, norm, 300, 0)


class OnlyMultiplies:
    """The operator of a problem, its entries hidden."""

    def __init__(self, given: Problem) -> None:
        self.shape, self.dtype, self.device = given.operator.shape, given.operator.dtype, given.operator.device
        self.matmul = given.operator.matmul


@pytest.mark.parametrize("which", ["smallest", "largest"])
@pytest.mark.parametrize("q", [None, 0.07])
@pytest.mark.parametrize(
    ("preconditioner", "better"),
    [(Jacobi(), 0.6), (ChebyshevPolynomial(1), 0.9), (ChebyshevPolynomial(9), 20), (AMG(shift=1e-3), 30)],
    ids=repr,
)
def test_hermitian_positive_definite_and_better_than_none(preconditioner, better, q, which):
    """The condition number of the product with A + 0.008, against that of A + 0.008 itself."""
    if isinstance(preconditioner, AMG):
        pytest.importorskip("pyamg")
    given = problem(size=20, q=q, which=which, normalization="comb")
    matrix = given.operator.matrix.to_dense()
    identity = torch.eye(given.size, dtype=matrix.dtype)
    inverse = preconditioner.prepare(given).apply(identity)
    torch.testing.assert_close(inverse, inverse.mH, rtol=0, atol=1e-10 * float(inverse.abs().max()))
    assert torch.linalg.eigvalsh(inverse)[0] > 0

    matrix = (matrix if which == "smallest" else 8 * identity - matrix) + 0.008 * identity
    factor = torch.linalg.cholesky(matrix)
    plain, spectrum = torch.linalg.eigvalsh(matrix), torch.linalg.eigvalsh(factor.mH @ inverse @ factor)
    gain = (plain[-1] / plain[0]) / (spectrum[-1] / spectrum[0])
    assert gain > better


def test_chebyshev_steps_solve_a_definite_system():
    matrix = torch.diag(torch.linspace(0.5, 2, 30, dtype=torch.float64))
    block = torch.randn(30, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    products = []

    def product(x):
        products.append(x)
        return matrix @ x

    out = chebyshev_steps(product, block, 0.5, 2, 40)
    torch.testing.assert_close(out, torch.linalg.solve(matrix, block), rtol=0, atol=1e-12)
    assert len(products) == 39
    # The error's bound is reached at the ends of the interval: 1 / T_d((b + a) / (b - a)).
    few = chebyshev_steps(lambda x: matrix @ x, torch.ones(30, 1, dtype=torch.float64), 0.5, 2, 4)
    error = (1 - matrix @ few).abs()
    bound = 1 / torch.special.chebyshev_polynomial_t(torch.tensor(2.5 / 1.5, dtype=torch.float64), 4)
    torch.testing.assert_close(error[[0, -1], 0], bound.expand(2))
    assert (error <= bound + 1e-12).all()


def test_jacobi_of_sparse_and_dense_matrices():
    given = problem(normalization="comb")
    block = torch.ones(given.size, 2, dtype=torch.float64)
    out = Jacobi().prepare(given).apply(block)
    torch.testing.assert_close(out[:, 0], 1 / given.operator.matrix.to_dense().diagonal())
    dense = Problem(MatrixOperator(given.operator.matrix.to_dense()), 8, "smallest", 1e-8, given.norm, 300, 0)
    torch.testing.assert_close(Jacobi().prepare(dense).apply(block), out)


def test_multigrid_converges_alike_on_fine_and_coarse_grids():
    """What no other preconditioner does: the number of iterations hardly grows."""
    pytest.importorskip("pyamg")
    few, many = (LOBPCG(AMG()).solve(problem(size=size)).iterations for size in (15, 60))
    assert many <= 1.7 * few < 30


@pytest.mark.parametrize("preconditioner", [Jacobi(), AMG()], ids=repr)
def test_entries_are_needed(preconditioner):
    if isinstance(preconditioner, AMG):
        pytest.importorskip("pyamg")
    given = problem()
    hidden = Problem(OnlyMultiplies(given), 8, "smallest", 1e-8, given.norm, 300, 0)
    with pytest.raises(GraphPETypeError, match=r"needs a matrix with explicit entries, got OnlyMultiplies: use Cheb"):
        preconditioner.prepare(hidden)


def test_without_pyamg_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pyamg", None)
    with pytest.raises(GraphPERuntimeError, match=r"pip install graphpe\[amg\]"):
        LOBPCG(AMG()).solve(problem())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: ChebyshevPolynomial(0), "degree must be from 1 on, got 0"),
        (lambda: AMG(shift=0), "shift must be positive, got 0"),
        (lambda: AMG(degree=0), "degree must be from 1 on, got 0"),
    ],
)
def test_parameters_are_checked(make, message):
    with pytest.raises(GraphPEValueError, match=message):
        make()
