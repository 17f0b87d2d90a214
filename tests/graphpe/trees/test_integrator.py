from __future__ import annotations

import math
import re
import time

import mpmath
import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from torch import Tensor

import graphpe
from graphpe import trees
from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.trees import (
    Cosine,
    Exponential,
    Gaussian,
    InversePower,
    Learnable,
    Polynomial,
    Rational,
    Table,
    TreeIntegrator,
    hankel,
    moments,
    sweeps,
)
from graphpe.trees.levels import sum_terms_by_levels

KINDS = ["random", "path", "star", "caterpillar", "binary", "broom"]

TERMS = {
    "exponential": Exponential(0.7),
    "growing": Exponential(-0.05),
    "constant": Polynomial([3.0]),
    "polynomial": Polynomial([1.0, -2.0, 0.5, 0.1]),
    "cosine": Cosine(0.9),
    "sine": Cosine(0.9, -np.pi / 2),
    "product": Exponential(0.3) * Polynomial([1.0, 1.0]),
    "complex product": Cosine(0.9, 0.3) * Cosine(0.2) * Polynomial([2.0, -1.0]) * Exponential(0.1),
    "sum": 2.0 * Exponential(0.2) - Cosine(0.5) + 1.5,
}
APPROXIMATE = {
    "gaussian": Gaussian(2.0),
    "inverse": InversePower(1.5, 0.5),
    "rational": Rational([1.0, 2.0], [1.0, 0.0, 0.3]),
    "rational and polynomial": Rational([1.0, 0.0, 0.0, 1.0], [4.0, 4.0, 1.0]),
    "gaussian product": Gaussian(3.0) * Exponential(0.2) + 1.0,
}
TABLES = {
    "table": Table(np.random.default_rng(5).standard_normal(700).tolist()),
    "short table": Table([1.0, -2.0, 0.5]),
    "table product": Table([2.0, 1.0, 1.0, 3.0]) * Exponential(0.3) * Cosine(0.4),
    "table sum": Table([1.0, 2.0]) + Exponential(0.5),
    "two tables": Table([1.0, 2.0, 3.0]) * Table([0.5, 4.0]),
}


def forest(make_tree, kind: str, size: int, seed: int, *, integers: bool, dropped: float = 0.06):
    """Edges and lengths (some are 0, many are equal) of a tree of which some edges are left out."""
    generator = np.random.default_rng(seed)
    edges = make_tree(kind, size, seed)
    edges = edges[:, torch.from_numpy(generator.random(edges.size(1)) >= dropped)]
    number = generator.integers(0, 4, edges.size(1)).astype(float)
    values = number if integers else number * generator.choice([0.25, generator.random()], edges.size(1))
    return edges, torch.from_numpy(values)


def assert_close(actual, f, distance, field, dense, tolerance=0.0) -> None:
    matrix = dense(f, distance)
    expected = matrix @ field
    size = matrix.abs() @ field.abs()
    within = 2e-13 * size.max() + tolerance * (distance.isfinite().double() @ field.abs())
    assert ((actual - expected).abs() <= within).all(), float((actual - expected).abs().max())


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 2, 3, 17, 150])
def test_every_function_is_the_dense_sum(make_tree, distances, dense, kind, size) -> None:
    edges, length = forest(make_tree, kind, size, 100 + size, integers=False)
    distance = distances(edges, length, size)
    tree = TreeIntegrator(edges, length, size)
    field = torch.from_numpy(np.random.default_rng(7).standard_normal((size, 3)))
    for f in TERMS.values():
        assert f.exact
        assert_close(tree.integrate(f, field), f, distance, field, dense)
        levels = sum_terms_by_levels(tree.levels, field, f.expand(tree.diameter).terms)
        assert_close(levels, f, distance, field, dense, tolerance=1e-11)
    for f in APPROXIMATE.values():
        assert not f.exact
        assert f.error(tree.diameter) <= 1e-7
        assert_close(tree.integrate(f, field), f, distance, field, dense, tolerance=1.01 * f.error(tree.diameter))


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("size", [1, 2, 3, 17, 150, 400])
def test_tables_are_the_dense_sum(make_tree, distances, dense, kind, size) -> None:
    edges, length = forest(make_tree, kind, size, 200 + size, integers=True, dropped=0.01)
    distance = distances(edges, length, size)
    tree = TreeIntegrator(edges, length, size)
    field = torch.from_numpy(np.random.default_rng(8).standard_normal((size, 2)))
    for f in TABLES.values():
        assert f.exact
        assert_close(tree.integrate(f, field), f, distance, field, dense)


