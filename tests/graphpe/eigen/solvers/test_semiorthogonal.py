from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch

from graphpe.eigen.operators.base import MatrixOperator
from graphpe.eigen.solvers import semiorthogonal
from graphpe.eigen.solvers.semiorthogonal import Space, product_of
from graphpe.structure.laplacian import laplacian, magnetic_laplacian


def matrix_of(q: float) -> torch.Tensor:
    graph = nx.barabasi_albert_graph(800, 4, seed=0)
    edges = torch.tensor(list(graph.edges)).T
    return magnetic_laplacian(edges, 800, q) if q else laplacian(edges, 800)


def space_of(matrix: torch.Tensor, most: int, threshold: float) -> Space:
    rng = np.random.default_rng(0)
    start = rng.standard_normal(800).astype(np.complex128 if matrix.is_complex() else np.float64)
    product = product_of(MatrixOperator(matrix), 1.0)
    return Space(product, start, most, 2.0, lambda vector: None, 800, threshold, rng)


@pytest.mark.parametrize("q", [0.0, 0.1])
@pytest.mark.parametrize("restart", [False, True])
def test_no_further_from_orthogonal_than_allowed_and_seldom_made_so(q, restart, monkeypatch) -> None:
    calls = 0
    subtract = semiorthogonal.subtract_rows

    def count(vector, rows):
        nonlocal calls
        calls += 1
        subtract(vector, rows)

    monkeypatch.setattr(semiorthogonal, "subtract_rows", count)
    space = space_of(matrix_of(q), 60 if restart else 200, 1e-8)
    while space.products < 200:
        if space.is_full:
            space.ritz(25)
            space.restart(25)
        space.extend()
    rows = space._rows[: space.size + 1]
    overlaps = np.abs(rows.conj() @ rows.T - np.eye(len(rows)))
    assert overlaps.max() < 3e-8
    assert calls < 100
    dense = matrix_of(q).to_dense().numpy()
    values, residuals = space.ritz(3)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(dense)[:3], atol=1e-6)
    vectors = space.vectors(3)
    measured = np.linalg.norm(dense @ vectors.T - vectors.T * values, axis=0)
    np.testing.assert_allclose(measured, residuals, atol=1e-7)


def test_orthogonal_to_rounding_on_request() -> None:
    space = space_of(matrix_of(0.0), 150, 0.0)
    for _ in range(150):
        space.extend()
    rows = space._rows[:150]
    assert np.abs(rows @ rows.T - np.eye(150)).max() < 1e-13


def test_several_threads_give_the_same(monkeypatch) -> None:
    monkeypatch.setattr(semiorthogonal, "_WORK_PER_THREAD", 100)
    monkeypatch.setattr(torch, "get_num_threads", lambda: 3)
    matrix = matrix_of(0.1)
    product = product_of(MatrixOperator(matrix), -1.0)
    rng = np.random.default_rng(0)
    x, y = rng.standard_normal((2, 800)) + 1j * rng.standard_normal((2, 800))
    out = np.empty_like(x)
    alpha = product(x, 0.3, y, out)
    expected = -(matrix.to_dense().numpy() @ x) - 0.3 * y
    np.testing.assert_allclose(out, expected, atol=1e-12)
    assert alpha == pytest.approx(np.vdot(x, expected).real)
