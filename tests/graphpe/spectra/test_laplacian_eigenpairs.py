from __future__ import annotations

import json
import math
from itertools import pairwise

import networkx as nx
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Data

from graphpe import laplacian, magnetic_laplacian
from graphpe.compiled.jit import everything_compiled
from graphpe.eigen import Eigenpairs
from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.spectra import laplacian_eigenpairs as eigenpairs_module
from graphpe.spectra import laplacian_loops
from graphpe.spectra.laplacian_eigenpairs import (
    full_spectrum,
    laplacian_eigenpairs,
    magnetic_eigenpairs,
    nonzero_eigenpairs,
)
from graphpe.structure.plan import Need, Plan

seeds = st.integers(0, 2**32 - 1)
normalizations = st.sampled_from(["sym", "comb", "rw"])


def graph_of(edges, n: int, weight=None) -> Data:
    edge_index = torch.as_tensor(np.asarray(edges, dtype=np.int64).reshape(2, -1))
    return Data(edge_index=edge_index, num_nodes=n, **({} if weight is None else {"edge_weight": weight}))


def random_digraph(seed: int, weighted: bool = False) -> Data:
    """Of several components as a rule; parallel edges, self-loops, twin leaves and isolated nodes included."""
    rng = np.random.default_rng(seed)
    n = int(rng.integers(1, 14))
    edges = rng.integers(0, n, (2, int(rng.integers(0, 2 * n))))
    weight = torch.from_numpy(rng.uniform(0.1, 3, edges.shape[1])) if weighted else None
    return graph_of(edges, n, weight)


def packed(*graphs: Data) -> PackedGraphs:
    return PackedGraphs.from_data_list(graphs)


def check_eigenpairs(pairs: Eigenpairs, operator: np.ndarray, k: int, dropped: int = 0, metric=None) -> None:
    """Against a dense eigendecomposition: values, residuals, and the projector of each cluster of eigenvalues.

    Args:
        pairs: The k lowest of one graph.
        operator: The Hermitian matrix.
        k: Columns asked for.
        dropped: How many zero modes were left out.
        metric: Diagonal of D^1/2 where the vectors are D^-1/2 u.
    """
    vectors, values, mask = (part.numpy() for part in pairs)
    spectrum, basis = np.linalg.eigh(operator)
    spectrum, basis = spectrum[dropped:], basis[:, dropped:]
    found = min(k, len(spectrum))
    assert vectors.shape == (len(operator), k)
    assert mask[0].tolist() == [True] * found + [False] * (k - found)
    assert not vectors[:, found:].any()
    assert not values[0, found:].any()
    vectors, values = vectors[:, :found], values[0, :found]
    assert (np.diff(values) >= 0).all()
    assert (values >= 0).all()
    np.testing.assert_allclose(values, spectrum[:found], atol=1e-11)
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=0), 1, atol=1e-12)
    if metric is not None:
        vectors = vectors * metric[:, None]
        vectors /= np.linalg.norm(vectors, axis=0)
    np.testing.assert_allclose(operator @ vectors, vectors * values, atol=1e-11)
    np.testing.assert_allclose(vectors.conj().T @ vectors, np.eye(found), atol=1e-10)
    cuts = [0, *(np.flatnonzero(np.diff(spectrum) > 1e-6) + 1).tolist(), len(spectrum)]
    for start, stop in pairwise(cuts):
        mine, theirs = vectors[:, start : min(stop, found)], basis[:, start:stop]
        projector = theirs @ theirs.conj().T
        if stop <= found:
            np.testing.assert_allclose(mine @ mine.conj().T, projector, atol=1e-8)
        else:  # the last cluster was cut: its vectors lie in it, and that is all there is to say
            np.testing.assert_allclose(projector @ mine, mine, atol=1e-8)


def num_components(data: Data) -> int:
    graph = nx.Graph(data.edge_index.T.tolist())
    graph.add_nodes_from(range(data.num_nodes))
    return nx.number_connected_components(graph)


