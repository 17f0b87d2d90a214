"""`eigsh` with every solver, and sums over trees, on the pretended accelerator."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import graphpe
from graphpe.benchmarks.measure.pretend.accelerator import move, pretending, to_host
from graphpe.benchmarks.measure.pretend.direct_solver import pretending_cudss
from graphpe.benchmarks.measure.pretend.tensors import DEVICE
from graphpe.eigen.choose import choose
from graphpe.eigen.operators.base import as_operator
from graphpe.eigen.operators.problem import Problem
from graphpe.eigen.solvers import lanczos
from graphpe.eigen.solvers.chebyshev import ChebyshevFilter
from graphpe.eigen.solvers.dense import Dense
from graphpe.eigen.solvers.lanczos import Lanczos
from graphpe.eigen.solvers.lobpcg import LOBPCG
from graphpe.eigen.solvers.preconditioners import AMG, ChebyshevPolynomial, Jacobi
from graphpe.eigen.solvers.shift_invert import ShiftInvert
from graphpe.trees import Cosine, Exponential, Gaussian, Learnable, Polynomial, Rational, Table, TreeFunction

SIDE = 14
SOLVERS: dict[str, Any] = {
    "auto": "auto", "Dense": Dense(), "ChebyshevFilter": ChebyshevFilter(), "Lanczos": Lanczos(), "LOBPCG": LOBPCG(),
    "Jacobi": LOBPCG(Jacobi()), "ChebyshevPolynomial": LOBPCG(ChebyshevPolynomial(10)), "AMG": LOBPCG(AMG()),
}  # fmt: skip


def operator(name: str) -> Tensor:
    if name == "grid":
        number = np.arange(SIDE * SIDE).reshape(SIDE, SIDE)
        steps = [(number[:, :-1], number[:, 1:]), (number[:-1], number[1:])]
        edges = np.concatenate([np.stack([a.ravel(), b.ravel()]) for a, b in steps], axis=1)
        return graphpe.laplacian(torch.from_numpy(edges), SIDE * SIDE)
    edges = np.random.default_rng(0).integers(0, 200, (2, 800))
    if name == "float32":
        return graphpe.laplacian(torch.from_numpy(edges), 200).to(torch.float32)
    return graphpe.magnetic_laplacian(torch.from_numpy(edges), 200, 0.1)


@pytest.mark.parametrize("which", ["smallest", "largest"])
@pytest.mark.parametrize("name", ["grid", "magnetic", "float32"])
@pytest.mark.parametrize(
    "solver", [name if name in ("auto", "LOBPCG") else pytest.param(name, marks=pytest.mark.slow) for name in SOLVERS]
)
def test_eigenvalues_are_those_of_the_dense_solver(solver: str, name: str, which: Any) -> None:
    if solver == "AMG":
        pytest.importorskip("pyamg", reason="pyamg is not installed: extra amg")
    matrix = operator(name)
    exact = torch.complex128 if matrix.dtype.is_complex else torch.float64
    expected = torch.linalg.eigvalsh(matrix.to_dense().to(exact))
    expected = expected[:4] if which == "smallest" else expected.flip(0)[:4]
    tolerance = 2e-5 if name == "float32" else 1e-6
    with pretending() as seen:
        there = matrix.to(DEVICE)
        result = graphpe.eigsh(there, 4, which=which, solver=SOLVERS[solver], tol=tolerance, max_iterations=2000)
    assert result.vectors.device == DEVICE
    assert bool(to_host(result.converged).all())
    assert not seen.of("mixing", "no kernel"), seen.report()
    assert float((to_host(result.values).double() - expected).abs().max()) < 10 * tolerance


def grid(side: int) -> Tensor:
    number = torch.arange(side * side).view(side, side)
    edges = torch.cat([torch.stack([number[:, :-1].flatten(), number[:, 1:].flatten()]),
                       torch.stack([number[:-1].flatten(), number[1:].flatten()])], dim=1)  # fmt: skip
    return graphpe.laplacian(edges, side * side)


@pytest.mark.parametrize(("side", "solver"), [(14, Dense), (120, ChebyshevFilter)])
def test_the_choice_knows_the_device(side: int, solver: type) -> None:
    """On a CPU, factors are quickest for the larger grid; and on a device that has them."""
    matrix = grid(side)
    assert "on pretend" not in choose(Problem(as_operator(matrix), 16, "smallest", 1e-6, 2.0, 100, 0))[1]
    with pretending():
        chosen, reason = choose(Problem(as_operator(matrix.to(DEVICE)), 16, "smallest", 1e-6, 2.0, 100, 0))
    assert isinstance(chosen, solver), reason
    assert "on pretend" in reason
    assert "ShiftInvert" not in reason
    with pretending(), pretending_cudss():
        chosen, reason = choose(Problem(as_operator(matrix.to(DEVICE)), 16, "smallest", 1e-6, 2.0, 100, 0))
    assert isinstance(chosen, Dense if solver is Dense else ShiftInvert), reason
    assert "on pretend" in reason


def test_factors_that_fill_up_are_not_chosen_on_a_device() -> None:
    edges = torch.from_numpy(np.random.default_rng(0).integers(0, 12_000, (2, 60_000)))
    matrix = graphpe.laplacian(edges, 12_000)
    with pretending(), pretending_cudss():
        chosen, reason = choose(Problem(as_operator(matrix.to(DEVICE)), 4, "smallest", 1e-6, 2.0, 100, 0))
    assert isinstance(chosen, ChebyshevFilter), reason
    assert "ShiftInvert" in reason


@pytest.mark.parametrize("which", ["smallest", "largest"])
@pytest.mark.parametrize("name", ["grid", "magnetic", "float32"])
def test_factors_of_the_device_give_the_eigenvalues_of_the_dense_solver(name: str, which: Any) -> None:
    matrix = operator(name)
    exact = torch.complex128 if matrix.dtype.is_complex else torch.float64
    expected = torch.linalg.eigvalsh(matrix.to_dense().to(exact))
    expected = expected[:4] if which == "smallest" else expected.flip(0)[:4]
    tolerance = 2e-5 if name == "float32" else 1e-8
    with pretending() as seen, pretending_cudss():
        result = graphpe.eigsh(matrix.to(DEVICE), 4, which=which, solver=ShiftInvert(), tol=tolerance)
    assert result.vectors.device == DEVICE
    assert bool(to_host(result.converged).all())
    assert not seen.of("mixing", "no kernel"), seen.report()
    assert "entries of the factors" in result.solver
    assert float((to_host(result.values).double() - expected).abs().max()) < 10 * tolerance


def test_zero_modes_that_are_known_are_counted_with_the_factors() -> None:
    matrix = operator("grid")
    values, vectors = torch.linalg.eigh(matrix.to_dense())
    with pretending() as seen, pretending_cudss():
        known = vectors[:, :1].to_sparse_csr().to(DEVICE)
        result = graphpe.eigsh(matrix.to(DEVICE), 4, solver=ShiftInvert(), deflate=known)
    assert not seen.of("mixing", "no kernel"), seen.report()
    assert float((to_host(result.values) - values[1:5]).abs().max()) < 1e-8


def test_without_memory_for_factors_the_device_has_another_solver(monkeypatch: pytest.MonkeyPatch) -> None:
    def exhausted(self: Any, *, stream: Any = None) -> None:
        raise RuntimeError("ALLOC_FAILED (2)")

    matrix = grid(120)
    with pretending() as seen, pretending_cudss():
        monkeypatch.setattr("graphpe.benchmarks.measure.pretend.direct_solver.DirectSolver.plan", exhausted)
        result = graphpe.eigsh(matrix.to(DEVICE), 4)
        with pytest.raises(graphpe.EigenError, match="cuDSS cannot plan factors"):
            graphpe.eigsh(matrix.to(DEVICE), 4, solver="shift_invert")
    assert result.solver.startswith("ChebyshevFilter")
    assert "as factors failed (cuDSS cannot plan factors: ALLOC_FAILED (2))" in result.solver
    assert not seen.of("mixing", "no kernel"), seen.report()
    expected = graphpe.eigsh(matrix, 4).values
    assert float((to_host(result.values) - expected).abs().max()) < 1e-6


def test_without_cudss_factors_are_refused_on_a_device() -> None:
    with pretending(), pytest.raises(graphpe.GraphPETypeError, match="nvmath-python"):
        graphpe.eigsh(operator("grid").to(DEVICE), 4, solver="shift_invert")


@pytest.mark.parametrize("name", ["float32", "magnetic"])
@pytest.mark.parametrize(
    ("solver", "start", "each"), [(ChebyshevFilter(), 30, 5), (Lanczos(), 35, 5), (LOBPCG(), 20, 2)]
)
def test_the_host_waits_for_filters_and_bases_not_for_products(solver: Any, start: int, each: int, name: str) -> None:
    with pretending() as seen:
        result = graphpe.eigsh(operator(name).to(DEVICE), 4, solver=solver, tol=2e-5, max_iterations=2000)
    assert len(seen.syncs) <= start + each * result.iterations, seen.report()
    assert result.matvecs > 190


def test_blocks_that_depend_on_each_other_are_seen_at_the_end_of_a_basis(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two eigenvalues: the Krylov space ends after two blocks."""
    edges = torch.combinations(torch.arange(90)).T
    repaired, repair = [], lanczos._repaired
    monkeypatch.setattr(lanczos, "_repaired", lambda *given: [repaired.append(1), repair(*given)][1])
    with pretending() as seen:
        result = graphpe.eigsh(graphpe.laplacian(edges, 90).to(DEVICE), 3, solver=Lanczos(degree=1, basis=40))
    assert to_host(result.values).tolist() == pytest.approx([0, 90 / 89, 90 / 89], abs=1e-4)
    assert repaired
    assert not seen.of("mixing", "no kernel"), seen.report()


