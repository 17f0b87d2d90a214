from __future__ import annotations

import pickle

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch_geometric.data import Batch, Data

from graphpe import PackedGraphs, PackedLoader, precompute
from graphpe import transforms as T
from graphpe.errors import GraphPETypeError, GraphPEValueError, GraphRangeError
from graphpe.structure.weisfeiler_lehman import bits
from graphpe.transforms import base

from .conftest import TRANSFORMS

EVERY = {name: make for name, make in TRANSFORMS.items() if name != "compose"}
WEIGHTS = [5e-324, 1e-310, 1e-300, 1e-40, 1e-12, 1.0, 1e12, 1e38, 1e300, 1.7e308]
PATH = torch.tensor([[0, 1, 1, 2, 2, 3], [1, 0, 2, 1, 3, 2]])


def weighted(*weight: float) -> Data:
    """A path of four nodes."""
    both = torch.tensor(weight, dtype=torch.float64).repeat_interleave(2)
    return Data(edge_index=PATH, edge_weight=both, num_nodes=4)


def values_of(encoding, data: Data) -> dict[str, torch.Tensor]:
    out = encoding(data)
    return {key: out[key] for key in encoding.keys + encoding.graph_keys + encoding.pair_keys}


@pytest.mark.parametrize("make", EVERY.values(), ids=EVERY.keys())
@settings(max_examples=6, deadline=None, database=None)
@given(weight=st.tuples(*[st.sampled_from(WEIGHTS)] * 3))
def test_finite_or_an_error_that_names_what_is_wrong(make, weight) -> None:
    encoding = make()
    try:
        found = values_of(encoding, weighted(*weight))
    except GraphPEValueError as error:
        found, text = {}, str(error)
    else:
        text = "edge_weight"
    assert "\n" not in text
    assert any(key in text for key in ["edge_weight", *encoding.keys, *encoding.graph_keys])
    for key, value in found.items():
        numbers = torch.view_as_real(value) if value.is_complex() else value
        assert bool(numbers.isfinite().all()), key


@pytest.mark.parametrize("scale", [1e-290, 1e-12, 1e12, 1e290])
@pytest.mark.parametrize(
    "encoding",
    [
        T.LaplacianPE(3, sign="canonical"),
        T.RandomWalkPE(4),
        T.RelativeRandomWalkPE(4),
        T.HeatKernelPE([0.5]),
        T.PersonalizedPageRankPE(0.2),
        T.CommuteTimePE(),
    ],
)
def test_a_unit_of_weights_changes_nothing_where_it_should_not(encoding, scale: float) -> None:
    expected = values_of(encoding, weighted(1.0, 2.0, 0.5))
    for key, value in values_of(encoding, weighted(scale, 2 * scale, 0.5 * scale)).items():
        torch.testing.assert_close(value, expected[key])


@pytest.mark.parametrize(
    ("encoding", "weight", "message"),
    [
        (T.SVDPE(2), 1e300, "svd_pe reaches"),
        (T.ResistancePE(), 1e-300, "resistance reaches 1e\\+300, beyond float32's 3.4e\\+38: rescale edge_weight"),
        (T.ResistancePE(), 1e300, "resistance is at most 1e-300, below float32's"),
        (T.SVDPE(2), 1e-300, "svd_pe is at most"),
        (T.LaplacianPE(2, normalization="comb"), 1e200, "laplacian_eigenvalues reaches"),
    ],
)
def test_graph_and_key_are_named(encoding, weight: float, message: str) -> None:
    good, bad = weighted(1.0, 1.0, 1.0), weighted(weight, 0.0, 0.0)
    for graphs in (Batch.from_data_list([good, good, bad]), PackedGraphs.from_data_list([good, good, bad])):
        with pytest.raises(GraphRangeError, match=f"^graph 2: {message}") as caught:
            T.Compose([T.DegreePE(max_degree=3), encoding])(graphs)
        assert caught.value.graph == 2


def test_lists_are_written_in_single_and_checked(monkeypatch) -> None:
    graphs = [weighted(1.0, 1.0, 1.0)] * 5 + [weighted(1e-300, 1.0, 1.0)]
    for encoding in (T.ResistancePE(), T.Compose([T.DegreePE(max_degree=3), T.ResistancePE()])):
        assert {data.resistance.dtype for data in encoding(graphs[:5])} == {torch.float32}
        for chunk in (2, 100):
            monkeypatch.setattr(base, "CHUNK_GRAPHS", chunk)
            with pytest.raises(GraphRangeError, match=r"^graph 5: resistance reaches") as caught:
                encoding(graphs)
            assert caught.value.graph == 5
    assert T.MagneticLaplacianPE(2)(graphs[:1])[0].magnetic_eigenvector_pe.dtype == torch.complex64


def test_what_to_rescale_is_there() -> None:
    data = weighted(1.0, 1.0, 1.0)
    del data.edge_weight
    data.x = torch.full((data.num_nodes, 1), 3e38)
    with pytest.raises(GraphRangeError, match=r"tree_field_pe reaches .*: rescale what it is computed from"):
        T.TreeFieldPE(features={"x": 1})(data)


def test_weights_of_small_floats() -> None:
    data = weighted(1.0, 1.0, 0.0)
    data.edge_attr = torch.tensor([0, 0, 1, 1, 0, 0])
    expected = T.EdgePathPE(3, num_types=2)(data).path_types
    data.edge_weight = data.edge_weight.bfloat16()  # which NumPy does not know
    assert torch.equal(T.EdgePathPE(3, num_types=2)(data).path_types, expected)
    data.edge_weight = data.edge_weight.to(torch.float8_e4m3fn)
    with pytest.raises(GraphPETypeError, match=r"torch.float8_e4m3fn, which holds no sums: give it as float32"):
        T.RandomWalkPE(3)(data)


def test_the_number_is_that_of_the_dataset(tmp_path) -> None:
    graphs = PackedGraphs.from_data_list([weighted(1.0, 1.0, 1.0)] * 70 + [weighted(1e-300, 1.0, 1.0)])
    with pytest.raises(GraphRangeError, match=r"^graph 70: resistance reaches"):
        precompute(graphs, T.ResistancePE(), tmp_path / "encoded")
    loader = PackedLoader(graphs, 8, shuffle=True, seed=0, transform=T.ResistancePE())
    with pytest.raises(GraphRangeError, match=r"^graph 70: resistance reaches"):
        list(loader)


def test_weights_beyond_double_precision_are_refused() -> None:
    for weight in (1.7e308, 1e-310):
        with pytest.raises(GraphPEValueError, match="at edge 2: weights must be 0 or from 1e-300 to"):
            T.RandomWalkPE(3)(weighted(1.0, weight, 1.0))
    assert bool(T.RandomWalkPE(3)(weighted(1e300, 1e-300, 0.0)).random_walk_pe.isfinite().all())


def test_colours_tell_weights_apart_that_float32_does_not() -> None:
    weight = torch.tensor([1e300, 1e301, 1e-50, 1e-60, 0.1], dtype=torch.float64).numpy()
    assert len(set(bits(weight).tolist())) == 5
    assert bits(weight[-1:]) == bits(torch.tensor([0.1]).double().numpy())


def test_errors_travel_between_processes() -> None:
    error = pickle.loads(pickle.dumps(GraphRangeError(3, "x reaches 1e+300")))
    assert (error.graph, str(error), str(error.at(8))) == (3, "graph 3: x reaches 1e+300", "graph 8: x reaches 1e+300")