def root_degrees(data: Data) -> np.ndarray:
    a = np.zeros((data.num_nodes, data.num_nodes))
    weight = np.ones(data.num_edges) if data.edge_weight is None else data.edge_weight.numpy()
    for (u, v), w in zip(data.edge_index.T.tolist(), weight, strict=True):
        a[u, v] = 1.0 if data.edge_weight is None else a[u, v] + w
    degree = np.maximum(a, a.T).sum(axis=1)
    return np.sqrt(np.where(degree > 0, degree, 1))


@settings(deadline=None, max_examples=60)
@given(seed=seeds, k=st.integers(1, 15), weighted=st.booleans(), normalization=normalizations, drop=st.booleans())
def test_laplacian_against_dense_eigh(seed, k, weighted, normalization, drop):
    data = random_digraph(seed, weighted)
    hermitian = "sym" if normalization == "rw" else normalization
    operator = laplacian(data.edge_index, data.num_nodes, data.edge_weight, hermitian).to_dense().numpy()
    pairs = laplacian_eigenpairs(packed(data), k, normalization, drop)
    dropped = num_components(data) if drop else 0
    check_eigenpairs(pairs, operator, k, dropped, root_degrees(data) if normalization == "rw" else None)
    if normalization == "rw":
        right = laplacian(data.edge_index, data.num_nodes, data.edge_weight, "rw").to_dense()
        torch.testing.assert_close(right @ pairs.vectors, pairs.vectors * pairs.values, atol=1e-10, rtol=0)


@settings(deadline=None, max_examples=60)
@given(
    seed=seeds, k=st.integers(1, 15), weighted=st.booleans(), normalization=normalizations,
    q=st.sampled_from([0.0, 0.05, 0.1, 0.25, 0.5, -0.3, 1.0, 1 / 3]), relative=st.booleans(),
)  # fmt: skip
def test_magnetic_against_dense_eigh(seed, k, weighted, normalization, q, relative):
    data = random_digraph(seed, weighted)
    hermitian = "sym" if normalization == "rw" else normalization
    operator = magnetic_laplacian(data.edge_index, data.num_nodes, q, data.edge_weight, hermitian, relative).to_dense()
    pairs = magnetic_eigenpairs(packed(data), k, q, relative, normalization)
    check_eigenpairs(pairs, operator.numpy(), k, 0, root_degrees(data) if normalization == "rw" else None)


@settings(deadline=None, max_examples=60)
@given(
    seed=seeds, k=st.integers(1, 15), weighted=st.booleans(), normalization=normalizations,
    q=st.sampled_from([0.0, 0.05, 0.25, 0.5, -0.3, 1.0, 1 / 3]), relative=st.booleans(),
)  # fmt: skip
def test_a_phase_for_each_edge_against_dense_eigh(seed, k, weighted, normalization, q, relative):
    data = random_digraph(seed, weighted)
    hermitian = "sym" if normalization == "rw" else normalization
    arguments = data.edge_index, data.num_nodes, q, data.edge_weight, hermitian, relative, "edges"
    metric = None
    if normalization == "rw":
        degree = magnetic_laplacian(*arguments[:4], "comb", relative, "edges").to_dense().real.diagonal().numpy()
        metric = np.sqrt(np.where(degree > 0, degree, 1.0))
    pairs = magnetic_eigenpairs(packed(data), k, q, relative, normalization, "edges")
    check_eigenpairs(pairs, magnetic_laplacian(*arguments).to_dense().numpy(), k, 0, metric)


@pytest.mark.parametrize("kind", ["dense", "tree", "reciprocal"])
def test_a_phase_for_each_edge_of_larger_graphs(kind):
    n = 300
    graph = {
        "dense": lambda: nx.gnp_random_graph(n, 0.1, seed=1, directed=True),
        "tree": lambda: nx.random_labeled_tree(n, seed=1),
        "reciprocal": lambda: nx.watts_strogatz_graph(n, 4, 0.1, seed=1).to_directed(),
    }[kind]()
    data = graph_of(np.array(graph.edges).T, n)
    operator = magnetic_laplacian(data.edge_index, n, 0.1, phases="edges").to_dense().numpy()
    check_eigenpairs(magnetic_eigenpairs(packed(data), 7, 0.1, False, "sym", "edges"), operator, 7)