def test_rows_are_added_alike_on_every_device() -> None:
    generator = torch.Generator().manual_seed(1)
    rows = torch.randn(9, 3, generator=generator)
    place, chosen = (torch.randint(0, 9, (40,), generator=generator).int() for _ in range(2))
    compiled, expected = torch.zeros(2, 9, 3, dtype=torch.float64)
    hankel.add_rows(compiled, place, rows, chosen)
    expected.index_add_(0, place, rows.index_select(0, chosen).double())
    torch.testing.assert_close(compiled, expected)


def test_tables_of_another_unit(make_tree, distances, dense) -> None:
    edges = make_tree("random", 80, 3)
    length = 0.1 * torch.from_numpy(np.random.default_rng(4).integers(0, 5, 79)).double()
    f = Table(torch.linspace(1, -1, 60).double(), unit=0.1)
    field = torch.randn(80, dtype=torch.float64, generator=torch.Generator().manual_seed(3))
    actual = TreeIntegrator(edges, length, 80).integrate(f, field)
    torch.testing.assert_close(actual, dense(f, distances(edges, length, 80)) @ field, rtol=1e-12, atol=1e-12)


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
@pytest.mark.slow
def test_any_forest(distances, dense, data) -> None:
    size = data.draw(st.integers(1, 25))
    parent = [data.draw(st.integers(-1, v - 1)) for v in range(1, size)]
    pairs = [(p, v) if data.draw(st.booleans()) else (v, p) for v, p in enumerate(parent, start=1) if p >= 0]
    number = data.draw(st.permutations(range(size)))
    edges = torch.tensor([[number[u], number[v]] for u, v in pairs], dtype=torch.long).reshape(-1, 2).T
    lengths = st.sampled_from([0.0, 1.0, 2.0, 3.0])
    length = torch.tensor([data.draw(lengths) for _ in pairs], dtype=torch.float64)
    field = torch.tensor(data.draw(st.lists(st.floats(-9, 9), min_size=size, max_size=size)), dtype=torch.float64)
    distance = distances(edges, length, size)
    both = torch.cat([edges, edges.flip(0)], dim=1), torch.cat([length, length])
    tree = TreeIntegrator(*(both if data.draw(st.booleans()) else (edges, length)), size)
    names = data.draw(st.sampled_from([*TERMS, *TABLES, *APPROXIMATE]))
    f = (TERMS | TABLES | APPROXIMATE)[names]
    assert_close(tree.integrate(f, field), f, distance, field, dense, tolerance=1.01 * f.error(tree.diameter) + 1e-12)


@pytest.mark.parametrize("name", ["exponential", "complex product", "gaussian", "rational", "table", "table sum"])
def test_order_of_nodes_and_edges_does_not_matter(make_tree, name) -> None:
    f = (TERMS | TABLES | APPROXIMATE)[name]
    edges, length = forest(make_tree, "random", 120, 9, integers=True)
    generator = np.random.default_rng(1)
    number = torch.from_numpy(generator.permutation(120))
    shuffled = torch.from_numpy(generator.permutation(edges.size(1)))
    field = torch.from_numpy(generator.standard_normal((120, 2)))
    moved = torch.empty_like(field).index_copy(0, number, field)
    plain = TreeIntegrator(edges, length, 120).integrate(f, field)
    other = TreeIntegrator(number[edges][:, shuffled].flip(0), length[shuffled], 120).integrate(f, moved)
    torch.testing.assert_close(other[number], plain, rtol=1e-11, atol=1e-10)


