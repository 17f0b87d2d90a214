from __future__ import annotations

import numpy as np
import pytest

from graphpe.compiled.lanes import LANES, empty_lanes
from graphpe.eigen.batched.householder import (
    back_transform,
    back_transform_complex,
    tridiagonalise,
    tridiagonalise_complex,
)


@pytest.mark.parametrize("n", [1, 2, 3, 4, 9, 16])
@pytest.mark.parametrize("is_complex", [False, True])
def test_the_tridiagonal_and_the_way_back(n, is_complex):
    rng = np.random.default_rng(n)
    parts = 2 if is_complex else 1
    stack = rng.standard_normal((LANES, n, n)) + (1j * rng.standard_normal((LANES, n, n)) if is_complex else 0)
    stack = stack + stack.conj().swapaxes(1, 2)
    stack[3] = 0
    if n > 2:
        stack[4, -1] = stack[4, :, -1] = 0  # smaller than the others
    row, col = np.tril_indices(n)
    a = empty_lanes(parts * len(row))
    a[:] = np.ascontiguousarray(stack[:, row, col]).view(float).reshape(LANES, -1).T.ravel()
    diagonal, beside, tau, phase = empty_lanes(n), empty_lanes(n), empty_lanes(n), empty_lanes(2 * n)
    scratch, z = empty_lanes(8 * n), empty_lanes(n * n)
    z[:] = np.repeat(np.eye(n).ravel(), LANES)
    if is_complex:
        tridiagonalise_complex(a, n, diagonal, beside, tau, phase, scratch)
        out = empty_lanes(2 * n * n)
        back_transform_complex(a, n, tau, phase, n, z, out)
        vectors = out.reshape(n, n, 2, LANES)
        vectors = vectors[:, :, 0] + 1j * vectors[:, :, 1]
    else:
        tridiagonalise(a, n, diagonal, beside, tau, scratch)
        back_transform(a, n, tau, n, z)
        vectors = z.reshape(n, n, LANES)
    for lane in range(LANES):
        q = vectors[:, :, lane].T  # columns: the images of the unit vectors
        main, side = diagonal[lane::LANES], beside[lane::LANES][1:]
        t = np.diag(main) + np.diag(side, 1) + np.diag(side, -1)
        np.testing.assert_allclose(q.conj().T @ q, np.eye(n), atol=1e-13)
        np.testing.assert_allclose(q @ t @ q.conj().T, stack[lane], atol=1e-12)
