"""Canonical directions and bases: the same for every order of the nodes and every basis that a solver leaves."""

from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.stats import ortho_group, unitary_group

from graphpe.eigen.canonical import maximal_axis_projection
from graphpe.eigen.result import Eigenpairs


def matrix_of(seed: int, multiplicities: list[int], complex: bool) -> np.ndarray:
    """A random Hermitian matrix with eigenvalues 0, 1, 2, ... of these multiplicities: no symmetry but those."""
    n = sum(multiplicities)
    group = unitary_group if complex else ortho_group
    basis = group.rvs(n, random_state=seed) if n > 1 else np.ones((1, 1))
    return (basis * np.repeat(np.arange(len(multiplicities)), multiplicities)) @ basis.conj().T


def pairs_of(matrices: list[np.ndarray], k: int, rng: np.random.Generator) -> tuple[Eigenpairs, np.ndarray]:
    """The k lowest eigenpairs of each, in random bases of repeated eigenvalues."""
    vectors, values, mask = [], np.zeros((len(matrices), k)), np.zeros((len(matrices), k), bool)
    for b, matrix in enumerate(matrices):
        value, vector = np.linalg.eigh(matrix)
        for level in np.unique(value.round(6)):
            here = np.flatnonzero(np.abs(value - level) < 1e-5)
            turn = rng.standard_normal((len(here), len(here)))
            if np.iscomplexobj(matrix):
                turn = turn + 1j * rng.standard_normal(turn.shape)
            vector[:, here] = vector[:, here] @ np.linalg.qr(turn)[0]
        count = min(k, len(value))
        values[b, :count], mask[b, :count] = value[:count], True
        vectors.append(np.pad(vector[:, :count], ((0, 0), (0, k - count))))
    ptr = np.cumsum([0, *(len(matrix) for matrix in matrices)])
    return Eigenpairs(*(torch.from_numpy(x) for x in (np.concatenate(vectors), values, mask))), ptr


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 2**31),
    complex=st.booleans(),
    multiplicities=st.lists(st.integers(1, 3), min_size=1, max_size=5),
)
def test_any_order_and_any_basis_give_the_same(seed: int, complex: bool, multiplicities: list[int]) -> None:
    assume(len(multiplicities) > 1 or multiplicities == [1])  # of a multiple of the identity every basis is one
    rng = np.random.default_rng(seed)
    matrix = matrix_of(seed, multiplicities, complex)
    n = len(matrix)
    order = rng.permutation(n)
    here, decided = maximal_axis_projection(*pairs_of([matrix], n, rng), n)
    there, again = maximal_axis_projection(*pairs_of([matrix[order][:, order]], n, rng), n)
    assert torch.equal(decided, again)
    assert bool(decided.all())  # nothing in a random matrix is symmetric
    torch.testing.assert_close(there, here[torch.from_numpy(order)], atol=1e-6, rtol=0)
    levels = np.repeat(np.arange(len(multiplicities)), multiplicities)
    torch.testing.assert_close(torch.from_numpy(matrix) @ here, here * torch.from_numpy(levels), atol=1e-9, rtol=0)
    torch.testing.assert_close(here.mH @ here, torch.eye(n, dtype=here.dtype), atol=1e-9, rtol=0)


def by_definition(projector: np.ndarray, d: int) -> np.ndarray:
    """The basis from the projector alone, in dense steps: groups of lengths, axes, and Gram-Schmidt."""
    lengths = np.linalg.norm(projector, axis=0).round(7)
    basis: list[np.ndarray] = []
    for length in sorted(set(lengths.tolist()), reverse=True):
        part = projector @ (lengths == length).astype(float)
        for u in basis:
            part = part - (u.conj() @ part) * u
        if np.linalg.norm(part) > 1e-6 and len(basis) < d:
            basis.append(part / np.linalg.norm(part))
    return np.stack(basis, axis=1)


