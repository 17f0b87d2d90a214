"""Repeated eigenvalues are not missed, whatever the solver."""

from __future__ import annotations

from dataclasses import dataclass

import networkx as nx
import pytest
import torch

import graphpe
from graphpe.eigen.operators.problem import Found, Problem
from graphpe.eigen.solvers.dense import Dense


@dataclass(frozen=True)
class OneOfEach:
    """Finds each eigenvalue once, as Krylov methods from one vector do."""

    copies: int = 1

    def solve(self, problem: Problem) -> Found:
        sign = 1 if problem.which == "smallest" else -1
        room = problem.size - problem.num_known
        every = Dense().solve(Problem(**(vars(problem) | {"k": room})))
        new = torch.ones(room, dtype=torch.bool)
        new[self.copies :] = (every.values[self.copies :] - every.values[: -self.copies]).abs() > 1e-9
        once = (sign * every.values + 10 * ~new).argsort(stable=True)[: problem.k]
        return Found(every.values[once], every.vectors[:, once].contiguous(), 1, 0)


def operator_of(graph: nx.Graph) -> torch.Tensor:
    graph = nx.convert_node_labels_to_integers(graph)
    return graphpe.laplacian(torch.tensor(list(graph.edges)).T, len(graph))


@pytest.mark.parametrize("which", ["smallest", "largest"])
@pytest.mark.parametrize(
    "graph",
    [
        nx.cycle_graph(60),
        nx.hypercube_graph(6),
        nx.disjoint_union_all([nx.path_graph(n) for n in (9, 10, 11, 12, 13)]),
    ],
    ids=["cycle", "hypercube", "disconnected"],
)
def test_what_a_solver_misses_is_found(graph: nx.Graph, which) -> None:
    matrix = operator_of(graph)
    result = graphpe.eigsh(matrix, 6, which, OneOfEach(), tol=1e-9)
    expected = torch.linalg.eigvalsh(matrix.to_dense())
    expected = expected[:6] if which == "smallest" else expected.flip(0)[:6]
    torch.testing.assert_close(result.values, expected, atol=1e-9, rtol=0)
    gram = result.vectors.T @ result.vectors
    torch.testing.assert_close(gram, torch.eye(6, dtype=torch.float64), atol=1e-9, rtol=0)
    assert result.matvecs > 6


def test_known_vectors_stay_out() -> None:
    matrix = operator_of(nx.cycle_graph(60))
    known = torch.linalg.eigh(matrix.to_dense()).eigenvectors[:, :1].contiguous()
    for deflate in (known, known.to_sparse_csr()):
        result = graphpe.eigsh(matrix, 4, solver=OneOfEach(), deflate=deflate)
        torch.testing.assert_close(result.values, torch.linalg.eigvalsh(matrix.to_dense())[1:5], atol=1e-9, rtol=0)
        assert float((known.T @ result.vectors).abs().max()) < 1e-9


def test_what_is_complete_is_left_alone() -> None:
    matrix = operator_of(nx.cycle_graph(60))
    complete = Dense().solve(Problem(**_problem(matrix)))
    result = graphpe.eigsh(matrix, 6, solver=OneOfEach(copies=2))
    assert torch.equal(result.values, complete.values)


def _problem(matrix: torch.Tensor) -> dict:
    from graphpe.eigen.operators.base import as_operator

    return dict(operator=as_operator(matrix), k=6, which="smallest", tol=1e-6, norm=2.0, max_iterations=9, seed=0)
