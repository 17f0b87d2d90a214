"""Every encoding of graphs on the pretended accelerator: values of the CPU, on the device."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import networkx
import pytest
import torch
from torch import Tensor

from graphpe.benchmarks.calls.build import build_encodings
from graphpe.benchmarks.measure.pretend.accelerator import pretending, to_host
from graphpe.benchmarks.measure.pretend.tensors import DEVICE
from graphpe.graphs.packed import PackedGraphs
from graphpe.transforms.laplacian_pe import LaplacianPE
from graphpe.transforms.spectral_coordinates import SpectralCoordinates

from .steps import random_graphs

ENCODINGS = [
    "LaplacianPE(k=4)", "LaplacianPE(k=4, sign='canonical')",
    "LaplacianPE(k=4, normalization='rw', drop_zero_modes=False, sign='none')",
    "MagneticLaplacianPE(k=4)", "MagneticLaplacianPE(k=3, potentials=2, sign='canonical')",
    "RandomWalkPE(walk_length=8)", "DirectedRandomWalkPE(walk_length=4)",
    "DirectedRandomWalkPE(walk_length=4, level='pair')", "RelativeRandomWalkPE(walk_length=8)",
    "RelativeRandomWalkPE(walk_length=8, undirected=True)", "ShortestPathPE()", "ShortestPathPE(max_distance=5)",
    "ShortestPathPE(weighted=True)", "ResistancePE()", "CommuteTimePE()", "HeatKernelPE([1.0, 4.0])",
    "HeatKernelPE([1.0], level='pair')", "PersonalizedPageRankPE()", "ElectrostaticPE()", "DiffusionPE(k=3)",
    "SVDPE(k=3)", "DegreePE()", "DegreePE(max_degree=4)", "WeisfeilerLehmanPE(iterations=3)", "CyclePE(max_length=5)",
    "DepthPE()", "ReachabilityPE()", "SpectralCoordinates(k=3)",
    "TreeFieldPE()", "TreeFieldPE(shape=True, eigenvalues=2, random_fields=2, features={'x': 2})",
    "TreeFieldPE(tree='random', num_trees=2)", "TreeFieldPE(tree='hierarchical')", "TreeDistancePE()",
    "EdgePathPE(3, num_types=(4,))",
]  # fmt: skip


@pytest.mark.parametrize("given", ["PackedGraphs", "Batch"])
@pytest.mark.parametrize("text", ENCODINGS)
def test_values_are_those_of_the_cpu(text: str, given: str) -> None:
    packed = random_graphs(20)
    (here,), (there,) = (build_encodings([text]) for _ in range(2))
    expected = here(packed if given == "PackedGraphs" else packed.to_batch())
    with pretending():
        value = there((packed if given == "PackedGraphs" else packed.to_batch()).to(DEVICE))
    keys = [*here.keys, *here.graph_keys, *here.pair_keys]
    for key in keys:
        assert _value(value, key).device == DEVICE, key
    differs = max(_difference(_value(expected, key), to_host(_value(value, key))) for key in keys)
    if differs > 1e-5:  # eigenvectors of repeated eigenvalues
        differs = _spectral_difference(
            packed, here, lambda key: _value(expected, key), lambda k: to_host(_value(value, k))
        )
    assert differs < 1e-5


def test_coordinates_in_hops_of_paths_are_those_of_the_cpu() -> None:
    # Of repeated eigenvalues they depend on the basis, which a solver chooses.
    paths = PackedGraphs.from_networkx([networkx.path_graph(n) for n in (2, 5, 9)])
    encoding = SpectralCoordinates(k=3, scale="hops")
    with pretending():
        value = to_host(encoding(paths.to(DEVICE)).node["spectral_coordinates"])
    assert _difference(encoding(paths).node["spectral_coordinates"], value) < 1e-6


def _value(graphs: Any, key: str) -> Tensor:
    return {**graphs.node, **graphs.graph, **graphs.pair}[key] if isinstance(graphs, PackedGraphs) else graphs[key]


def _difference(a: Tensor, b: Tensor) -> float:
    """The largest; of eigenvectors with random signs up to signs."""
    if a.shape != b.shape or a.dtype != b.dtype:
        return float("inf")
    if a.is_floating_point() or a.is_complex():
        return float((a.abs() - b.abs()).abs().max()) if a.numel() else 0.0
    return float((a != b).sum())


def _spectral_difference(
    packed: PackedGraphs, encoding: Any, a: Callable[[str], Tensor], b: Callable[[str], Tensor]
) -> float:
    """Of eigenvalues, and of kernels sum_j w_j v_j v_j^T with weights that fall to 0 where k cuts an eigenspace."""
    if encoding.graph_keys:
        eigenvalues = a(encoding.graph_keys[0])
        worst = float((eigenvalues - b(encoding.graph_keys[0])).abs().max())
    else:  # coordinates are scaled eigenvectors of the combinatorial Laplacian
        plain = LaplacianPE(k=encoding.columns, normalization="comb", sign="none")(packed)
        eigenvalues, worst = plain.graph["laplacian_eigenvalues"], 0.0
    if "diffusion" in encoding.attr_name:
        eigenvalues = 1 - eigenvalues
    there_are = eigenvalues.abs() > 0
    last = torch.where(there_are, eigenvalues, -1.0).max(1, keepdim=True).values
    weight = torch.where(there_are.all(1, keepdim=True), ((last - eigenvalues) / 0.05).clamp(0, 1), 1.0)
    for graph in range(packed.num_graphs):
        rows = slice(int(packed.ptr[graph]), int(packed.ptr[graph + 1]))
        vectors = [x(encoding.attr_name)[rows] for x in (a, b)]
        kernels = [(v * weight[graph]) @ v.mH for v in vectors]
        worst = max(worst, float((kernels[0] - kernels[1]).abs().max()))
    return worst
