"""Every encoding of graphs on the pretended accelerator: values of the CPU, on the device."""

from __future__ import annotations

import networkx
import pytest
import torch

from graphpe.benchmarks.calls.build import build_encodings
from graphpe.benchmarks.measure.gpu.cases import ENCODINGS, random_graphs
from graphpe.benchmarks.measure.gpu.correctness import encodings_differ, keys_of, value_of
from graphpe.benchmarks.measure.pretend.accelerator import pretending, to_host
from graphpe.benchmarks.measure.pretend.tensors import DEVICE
from graphpe.graphs.packed import PackedGraphs
from graphpe.transforms.spectral_coordinates import SpectralCoordinates


@pytest.mark.parametrize("given", ["PackedGraphs", pytest.param("Batch", marks=pytest.mark.slow)])
@pytest.mark.parametrize("text", ENCODINGS)
def test_values_are_those_of_the_cpu(text: str, given: str) -> None:
    packed = random_graphs(20)
    (here,), (there,) = (build_encodings([text]) for _ in range(2))
    expected = here(packed if given == "PackedGraphs" else packed.to_batch())
    with pretending():
        value = there((packed if given == "PackedGraphs" else packed.to_batch()).to(DEVICE))
    for key in keys_of(here):
        assert value_of(value, key).device == DEVICE, key
    differs = encodings_differ(
        packed, here, lambda key: value_of(expected, key), lambda key: to_host(value_of(value, key))
    )
    assert differs < 1e-5


def test_coordinates_in_hops_of_paths_are_those_of_the_cpu() -> None:
    # Of repeated eigenvalues they depend on the basis, which a solver chooses.
    paths = PackedGraphs.from_networkx([networkx.path_graph(n) for n in (2, 5, 9)])
    encoding = SpectralCoordinates(k=3, scale="hops")
    with pretending():
        value = to_host(encoding(paths.to(DEVICE)).node["spectral_coordinates"])
    torch.testing.assert_close(value.abs(), encoding(paths).node["spectral_coordinates"].abs())
