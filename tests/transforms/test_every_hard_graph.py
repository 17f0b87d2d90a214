"""Every encoding on every graph that breaks other implementations: its documented shape, no NaN, no crash."""

from __future__ import annotations

import math

import pytest
import torch
from torch_geometric.data import Batch, Data

from graphpe import transforms as T
from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs

from .conftest import TRANSFORMS
from .test_hard_graphs import HARD, graph

EDGE_PATHS = {"edge paths": lambda: T.EdgePathPE(2, num_types=2)}
EVERY = {name: make for name, make in (TRANSFORMS | EDGE_PATHS).items() if name != "compose"}
each = pytest.mark.parametrize("make", EVERY.values(), ids=EVERY.keys())


def with_types(data: Data) -> Data:
    out = data.clone()
    out.edge_attr = torch.arange(data.num_edges) % 2
    return out


def finite(value: torch.Tensor) -> bool:
    return bool((torch.view_as_real(value) if value.is_complex() else value).isfinite().all())


@each
def test_shape_and_no_nan(make):
    for name, (data, _) in HARD.items():
        encoding = make()
        n = data.num_nodes
        out = encoding(with_types(data))
        value = out[encoding.attr_name]
        assert value.shape[0] == (n * n if encoding.pair_keys else n), name
        assert value[:1].numel() in (0, encoding.columns), name
        for key in encoding.keys + encoding.graph_keys + encoding.pair_keys:
            assert finite(out[key]), f"{name}: {key}"


@each
@pytest.mark.parametrize("weighted", [False, True])
def test_all_in_one_batch_and_packed(make, weighted):
    graphs = [with_types(data) for data, _ in HARD.values() if ("edge_weight" in data) == weighted]
    one = make()
    singles = [one(data) for data in graphs]
    batch = make()(Batch.from_data_list(graphs))
    packed = make()(PackedGraphs.from_data_list(graphs))
    for key in one.keys + one.graph_keys + one.pair_keys:
        expected = torch.cat([single[key] for single in singles])
        torch.testing.assert_close(batch[key], expected, atol=1e-6, rtol=1e-5)
        stored = next(
            getattr(packed, level)[key] for level in ("node", "graph", "pair") if key in getattr(packed, level)
        )
        torch.testing.assert_close(stored, expected, atol=1e-6, rtol=1e-5)


@each
@pytest.mark.parametrize("weight", [-1.0, math.nan, math.inf])
def test_weights_that_mean_nothing_are_refused(make, weight):
    data = with_types(graph([0, 1], [1, 2], 3, [1.0, weight]))
    with pytest.raises(GraphPEValueError, match=r"edge_weight holds .*: weights must be finite and not negative"):
        make()(data)


@pytest.mark.slow
@each
@pytest.mark.parametrize("undirected", [False, True])
def test_star_of_5000_leaves(make, undirected):
    spokes = torch.stack([torch.zeros(5000, dtype=torch.long), torch.arange(1, 5001)])
    edges = torch.cat([spokes, spokes.flip(0)], dim=1) if undirected else spokes
    encoding = make()
    out = encoding(with_types(Data(edge_index=edges, num_nodes=5001)))
    assert finite(out[encoding.attr_name])
