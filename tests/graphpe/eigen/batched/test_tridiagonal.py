from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg

from graphpe.compiled.lanes import LANES, empty_lanes
from graphpe.eigen.batched.tridiagonal import eigenvalues, eigenvectors


def matrices(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Main and side diagonals `[LANES, n]`: random, glued, graded, in pieces, constant, zero."""
    main, side = rng.standard_normal((LANES, n)), rng.standard_normal((LANES, n))
    main[1], side[1] = np.abs(np.arange(n) - n // 2), 1  # Wilkinson's: pairs that agree to rounding
    main[2] *= 10.0 ** -np.arange(n)
    side[3, ::3] = 1e-17
    side[4] = 0
    main[5], side[5] = 2, -1
    main[6], side[6] = 0, 0
    side[:, 0] = 0
    return main, side


@pytest.mark.parametrize("n", [1, 2, 5, 21, 64])
def test_against_scipy(n):
    main, side = matrices(np.random.default_rng(n), n)
    size = np.full(LANES, n)
    size[7] = max(1, n - 2)
    side[7, size[7] :] = 0
    diagonal, beside, values = empty_lanes(n), empty_lanes(n), empty_lanes(n)
    diagonal[:], beside[:] = main.T.ravel(), side.T.ravel()
    vectors = empty_lanes(n * n)
    eigenvalues(diagonal, beside, size, n, values, empty_lanes(n + 1), empty_lanes(4))
    eigenvectors(diagonal, beside, size, size, n, n, values, vectors, empty_lanes(8 * n + 3))
    for lane in range(LANES):
        rows = size[lane]
        d, e = main[lane, :rows], side[lane, 1:rows]
        t = np.diag(d) + np.diag(e, 1) + np.diag(e, -1)
        norm = max(np.abs(t).sum(axis=0).max(), 1e-300)
        own = values[lane::LANES][:rows]
        z = vectors[lane::LANES].reshape(n, n)[:rows, :rows].T
        np.testing.assert_allclose(own, scipy.linalg.eigvalsh_tridiagonal(d, e), atol=1e-14 * norm * rows)
        np.testing.assert_allclose(t @ z, z * own, atol=1e-13 * norm)
        np.testing.assert_allclose(z.T @ z, np.eye(rows), atol=1e-13)


def test_what_is_not_finite_comes_back_as_nan():
    n = 4
    diagonal, beside, values, vectors = empty_lanes(n), empty_lanes(n), empty_lanes(n), empty_lanes(n * n)
    diagonal[:], beside[:] = 1.0, 0.5
    diagonal[2] = np.nan
    size = np.full(LANES, n)
    eigenvalues(diagonal, beside, size, n, values, empty_lanes(n + 1), empty_lanes(4))
    eigenvectors(diagonal, beside, size, size, n, n, values, vectors, empty_lanes(8 * n + 3))
    assert np.isnan(vectors[2::LANES]).all()
    assert np.isfinite(vectors[3::LANES]).all()
    assert np.isfinite(values[3::LANES]).all()
