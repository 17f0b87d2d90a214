"""Block Lanczos on inverses around factors that stand beside the matrix and count: the way of a device, on the CPU."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import graphpe
from graphpe.eigen.operators.base import as_operator
from graphpe.eigen.operators.problem import Found, Problem
from graphpe.eigen.solvers import shift_invert
from graphpe.eigen.solvers.shift_invert import ShiftInvert, lowest_by_factors


class DenseFactors:
    """`Factors` of a dense matrix on the CPU, counted by its eigenvalues."""

    counts_cheaply = True

    def __init__(self, matrix: Tensor, counts: bool = True, rounding: float = 0.0) -> None:
        self.matrix, self.dtype, self.device, self.entries = matrix, matrix.dtype, matrix.device, matrix.numel()
        self.counts, self.rounding = counts, rounding
        self.shifts: list[float] = []

    def factor(self, shift: float) -> int | None:
        self.shifted = self.matrix - shift * torch.eye(len(self.matrix), dtype=self.dtype)
        values = torch.linalg.eigvalsh(self.shifted)
        self.shifts.append(shift)
        below = int((values < 0).sum())
        return below if self.counts or len(self.shifts) == 1 else None

    def solve(self, block: Tensor) -> Tensor:
        return torch.linalg.solve(self.shifted + self.rounding * torch.diag(torch.ones(len(self.matrix))), block)

    def matmul(self, block: Tensor) -> Tensor:
        return self.matrix @ block


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng()


def with_values(values: list[float], rng: np.random.Generator, dtype: torch.dtype) -> Tensor:
    size = len(values)
    block = torch.from_numpy(rng.standard_normal((size, size))).to(dtype)
    if dtype.is_complex:
        block = block + 1j * torch.from_numpy(rng.standard_normal((size, size)))
    basis = torch.linalg.qr(block)[0]
    matrix = basis * torch.tensor(values, dtype=torch.float64) @ basis.mH
    return (matrix + matrix.mH) / 2


def solved(matrix: Tensor, k: int, factors: DenseFactors, block: int = 2, **problem: Any) -> Found:
    given = {"which": "smallest", "tol": 1e-8, "max_iterations": 500, "seed": 0, **problem}
    operator = as_operator(matrix)
    return lowest_by_factors(
        Problem(operator, k, norm=float(torch.linalg.matrix_norm(matrix, 2)), **given), factors, block
    )


@pytest.mark.parametrize("which", ["smallest", "largest"])
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
def test_eigenpairs_are_those_of_the_dense_matrix(dtype: torch.dtype, which: Any, rng: np.random.Generator) -> None:
    matrix = with_values(sorted(rng.uniform(-3, 5, 120)), rng, dtype)
    sign = 1 if which == "smallest" else -1
    factors = DenseFactors(sign * matrix)
    found = solved(matrix, 6, factors, which=which)
    values = torch.linalg.eigvalsh(matrix)
    expected = values[:6] if sign > 0 else values.flip(0)[:6]
    assert torch.allclose(found.values, expected, atol=1e-8)
    assert float((matrix @ found.vectors - found.vectors * found.values).abs().max()) < 1e-7
    assert torch.allclose(found.vectors.mH @ found.vectors, torch.eye(6, dtype=dtype), atol=1e-10)
    assert found.is_complete
    # One count: the last factors are those just below the last value.
    assert sign * float(expected[-2]) < factors.shifts[-1] < sign * float(expected[-1])


@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128])
@pytest.mark.parametrize("known", [0, 2])
def test_a_count_that_is_too_high_finds_what_was_missed(
    dtype: torch.dtype, known: int, rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A start without any part in three of the eigenvectors, two of them of one eigenvalue."""
    values = [0.0, 0.1, 0.2, 0.2, 0.2, 0.5, *np.linspace(1, 3, 100)]
    matrix = with_values(values, rng, dtype)
    vectors = torch.linalg.eigh(matrix)[1]
    hidden, basis = vectors[:, [2, 4, 5]], vectors[:, :known] if known else None
    real = shift_invert.largest
    monkeypatch.setattr(
        shift_invert,
        "largest",
        lambda apply, problem, like, known, block: real(apply, problem, like, [*known, hidden], block),
    )
    factors = DenseFactors(matrix)
    found = solved(matrix, 8 - known, factors, known=basis)
    expected = torch.tensor(values[known:8], dtype=torch.float64)
    assert torch.allclose(found.values, expected, atol=1e-8)
    assert float((matrix @ found.vectors - found.vectors * found.values).abs().max()) < 1e-7
    assert found.is_complete
    assert sum(shift > 0.9 for shift in factors.shifts) >= 2  # counted, completed, counted again
    if basis is not None:
        assert float((basis.mH @ found.vectors).abs().max()) < 1e-9

    unseen = solved(matrix, 8 - known, DenseFactors(matrix, counts=False), known=basis)
    assert float((unseen.values - expected).abs().max()) > 0.01  # something was missed, indeed
    assert not unseen.is_complete  # and nobody says that nothing was


def test_factors_that_are_too_inaccurate_do_not_count(rng: np.random.Generator) -> None:
    matrix = with_values([0.0, 0.1, 0.2, 0.3, *np.linspace(1, 2, 80)], rng, torch.float64)
    assert solved(matrix, 4, DenseFactors(matrix)).is_complete
    assert not solved(matrix, 4, DenseFactors(matrix, rounding=1e-5)).is_complete


def test_copies_of_the_last_value_need_not_be_there(rng: np.random.Generator) -> None:
    matrix = with_values([0.0, 0.1, 0.2, 0.2, 0.2, *np.linspace(1, 2, 80)], rng, torch.float64)
    found = solved(matrix, 3, DenseFactors(matrix), block=1)
    assert torch.allclose(found.values, torch.tensor([0.0, 0.1, 0.2], dtype=torch.float64), atol=1e-8)
    assert found.is_complete


def test_more_known_vectors_than_are_counted_leave_the_question_open(
    rng: np.random.Generator, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("graphpe.eigen.solvers.shift_invert._MOST_KNOWN", 2)
    matrix = with_values([0.0] * 3 + list(np.linspace(1, 2, 80)), rng, torch.float64)
    basis = torch.linalg.eigh(matrix)[1][:, :3]
    assert solved(matrix, 2, DenseFactors(matrix), known=basis[:, :2]).is_complete
    assert not solved(matrix, 2, DenseFactors(matrix), known=basis).is_complete


@pytest.mark.parametrize("seed", range(12))
def test_a_ritz_value_with_its_residual_below_the_level_is_no_proof(seed: int) -> None:
    """Most eigenvalues are far above, where a random block begins: five copies of the second are found one by one."""
    values = [0.0] + [0.5] * 8 + list(np.linspace(0.75, 0.8, 25)) + [1.0] * 90
    matrix = with_values(values, np.random.default_rng(1), torch.float64)
    found = graphpe.eigsh(-matrix, 6, which="largest", solver=ShiftInvert(block=1), tol=1e-8, seed=seed)
    expected = torch.tensor([0.0] + [-0.5] * 5, dtype=torch.float64)
    torch.testing.assert_close(found.values, expected, atol=1e-7, rtol=0)


def test_a_space_of_one_vector_is_enough_for_two_eigenvalues() -> None:
    edges = torch.combinations(torch.arange(90)).T
    found = graphpe.eigsh(graphpe.laplacian(edges, 90), 5, which="largest", solver=ShiftInvert(block=1))
    torch.testing.assert_close(found.values, torch.full((5,), 90 / 89, dtype=torch.float64), atol=1e-9, rtol=0)