@pytest.mark.parametrize(
    "make",
    [
        lambda p: Exponential(p[0]),
        lambda p: Polynomial(p),
        lambda p: Cosine(p[0], p[1]),
        lambda p: Exponential(p[0]) * Cosine(p[1]) * Polynomial(p) + p[2],
        lambda p: Gaussian(p[0] + 1) * Exponential(p[1]),
        lambda p: InversePower(p[0] + 1, p[1] + 0.5),
        lambda p: Table(torch.cat([p, p**2])),
        lambda p: Table(p) * Exponential(p[1]) + Cosine(p[2]),
    ],
)
@pytest.mark.slow
def test_gradients(make_tree, make) -> None:
    edges, length = forest(make_tree, "random", 14, 4, integers=True)
    tree = TreeIntegrator(edges, length, 14)
    generator = torch.Generator().manual_seed(2)
    field = torch.randn(14, 2, dtype=torch.float64, generator=generator, requires_grad=True)
    parameters = torch.tensor([0.4, 0.3, -0.2], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(
        lambda x, p: tree.integrate(make(p), x), (field, parameters), nondet_tol=0.0, atol=1e-6, rtol=1e-4
    )
    if make(parameters).expand(tree.diameter).terms and not make(parameters).expand(tree.diameter).tables:
        assert torch.autograd.gradcheck(
            lambda x, p: sum_terms_by_levels(tree.levels, x, make(p).expand(tree.diameter).terms),
            (field, parameters),
            atol=1e-6,
            rtol=1e-4,
        )


def test_gradients_of_rational(make_tree, distances, dense) -> None:
    edges, length = forest(make_tree, "random", 60, 4, integers=True, dropped=0.0)
    tree, distance = TreeIntegrator(edges, length, 60), distances(edges, length, 60)
    field = torch.randn(60, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(2))
    for fixed in (Rational([1.0, 0.5], [1.0, 2.0, 1.0]), Rational([0.0, 0.5, 1.0], [1.0, 0.2, 0.5])):
        f = Learnable(fixed)
        loss = (tree.integrate(f, field) * field.cos()).sum()
        expected = ((dense(f, distance) @ field) * field.cos()).sum()
        found = torch.autograd.grad(loss, list(f.parameters()))
        wanted = torch.autograd.grad(expected, list(f.parameters()))
        for a, b in zip(found, wanted, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("name", ["exponential", "cosine", "complex product", "sum"])
def test_chunks_of_columns_are_the_whole(make_tree, monkeypatch, name) -> None:
    tree = TreeIntegrator(make_tree("random", 90, 1), None, 90)
    field = torch.randn(90, 21, generator=torch.Generator().manual_seed(1), requires_grad=True)
    f = Learnable(TERMS[name])
    whole = tree.integrate(f, field)
    whole_grads = torch.autograd.grad(whole.square().sum(), [field, *f.parameters()])
    for module in (sweeps, moments):
        monkeypatch.setattr(module, "_CHUNK_BYTES", 1)
    monkeypatch.setattr(sweeps, "_COLUMNS", 8)
    parts = tree.integrate(f, field)
    torch.testing.assert_close(parts, whole)
    for a, b in zip(torch.autograd.grad(parts.square().sum(), [field, *f.parameters()]), whole_grads, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("columns", [1, 3, 20])
def test_gradients_are_those_of_the_dense_sum(make_tree, distances, dense, kind, columns) -> None:
    edges, length = forest(make_tree, kind, 150, 11, integers=False)
    tree, distance = TreeIntegrator(edges, length, 150), distances(edges, length, 150)
    generator = torch.Generator().manual_seed(3)
    field, weight = torch.randn(2, 150, columns, dtype=torch.float64, generator=generator)
    field.requires_grad_()
    for name, fixed in TERMS.items():
        f = Learnable(fixed)
        inputs = [field, *f.parameters()]
        found = torch.autograd.grad((tree.integrate(f, field) * weight).sum(), inputs)
        wanted = torch.autograd.grad(((dense(f, distance) @ field) * weight).sum(), inputs)
        for a, b in zip(found, wanted, strict=True):
            torch.testing.assert_close(a, b, rtol=1e-10, atol=1e-10 * float(b.abs().max() + 1), msg=name)


def test_shapes_and_types(make_tree) -> None:
    tree = TreeIntegrator(make_tree("random", 30, 1), torch.rand(29, generator=torch.Generator().manual_seed(1)), 30)
    field = torch.randn(30, 2, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    f = Exponential(0.5)
    expected = tree.integrate(f, field)
    torch.testing.assert_close(tree.integrate(f, field[:, 0, 0]), expected[:, 0, 0])
    torch.testing.assert_close(tree.integrate(f, field.transpose(1, 2)), expected.transpose(1, 2))
    for dtype in (torch.float32, torch.float16, torch.bfloat16):
        actual = tree.integrate(f, field.to(dtype))
        assert actual.dtype == dtype
        near = 4 * torch.finfo(dtype).eps
        torch.testing.assert_close(actual.double(), tree.integrate(f, field.to(dtype).double()), rtol=near, atol=near)
    turned = tree.integrate(f, torch.complex(field, -field))
    torch.testing.assert_close(turned, torch.complex(expected, -expected))
    assert tree.integrate(f, field[:, :0]).shape == (30, 0, 3)
    torch.testing.assert_close(tree.integrate(2, field), tree.integrate(Polynomial([2.0]), field))


def test_no_nodes_and_no_edges() -> None:
    none = torch.empty(2, 0, dtype=torch.long)
    for f in (TERMS | TABLES | APPROXIMATE).values():
        assert TreeIntegrator(none, None, 0).integrate(f, torch.zeros(0, 4)).shape == (0, 4)
        field = torch.randn(3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
        at_zero = f(torch.zeros((), dtype=torch.float64))
        torch.testing.assert_close(
            TreeIntegrator(none, None, 3).integrate(f, field), at_zero * field, atol=1e-7, rtol=0
        )
    assert TreeIntegrator(none, None, 0).levels == []


def test_positive_sums_keep_relative_accuracy() -> None:
    """Lengths from tiny to huge, and values that are positive: nothing cancels."""
    edges = torch.tensor([[0, 0, 0, 3, 4], [1, 2, 3, 4, 5]])
    length = torch.tensor([700.0, 1e-9, 600.0, 1e-3, 650.0], dtype=torch.float64)
    field = torch.ones(6, dtype=torch.float64)
    actual = TreeIntegrator(edges, length, 6).integrate(Exponential(-0.3), field)
    distance = torch.zeros(6, 6, dtype=torch.float64)
    to_root = torch.tensor([0.0, 700.0, 1e-9, 600.0, 600.001, 1250.001], dtype=torch.float64)
    for i in range(6):
        for j in range(6):
            below = i in (3, 4, 5) and j in (3, 4, 5)
            apart = (to_root[i] - to_root[j]).abs() if below else to_root[i] + to_root[j]
            distance[i, j] = 0.0 if i == j else apart
    torch.testing.assert_close(actual, torch.exp(0.3 * distance).sum(1), rtol=1e-13, atol=0)


def test_many_graphs_at_once(make_tree) -> None:
    sizes = [4, 1, 9]
    parts = [make_tree("random", n, n) for n in sizes]
    starts = np.cumsum([0, *sizes])
    graphs = PackedGraphs(
        edge_index=torch.cat([part + s for part, s in zip(parts, starts, strict=False)], dim=1),
        ptr=torch.from_numpy(starts),
        edge_ptr=torch.from_numpy(np.cumsum([0, *(part.size(1) for part in parts)])),
    )
    field = torch.randn(14, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    for f in (Exponential(0.4), Table([1.0, 2.0, 3.0])):
        whole = TreeIntegrator.from_graphs(graphs).integrate(f, field)
        for part, n, s in zip(parts, sizes, starts, strict=False):
            torch.testing.assert_close(whole[s : s + n], TreeIntegrator(part, None, n).integrate(f, field[s : s + n]))


@pytest.mark.parametrize(
    ("edges", "length", "message"),
    [
        ([[0, 1, 2], [1, 2, 0]], None, "cycle through the edge"),
        ([[0, 1], [0, 2]], None, r"the loop \(0, 0\)"),
        ([[0, 0], [1, 1]], None, r"edge \(0, 1\) more than once"),
        ([[0, 1, 1], [1, 0, 0]], None, r"edge \(0, 1\) more than once"),
        ([[0, 1], [1, 0]], [1.0, 2.0], "different lengths"),
        ([[0, 1], [1, 2]], [1.0, -2.0], "edge_weight holds -2.0"),
        ([[0, 1], [1, 2]], [float("nan"), 2.0], "edge_weight holds nan"),
        ([[0, 1], [1, 2]], [1.0], r"edge_weight must be \[2\]"),
        ([[0, 1], [1, 3]], None, "edge_index holds node 3"),
        ([[0, 1]], None, r"edge_index must be \[2, num_edges\]"),
    ],
)
def test_edges_that_are_no_forest(edges, length, message) -> None:
    with pytest.raises(GraphPEValueError, match=message):
        TreeIntegrator(torch.tensor(edges), None if length is None else torch.tensor(length), 3)


def test_fields_and_functions_that_do_not_fit(make_tree) -> None:
    tree = TreeIntegrator(torch.tensor([[0, 1], [1, 2]]), torch.tensor([1.0, 0.5]), 3)
    with pytest.raises(GraphPEValueError, match=r"field must be \[3, ...\]"):
        tree.integrate(Exponential(1.0), torch.zeros(4))
    with pytest.raises(GraphPETypeError, match="floating or complex"):
        tree.integrate(Exponential(1.0), torch.zeros(3, dtype=torch.long))
    with pytest.raises(GraphPETypeError, match=r"function of graphpe\.trees"):
        tree.integrate(torch.exp, torch.zeros(3))
    with pytest.raises(GraphPEValueError, match=r"no multiple of the Table's unit 1\.0"):
        tree.integrate(Table([1.0, 2.0]), torch.zeros(3))


def test_it_is_public() -> None:
    assert graphpe.TreeIntegrator is TreeIntegrator


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["random", "path", "star", "caterpillar"])
def test_a_million_nodes(make_tree, kind) -> None:
    size = 1_000_000
    edges = make_tree(kind, size, 1)
    tree = TreeIntegrator(edges, None, size)
    begin = time.process_time()
    assert sum(len(level.node) for level in tree.levels) <= size * 21
    assert time.process_time() - begin < 20.0
    field = torch.randn(size, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    # The pairs of 40 nodes: a field that is 0 elsewhere.
    chosen = torch.randperm(size, generator=torch.Generator().manual_seed(2))[:40]
    sparse = torch.zeros(size, 1, dtype=torch.float64).index_copy(0, chosen, field[chosen])
    terms = Exponential(0.01) * Polynomial([1.0, 0.1])
    table = Table(terms(torch.arange(tree.diameter + 1)))
    for x in (field, sparse):
        actual, by_table = tree.integrate(terms, x), tree.integrate(table, x)
        by_levels = sum_terms_by_levels(tree.levels, x, terms.expand(tree.diameter).terms)
        torch.testing.assert_close(by_levels, actual, rtol=1e-9, atol=1e-9 * float(actual.abs().max()))
        torch.testing.assert_close(by_table, actual, rtol=1e-9, atol=1e-9 * float(actual.abs().max()))


def path_of(lengths: list[float]) -> tuple[TreeIntegrator, Tensor]:
    """A path and its distances."""
    node = torch.arange(len(lengths))
    length = torch.tensor(lengths, dtype=torch.float64)
    place = torch.cat([torch.zeros(1, dtype=torch.float64), length.cumsum(0)])
    return TreeIntegrator(torch.stack([node, node + 1]), length, len(lengths) + 1), (place[:, None] - place).abs()


RATIONALS = [
    ([1.0], [1.0, 0.5]),
    ([1.0, 2.0], [1.0, 0.5, 0.3]),
    ([1.0], [2.0, 0.0, 1.0]),
    ([1.0, 0.5], [1.0, 2.0, 1.0]),
]


@pytest.mark.parametrize("lengths", [[1.0, 2.0], [1e6, 1.0], [1e9, 1.0], [1e6] * 3, [1e12, 1e-12], [1e-12] * 2])
@pytest.mark.parametrize(("numerator", "denominator"), RATIONALS)
def test_gradients_of_rational_functions_at_any_distance(numerator, denominator, lengths) -> None:
    tree, distance = path_of(lengths)
    field = torch.randn(len(lengths) + 1, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    f, dense = (trees.Learnable(trees.Rational(numerator, denominator)) for _ in range(2))
    tree.integrate(f, field).square().sum().backward()
    (dense(distance) @ field).square().sum().backward()
    size = max(float(part.grad.abs().max()) for part in dense.parameters())
    for found, exact in zip(f.parameters(), dense.parameters(), strict=True):
        torch.testing.assert_close(found.grad, exact.grad, rtol=1e-6, atol=1e-6 * size)


def test_gradients_of_rational_functions_of_tiny_distances_keep_their_digits() -> None:
    tree, distance = path_of([1e-9, 2e-9])
    f, dense = (trees.Learnable(trees.Rational([1.0, 2.0], [1.0, 0.5, 0.3])) for _ in range(2))
    tree.integrate(f, torch.ones(3, 1, dtype=torch.float64)).sum().backward()
    dense(distance).sum().backward()
    for found, exact in zip(f.parameters(), dense.parameters(), strict=True):
        torch.testing.assert_close(found.grad, exact.grad, rtol=1e-9, atol=0)


def test_cosines_of_many_turns_are_exact() -> None:
    lengths = (1e7 * np.random.default_rng(0).uniform(0.5, 1.5, 40)).tolist()
    tree, _ = path_of(lengths)
    found = tree.integrate(trees.Cosine(100.0, 0.3), torch.ones(41, dtype=torch.float64))
    with mpmath.workdps(50):
        place = [mpmath.mpf(0)]
        for length in lengths:
            place.append(place[-1] + mpmath.mpf(length))
        exact = [float(sum(mpmath.cos(100 * abs(a - b) + mpmath.mpf(0.3)) for b in place)) for a in place]
    torch.testing.assert_close(found, torch.tensor(exact, dtype=torch.float64), rtol=0, atol=1e-11)


@pytest.mark.parametrize(
    ("f", "length", "dtype"),
    [
        (trees.Exponential(-0.5), 1e9, torch.float64),
        (trees.Polynomial([0.0, 0.0, 1.0]), 1e200, torch.float64),
        (trees.Exponential(-0.5), 100.0, torch.float32),
    ],
)
def test_a_function_that_overflows_is_named(f: trees.TreeFunction, length: float, dtype: torch.dtype) -> None:
    edges = torch.tensor([[0, 1, 2], [1, 2, 3]])
    integrator = graphpe.TreeIntegrator(edges, torch.full((3,), length, dtype=torch.float64), 4)
    with pytest.raises(GraphPEValueError, match=rf"^{re.escape(repr(f))} is .* at the largest distance, 3"):
        integrator.integrate(f, torch.ones(4, dtype=dtype))
    field = torch.tensor([1.0, math.inf, 0.0, 1.0], dtype=dtype)  # theirs, not the function's
    assert not integrator.integrate(trees.Exponential(0.0), field).isfinite().all()