@pytest.mark.parametrize("name", ["grid", "float32", "magnetic"])
def test_vectors_of_a_device_that_are_not_orthonormal_are_solved_again(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = torch.linalg.eigh
    asked = []

    def wrong(matrix: Tensor, UPLO: str = "L") -> tuple[Tensor, Tensor]:
        values, vectors = real(matrix, UPLO=UPLO)
        if matrix.device.type == "cpu":
            return values, vectors
        asked.append(matrix.dtype)
        return values, vectors + 0.01

    monkeypatch.setattr(torch.linalg, "eigh", wrong)
    matrix = operator(name)
    expected = real(matrix.to_dense().to(torch.complex128 if matrix.dtype.is_complex else torch.float64))[0][:4]
    if matrix.dtype.is_complex:
        matrix = matrix.to(torch.complex64)
    with pretending():
        result = graphpe.eigsh(matrix.to(DEVICE), 4, solver=Dense(), tol=2e-5)
    assert asked
    assert torch.complex64 not in asked
    assert result.vectors.device == DEVICE
    vectors = to_host(result.vectors)
    assert float((vectors.mH @ vectors - torch.eye(4)).abs().max()) < 1e-5
    assert float((to_host(result.values).double() - expected).abs().max()) < 1e-4


FUNCTIONS: dict[str, TreeFunction] = {
    "Exponential": Exponential(0.5), "Polynomial": Polynomial([1.0, 0.1]), "Cosine": Cosine(0.3),
    "Table": Table([1.0, 0.5, 0.2, 0.1]), "long Table": Table(torch.linspace(1, 0, 200).tolist()),
    "Gaussian": Gaussian(3.0), "Rational": Rational([1.0], [1.0, 0.5]),
    "Sum": Exponential(0.5) + Polynomial([0.0, 0.1]), "Product": Table([1.0, 0.5, 0.2]) * Exponential(0.1),
}  # fmt: skip


@pytest.mark.parametrize("name", FUNCTIONS)
def test_sums_over_trees_and_their_gradients_are_those_of_the_cpu(name: str) -> None:
    n, rng = 120, np.random.default_rng(0)
    edges = torch.from_numpy(np.stack([rng.integers(0, 10**6, n - 1) % np.arange(1, n), np.arange(1, n)]))
    length = torch.from_numpy(rng.integers(1, 5, n - 1).astype(np.float64))
    field = torch.from_numpy(rng.standard_normal((n, 3)))
    here, there = Learnable(FUNCTIONS[name]), Learnable(FUNCTIONS[name])
    x = field.clone().requires_grad_()
    expected = graphpe.TreeIntegrator(edges, length, n).integrate(here, x)
    expected.square().sum().backward()
    with pretending() as seen:
        for part in _parts(there):
            for key, child in part.children():
                if isinstance(child, Tensor):
                    setattr(part, key, move(child).requires_grad_())
        z = move(field).requires_grad_()
        value = graphpe.TreeIntegrator(edges.to(DEVICE), length.to(DEVICE), n).integrate(there, z)
        value.square().sum().backward()
    assert not seen.of("mixing", "no kernel"), seen.report()
    pairs = [(value, expected), (z.grad, x.grad)]
    pairs += [(p.grad, q.grad) for p, q in zip(there.parameters(), here.parameters(), strict=True)]
    for mine, other in pairs:
        torch.testing.assert_close(to_host(mine), other.detach(), rtol=1e-6, atol=1e-8)


def _parts(f: TreeFunction) -> list[TreeFunction]:
    return [f, *(part for _, child in f.children() if isinstance(child, TreeFunction) for part in _parts(child))]
