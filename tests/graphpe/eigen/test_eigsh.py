from __future__ import annotations

import re
import warnings
from dataclasses import dataclass
from typing import Any

import networkx as nx
import numpy as np
import pytest
import scipy.sparse as sparse
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

import graphpe
from graphpe.eigen import solvers
from graphpe.eigen.operators.problem import Found, Problem
from graphpe.eigen.solvers.dense import Dense


def ring(size: int = 12) -> Tensor:
    node = torch.arange(size)
    return graphpe.laplacian(torch.stack([node, (node + 1) % size]), size)


@dataclass(frozen=True)
class Tired:
    """Gives up at once."""

    def solve(self, problem: Problem) -> Found:
        vectors = torch.eye(problem.size, problem.k, dtype=problem.operator.dtype)
        return Found(torch.zeros(problem.k, dtype=torch.float64), vectors, 1, 0, "tired")


def test_every_form_of_a_matrix_gives_the_same() -> None:
    csr = ring()
    dense = csr.to_dense()
    by_scipy = sparse.csr_matrix(dense.numpy())
    expected = 1 - np.sort(np.cos(2 * np.pi * np.arange(12) / 12))[::-1]
    for operator in (csr, csr.to_sparse_coo(), dense, dense.numpy(), by_scipy, by_scipy.tocoo()):
        result = graphpe.eigsh(operator, 5)
        np.testing.assert_allclose(result.values, expected[:5], atol=1e-12)
        assert result.seconds > 0


def test_the_result_says_who_found_it() -> None:
    assert graphpe.eigsh(ring(), 2).solver.startswith("Dense(): of least estimated time for 12 rows")
    assert graphpe.eigsh(ring(), 2, solver=Dense()).solver == "Dense()"


def test_integers_are_numbers() -> None:
    values = graphpe.eigsh(sparse.diags_array([3, 1, 2]), 3).values
    assert values.dtype == torch.float64
    torch.testing.assert_close(values, torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64))


def test_not_converged_raises_with_what_there_is() -> None:
    with pytest.raises(
        graphpe.EigenError, match=r"2 of 2 eigenpairs did not converge .* tired: residuals up to"
    ) as caught:
        graphpe.eigsh(ring(), 2, solver=Tired())
    assert not caught.value.result.converged.any()
    torch.testing.assert_close(caught.value.result.residuals, torch.full((2,), 1.5**0.5, dtype=torch.float64))


def test_not_converged_warns_on_request() -> None:
    with pytest.warns(graphpe.EigenWarning, match="did not converge"):
        result = graphpe.eigsh(ring(), 2, solver=Tired(), throw=False)
    assert result.iterations == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"k": 0}, "k must be from 1 on, got 0"),
        ({"k": 13}, "k must be at most the size of the operator, 12, got 13"),
        ({"k": 2.0}, "k must be an integer, got 2.0"),
        ({"k": True}, "k must be an integer, got True"),
        ({"which": "SA"}, "which must be one of 'smallest', 'largest', got 'SA'"),
        ({"solver": "arpack"}, "solver must be 'auto' or a solver"),
        ({"solver": "arpack"}, "dense, shift_invert, chebyshev_filter, partial_lanczos, lanczos, lobpcg"),
        ({"solver": Dense}, "solver must be 'auto' or a solver"),
        ({"tol": "1e-3"}, "tol must be a number, got '1e-3'"),
        ({"tol": 0.0}, "tol must be between 0 and 1, got 0.0"),
        ({"tol": float("nan")}, "tol must be finite, got nan"),
        ({"max_iterations": 0}, "max_iterations must be from 1"),
        ({"seed": -1}, "seed must be from 0"),
        ({"X0": torch.zeros(5, 2)}, "X0 must be [12, columns], got [5, 2]"),
        ({"X0": torch.zeros(12)}, "X0 must be [12, columns], got [12]"),
        ({"X0": np.zeros((12, 2))}, "X0 must be a tensor, got ndarray"),
        ({"X0": torch.zeros(12, 2)}, "X0 must be of the operator's dtype torch.float64, got torch.float32"),
        (
            {"X0": torch.zeros(12, 2, dtype=torch.float64, device="meta")},
            "X0 must be on the operator's device cpu, got meta",
        ),
        ({"X0": torch.full((12, 2), torch.nan, dtype=torch.float64)}, "X0 holds nan or inf"),
        ({"deflate": torch.ones(12, 1, dtype=torch.float64)}, "deflate must have orthonormal columns"),
        ({"deflate": torch.eye(12, 2, dtype=torch.float64)}, "deflate must hold eigenvectors of the operator"),
        ({"deflate": torch.eye(12, 2, dtype=torch.complex128)}, "deflate must be of the operator's dtype"),
        (
            {"deflate": torch.eye(12, dtype=torch.float64)},
            "k must be at most the size of the operator, 12, less 12 of deflate",
        ),
    ],
)
def test_bad_arguments_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(graphpe.GraphPEError, match=re.escape(message)) as caught:
        graphpe.eigsh(ring(), **({"k": 2} | arguments))
    assert "\n" not in str(caught.value)


def test_many_components() -> None:
    """A multiplicity of zero far above the block of every solver."""
    graph = nx.disjoint_union_all([nx.cycle_graph(4 + i) for i in range(60)])
    operator = graphpe.laplacian(torch.tensor(list(graph.edges)).T, len(graph))
    result = graphpe.eigsh(operator, 62)
    assert int((result.values < 1e-10).sum()) == 60
    np.testing.assert_allclose(result.values[60:], 1 - np.cos(2 * np.pi / 63), atol=1e-9)


