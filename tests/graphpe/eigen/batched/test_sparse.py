from __future__ import annotations

import networkx as nx
import numpy as np
import pytest
import scipy.sparse as sparse
import torch

from graphpe.eigen.batched.eigh import KnownModes
from graphpe.eigen.batched.ldl import SparseRows, eliminate
from graphpe.eigen.batched.sparse import _complete, lowest_by_shift_invert
from graphpe.structure.laplacian import Entries, laplacian, magnetic_laplacian


def as_scipy(operator: torch.Tensor) -> sparse.csc_matrix:
    parts = (operator.values().numpy(), operator.col_indices().numpy(), operator.crow_indices().numpy())
    return sparse.csr_matrix(parts, shape=tuple(operator.shape)).tocsc()


def rows_of(matrix: sparse.csc_matrix) -> SparseRows:
    by_row = matrix.tocsr()
    return SparseRows(by_row.indptr.astype(np.int64), by_row.indices.astype(np.int64), by_row.data)


def lowest_of(matrices: list[sparse.csc_matrix], k: int, known: list[np.ndarray]) -> dict:
    """All matrices in one call; the columns of `known` have disjoint supports."""
    whole = sparse.block_diag(matrices).tocsr()
    diagonal = whole.diagonal()
    whole.setdiag(0)
    whole.eliminate_zeros()
    whole.sort_indices()
    row, col = np.repeat(np.arange(len(diagonal)), np.diff(whole.indptr)), whole.indices.astype(np.int64)
    counts = np.array([columns.shape[1] for columns in known])
    first = np.cumsum(counts) - counts
    support = [
        c + np.abs(x).argmax(axis=1) if x.size else np.zeros(len(x), int) for x, c in zip(known, first, strict=True)
    ]
    modes = np.concatenate([columns.sum(axis=1) for columns in known])
    ptr = np.concatenate([[0], np.cumsum([len(columns) for columns in known])])
    return lowest_by_shift_invert(
        Entries(row, col, whole.data, diagonal),
        ptr,
        k,
        KnownModes(modes, np.concatenate(support), counts, np.full(len(counts), 2.0)),
        np.arange(len(counts)),
    )


def lowest(matrix: sparse.csc_matrix, k: int, known: np.ndarray) -> tuple | None:
    return lowest_of([matrix], k, [known]).get(0)


def edges_of(graph: nx.Graph) -> torch.Tensor:
    graph = nx.convert_node_labels_to_integers(graph)
    return torch.tensor(list(graph.edges)).T.reshape(2, -1)


def random_tree_with_chords(size: int, seed: int) -> nx.DiGraph:
    rng = np.random.default_rng(seed)
    graph = nx.DiGraph((int(rng.integers(max(0, v - 9), v)), v) for v in range(1, size))
    graph.add_edges_from((u, u + 3) for u in range(0, size - 3, 4))
    return graph


def check(matrix: sparse.csc_matrix, known: np.ndarray, k: int) -> None:
    """Values, residuals, orthonormality, and the projector onto what lies below the last gap, against dense `eigh`."""
    found = lowest(matrix, k, known)
    assert found is not None
    values, vectors = found
    dense_values, dense_vectors = np.linalg.eigh(matrix.toarray() + 5.0 * known @ known.conj().T)
    np.testing.assert_allclose(values, dense_values[:k], atol=1e-11)
    np.testing.assert_allclose(vectors.conj().T @ vectors, np.eye(k), atol=1e-11)
    assert np.abs(known.conj().T @ vectors).max(initial=0) < 1e-11
    gaps = np.flatnonzero(np.diff(dense_values[: k + 1]) > 1e-6) + 1
    for below in gaps:
        mine, theirs = vectors[:, :below], dense_vectors[:, :below]
        np.testing.assert_allclose(mine @ mine.conj().T, theirs @ theirs.conj().T, atol=1e-7)


@pytest.mark.parametrize("draw", range(3))
def test_magnetic_vectors_of_random_digraphs(draw: int) -> None:
    graph = random_tree_with_chords(300, int(np.random.default_rng().integers(2**32)))
    matrix = as_scipy(magnetic_laplacian(edges_of(graph), 300, 0.1))
    check(matrix, np.zeros((300, 0)), k=10)


@pytest.mark.parametrize("q", [1e-3, 1e-5, 1e-7])
def test_eigenvalues_of_all_magnitudes(q: float) -> None:
    # Almost balanced: the first eigenvalue is as good as zero, and the powers of the inverse are far apart.
    graph = random_tree_with_chords(130, 1)
    check(as_scipy(magnetic_laplacian(edges_of(graph), 130, q, relative_q=False)), np.zeros((130, 0)), k=8)


