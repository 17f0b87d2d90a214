from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphpe.eigen.batched import eigh as dense
from graphpe.eigen.batched.eigh import KnownModes, dense_eigenpairs
from graphpe.structure.laplacian import Entries


def random_operator(rng: np.random.Generator, sizes: list[int], is_complex: bool) -> tuple[Entries, np.ndarray, list]:
    """Hermitian blocks with about half of their entries zero; as entries, pointer and dense blocks."""
    blocks, rows, cols, values = [], [], [], []
    ptr = np.concatenate([[0], np.cumsum(sizes)]).astype(int)
    for n, start in zip(sizes, ptr, strict=False):
        block = rng.standard_normal((n, n)) + (1j * rng.standard_normal((n, n)) if is_complex else 0)
        block = block * (rng.random((n, n)) < 0.5)
        block = block + block.conj().T
        row, col = np.nonzero(block)
        blocks.append(block)
        rows.append(row + start)
        cols.append(col + start)
        values.append(block[row, col])
    dtype = complex if is_complex else float
    row, col = (np.concatenate([*part, np.zeros(0, dtype=int)]).astype(int) for part in (rows, cols))
    value = np.concatenate([*values, np.zeros(0)]).astype(dtype)
    diagonal = rng.standard_normal(ptr[-1]).astype(dtype)  # comes on top of the entries' own diagonal
    for block, start in zip(blocks, ptr, strict=False):
        block += np.diag(diagonal[start : start + len(block)])
    return Entries(row, col, value, diagonal), ptr, blocks


def nothing_known(ptr: np.ndarray, dtype: type) -> KnownModes:
    count = len(ptr) - 1
    return KnownModes(np.zeros(ptr[-1], dtype), np.zeros(ptr[-1], int), np.zeros(count, int), np.ones(count))


def check_block(vectors: np.ndarray, values: np.ndarray, mask: np.ndarray, block: np.ndarray, k: int) -> None:
    found = min(k, len(block))
    assert mask.tolist() == [True] * found + [False] * (k - found)
    np.testing.assert_allclose(values[:found], np.linalg.eigvalsh(block)[:found], atol=1e-11)
    np.testing.assert_allclose(block @ vectors, vectors * values, atol=1e-11)
    gram = vectors[:, :found].conj().T @ vectors[:, :found]
    np.testing.assert_allclose(gram, np.eye(found), atol=1e-11)
    assert not vectors[:, found:].any()
    assert not values[found:].any()


@settings(deadline=None, max_examples=30)
@given(
    seed=st.integers(0, 2**32 - 1),
    sizes=st.lists(st.integers(0, 12), max_size=8),
    k=st.integers(1, 14),
    is_complex=st.booleans(),
)
def test_lowest_eigenpairs_of_every_block(seed, sizes, k, is_complex):
    operator, ptr, blocks = random_operator(np.random.default_rng(seed), sizes, is_complex)
    solved = dense_eigenpairs(operator, ptr, k, nothing_known(ptr, operator.value.dtype))
    assert solved.vectors.shape == (sum(sizes), k)
    for b, block in enumerate(blocks):
        check_block(solved.vectors[ptr[b] : ptr[b + 1]], solved.values[b], solved.mask[b], block, k)


@pytest.mark.parametrize("is_complex", [False, True])
def test_large_blocks_and_cut_stacks(is_complex, monkeypatch):
    sizes = [70, 5, 5, 90, 5, 70, 5, 5, 63]
    operator, ptr, blocks = random_operator(np.random.default_rng(11), sizes, is_complex)
    known = nothing_known(ptr, operator.value.dtype)
    whole = dense_eigenpairs(operator, ptr, 6, known)
    for b, block in enumerate(blocks):
        check_block(whole.vectors[ptr[b] : ptr[b + 1]], whole.values[b], whole.mask[b], block, 6)
    monkeypatch.setattr(dense, "_STACK_ENTRIES", 60)  # two graphs of 5 nodes at a time
    cut = dense_eigenpairs(operator, ptr, 6, known)
    assert all(np.array_equal(a, b) for a, b in zip(whole, cut, strict=True))


