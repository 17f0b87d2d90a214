from __future__ import annotations

from collections.abc import Callable

import networkx as nx
import numpy as np
import pytest
import torch

import graphpe
from graphpe.eigen.choose import choose
from graphpe.eigen.fill import estimate_fill
from graphpe.eigen.operators.base import as_operator
from graphpe.eigen.operators.problem import Problem
from graphpe.eigen.solvers.chebyshev import ChebyshevFilter
from graphpe.eigen.solvers.dense import Dense
from graphpe.eigen.solvers.partial_lanczos import PartialLanczos
from graphpe.eigen.solvers.shift_invert import ShiftInvert


def operator_of(graph: nx.Graph) -> torch.Tensor:
    graph = nx.convert_node_labels_to_integers(graph)
    return graphpe.laplacian(torch.tensor(list(graph.edges)).T, len(graph))


@pytest.mark.parametrize(
    ("build", "solver"),
    [
        (lambda: nx.cycle_graph(50), Dense),
        (lambda: nx.complete_graph(100), Dense),
        (lambda: nx.cycle_graph(3000), ShiftInvert),
        (lambda: nx.random_labeled_tree(3000, seed=0), ShiftInvert),
        (lambda: nx.grid_2d_graph(40, 40), ShiftInvert),
        (lambda: nx.grid_graph([16, 16, 16]), ChebyshevFilter),
        (lambda: nx.barabasi_albert_graph(3000, 4, seed=0), PartialLanczos),
        (lambda: nx.random_regular_graph(4, 3000, seed=0), (ChebyshevFilter, PartialLanczos)),
    ],
)
def test_choice(build: Callable[[], nx.Graph], solver: type | tuple[type, ...]) -> None:
    operator = as_operator(operator_of(build()))
    chosen, reason = choose(Problem(operator, 16, "smallest", 1e-6, 2.0, 100, 0))
    assert isinstance(chosen, solver), reason


def test_callables_have_no_factors() -> None:
    class Products:
        shape, dtype, device = (3000, 3000), torch.float64, torch.device("cpu")

        def matmul(self, block: torch.Tensor) -> torch.Tensor:
            return block

    solver, reason = choose(Problem(Products(), 4, "smallest", 1e-6, 1.0, 100, 0))
    assert isinstance(solver, ChebyshevFilter | PartialLanczos)
    assert "ShiftInvert" not in reason


def test_minutes_are_said_before(caplog: pytest.LogCaptureFixture) -> None:
    class Products:
        dtype, device = torch.float64, torch.device("cpu")

        def __init__(self, size: int) -> None:
            self.shape = size, size

        def matmul(self, block: torch.Tensor) -> torch.Tensor:
            return block

    choose(Problem(Products(3000), 16, "smallest", 1e-6, 1.0, 100, 0))
    assert not caplog.records
    choose(Problem(Products(10**7), 16, "smallest", 1e-6, 1.0, 100, 0))
    assert "16 eigenpairs of 10,000,000 rows (100,000,000 entries) will take about" in caplog.text


@pytest.mark.parametrize(("side", "least", "most"), [(20, 15, 40), (60, 50, 120)])
def test_front_of_a_grid_is_about_its_side(side: int, least: int, most: int) -> None:
    operator = operator_of(nx.grid_2d_graph(side, side))
    fill = estimate_fill(operator.crow_indices().numpy(), operator.col_indices().numpy())
    assert least <= fill.front <= most


def test_nothing_is_left_of_a_forest() -> None:
    operator = operator_of(nx.disjoint_union(nx.star_graph(1000), nx.random_labeled_tree(500, seed=1)))
    fill = estimate_fill(operator.crow_indices().numpy(), operator.col_indices().numpy())
    assert fill.core == 0
    assert fill.front == 1  # the star's hub


def test_a_third_of_an_expander_is_its_front() -> None:
    operator = operator_of(nx.random_regular_graph(6, 1000, seed=0))
    fill = estimate_fill(operator.crow_indices().numpy(), operator.col_indices().numpy())
    assert 250 <= fill.front <= 750


def test_empty() -> None:
    assert estimate_fill(np.zeros(1, np.int64), np.zeros(0, np.int64)) == (0, 0)


def test_there_is_always_a_solver() -> None:
    """More than a quarter of all eigenpairs of a large operator without entries."""

    class Twice:
        shape, dtype, device = (20_000, 20_000), torch.float64, torch.device("cpu")

        def matmul(self, block: torch.Tensor) -> torch.Tensor:
            return 2 * block

    for k in (5000, 5001, 10_000, 10_001):
        assert choose(Problem(as_operator(Twice()), k, "smallest", 1e-6, 2.0, 100, 0))[0]