def test_no_known_vectors_are_as_none() -> None:
    empty = torch.zeros(12, 0, dtype=torch.float64)
    torch.testing.assert_close(graphpe.eigsh(ring(), 3, deflate=empty).values, graphpe.eigsh(ring(), 3).values)


@pytest.mark.parametrize(
    "name",
    ["dense", "shift_invert", "chebyshev_filter", "partial_lanczos", "lanczos", "lobpcg", "LOBPCG", "ShiftInvert"],
)
def test_solvers_have_names(name: str) -> None:
    matrix = torch.diag(torch.arange(60.0, dtype=torch.float64)).to_sparse_csr()
    found = graphpe.eigsh(matrix, 2, solver=name)
    assert found.solver.lower().startswith(name.replace("_", "").lower() + "(")
    torch.testing.assert_close(found.values, torch.tensor([0.0, 1.0], dtype=torch.float64), atol=1e-4, rtol=0)
    assert all(hasattr(solvers, public) for public in solvers.__all__)


@pytest.mark.parametrize("unit", [2.0**-1000, 1e-150, 1e-42, 1e30, 1e200, 2.0**1000])
@pytest.mark.parametrize(
    "solver", ["dense", "shift_invert", "chebyshev_filter", "partial_lanczos", "lanczos", "lobpcg"]
)
def test_operators_of_any_unit(unit: float, solver: str) -> None:
    matrix = sparse.csr_array(np.diag(1.0 + np.arange(80)))
    found = graphpe.eigsh(matrix * unit, 3, solver=solver)
    assert bool(found.converged.all())
    np.testing.assert_allclose(found.values.numpy() / unit, [1, 2, 3], rtol=1e-5)
    assert float(found.residuals.max()) <= 80e-6 * unit


@settings(max_examples=25, deadline=None, database=None, derandomize=True)
@given(seed=st.integers(0, 10**6), solver=st.sampled_from(["lanczos", "lobpcg", "partial_lanczos", "chebyshev_filter"]))
def test_badly_scaled_operators_end_and_tell_the_truth(seed: int, solver: str) -> None:
    rng = np.random.default_rng(seed)
    size, k = int(rng.integers(60, 300)), int(rng.integers(1, 5))
    kind = seed % 3
    if kind == 0:
        matrix = np.diag(10.0 ** rng.uniform(-12, 12, size))
    elif kind == 1:
        ends = rng.integers(0, size, (2, 3 * size))
        matrix = np.zeros((size, size))
        np.add.at(matrix, tuple(ends), 10.0 ** rng.uniform(-12, 12, 3 * size))
        matrix = np.diag((matrix + matrix.T).sum(1)) - matrix - matrix.T
    else:
        scale = 10.0 ** rng.uniform(-8, 8, size)
        matrix = scale[:, None] * np.diag(rng.uniform(0.5, 1, size)) * scale
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = graphpe.eigsh(sparse.csr_array(matrix), k, solver=solver, max_iterations=200, throw=False)
    vectors, values = found.vectors.numpy(), found.values.numpy()
    norm = np.linalg.norm(matrix, 2)
    residual = np.linalg.norm(matrix @ vectors - vectors * values, axis=0)
    np.testing.assert_allclose(residual, found.residuals.numpy(), rtol=1e-3, atol=1e-12 * norm)
    assert (residual[found.converged.numpy()] <= 2e-6 * norm).all()
    if solver == "lobpcg" and bool(found.converged.all()):
        assert (residual <= 1e-6 * norm).all()
    if bool(found.converged.all()):
        np.testing.assert_allclose(values, np.linalg.eigvalsh(matrix)[:k], atol=2e-6 * norm)


def test_lanczos_ends_where_polynomials_separate_nothing() -> None:
    values = 10.0 ** np.random.default_rng(12).uniform(-12, 12, 252)
    found = graphpe.eigsh(sparse.csr_array(np.diag(values)), 3, solver="lanczos")
    assert bool(found.converged.all())
    assert found.matvecs < 100_000


def test_residuals_of_single_precision_are_measured_in_double() -> None:
    """float32 sums of the image would hold errors as large as these residuals."""
    ring = torch.stack([torch.arange(300), (torch.arange(300) + 1) % 300])
    operator = graphpe.laplacian(ring, 300).to(torch.float32)
    result = graphpe.eigsh(operator, 3, solver="dense")
    vectors = result.vectors.double()
    exact = torch.linalg.vector_norm(operator.to(torch.float64) @ vectors - vectors * result.values, dim=0)
    torch.testing.assert_close(result.residuals.double(), exact, rtol=1e-5, atol=0)


def test_where_memory_for_factors_is_exhausted_another_solver_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    edges = torch.tensor(list(nx.convert_node_labels_to_integers(nx.grid_2d_graph(120, 120)).edges)).T
    grid = graphpe.laplacian(edges, 120 * 120)
    expected = graphpe.eigsh(grid, 4)
    assert expected.solver.startswith("ShiftInvert")

    def exhausted(*args: Any, **kwargs: Any) -> None:
        raise MemoryError

    monkeypatch.setattr("graphpe.eigen.factors.superlu.splu", exhausted)
    result = graphpe.eigsh(grid, 4)
    assert not result.solver.startswith("ShiftInvert")
    assert "as factors failed (memory is exhausted)" in result.solver
    torch.testing.assert_close(result.values, expected.values, atol=1e-6, rtol=0)
    with pytest.raises(MemoryError):  # who asks for it gets it, or nothing
        graphpe.eigsh(grid, 4, solver="shift_invert")
