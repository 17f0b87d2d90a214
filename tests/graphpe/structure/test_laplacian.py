from __future__ import annotations

import cmath
import math

import networkx as nx
import numpy as np
import pytest
import scipy.sparse
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphpe import laplacian, magnetic_laplacian
from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.structure.laplacian import symmetric_pairs, turn

seeds = st.integers(0, 2**32 - 1)
NORMALIZATIONS = ["comb", "sym", "rw"]


def undirected(graph: nx.Graph) -> tuple[torch.Tensor, int]:
    """Both directions of every edge, as PyG lists them."""
    edges = np.array([(u, v) for a, b in graph.edges for u, v in ((a, b), (b, a))], dtype=int).reshape(-1, 2)
    return torch.from_numpy(edges.T.copy()), graph.number_of_nodes()


def random_digraph(seed: int, weighted: bool) -> tuple[torch.Tensor, int, torch.Tensor | None]:
    """Parallel edges, self-loops, isolated nodes and weights of 0 included."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 12))
    edges = rng.integers(0, n, (2, int(rng.integers(0, 3 * n))))
    weight = rng.uniform(0.1, 3, edges.shape[1]) * (rng.random(edges.shape[1]) > 0.1)
    return torch.from_numpy(edges), n, torch.from_numpy(weight) if weighted else None


def by_definition(edge_index, n, weight=None, normalization="sym", q=0.0) -> np.ndarray:
    """The operator entry by entry, straight from the documented meaning of edges."""
    a = [[0.0] * n for _ in range(n)]
    for i, (u, v) in enumerate(edge_index.T.tolist()):
        a[u][v] = 1.0 if weight is None else a[u][v] + float(weight[i])
    s = [[max(a[u][v], a[v][u]) for v in range(n)] for u in range(n)]
    d = [sum(row) for row in s]
    out = np.zeros((n, n), dtype=complex)
    for u in range(n):
        if d[u] > 0:
            out[u, u] += d[u] if normalization == "comb" else 1
        for v in range(n):
            if s[u][v] > 0:
                phase = cmath.exp(2j * math.pi * q * ((a[u][v] > 0) - (a[v][u] > 0)))
                scale = {"comb": 1, "sym": math.sqrt(d[u] * d[v]), "rw": d[u]}[normalization]
                out[u, v] -= s[u][v] / scale * phase
    return out


def spectrum(matrix: torch.Tensor) -> np.ndarray:
    return np.linalg.eigvalsh(matrix.to_dense().numpy())


N = 9
CLOSED_FORMS = {
    "path": (nx.path_graph(N), [2 - 2 * math.cos(math.pi * j / N) for j in range(N)],
             [1 - math.cos(math.pi * j / (N - 1)) for j in range(N)]),
    "cycle": (nx.cycle_graph(N), [2 - 2 * math.cos(2 * math.pi * j / N) for j in range(N)],
              [1 - math.cos(2 * math.pi * j / N) for j in range(N)]),
    "star": (nx.star_graph(N - 1), [0] + [1] * (N - 2) + [N], [0] + [1] * (N - 2) + [2]),
    "complete": (nx.complete_graph(N), [0] + [N] * (N - 1), [0] + [N / (N - 1)] * (N - 1)),
    "hypercube": (nx.convert_node_labels_to_integers(nx.hypercube_graph(4)),
                  [2 * j for j in range(5) for _ in range(math.comb(4, j))],
                  [j / 2 for j in range(5) for _ in range(math.comb(4, j))]),
}  # fmt: skip


@pytest.mark.parametrize("name", CLOSED_FORMS)
def test_spectra_in_closed_form(name):
    graph, comb, sym = CLOSED_FORMS[name]
    np.testing.assert_allclose(spectrum(laplacian(*undirected(graph), normalization="comb")), sorted(comb), atol=1e-12)
    np.testing.assert_allclose(spectrum(laplacian(*undirected(graph), normalization="sym")), sorted(sym), atol=1e-12)


@pytest.mark.parametrize("n", [3, 4, 10, 17])
@pytest.mark.parametrize("q", [0.0, 0.1, 0.25, -0.4, 1.3])
def test_directed_cycle_in_closed_form(n, q):
    edge_index = torch.stack([torch.arange(n), (torch.arange(n) + 1) % n])
    expected = sorted(1 - math.cos(2 * math.pi * (j / n + q)) for j in range(n))
    np.testing.assert_allclose(spectrum(magnetic_laplacian(edge_index, n, q)), expected, atol=1e-12)
    comb = magnetic_laplacian(edge_index, n, q, normalization="comb")
    np.testing.assert_allclose(spectrum(comb), 2 * np.array(expected), atol=1e-12)


@settings(deadline=None, max_examples=60)
@given(seed=seeds, weighted=st.booleans(), q=st.floats(-2, 2), normalization=st.sampled_from(NORMALIZATIONS))
def test_operators_are_what_their_text_says(seed, weighted, q, normalization):
    edge_index, n, weight = random_digraph(seed, weighted)
    real = laplacian(edge_index, n, weight, normalization)
    np.testing.assert_allclose(real.to_dense(), by_definition(edge_index, n, weight, normalization).real, atol=1e-12)
    magnetic = magnetic_laplacian(edge_index, n, q, weight, normalization)
    np.testing.assert_allclose(magnetic.to_dense(), by_definition(edge_index, n, weight, normalization, q), atol=1e-12)


@settings(deadline=None, max_examples=25)
@given(seed=seeds)
def test_undirected_weighted_graphs_agree_with_scipy_and_networkx(seed):
    rng = np.random.default_rng(seed)
    graph = nx.gnp_random_graph(int(rng.integers(2, 15)), 0.4, seed=int(seed))
    for u, v in graph.edges:
        graph.edges[u, v]["weight"] = rng.uniform(0.1, 4)
    edge_index, n = undirected(graph)
    weight = torch.tensor([graph.edges[u, v]["weight"] for u, v in edge_index.T.tolist()], dtype=torch.float64)
    matrix = scipy.sparse.csr_matrix((weight.numpy(), edge_index.numpy()), shape=(n, n))
    comb = laplacian(edge_index, n, weight, "comb").to_dense().numpy()
    np.testing.assert_allclose(comb, scipy.sparse.csgraph.laplacian(matrix).toarray(), atol=1e-12)
    np.testing.assert_allclose(comb, nx.laplacian_matrix(graph).toarray(), atol=1e-12)
    sym = laplacian(edge_index, n, weight, "sym").to_dense().numpy()
    np.testing.assert_allclose(sym, nx.normalized_laplacian_matrix(graph).toarray(), atol=1e-12)


def test_meaning_of_parallel_and_directed_edges_and_loops():
    # 0 -> 1 twice, 1 -> 0 once, 1 -> 2 once, a loop at 2, node 3 alone
    edge_index = torch.tensor([[0, 0, 1, 1, 2], [1, 1, 0, 2, 2]])
    plain = laplacian(edge_index, 4, normalization="comb").to_dense()
    assert plain.tolist() == [[1, -1, 0, 0], [-1, 2, -1, 0], [0, -1, 1, 0], [0, 0, 0, 0]]
    weighted = laplacian(edge_index, 4, torch.tensor([2, 3, 4, 0, 7]), "comb").to_dense()
    assert weighted.tolist() == [[5, -5, 0, 0], [-5, 5, 0, 0], [0, 0, 0, 0], [0, 0, 0, 0]]
    # The loop is half of node 2's degree, so that a walk stays there every other time.
    assert laplacian(edge_index, 4, normalization="rw").to_dense()[2].tolist() == [0, -0.5, 0.5, 0]
    assert laplacian(torch.tensor([[0], [0]]), 2).to_dense().tolist() == [[0, 0], [0, 0]]


def test_both_directions_of_an_edge_count_once():
    one_way, n = torch.tensor([[0, 1, 3], [1, 2, 1]]), 4
    both = torch.cat([one_way, one_way.flip(0)], dim=1)
    weight = torch.tensor([0.5, 2.0, 3.0])
    assert torch.equal(laplacian(one_way, n).to_dense(), laplacian(both, n).to_dense())
    assert torch.equal(
        laplacian(one_way, n, weight).to_dense(), laplacian(both, n, torch.cat([weight, weight])).to_dense()
    )


@settings(deadline=None, max_examples=30)
@given(seed=seeds, weighted=st.booleans(), q=st.floats(-2, 2))
def test_identities_of_the_magnetic_laplacian(seed, weighted, q):
    edge_index, n, weight = random_digraph(seed, weighted)
    for normalization in ("comb", "sym"):
        matrix = magnetic_laplacian(edge_index, n, q, weight, normalization).to_dense()
        torch.testing.assert_close(matrix, matrix.mH)
        reverse = magnetic_laplacian(edge_index.flip(0), n, q, weight, normalization).to_dense()
        torch.testing.assert_close(reverse, matrix.conj())
        turned = magnetic_laplacian(edge_index, n, q + 1, weight, normalization).to_dense()
        torch.testing.assert_close(turned, matrix, atol=1e-12, rtol=0)
        assert np.linalg.eigvalsh(matrix.numpy()).min() > -1e-12
        still = magnetic_laplacian(edge_index, n, 0.0, weight, normalization).to_dense()
        assert torch.equal(still, laplacian(edge_index, n, weight, normalization).to_dense().to(still.dtype))


def test_relative_potential_divides_by_one_way_pairs_or_nodes():
    # 3 one-way pairs (one of them doubled), one reciprocal pair, one loop: m = 3, n = 6
    edge_index = torch.tensor([[0, 1, 2, 2, 3, 4, 5], [1, 2, 3, 3, 4, 3, 5]])
    relative = magnetic_laplacian(edge_index, 6, 0.3, relative_q=True)
    torch.testing.assert_close(relative.to_dense(), magnetic_laplacian(edge_index, 6, 0.1).to_dense())
    # A tournament has more one-way pairs than nodes: divided by n.
    tournament = torch.triu_indices(5, 5, offset=1)
    relative = magnetic_laplacian(tournament, 5, 0.3, relative_q=True)
    torch.testing.assert_close(relative.to_dense(), magnetic_laplacian(tournament, 5, 0.06).to_dense())
    # Without one-way pairs nothing is divided by zero.
    both = torch.tensor([[0, 1], [1, 0]])
    assert magnetic_laplacian(both, 2, 0.3, relative_q=True).to_dense().imag.abs().max() == 0


@settings(deadline=None, max_examples=20)
@given(seed=seeds, scale=st.floats(1e-6, 1e6))
def test_scaling_weights(seed, scale):
    edge_index, n, weight = random_digraph(seed, weighted=True)
    for normalization in ("sym", "rw"):
        torch.testing.assert_close(
            laplacian(edge_index, n, scale * weight, normalization).to_dense(),
            laplacian(edge_index, n, weight, normalization).to_dense(),
        )
    torch.testing.assert_close(
        laplacian(edge_index, n, scale * weight, "comb").to_dense(),
        scale * laplacian(edge_index, n, weight, "comb").to_dense(),
    )


def test_large_graphs_take_the_same_values_as_small_ones():
    # Beyond a few hundred nodes edges are counted by sorting, no longer in a table.
    rng = np.random.default_rng(7)
    edge_index, weight = torch.from_numpy(rng.integers(0, 300, (2, 900))), torch.from_numpy(rng.random(900))
    weight[::7] = 0
    for given_weight in (None, weight):
        expected = by_definition(edge_index, 300, given_weight, "sym", 0.2)
        actual = magnetic_laplacian(edge_index, 300, 0.2, given_weight).to_dense()
        np.testing.assert_allclose(actual, expected, atol=1e-12)
    assert (symmetric_pairs(edge_index, 300, weight).weight > 0).all()  # what weighs nothing joins nothing


def test_phases_of_many_turns_are_exact():
    np.testing.assert_allclose(turn(np.array([1e9 + 0.25, -3e8 - 0.5])), [1j, -1], atol=1e-15)


def test_layout_dtype_and_inputs():
    edge_index = torch.tensor([[0, 1], [1, 2]], dtype=torch.int32)
    weight = torch.tensor([1.0, 2.0], dtype=torch.float32, requires_grad=True)
    before = edge_index.clone()
    real, magnetic = laplacian(edge_index, 4, weight), magnetic_laplacian(edge_index, 4, 0.1, weight)
    assert real.layout == magnetic.layout == torch.sparse_csr
    assert (real.dtype, magnetic.dtype) == (torch.float64, torch.complex128)
    assert real.shape == magnetic.shape == (4, 4)
    assert torch.equal(edge_index, before)
    torch.testing.assert_close(real @ torch.ones(4, 2, dtype=torch.float64), real.to_dense().sum(1, True).expand(4, 2))


@pytest.mark.parametrize("n", [0, 1, 3])
def test_no_edges(n):
    nothing = torch.empty(2, 0, dtype=torch.long)
    assert laplacian(nothing, n).to_dense().tolist() == [[0] * n] * n
    assert magnetic_laplacian(nothing, n, 0.1, relative_q=True).to_dense().tolist() == [[0] * n] * n


EDGES = torch.tensor([[0, 1], [1, 2]])


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ((EDGES, 3, torch.tensor([1.0, -1.0])), GraphPEValueError, "edge_weight holds -1.0"),
        ((EDGES, 3, torch.tensor([1.0, math.nan])), GraphPEValueError, "edge_weight holds nan"),
        ((EDGES, 3, torch.tensor([math.inf, 1.0])), GraphPEValueError, "edge_weight holds inf"),
        ((EDGES, 3, torch.ones(2, 1)), GraphPEValueError, r"edge_weight must be \[2\]"),
        ((EDGES, 3, [1.0, 1.0]), GraphPETypeError, "edge_weight must be a tensor"),
        ((EDGES, 3, torch.ones(2, dtype=torch.complex64)), GraphPETypeError, "edge_weight must be a tensor of real"),
        ((EDGES, 2), GraphPEValueError, "edge_index holds node 2, but num_nodes is 2"),
        ((-EDGES, 3), GraphPEValueError, "edge_index holds node -2"),
        ((EDGES.float(), 3), GraphPETypeError, "edge_index must be a tensor of integers"),
        ((EDGES.T.reshape(4), 3), GraphPEValueError, r"edge_index must be \[2, num_edges\]"),
        ((EDGES, -1), GraphPEValueError, "num_nodes must be from 0 on"),
        ((EDGES, 3.0), GraphPETypeError, "num_nodes must be an integer"),
        ((EDGES, 3, None, "symmetric"), GraphPEValueError, "normalization must be one of 'comb', 'sym', 'rw'"),
        ((EDGES, 3, None, None), GraphPEValueError, "normalization must be one of"),
    ],
)
def test_errors(arguments, error, message):
    with pytest.raises(error, match=message):
        laplacian(*arguments)
    with pytest.raises(error, match=message):
        magnetic_laplacian(*arguments[:2], 0.1, *arguments[2:])


@pytest.mark.parametrize("q", [math.nan, math.inf])
def test_potential_must_be_finite(q):
    with pytest.raises(GraphPEValueError, match="q must be finite"):
        magnetic_laplacian(EDGES, 3, q)


def of_huang(edge_index, n, weight, normalization, q, relative) -> np.ndarray:
    """As in the code of Huang et al.: every edge adds its phase, and its conjugate the other way; no self-loops."""
    a = np.zeros((n, n))
    for i, (u, v) in enumerate(edge_index.T.tolist()):
        if u != v:  # parallel edges as everywhere here
            a[u, v] = 1.0 if weight is None else a[u, v] + float(weight[i])
    if relative:
        q = q / max(min(int(((a > 0) != (a > 0).T).sum()) // 2, n), 1)
    h = a * cmath.exp(2j * math.pi * q)
    h = h + h.conj().T
    degree = a.sum(0) + a.sum(1)
    if normalization == "comb":
        return np.diag(degree) - h
    safe = np.where(degree > 0, degree, 1.0)
    left, right = (safe**-0.5, safe**-0.5) if normalization == "sym" else (1 / safe, np.ones(n))
    return np.eye(n) - left[:, None] * h * right[None, :]


@settings(deadline=None, max_examples=80)
@given(
    seed=seeds, weighted=st.booleans(), normalization=st.sampled_from(NORMALIZATIONS), relative=st.booleans(),
    q=st.sampled_from([0.0, 0.05, 0.25, 0.5, -0.3, 1.0, 1e6 + 0.1]),
)  # fmt: skip
def test_a_phase_for_each_edge(seed, weighted, normalization, relative, q):
    edge_index, n, weight = random_digraph(seed, weighted)
    out = magnetic_laplacian(edge_index, n, q, weight, normalization, relative, phases="edges").to_dense().numpy()
    np.testing.assert_allclose(out, of_huang(edge_index, n, weight, normalization, q, relative), atol=1e-9)
    if normalization != "rw":
        np.testing.assert_allclose(out, out.conj().T, atol=1e-15)


def test_reciprocal_pairs_loops_and_isolated_nodes_are_what_the_definitions_differ_in():
    edge_index, n = torch.tensor([[0, 1, 2, 2], [1, 2, 3, 4]]), 5
    pairs = magnetic_laplacian(edge_index, n, 0.1).to_dense()
    torch.testing.assert_close(magnetic_laplacian(edge_index, n, 0.1, phases="edges").to_dense(), pairs)
    both = torch.tensor([[0, 1], [1, 0]])
    out = magnetic_laplacian(both, 3, 0.2, normalization="comb", phases="edges").to_dense().real
    cosine = 2 * math.cos(0.4 * math.pi)
    torch.testing.assert_close(out, torch.tensor([[2, -cosine, 0], [-cosine, 2, 0], [0, 0, 0]]).double())
    loop = torch.tensor([[0], [0]])
    assert magnetic_laplacian(loop, 2, 0.2, phases="edges").to_dense().real.tolist() == [[1, 0], [0, 1]]
    with pytest.raises(GraphPEValueError, match="phases must be one of 'pairs', 'edges', got 'nodes'"):
        magnetic_laplacian(loop, 2, 0.2, phases="nodes")