def test_chosen_blocks_only():
    operator, ptr, _ = random_operator(np.random.default_rng(5), [4, 6, 4, 1], False)
    known = nothing_known(ptr, float)
    whole = dense_eigenpairs(operator, ptr, 3, known)
    some = dense_eigenpairs(operator, ptr, 3, known, graphs=np.array([2, 1]))
    assert np.array_equal(some.vectors[4:14], whole.vectors[4:14])
    assert np.array_equal(some.values[1:3], whole.values[1:3])
    assert not some.vectors[:4].any()
    assert not some.vectors[14:].any()
    assert some.mask.any(axis=1).tolist() == [False, True, True, False]


@pytest.mark.parametrize("n", [6, 80])
def test_known_modes_leave_their_complement(n):
    # Two supports of n nodes; the operator is positive on the complement of their constant vectors, as little as 1e-13.
    rng = np.random.default_rng(n)
    ones = np.zeros((2 * n, 2))
    ones[:n, 0] = ones[n:, 1] = n**-0.5
    basis, _ = np.linalg.qr(np.concatenate([ones, rng.standard_normal((2 * n, 2 * n - 2))], axis=1))
    spectrum = np.concatenate([[0, 0, 1e-13, 1e-13, 1e-3], np.linspace(1, 2, 2 * n - 5)])
    matrix = basis * spectrum @ basis.T
    row, col = np.divmod(np.arange(4 * n * n), 2 * n)
    operator = Entries(row, col, matrix.ravel(), np.zeros(2 * n))
    component = np.repeat([0, 1], n)
    known = KnownModes(ones.sum(axis=1), component, np.array([2]), np.array([3.0]))
    solved = dense_eigenpairs(operator, np.array([0, 2 * n]), 3, known)
    np.testing.assert_allclose(solved.values, [[1e-13, 1e-13, 1e-3]], atol=1e-14)
    np.testing.assert_allclose(ones.T @ solved.vectors, 0, atol=1e-14)
    np.testing.assert_allclose(np.abs(basis[:, 4] @ solved.vectors), [0, 0, 1], atol=1e-9)
    everything = dense_eigenpairs(operator, np.array([0, 2 * n]), 2 * n, known)
    assert everything.mask.sum() == 2 * n - 2
    np.testing.assert_allclose(everything.values[0, :-2], spectrum[2:], atol=1e-12)


def test_a_block_alone_gives_the_same_bits():
    # Even in eigenspaces of many dimensions, where rounding decides: stars.
    sizes = [9, 13, 9, 5, 13, 70]
    ptr = np.concatenate([[0], np.cumsum(sizes)])
    row, col = [], []
    for p, n in zip(ptr, sizes, strict=False):
        leaf = np.arange(p + 1, p + n)
        row += [np.full(n - 1, p), leaf]
        col += [leaf, np.full(n - 1, p)]
    row, col = np.concatenate(row), np.concatenate(col)
    by = np.lexsort((col, row))
    whole = dense_eigenpairs(
        Entries(row[by], col[by], -np.ones(len(row)), np.ones(ptr[-1])), ptr, 4, nothing_known(ptr, float)
    )
    for b, n in enumerate(sizes):
        inside = (row[by] >= ptr[b]) & (row[by] < ptr[b + 1])
        one = Entries(row[by][inside] - ptr[b], col[by][inside] - ptr[b], -np.ones(inside.sum()), np.ones(n))
        alone = dense_eigenpairs(one, np.array([0, n]), 4, nothing_known(np.array([0, n]), float))
        assert np.array_equal(alone.vectors, whole.vectors[ptr[b] : ptr[b + 1]])


def test_vectors_of_a_device_that_are_not_orthonormal_are_solved_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """As cuSOLVER's batched solver has returned them; and nan."""
    matrices = np.random.default_rng(0).standard_normal((3, 5, 5))
    matrices += matrices.transpose(0, 2, 1)
    expected = dense._solve(matrices, 2, None)
    found = dense._solve_there(matrices, 2, torch.device("cpu"))
    np.testing.assert_allclose(found[0], expected[0], atol=1e-12)
    real = torch.linalg.eigh
    for skew in (1e-6, float("nan")):

        def wrong(matrix: torch.Tensor, skew: float = skew) -> tuple[torch.Tensor, torch.Tensor]:
            values, vectors = real(matrix)
            vectors[1, 0, 0] += skew
            return values, vectors

        monkeypatch.setattr(torch.linalg, "eigh", wrong)
        found = dense._solve_there(matrices, 2, torch.device("cpu"))
        np.testing.assert_array_equal(found[0], expected[0])
        np.testing.assert_array_equal(found[1], expected[1])