@pytest.mark.parametrize("n", [70, 200, 400])
@pytest.mark.parametrize("kind", ["random", "star", "tree", "grid", "dense"])
def test_large_graphs_against_dense_eigh(n, kind):
    rng = np.random.default_rng(n)
    graph = {
        "random": lambda: nx.gnp_random_graph(n, 3 / n, seed=n, directed=True),
        "star": lambda: nx.star_graph(n - 1),
        "tree": lambda: nx.random_labeled_tree(n, seed=n),
        "grid": lambda: nx.convert_node_labels_to_integers(nx.grid_2d_graph(n // 10, 10)),
        "dense": lambda: nx.gnp_random_graph(n, 0.2, seed=n, directed=True),
    }[kind]()
    edges = np.array(graph.edges).T
    flip = rng.random(edges.shape[1]) < 0.5
    data = graph_of(np.where(flip, edges, edges[::-1]), n)
    operator = laplacian(data.edge_index, n).to_dense().numpy()
    check_eigenpairs(laplacian_eigenpairs(packed(data), 7), operator, 7, num_components(data))
    operator = magnetic_laplacian(data.edge_index, n, 0.1).to_dense().numpy()
    check_eigenpairs(magnetic_eigenpairs(packed(data), 7, 0.1, relative_q=False), operator, 7)


def test_published_magnetic_eigenvalues(golden):
    worst = 0.0
    for case in json.loads((golden / "magnetic_eigenvalues.json").read_text()):
        graphs = packed(graph_of(case["edges"], case["n"]))
        pairs = magnetic_eigenpairs(graphs, case["k"], case["q"], case["relative"])
        worst = max(worst, float((pairs.values[0] - torch.tensor(case["eigenvalues"]).double()).abs().max()))
    assert worst < 1e-6


def test_published_magnetic_eigenvalues_of_a_batch_that_mixes_potentials(golden):
    cases = [case for case in json.loads((golden / "magnetic_eigenvalues.json").read_text()) if case["relative"]]
    for q in {case["q"] for case in cases}:
        chosen = [case for case in cases if case["q"] == q]
        graphs = packed(*(graph_of(case["edges"], case["n"]) for case in chosen))
        values = magnetic_eigenpairs(graphs, max(case["k"] for case in chosen), q).values
        for row, case in zip(values, chosen, strict=True):
            np.testing.assert_allclose(row[: case["k"]], case["eigenvalues"], atol=1e-6)


@pytest.mark.parametrize("q", [0.1, 0.25, 1 / 12])
def test_directed_cycle_in_closed_form(q):
    n = 12
    cycle = graph_of([list(range(n)), [*range(1, n), 0]], n)
    pairs = magnetic_eigenpairs(packed(cycle), n, q, relative_q=False)
    expected = sorted(1 - math.cos(2 * math.pi * (j / n + q)) for j in range(n))
    np.testing.assert_allclose(pairs.values[0], expected, atol=1e-12)
    # Fourier modes: every entry has the same modulus where the eigenvalue is simple.
    gap = np.minimum(np.diff(expected, prepend=-9), np.diff(expected, append=9))
    simple = np.flatnonzero(gap > 1e-6)
    assert len(simple) > 0
    np.testing.assert_allclose(pairs.vectors[:, simple].abs(), n**-0.5, atol=1e-10)


def test_hypercube_clusters():
    cube = nx.convert_node_labels_to_integers(nx.hypercube_graph(4))
    values = laplacian_eigenpairs(packed(graph_of(np.array(cube.edges).T, 16)), 15).values[0]
    np.testing.assert_allclose(values, [0.5] * 4 + [1.0] * 6 + [1.5] * 4 + [2.0], atol=1e-12)


@pytest.mark.parametrize("normalization", ["sym", "comb", "rw"])
@pytest.mark.parametrize("bridge", [1e-8, 1e-13, 1e-300])
def test_nearly_disconnected_is_connected(normalization, bridge):
    # Two triangles that a bridge of almost no weight joins: one zero mode, and the next one separates the triangles.
    edges = [[0, 1, 2, 3, 4, 5, 2], [1, 2, 0, 4, 5, 3, 3]]
    weight = torch.tensor([1.0] * 6 + [bridge], dtype=torch.float64)
    pairs = laplacian_eigenpairs(packed(graph_of(edges, 6, weight)), 2, normalization)
    assert pairs.values[0, 0] < 1e-7
    assert pairs.values[0, 1] > 0.5
    split = torch.tensor([1.0, 1, 1, -1, -1, -1], dtype=torch.float64) / 6**0.5
    torch.testing.assert_close((split @ pairs.vectors[:, 0]).abs().item(), 1.0)
    cut = laplacian_eigenpairs(packed(graph_of(edges, 6, torch.tensor([1.0] * 6 + [0]))), 2, normalization)
    assert cut.values.min() > 0.5


def test_rounding_leaves_no_eigenvalue_below_zero():
    # Five complete graphs in a chain whose links weigh as good as nothing: four eigenvalues are zero to rounding.
    complete = [(u + 4 * i, v + 4 * i) for i in range(5) for u in range(4) for v in range(u)]
    chain = [(4 * i + 3, 4 * i + 4) for i in range(4)]
    weight = torch.tensor([1.0] * len(complete) + [1e-17] * len(chain), dtype=torch.float64)
    pairs = laplacian_eigenpairs(packed(graph_of(np.array(complete + chain).T, 20, weight)), 5)
    assert pairs.mask.all()
    assert pairs.values.min() >= 0
    assert pairs.values[0, 3] < 1e-14
    assert pairs.values[0, 4] > 1


@pytest.mark.parametrize("normalization", ["sym", "comb", "rw"])
def test_zero_modes_are_indicators_of_components(normalization):
    # a star 1-{0, 4, 6}, an isolated node 2, an edge 3-5; a second graph of one edge
    data = graph_of([[1, 1, 1, 3], [0, 4, 6, 5]], 7)
    pairs = laplacian_eigenpairs(packed(data, graph_of([[0], [1]], 2)), 4, normalization, drop_zero_modes=False)
    assert pairs.values[0, :3].tolist() == [0, 0, 0]
    assert pairs.values[1, 0] == 0
    root = torch.tensor([1.0, 3, 1, 1, 1, 1, 1]).double().sqrt() if normalization == "sym" else torch.ones(7).double()
    for column, nodes in enumerate([[0, 1, 4, 6], [2], [3, 5]]):
        expected = torch.zeros(7, dtype=torch.float64)
        expected[nodes] = root[nodes] / root[nodes].norm()
        torch.testing.assert_close(pairs.vectors[:7, column], expected)
    torch.testing.assert_close(pairs.vectors[7:, 0], torch.full((2,), 0.5**0.5, dtype=torch.float64))
    few = laplacian_eigenpairs(packed(data), 2, normalization, drop_zero_modes=False)
    torch.testing.assert_close(few.vectors, pairs.vectors[:7, :2])


@settings(deadline=None, max_examples=30)
@given(seed=seeds, q=st.floats(-1, 1), relative=st.booleans())
def test_forests_obey_the_gauge_identity(seed, q, relative):
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 20))
    child = np.array([v for v in range(1, n) if rng.random() < 0.9], dtype=int)
    parent = np.array([rng.integers(0, v) for v in child], dtype=int)
    depth = np.zeros(n)
    for v, u in zip(child, parent, strict=True):
        depth[v] = depth[u] + 1
    name = rng.permutation(n)
    depth[name] = depth.copy()
    tree = graph_of(name[np.stack([parent, child])], n)
    magnetic = magnetic_eigenpairs(packed(tree), n, q, relative)
    still = magnetic_eigenpairs(packed(tree), n, 0.0)
    torch.testing.assert_close(magnetic.values, still.values)
    turns = q / max(min(len(child), n), 1) if relative else q
    phases = torch.polar(torch.ones(n).double(), torch.from_numpy(-2 * math.pi * turns * depth))
    undone = magnetic.vectors * phases.conj()[:, None]
    # U^H v is an eigenvector of the undirected operator, hence real up to a phase, component by component.
    operator = laplacian(tree.edge_index, n).to_dense().to(undone.dtype)
    torch.testing.assert_close(operator @ undone, undone * still.values, atol=1e-11, rtol=0)


