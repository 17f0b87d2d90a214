from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import scipy.sparse as sparse
from hypothesis import given, settings
from hypothesis import strategies as st

from graphpe.compiled.lanes import LANES, empty_lanes
from graphpe.eigen.batched.ldl import SparseRows, eliminate, factorise, invert, solve_lanes


def random_matrix(rng: np.random.Generator, n: int, is_complex: bool) -> np.ndarray:
    """Hermitian and positive definite."""
    matrix = rng.standard_normal((n, n)) * (rng.random((n, n)) < 2 / n)
    if is_complex:
        matrix = matrix * np.exp(2j * np.pi * rng.random((n, n)))
    matrix = matrix + matrix.conj().T
    return matrix + np.diag(np.abs(matrix).sum(axis=0) + 0.1)


def rows_of(matrix: np.ndarray) -> SparseRows:
    by_row = sparse.csr_matrix(matrix)
    return SparseRows(by_row.indptr.astype(np.int64), by_row.indices.astype(np.int64), by_row.data)


@settings(deadline=None, max_examples=40)
@given(
    seed=st.integers(0, 2**32 - 1), n=st.integers(1, 60), shift=st.sampled_from([0.0, -2.0]), is_complex=st.booleans()
)
def test_factors_and_solves(seed, n, shift, is_complex):
    rng = np.random.default_rng(seed)
    matrix = random_matrix(rng, n, is_complex)
    rows = rows_of(matrix)
    structure = eliminate(rows, n * n)
    assert np.array_equal(np.sort(structure.order), np.arange(n))
    assert np.array_equal(structure.place[structure.order], np.arange(n))
    factors = factorise(rows, structure, shift)
    lower = np.eye(n, dtype=matrix.dtype)
    for j in range(n):
        column = slice(structure.start[j], structure.start[j + 1])
        assert (np.diff(structure.rows[column]) > 0).all()
        assert (structure.rows[column] > j).all()
        assert (structure.columns[column] == j).all()
        lower[structure.rows[column], j] = factors.lower[column]
    shifted = (matrix - shift * np.eye(n))[np.ix_(structure.order, structure.order)]
    np.testing.assert_allclose(lower * factors.pivot @ lower.conj().T, shifted, atol=1e-12)

    parts = 2 if is_complex else 1
    x = empty_lanes(n * parts + 3)
    x[:] = rng.standard_normal(len(x))
    before = x.copy()
    solve_lanes(invert(structure, factors), x, 2)

    def columns(lanes: np.ndarray) -> np.ndarray:
        parted = lanes[2 * LANES : -LANES].reshape(n, parts, LANES)
        return parted[:, 0] + 1j * parted[:, 1] if is_complex else parted[:, 0]

    np.testing.assert_allclose(shifted @ columns(x), columns(before), atol=1e-11)
    assert np.array_equal(x[: 2 * LANES], before[: 2 * LANES])
    assert np.array_equal(x[-LANES:], before[-LANES:])


@pytest.mark.parametrize("is_complex", [False, True])
def test_pivots_count_the_eigenvalues_below_the_shift(is_complex):
    matrix = random_matrix(np.random.default_rng(1), 50, is_complex)
    rows = rows_of(matrix)
    structure = eliminate(rows, 2500)
    values = np.linalg.eigvalsh(matrix)
    for below in (1, 7, 30):
        factors = factorise(rows, structure, values[below - 1 : below + 1].mean())
        assert (factors.pivot < 0).sum() == below


def test_trees_fill_nothing_and_dense_graphs_are_turned_down():
    tree = rows_of(nx.laplacian_matrix(nx.random_labeled_tree(500, seed=1)).toarray() + np.eye(500))
    assert len(eliminate(tree, 499).rows) == 499
    assert eliminate(tree, 498) is None
    complete = rows_of(np.ones((30, 30)))
    assert len(eliminate(complete, 435).rows) == 435
    assert eliminate(complete, 434) is None
    grid = rows_of(nx.laplacian_matrix(nx.grid_2d_graph(20, 20)).toarray() + np.eye(400))
    assert len(eliminate(grid, 10**5).rows) < 4500  # in the order of rows: 7600


def test_growth_tells_of_bad_pivots():
    structure = eliminate(rows_of(np.ones((2, 2))), 9)
    assert factorise(rows_of(np.array([[1e-9, 1.0], [1.0, 1e-9]]) + 0j), structure, 0.0).growth > 1e8
    assert factorise(rows_of(np.array([[1.0, 1.0], [1.0, 1.0]])), structure, 1.0).growth == np.inf
