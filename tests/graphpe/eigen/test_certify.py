"""Certificates against whole spectra by LAPACK, of right pairs, of pairs with some left out, and of perturbed ones."""

from __future__ import annotations

import math

import networkx as nx
import numpy as np
import pytest
import scipy.sparse as sp
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import graphpe
from graphpe.eigen import certify as module
from graphpe.errors import EigenError, GraphPETypeError, GraphPEValueError


@pytest.fixture(params=["spectrum", "pivots"])
def counting(request, monkeypatch) -> str:
    """Both ways of counting, on graphs that are small enough to know the answer."""
    if request.param == "pivots":
        monkeypatch.setattr(module, "_DENSE", 0)
    return request.param


def random_operator(seed: int, n: int, complex: bool = False) -> torch.Tensor:
    rng = np.random.default_rng(seed)
    edges = torch.from_numpy(rng.integers(0, n, (2, 2 * n)))
    weight = torch.from_numpy(rng.uniform(0.2, 2, 2 * n))
    if complex:
        return graphpe.magnetic_laplacian(edges, n, q=0.17, edge_weight=weight)
    return graphpe.laplacian(edges, n, weight)


def ends(matrix: torch.Tensor, which: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The whole spectrum, wanted end first."""
    values, vectors = torch.linalg.eigh(matrix.to_dense())
    return (values, vectors) if which == "smallest" else (values.flip(0), vectors.flip(1))


@pytest.mark.parametrize("which", ["smallest", "largest"])
@pytest.mark.parametrize("complex", [False, True])
@pytest.mark.parametrize("seed", range(4))
def test_right_pairs(counting: str, seed: int, complex: bool, which) -> None:
    matrix = random_operator(seed, 40, complex)
    values, vectors = ends(matrix, which)
    for k in (1, 5, 39, 40):
        found = graphpe.certify(matrix, values[:k], vectors[:, :k], which)
        assert (found.missed, found.residuals.max() < 1e-13) == (0, True)
        copies = int(((values - values[k - 1]).abs() < 1e-9)[k:].sum())
        assert found.cut == copies
        difference = (values[:k, None] - values[None]).abs()
        difference[torch.arange(k), torch.arange(k)] = math.inf
        exact = difference.min(1).values
        close = exact < 1e-9
        torch.testing.assert_close(
            found.gaps[close], torch.zeros(int(close.sum()), dtype=torch.float64), atol=1e-9, rtol=0
        )
        share = found.gaps[~close] / exact[~close]
        assert bool((share <= 1 + 1e-9).all())
        assert bool((share >= (0.95 if counting == "pivots" else 1 - 1e-6)).all()), share


@pytest.mark.parametrize("seed", range(5))
def test_missing_pairs_are_counted(counting: str, seed: int) -> None:
    matrix = random_operator(seed, 30)
    values, vectors = ends(matrix, "smallest")
    rng = np.random.default_rng(seed)
    gone = rng.choice(9, 3, replace=False)  # of the first ten; the tenth stays
    kept = torch.tensor([i for i in range(10) if i not in gone])
    found = graphpe.certify(matrix, values[kept], vectors[:, kept])
    between = int((values[torch.from_numpy(gone)] < values[9] - 1e-7).sum())
    assert found.missed == between
    assert bool((found.gaps == 0).all()) == (between > 0)


def test_a_repeated_eigenvalue_may_be_cut_or_missed(counting: str) -> None:
    edges = torch.tensor([[u, u ^ (1 << bit)] for u in range(16) for bit in range(4)]).T
    matrix = graphpe.laplacian(edges, 16)  # a hypercube: multiplicities 1, 4, 6, 4, 1
    values, vectors = ends(matrix, "smallest")
    for k, cut in ((1, 0), (2, 3), (4, 1), (5, 0), (8, 3), (16, 0)):
        found = graphpe.certify(matrix, values[:k], vectors[:, :k])
        assert (found.missed, found.cut) == (0, cut)
    found = graphpe.certify(matrix, values[[0, 1, 2, 4, 5]], vectors[:, [0, 1, 2, 4, 5]])  # a copy of the first lacks
    assert (found.missed, found.cut) == (1, 5)


@settings(deadline=None, max_examples=40)
@given(seed=st.integers(0, 2**31), size=st.floats(-12, -2), complex=st.booleans())
def test_angles_are_within_residual_over_gap(seed: int, size: float, complex: bool) -> None:
    matrix = random_operator(seed, 15, complex)
    values, vectors = torch.linalg.eigh(matrix.to_dense())
    noise = torch.randn(vectors[:, :4].shape, dtype=vectors.dtype, generator=torch.Generator().manual_seed(seed))
    basis = torch.linalg.qr(vectors[:, :4] + 10**size * noise).Q
    quotient = (basis.conj() * (matrix.to_dense() @ basis)).sum(0).real
    quotient, order = quotient.sort()
    basis = basis[:, order]
    found = graphpe.certify(matrix, quotient, basis)
    assert found.missed >= 0
    assert found.cut >= 0
    near = (quotient[:, None] - values).abs().min(1).values
    assert bool((near <= found.residuals + 1e-12).all())
    for j in range(4):
        bound = float(found.residuals[j] / found.gaps[j]) if found.gaps[j] > 0 else 1.0
        nearest = vectors[:, (values - quotient[j]).abs().argmin()]
        cosine = abs(complex_dot(nearest, basis[:, j]))
        assert math.sqrt(max(1 - cosine**2, 0)) <= bound + 1e-7


def complex_dot(a: torch.Tensor, b: torch.Tensor) -> float:
    return float(torch.vdot(a, b).abs())


def test_large_graphs_count_by_factors() -> None:
    grid = nx.convert_node_labels_to_integers(nx.grid_2d_graph(60, 41))
    matrix = graphpe.laplacian(torch.tensor(list(grid.edges)).T, 2460, normalization="comb")
    result = graphpe.eigsh(matrix, 6)
    found = graphpe.certify(matrix, result.values, result.vectors)
    one, two = (2 - 2 * np.cos(np.pi * np.arange(n) / n) for n in (60, 41))
    exact = np.sort((one[:, None] + two).ravel())
    gap = np.minimum(np.diff(exact[:7]), np.diff(exact[:6], prepend=-np.inf))
    assert (found.missed, found.cut) == (0, 0)
    share = found.gaps.numpy() / gap
    assert ((share <= 1 + 1e-6) & (share >= 0.95)).all(), share
    found = graphpe.certify(matrix, result.values[[0, 1, 3, 4]], result.vectors[:, [0, 1, 3, 4]])
    assert (found.missed, found.cut) == (1, 0)


def test_units_and_single_precision() -> None:
    matrix = random_operator(3, 20)
    values, vectors = ends(matrix, "smallest")
    plain = graphpe.certify(matrix, values[:3], vectors[:, :3])
    for unit in (2.0**-200, 2.0**300):
        scaled = graphpe.certify(matrix.to_dense() * unit, values[:3] * unit, vectors[:, :3])
        torch.testing.assert_close(scaled.gaps / unit, plain.gaps)
    single = graphpe.certify(matrix.to_dense().float(), values[:3].float(), vectors[:, :3].float())
    assert single.residuals.dtype == torch.float64
    torch.testing.assert_close(single.gaps, plain.gaps, atol=1e-6, rtol=0)


def test_what_scipy_has_found() -> None:
    matrix = random_operator(8, 50).to_dense().numpy()
    values, vectors = sp.linalg.eigsh(sp.csr_matrix(matrix), 4, which="LA")
    found = graphpe.certify(
        sp.csr_matrix(matrix), *(torch.from_numpy(x.copy()) for x in (values[::-1], vectors[:, ::-1])), "largest"
    )
    assert (found.missed, found.cut) == (0, 0)


def test_one_row_and_an_operator_of_zeros(counting: str) -> None:
    one = graphpe.certify(torch.tensor([[2.0]]), torch.tensor([2.0]), torch.tensor([[1.0]]))
    assert (one.missed, one.cut, one.gaps.tolist()) == (0, 0, [math.inf])
    nothing = graphpe.certify(torch.zeros(3, 3), torch.zeros(2), torch.eye(3)[:, :2])
    assert (nothing.missed, nothing.cut, nothing.gaps.tolist()) == (0, 1, [0.0, 0.0])


def test_errors() -> None:
    matrix, values, vectors = torch.eye(4), torch.ones(2), torch.eye(4)[:, :2]
    with pytest.raises(
        GraphPEValueError, match=r"values must be real, \[k\].* vectors \[4, k\], got \[2\] and \[4, 1\]"
    ):
        graphpe.certify(matrix, values, vectors[:, :1])
    with pytest.raises(GraphPEValueError, match=r"got \[0\]"):
        graphpe.certify(matrix, values[:0], vectors[:, :0])
    with pytest.raises(GraphPEValueError, match="orthonormal"):
        graphpe.certify(matrix, values, vectors[:, [0, 0]])
    with pytest.raises(GraphPEValueError, match="nan or inf"):
        graphpe.certify(matrix, values * torch.nan, vectors)
    with pytest.raises(GraphPEValueError, match="ascending where which='smallest'"):
        graphpe.certify(matrix, torch.tensor([1.0, 0.0]), vectors)
    with pytest.raises(GraphPEValueError, match="which must be one of"):
        graphpe.certify(matrix, values, vectors, "middle")
    with pytest.raises(GraphPETypeError, match="tensors, got list"):
        graphpe.certify(matrix, [1.0, 1.0], vectors)
    with pytest.raises(GraphPETypeError, match="a matrix with entries"):
        graphpe.certify(sp.linalg.aslinearoperator(np.eye(4)), values.double(), vectors.double())
    with pytest.raises(GraphPEValueError, match="not Hermitian"):
        graphpe.certify(torch.randn(4, 4), values, vectors)


def test_factors_that_cannot_be_trusted_are_not(monkeypatch) -> None:
    monkeypatch.setattr(module, "_DENSE", 0)
    monkeypatch.setattr(module, "_MARGINS", (1e-17, 1e-16))
    matrix = random_operator(1, 30)
    values, vectors = ends(matrix, "smallest")
    with pytest.raises(EigenError, match=r"cannot count the eigenvalues below .* allowed"):
        graphpe.certify(matrix, values[5:7] + torch.tensor([0, 1e-14]), vectors[:, 5:7])


def test_what_would_take_too_long_is_refused(monkeypatch) -> None:
    monkeypatch.setattr(module, "_DENSE", 0)
    monkeypatch.setattr(module, "is_fill_worth_it", lambda *_: True)
    graph = nx.random_regular_graph(8, 400, seed=1)
    matrix = graphpe.laplacian(torch.tensor(list(graph.edges)).T, 400)
    result = graphpe.eigsh(matrix, 2)
    with graphpe.limits(seconds=0.01), pytest.raises(GraphPEValueError, match="certify on a graph of 400 nodes would"):
        graphpe.certify(matrix, result.values, result.vectors)