def test_the_known_null_vectors_are_left_out() -> None:
    graph = nx.disjoint_union(nx.grid_2d_graph(12, 15), nx.path_graph(120))
    edge_index = edges_of(graph)
    matrix = as_scipy(laplacian(edge_index, 300))
    degree = np.bincount(edge_index.flatten().numpy(), minlength=300)
    known = np.zeros((300, 2))
    known[:180, 0], known[180:, 1] = np.sqrt(degree[:180]), np.sqrt(degree[180:])
    known /= np.linalg.norm(known, axis=0)
    check(matrix, known, k=6)


def test_repeated_eigenvalues_come_with_all_their_copies() -> None:
    # Twelve equal paths hanging on one hub: every low eigenvalue but a few is repeated eleven times.
    spokes = nx.Graph()
    for spoke in range(12):
        nx.add_path(spokes, [0, *(1 + spoke * 20 + step for step in range(20))])
    matrix = as_scipy(laplacian(edges_of(nx.convert_node_labels_to_integers(spokes, ordering="sorted")), 241))
    found = lowest(matrix, 12, np.zeros((241, 0)))
    if found is not None:  # None would be honest; a wrong answer would not
        np.testing.assert_allclose(found[0], np.linalg.eigvalsh(matrix.toarray())[:12], atol=1e-10)


def test_a_missing_eigenvalue_is_noticed() -> None:
    matrix = as_scipy(laplacian(edges_of(nx.grid_2d_graph(11, 17)), 187))
    values = np.linalg.eigvalsh(matrix.toarray())
    rows = rows_of(matrix)
    structure = eliminate(rows, 10**5)
    assert structure is not None
    assert _complete(rows, structure, values[:7], 0, 2.0)
    for missing in range(6):
        assert not _complete(rows, structure, np.delete(values[:7], missing), 0, 2.0)


def test_the_result_is_the_same_every_time() -> None:
    matrix = as_scipy(magnetic_laplacian(edges_of(random_tree_with_chords(250, 7)), 250, 0.2))
    first, second = (lowest(matrix, 5, np.zeros((250, 0))) for _ in range(2))
    assert first is not None
    assert second is not None
    assert np.array_equal(first[1], second[1])


@pytest.mark.parametrize("is_complex", [False, True])
def test_a_matrix_gets_the_same_alone_and_among_others(is_complex: bool) -> None:
    # More than fit into one chunk of memory, and among them some that need more blocks than others or fail.
    matrices = []
    for seed, size in enumerate([210, 900, 230, 3000, 250, 400, 2500, 333, 600, 205]):
        edges = edges_of(random_tree_with_chords(size, seed))
        matrices.append(magnetic_laplacian(edges, size, 0.1) if is_complex else laplacian(edges, size, None, "comb"))
    matrices = [as_scipy(matrix) for matrix in matrices]
    if not is_complex:
        matrices = [matrix / (matrix.max() * 2) for matrix in matrices]
        matrices.insert(3, as_scipy(laplacian(edges_of(nx.star_graph(500)), 501)))
    nothing = [np.zeros((matrix.shape[0], 0)) for matrix in matrices]
    together = lowest_of(matrices, 10, nothing)
    assert len(together) >= len(matrices) - 1
    for i, matrix in enumerate(matrices):
        alone = lowest(matrix, 10, nothing[i])
        assert (alone is None) == (i not in together)
        if alone is not None:
            assert np.array_equal(alone[0], together[i][0])
            assert np.array_equal(alone[1], together[i][1])


@pytest.mark.parametrize("k", [1, 8, 20, 60])
def test_any_number_of_vectors_of_a_larger_graph(k: int) -> None:
    graph = random_tree_with_chords(700, k)
    matrix = as_scipy(laplacian(edges_of(graph), 700))
    degree = np.zeros(700)
    np.add.at(degree, np.array(graph.edges), 1)
    check(matrix, (np.sqrt(degree) / np.linalg.norm(np.sqrt(degree)))[:, None], k)


def test_dense_and_small_graphs_are_turned_down() -> None:
    dense = as_scipy(laplacian(edges_of(nx.gnp_random_graph(60, 0.6, seed=1)), 60))
    assert lowest(dense, 4, np.zeros((60, 0))) is None
    small = as_scipy(laplacian(edges_of(nx.path_graph(9)), 9))
    assert lowest(small, 4, np.zeros((9, 0))) is None


def test_a_star_has_too_many_copies() -> None:
    # 599 copies of eigenvalue 1: eight of them at most are found, and what is found must be right or None.
    matrix = as_scipy(laplacian(edges_of(nx.star_graph(600)), 601))
    known = np.sqrt([600.0] + [1.0] * 600)[:, None] / np.sqrt(1200)
    for k in (3, 8, 12):
        found = lowest(matrix, k, known)
        if found is not None:
            np.testing.assert_allclose(found[0], 1, atol=1e-12)
            np.testing.assert_allclose(matrix @ found[1], found[1], atol=1e-11)