@settings(deadline=None, max_examples=25)
@given(seed=seeds, q=st.floats(-0.5, 0.5))
def test_reversing_all_edges_conjugates(seed, q):
    data = random_digraph(seed)
    n = data.num_nodes
    reverse = graph_of(data.edge_index.flip(0).numpy(), n)
    pairs = magnetic_eigenpairs(packed(data), n, q)
    back = magnetic_eigenpairs(packed(reverse), n, q)
    torch.testing.assert_close(pairs.values, back.values)
    operator = magnetic_laplacian(reverse.edge_index, n, q, relative_q=True).to_dense()
    conjugate = pairs.vectors.conj()
    torch.testing.assert_close(operator @ conjugate, conjugate * pairs.values, atol=1e-11, rtol=0)


@settings(deadline=None, max_examples=25)
@given(seeds_=st.lists(seeds, min_size=1, max_size=6), k=st.integers(1, 9), weighted=st.booleans())
def test_a_batch_gives_the_bits_of_single_graphs(seeds_, k, weighted):
    graphs = [random_digraph(seed, weighted) for seed in seeds_]
    for solve in (
        lambda g: laplacian_eigenpairs(g, k),
        lambda g: laplacian_eigenpairs(g, k, "comb", False),
        lambda g: laplacian_eigenpairs(g, k, "rw"),
        lambda g: magnetic_eigenpairs(g, k, 0.1),
        lambda g: magnetic_eigenpairs(g, k, 0.25, False, "comb"),
    ):
        whole = solve(packed(*graphs))
        parts = [solve(packed(graph)) for graph in graphs]
        for name in ("vectors", "values", "mask"):
            assert torch.equal(getattr(whole, name), torch.cat([getattr(part, name) for part in parts])), name