@pytest.mark.parametrize("complex", [False, True])
def test_against_the_definition_in_a_batch(complex: bool) -> None:
    rng = np.random.default_rng(5)
    kinds = [[2, 3, 1], [1], [1, 1, 1, 1], [3, 2, 2]]
    matrices = [matrix_of(seed, kind, complex) for seed, kind in enumerate(kinds)]
    pairs, ptr = pairs_of(matrices, 7, rng)
    found, decided = maximal_axis_projection(pairs, ptr, 7)
    assert torch.equal(decided, pairs.mask)
    for b, (matrix, kind) in enumerate(zip(matrices, kinds, strict=True)):
        value, vector = np.linalg.eigh(matrix)
        for level, d in enumerate(kind):
            first = sum(kind[:level])
            here = vector[:, np.abs(value - level) < 1e-6]
            expected = by_definition(here @ here.conj().T, d)
            np.testing.assert_allclose(found[ptr[b] : ptr[b + 1], first : first + d], expected, atol=1e-7)


def test_what_no_rule_can_decide_stays() -> None:
    rng = np.random.default_rng(0)
    # Odd waves turn into minus themselves; the second has a, 0, -a, -a, 0, a, the fourth a, -2 a, a, a, -2 a, a.
    path = nx.laplacian_matrix(nx.path_graph(6)).toarray().astype(float)
    pairs, ptr = pairs_of([path], 6, rng)
    found, decided = maximal_axis_projection(pairs, ptr, 6)
    assert decided[0].tolist() == [True, False, False, False, True, False]
    assert torch.equal(found[:, ~decided[0]], pairs.vectors[:, ~decided[0]])
    torch.testing.assert_close(found[:2, 4], torch.tensor([-1.0, 2.0]).double() / 12**0.5)
    ring = nx.laplacian_matrix(nx.cycle_graph(7)).toarray().astype(float)
    pairs, ptr = pairs_of([ring], 7, rng)
    assert maximal_axis_projection(pairs, ptr, 7).decided[0].tolist() == [True] + [False] * 6


def test_the_longest_group_becomes_positive() -> None:
    # 1, 1, -2: the sum is zero, and that of the longest is not.
    vector = torch.tensor([1.0, 1.0, -2.0], dtype=torch.float64) / 6**0.5
    other = torch.tensor([1.0, -1.0, 0.0], dtype=torch.float64) / 2**0.5
    for sign in (1, -1):
        both = torch.stack([sign * vector, other], dim=1)
        pairs = Eigenpairs(both, torch.tensor([[0.0, 1.0]]).double(), torch.ones(1, 2, dtype=torch.bool))
        found, decided = maximal_axis_projection(pairs, np.array([0, 3]), 1)
        assert bool(decided)
        torch.testing.assert_close(found[:, 0], -vector)


def test_eigenspaces_that_are_cut() -> None:
    rng = np.random.default_rng(3)
    matrix = matrix_of(3, [1, 3, 2], False)
    pairs, ptr = pairs_of([matrix], 6, rng)
    whole, _ = maximal_axis_projection(pairs, ptr, 6)

    def first(count: int) -> Eigenpairs:
        return Eigenpairs(pairs.vectors[:, :count], pairs.values[:, :count], pairs.mask[:, :count])

    found, decided = maximal_axis_projection(first(5), ptr, 2)  # it ends before the fifth
    assert decided.tolist() == [[True, True]]
    torch.testing.assert_close(found, whole[:, :2])
    found, decided = maximal_axis_projection(first(3), ptr, 3)  # its end is not seen
    assert decided.tolist() == [[True, False, False]]
    assert torch.equal(found[:, 1:], pairs.vectors[:, 1:3])


def test_no_nodes_and_no_graphs() -> None:
    nothing = Eigenpairs(torch.zeros(0, 3), torch.zeros(1, 3), torch.zeros(1, 3, dtype=torch.bool))
    found, decided = maximal_axis_projection(nothing, np.array([0, 0]), 2)
    assert found.shape == (0, 2)
    assert not bool(decided.any())
    none = Eigenpairs(torch.zeros(0, 3), torch.zeros(0, 3), torch.zeros(0, 3, dtype=torch.bool))
    assert maximal_axis_projection(none, np.array([0]), 2).decided.shape == (0, 2)
