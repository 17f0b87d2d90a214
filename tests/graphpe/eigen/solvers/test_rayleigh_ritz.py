from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import graphpe
from graphpe.eigen.solvers import LOBPCG, ChebyshevFilter, Lanczos
from graphpe.eigen.solvers.rayleigh_ritz import projected_pairs


@pytest.mark.parametrize("solver", [ChebyshevFilter(), Lanczos(), LOBPCG()])
def test_subspaces_are_never_solved_in_complex64(solver: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    edges = torch.from_numpy(np.random.default_rng(0).integers(0, 200, (2, 800)))
    matrix = graphpe.magnetic_laplacian(edges, 200, 0.1).to(torch.complex64)
    expected = torch.linalg.eigvalsh(matrix.to_dense().to(torch.complex128))[:4]
    real, solved = torch.linalg.eigh, []

    def noted(matrix: Tensor, UPLO: str = "L") -> tuple[Tensor, Tensor]:
        solved.append(matrix.dtype)
        return real(matrix, UPLO=UPLO)

    monkeypatch.setattr(torch.linalg, "eigh", noted)
    result = graphpe.eigsh(matrix, 4, solver=solver, tol=2e-5)
    assert set(solved) == {torch.complex128}
    assert result.vectors.dtype == torch.complex64
    torch.testing.assert_close(result.values.double(), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.complex64, torch.complex128])
@pytest.mark.parametrize("uplo", ["L", "U"])
def test_pairs_of_a_small_matrix(dtype: torch.dtype, uplo: str) -> None:
    matrix = torch.randn(6, 6, dtype=dtype)
    triangle = matrix.tril() if uplo == "L" else matrix.triu()
    whole = triangle + triangle.mH
    whole.diagonal().copy_(matrix.diagonal().real)
    values, vectors = projected_pairs(whole.tril() if uplo == "L" else whole.triu(), uplo)
    assert values.dtype == dtype.to_real()
    assert vectors.dtype == dtype
    torch.testing.assert_close(whole @ vectors, vectors * values, rtol=1e-4, atol=1e-4)