def test_large_graphs_in_a_batch_give_the_bits_of_single_ones():
    # Stars and trees have eigenspaces of many dimensions, where rounding decides the vectors.
    graphs = [
        graph_of(np.array(graph.edges).T, graph.number_of_nodes())
        for n in (61, 90, 230, 233)
        for graph in (
            nx.star_graph(n),
            nx.random_labeled_tree(n, seed=n),
            nx.gnp_random_graph(n, 4 / n, 3, directed=True),
        )
    ]
    for solve in (lambda g: laplacian_eigenpairs(g, 6), lambda g: magnetic_eigenpairs(g, 6, 0.1)):
        whole = solve(packed(*graphs)).vectors
        assert torch.equal(whole, torch.cat([solve(packed(graph)).vectors for graph in graphs]))


def test_disjoint_union_has_the_union_of_spectra():
    first, second = random_digraph(5), random_digraph(6)
    n = first.num_nodes
    both = graph_of(np.concatenate([first.edge_index, second.edge_index + n], axis=1), n + second.num_nodes)
    for solve in (
        lambda g, k: laplacian_eigenpairs(g, k, drop_zero_modes=False),
        lambda g, k: magnetic_eigenpairs(g, k, 0.1, relative_q=False),
    ):
        union = solve(packed(both), both.num_nodes).values[0]
        parts = torch.cat([solve(packed(g), g.num_nodes).values[0] for g in (first, second)])
        torch.testing.assert_close(union, parts.sort().values)


