from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse import csc_matrix

import graphpe
from graphpe.eigen.factors.superlu import SuperLU, by_columns, negative_pivots


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng()


def laplacian(size: int, rng: np.random.Generator, q: float | None) -> torch.Tensor:
    edges = torch.from_numpy(rng.integers(0, size, (2, 3 * size)))
    return graphpe.laplacian(edges, size) if q is None else graphpe.magnetic_laplacian(edges, size, q)


@pytest.mark.parametrize("q", [None, 0.1])
@pytest.mark.parametrize("shift", [-0.3, 0.41, 1.03])
def test_counts_and_solutions_are_those_of_the_dense_matrix(
    q: float | None, shift: float, rng: np.random.Generator
) -> None:
    matrix = laplacian(60, rng, q)
    dense = matrix.to_dense()
    factors = SuperLU(by_columns(matrix))
    count = int((torch.linalg.eigvalsh(dense) < shift).sum())
    assert factors.factor(shift) == count
    found = negative_pivots(by_columns(matrix), shift)
    assert found is not None
    assert found[0] == count
    block = torch.from_numpy(rng.standard_normal((60, 3))).to(dense.dtype)
    exact = torch.linalg.solve(dense - shift * torch.eye(60, dtype=dense.dtype), block)
    assert torch.allclose(factors.solve(block), exact, rtol=1e-9, atol=1e-9)
    assert torch.allclose(factors.matmul(block), dense @ block, atol=1e-12)
    assert factors.entries >= 60


def test_pivots_off_the_diagonal_say_nothing() -> None:
    """Zeros on the diagonal make SuperLU exchange rows."""
    factors = SuperLU(csc_matrix(np.array([[0.0, 1.0], [1.0, 0.0]])))
    assert factors.factor(0.0) is None
