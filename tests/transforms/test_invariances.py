"""What every encoding owes to symmetry, on fresh random graphs: node order, edge order, unions, reversal, scale, types.

Vectors are compared through projectors of their eigenvalues, which do not depend on signs, phases and bases.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from torch import Tensor
from torch_geometric.data import Batch, Data

from graphpe import transforms as T
from graphpe.benchmarks.calls.build import encoding_classes
from graphpe.graphs.packed import PackedGraphs
from graphpe.transforms.base import Encoding
from graphpe.trees.spanning import shortest_path_trees

Values = dict[str, Tensor]

# Eigenvalues closer than this count as one; the values that are compared are float32.
GAP = 1e-4


def plain(encoding: Encoding, out: Data) -> Values:
    """Values of nodes, which are decided."""
    return {"node": out[encoding.attr_name]}


def pairs(encoding: Encoding, out: Data) -> Values:
    """Values of pairs, which are decided."""
    return {"pair": out[encoding.attr_name].view(out.num_nodes, out.num_nodes, -1)}


def projectors(encoding: Encoding, out: Data) -> Values:
    """The projector of each eigenvalue, in the place of its first column; not of the last, which k may cut."""
    vectors = out[encoding.attr_name]
    products = vectors[:, None] * vectors.conj()
    products, values = (
        part.unflatten(-1, (-1, encoding.k)) for part in (products.flatten(2), _eigenvalues(encoding, out))
    )
    result = torch.zeros_like(products)
    for q in range(values.shape[0]):
        start = [0, *(1 + i for i in range(encoding.k - 1) if values[q, i + 1] - values[q, i] > GAP), encoding.k]
        for first, last in itertools.pairwise(start[:-1]):
            result[:, :, q, first] = products[:, :, q, first:last].sum(-1)
    return {"pair": result}


def paths(encoding: Encoding, out: Data) -> Values:
    """Paths from the root; graphs whose spanning trees hang on the numbers of nodes are passed over."""
    graphs = PackedGraphs.from_data_list([Data(edge_index=out.edge_index, num_nodes=out.num_nodes)])
    assume(bool(shortest_path_trees(graphs, weighted=False).unique.all()))
    return plain(encoding, out)


def _eigenvalues(encoding: Encoding, out: Data) -> Tensor:
    values = out[encoding.eigenvalues_name][0].flatten()
    if isinstance(encoding, T.DiffusionPE):  # those of the kernel, largest first
        values = -values
    return torch.where(out[encoding.mask_name][0].flatten(), values, 1e3)  # what is missing is far above


def columns(encoding: Encoding, out: Data) -> Values:
    """Columns up to a sign or phase each; graphs with repeated eigenvalues are passed over."""
    spectrum = T.LaplacianPE(encoding.k + 1, normalization=getattr(encoding, "normalization", "comb"))(out)
    values = spectrum.laplacian_eigenvalues[spectrum.laplacian_mask]
    assume(bool((values.diff() > GAP * max(float(values.max()), 1.0)).all()) if len(values) > 1 else True)
    vectors = out[encoding.attr_name]
    return {"pair": vectors[:, None] * vectors}


def halves(encoding: Encoding, out: Data) -> Values:
    """Two halves of columns up to a sign that they share, where no singular value is repeated."""
    values = T.SVDPE(encoding.k + 1)(out).svd_pe_singular_values[0]
    values = values[values > 0]
    assume(bool((-values.diff() > GAP * float(values.max())).all()) if len(values) > 1 else True)
    left, right = out[encoding.attr_name].chunk(2, dim=1)
    return {"pair": torch.cat([left[:, None] * left, left[:, None] * right, right[:, None] * right], dim=2)}


@dataclass(frozen=True)
class Case:
    """How an encoding behaves.

    Attributes:
        make: Builds it.
        decided: What of its values is decided, as values of nodes or of pairs.
        union: Whether the encoding of a disjoint union is that of its parts.
        reverse: What reversing all edges does to the decided values; None if there is no rule.
        scale: What multiplying all weights by c does to the decided values; None if there is no rule.
        atol: Of comparisons.
    """

    make: Callable[[], Encoding]
    decided: Callable[[Encoding, Data], Values]
    union: bool
    reverse: Callable[[Tensor], Tensor] | None
    scale: Callable[[Tensor, float], Tensor] | None
    atol: float = 2e-4


def same(values: Tensor, *_: float) -> Tensor:
    return values


def transposed(values: Tensor) -> Tensor:
    """Queries and keys exchanged."""
    return values.transpose(0, 1)


def scale_distances(values: Tensor, c: float) -> Tensor:
    """Distances c times as long; -1, for no path, stays."""
    return torch.where(values < 0, values, values * c)


def swap(values: Tensor) -> Tensor:
    """The two halves of the last dimension exchanged."""
    left, right = values.chunk(2, dim=-1)
    return torch.cat([right, left], dim=-1)


def swap_roles(values: Tensor) -> Tensor:
    """Products of halves (ll, lr, rr) after the halves are exchanged."""
    ll, lr, rr = values.chunk(3, dim=-1)
    return torch.cat([rr, lr.transpose(0, 1), ll], dim=-1)


CASES = {
    "LaplacianPE": Case(lambda: T.LaplacianPE(3), projectors, False, same, same),
    "LaplacianPE comb": Case(lambda: T.LaplacianPE(3, normalization="comb"), projectors, False, same, None),
    "LaplacianPE rw": Case(lambda: T.LaplacianPE(3, normalization="rw"), columns, False, same, same),
    "LaplacianPE wavelength": Case(lambda: T.LaplacianPE(2, scaling="wavelength"), columns, False, same, same),
    "MagneticLaplacianPE": Case(lambda: T.MagneticLaplacianPE(3, q=0.2), projectors, False, torch.conj, same),
    "MagneticLaplacianPE, two potentials": Case(
        lambda: T.MagneticLaplacianPE(2, potentials=2, relative_q=False), projectors, False, torch.conj, same
    ),
    "SpectralCoordinates": Case(
        lambda: T.SpectralCoordinates(2), columns, False, same, lambda values, c: values / c, atol=2e-3
    ),
    "SpectralCoordinates hops": Case(lambda: T.SpectralCoordinates(2, scale="hops"), columns, False, same, None, 2e-3),
    "SVDPE": Case(lambda: T.SVDPE(2), halves, False, swap_roles, lambda values, c: values * c),
    "DegreePE": Case(lambda: T.DegreePE(), plain, True, swap, lambda values, c: values * c),
    "DegreePE counted": Case(lambda: T.DegreePE(max_degree=3), plain, True, swap, same),
    "WeisfeilerLehmanPE": Case(lambda: T.WeisfeilerLehmanPE(3), plain, True, None, None),
    "CyclePE": Case(lambda: T.CyclePE(6), plain, True, same, same),
    "CyclePE walks": Case(lambda: T.CyclePE(6, kind="walks"), plain, True, same, same),
    "HomomorphismPE": Case(lambda: T.HomomorphismPE(["Connected(4)", "Cycle(6)"]), plain, True, same, same),
    "HomomorphismPE weighted": Case(
        lambda: T.HomomorphismPE("Connected(4)", weights="inverse_degree"), plain, True, same, same
    ),
    "MotifPE": Case(lambda: T.MotifPE("Connected(4)"), plain, True, same, same),
    "MotifPE induced": Case(lambda: T.MotifPE("Connected(4)", induced=True), plain, True, same, same),
    "HeatKernelPE": Case(lambda: T.HeatKernelPE([0.5, 2.0]), plain, True, same, same),
    "HeatKernelPE comb": Case(lambda: T.HeatKernelPE([0.5, 2.0], normalization="comb"), plain, True, same, None),
    "HeatKernelPE pairs": Case(lambda: T.HeatKernelPE([0.5], level="pair"), pairs, True, same, same),
    "HeatKernelPE pairs rw": Case(
        lambda: T.HeatKernelPE([0.5], level="pair", normalization="rw"), pairs, True, same, same
    ),
    "DiffusionPE": Case(lambda: T.DiffusionPE(3), projectors, False, same, same),
    "DiffusionPE pairs": Case(lambda: T.DiffusionPE(kernel="ppr", level="pair"), pairs, True, same, same),
    "ElectrostaticPE": Case(lambda: T.ElectrostaticPE(), plain, True, same, lambda values, c: values / c),
    "RelativeRandomWalkPE": Case(lambda: T.RelativeRandomWalkPE(5), pairs, True, None, same),
    "RelativeRandomWalkPE undirected": Case(
        lambda: T.RelativeRandomWalkPE(5, undirected=True), pairs, True, same, same
    ),
    "DirectedRandomWalkPE": Case(lambda: T.DirectedRandomWalkPE(3), plain, False, swap, same),
    "DirectedRandomWalkPE pairs": Case(lambda: T.DirectedRandomWalkPE(3, level="pair"), pairs, True, swap, same),
    "PersonalizedPageRankPE": Case(lambda: T.PersonalizedPageRankPE(), pairs, True, None, same),
    "PersonalizedPageRankPE undirected": Case(
        lambda: T.PersonalizedPageRankPE(undirected=True), pairs, True, same, same
    ),
    "ShortestPathPE": Case(lambda: T.ShortestPathPE(), pairs, True, same, same),
    "ShortestPathPE directed": Case(lambda: T.ShortestPathPE(4, undirected=False), pairs, True, transposed, same),
    "ShortestPathPE weighted": Case(lambda: T.ShortestPathPE(weighted=True), pairs, True, same, scale_distances),
    "EdgePathPE": Case(lambda: T.EdgePathPE(3, num_types=3), pairs, True, None, same),
    "ResistancePE": Case(
        lambda: T.ResistancePE(), pairs, True, same, lambda values, c: torch.where(values < 0, values, values / c)
    ),
    "CommuteTimePE": Case(lambda: T.CommuteTimePE(), pairs, True, same, same),
    "ReachabilityPE": Case(lambda: T.ReachabilityPE(), pairs, True, transposed, same),
    "DepthPE": Case(lambda: T.DepthPE(), plain, True, None, same),
    "DepthPE leaves": Case(lambda: T.DepthPE(direction="leaves"), plain, True, None, same),
    "TreeFieldPE": Case(
        lambda: T.TreeFieldPE(fields=["ones", "degree"], shape=True, weighted=True), plain, True, same, None
    ),
    "TreeFieldPE shortest": Case(lambda: T.TreeFieldPE(tree="shortest", weighted=True), plain, True, same, None),
    "TreePathPE": Case(lambda: T.TreePathPE(6, order="colour"), paths, True, None, same),
    "HopFeatures": Case(lambda: T.HopFeatures(3), plain, True, same, None),
    "TreeDistancePE": Case(lambda: T.TreeDistancePE(weighted=True), pairs, True, same, scale_distances),
    "RandomWalkPE": Case(lambda: T.RandomWalkPE(5), plain, True, None, same),
    "RandomWalkPE undirected": Case(lambda: T.RandomWalkPE(5, undirected=True), plain, True, same, same),
}


def test_every_encoding_is_here():
    tested = {name.split()[0].rstrip(",") for name in CASES}
    assert tested == encoding_classes().keys() - {"GPSEPE", "PretrainedPE"}


@st.composite
def graphs(draw: st.DrawFn, least: int = 1) -> Data:
    """Weighted, directed, with loops, parallel edges and isolated nodes."""
    n = draw(st.integers(least, 9))
    edges = draw(st.lists(st.tuples(st.integers(0, n - 1), st.integers(0, n - 1)), max_size=3 * n))
    seed = draw(st.integers(0, 2**16))
    weight = torch.from_numpy(np.random.default_rng(seed).uniform(0.2, 2.0, len(edges)))
    edge_index = torch.tensor(edges, dtype=torch.long).reshape(-1, 2).T.contiguous()
    kind = torch.arange(len(edges)) * 7 % 3
    return Data(edge_index=edge_index, edge_weight=weight, edge_attr=kind, num_nodes=n)


def changed(data: Data, **values: Tensor | int) -> Data:
    """The graph with other values."""
    return Data.from_dict({**data.to_dict(), **values})


def decided(case: Case, data: Data) -> Values:
    encoding = case.make()
    return case.decided(encoding, encoding(data))


def assert_same(case: Case, got: Values, expected: Values) -> None:
    assert got.keys() == expected.keys()
    for level, value in expected.items():
        assert not value.is_floating_point() or value.isfinite().all()
        torch.testing.assert_close(got[level], value, atol=case.atol, rtol=case.atol)


each = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
drawn = settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)


@each
@drawn
@given(data=graphs(), seed=st.integers(0, 2**16))
def test_order_of_nodes(case, data, seed):
    order = torch.from_numpy(np.random.default_rng(seed).permutation(data.num_nodes))
    moved = changed(data, edge_index=order[data.edge_index])
    got = decided(case, moved)
    back = {level: value[order] if level == "node" else value[order][:, order] for level, value in got.items()}
    assert_same(case, back, decided(case, data))


@each
@drawn
@given(data=graphs(), seed=st.integers(0, 2**16))
def test_order_of_edges(case, data, seed):
    order = torch.from_numpy(np.random.default_rng(seed).permutation(data.num_edges))
    moved = changed(
        data,
        edge_index=data.edge_index[:, order],
        edge_weight=data.edge_weight[order],
        edge_attr=data.edge_attr[order],
    )
    assert_same(case, decided(case, moved), decided(case, data))


@each
@drawn
@given(data=graphs(), other=graphs())
def test_disjoint_union(case, data, other):
    if not case.union:
        # As one batch, graphs do not see each other, whatever they do as one graph.
        one = case.make()
        batch = one(Batch.from_data_list([other, data]))
        assert_same(case, case.decided(one, batch.to_data_list()[1]), decided(case, data))
        return
    n, m = data.num_nodes, other.num_nodes
    joined = Data(
        edge_index=torch.cat([data.edge_index, other.edge_index + n], dim=1),
        edge_weight=torch.cat([data.edge_weight, other.edge_weight]),
        edge_attr=torch.cat([data.edge_attr, other.edge_attr]),
        num_nodes=n + m,
    )
    got, first, second = decided(case, joined), decided(case, data), decided(case, other)
    parts = [
        {level: value[:n] if level == "node" else value[:n, :n] for level, value in got.items()},
        {level: value[n:] if level == "node" else value[n:, n:] for level, value in got.items()},
    ]
    assert_same(case, parts[0], first)
    assert_same(case, parts[1], second)


@each
@drawn
@given(data=graphs())
def test_reversing_all_edges(case, data):
    if case.reverse is None:
        pytest.skip("no rule")
    back = changed(data, edge_index=data.edge_index.flip(0))
    expected = {level: case.reverse(value) for level, value in decided(case, data).items()}
    assert_same(case, decided(case, back), expected)


@each
@drawn
@given(data=graphs(), factor=st.sampled_from([0.25, 3.0, 100.0]))
def test_scaling_all_weights(case, data, factor):
    if case.scale is None:
        pytest.skip("no rule")
    scaled = changed(data, edge_weight=data.edge_weight * factor)
    expected = {level: case.scale(value, factor) for level, value in decided(case, data).items()}
    assert_same(case, decided(case, scaled), expected)


@each
@drawn
@given(data=graphs())
def test_types_of_edges_and_weights(case, data):
    """The same numbers in another type are the same graph."""
    single = data.edge_weight.float()
    expected = decided(case, changed(data, edge_weight=single.double()))
    for edges, weight in ((data.edge_index, single), (data.edge_index.int(), single.double())):
        got = decided(case, changed(data, edge_index=edges, edge_weight=weight))
        assert_same(case, got, expected)


@each
@drawn
@given(data=graphs())
def test_the_input_stays_as_it_is(case, data):
    edges, weight = data.edge_index.clone(), data.edge_weight.clone()
    case.make()(data)
    assert torch.equal(data.edge_index, edges)
    assert torch.equal(data.edge_weight, weight)
    assert set(data.keys()) == {"edge_index", "edge_weight", "edge_attr", "num_nodes"}