@settings(deadline=None, max_examples=25)
@given(seed=seeds, weighted=st.booleans(), magnetic=st.booleans())
def test_permuting_nodes_permutes_projectors(seed, weighted, magnetic):
    data = random_digraph(seed, weighted)
    n = data.num_nodes
    order = np.random.default_rng(seed).permutation(n)  # node u becomes order[u]
    moved = graph_of(order[data.edge_index.numpy()], n, data.edge_weight)

    def heat(graph: Data) -> torch.Tensor:
        pairs = magnetic_eigenpairs(packed(graph), n, 0.2) if magnetic else laplacian_eigenpairs(packed(graph), n)
        weight = torch.exp(-pairs.values[0]) * pairs.mask[0]
        return (pairs.vectors * weight) @ pairs.vectors.mH

    torch.testing.assert_close(heat(moved)[order][:, order], heat(data), atol=1e-10, rtol=0)


def test_edge_order_and_scale_do_not_matter():
    data = random_digraph(21, weighted=True)
    shuffle = torch.randperm(data.num_edges)
    other = graph_of(data.edge_index[:, shuffle].numpy(), data.num_nodes, 1e4 * data.edge_weight[shuffle])
    sym = [laplacian_eigenpairs(packed(g), 5).values for g in (data, other)]
    torch.testing.assert_close(sym[1], sym[0])
    comb = [laplacian_eigenpairs(packed(g), 5, "comb").values for g in (data, other)]
    torch.testing.assert_close(comb[1], 1e4 * comb[0], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("n", [0, 1, 2, 3])
@pytest.mark.parametrize("k", [1, 4])
def test_graphs_without_edges(n, k):
    graphs = packed(graph_of([[], []], n), graph_of([[0], [1]], 2))
    pairs = laplacian_eigenpairs(graphs, k)
    assert not pairs.mask[0].any()
    assert pairs.mask[1].tolist() == [True] + [False] * (k - 1)
    kept = laplacian_eigenpairs(graphs, k, drop_zero_modes=False)
    assert kept.mask[0].tolist() == [i < n for i in range(k)]
    assert not kept.values[0].any()
    magnetic = magnetic_eigenpairs(graphs, k, 0.1)
    assert magnetic.mask[0].tolist() == [i < n for i in range(k)]
    assert not magnetic.values[0].any()
    torch.testing.assert_close(magnetic.vectors[:n].abs(), torch.eye(n, k, dtype=torch.float64))


def test_no_graphs():
    graphs = packed()
    for pairs in (laplacian_eigenpairs(graphs, 3), magnetic_eigenpairs(graphs, 3, 0.1)):
        assert (pairs.vectors.shape, pairs.values.shape, pairs.mask.shape) == ((0, 3), (0, 3), (0, 3))


def test_types_and_inputs():
    data = random_digraph(8, weighted=True)
    graphs = packed(data)
    before = graphs.edge_index.clone(), graphs.edge_weight.clone()
    real, magnetic = laplacian_eigenpairs(graphs, 3), magnetic_eigenpairs(graphs, 3, 0.1)
    assert (real.vectors.dtype, real.values.dtype, real.mask.dtype) == (torch.float64, torch.float64, torch.bool)
    assert (magnetic.vectors.dtype, magnetic.values.dtype) == (torch.complex128, torch.float64)
    assert torch.equal(graphs.edge_index, before[0])
    assert torch.equal(graphs.edge_weight, before[1])


def test_errors():
    graphs = packed(random_digraph(3))
    with pytest.raises(GraphPEValueError, match="k must be from 1 on, got 0"):
        laplacian_eigenpairs(graphs, 0)
    with pytest.raises(GraphPEValueError, match="normalization must be one of"):
        magnetic_eigenpairs(graphs, 2, 0.1, normalization="none")
    with pytest.raises(GraphPEValueError, match="q must be finite"):
        magnetic_eigenpairs(graphs, 2, math.nan)
    negative = packed(graph_of([[0], [1]], 2, torch.tensor([-1.0])))
    for solve in (lambda: laplacian_eigenpairs(negative, 1), lambda: magnetic_eigenpairs(negative, 1, 0.1)):
        with pytest.raises(GraphPEValueError, match=r"edge_weight holds -1\.0"):
            solve()


@settings(deadline=None, max_examples=30)
@given(seeds_=st.lists(seeds, min_size=1, max_size=6), weighted=st.booleans(), k=st.integers(1, 16))
def test_full_spectrum(seeds_, weighted, k):
    graphs = [random_digraph(seed, weighted) for seed in seeds_]
    for normalization in ("sym", "comb"):
        plan = Plan(packed(*graphs), [Need(full_spectrum, 0, (normalization,))])
        values, vectors = plan.once(full_spectrum, normalization)
        low = plan.up_to(nonzero_eigenpairs, k, normalization)
        alone = nonzero_eigenpairs(Plan(packed(*graphs)), k, normalization)
        assert np.array_equal(low.mask, alone.mask)
        np.testing.assert_allclose(low.values, alone.values, atol=1e-11)
        ptr, pair_ptr = plan.graphs.ptr.numpy(), plan.graphs.pair_ptr.numpy()
        for b, data in enumerate(graphs):
            n, zeros = data.num_nodes, num_components(data)
            operator = laplacian(data.edge_index, n, data.edge_weight, normalization).to_dense().numpy()
            own = values[ptr[b] : ptr[b + 1]]
            basis = vectors[pair_ptr[b] : pair_ptr[b + 1]].reshape(n, n)
            assert not own[:zeros].any()
            assert (np.diff(own) >= 0).all()
            np.testing.assert_allclose(own, np.linalg.eigvalsh(operator), atol=1e-11)
            np.testing.assert_allclose(basis * own @ basis.T, operator, atol=1e-11)
            np.testing.assert_allclose(basis.T @ basis, np.eye(n), atol=1e-11)
            zero_modes = laplacian_eigenpairs(packed(data), zeros, normalization, drop_zero_modes=False).vectors
            np.testing.assert_allclose(basis[:, :zeros], zero_modes, atol=1e-15)
            found = min(k, n - zeros)
            assert np.array_equal(low.vectors[ptr[b] : ptr[b + 1], :found], basis[:, zeros : zeros + found])
            assert not low.vectors[ptr[b] : ptr[b + 1], found:].any()


def test_nonzero_eigenpairs_solve_nothing_where_the_full_spectrum_is_expected(monkeypatch):
    plan = Plan(packed(random_digraph(5), graph_of([[], []], 0)), [Need(full_spectrum, 0, ("sym",))])
    assert plan.expects(full_spectrum, "sym")
    assert not plan.expects(full_spectrum, "comb")
    monkeypatch.setattr("graphpe.spectra.laplacian_eigenpairs.lowest_eigenpairs", None)
    laplacian_eigenpairs(plan, 3)
    assert Plan(plan.graphs).once(full_spectrum, "comb").vectors.shape == (plan.graphs.num_pairs,)
    empty = Plan(packed())
    assert empty.once(full_spectrum, "sym").values.shape == (0,)
    assert empty.expects(full_spectrum, "sym")
    assert empty.up_to(nonzero_eigenpairs, 3, "sym").vectors.shape == (0, 3)


@pytest.mark.parametrize("normalization", ["sym", "comb", "rw"])
@pytest.mark.parametrize("weighted", [False, True])
def test_one_graph_gets_the_same_bits_as_beside_others(normalization, weighted, monkeypatch) -> None:
    graphs = [random_digraph(seed, weighted) for seed in range(20)] + [graph_of([[], []], 0), graph_of([[], []], 3)]
    graphs[-1].edge_weight = graphs[-2].edge_weight = torch.zeros(0, dtype=torch.float64) if weighted else None
    calls: list[int] = []
    real = laplacian_loops.eigenpairs_of_edges
    with everything_compiled():
        together = laplacian_eigenpairs(packed(*graphs), 4, normalization)
        is_ready = eigenpairs_module.is_ready
        monkeypatch.setattr(eigenpairs_module, "is_ready", lambda f, *a: calls.append(f is real) or is_ready(f, *a))
        alone = [laplacian_eigenpairs(packed(graph), 4, normalization) for graph in graphs]
    assert len(calls) == len(graphs) - 1  # all of them but that without nodes
    for part, whole in zip(zip(*alone, strict=True), together, strict=True):
        assert torch.equal(torch.cat(part), whole)
