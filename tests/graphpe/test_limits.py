from __future__ import annotations

import time

import numpy as np
import pytest
import torch
from torch_geometric.data import Data

import graphpe
from graphpe import transforms as T
from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs
from graphpe.limits import check_seconds, current, format_bytes, format_seconds

PAIRS = [
    T.RelativeRandomWalkPE(2),
    T.DirectedRandomWalkPE(2, level="pair"),
    T.ShortestPathPE(),
    T.EdgePathPE(1, num_types=1, key="kind"),
    T.ResistancePE(),
    T.CommuteTimePE(),
    T.HeatKernelPE((1.0,), level="pair"),
    T.DiffusionPE(level="pair"),
    T.PersonalizedPageRankPE(),
    T.ReachabilityPE(),
    T.TreeDistancePE(),
]


def path(n: int) -> Data:
    node = torch.arange(n - 1)
    edges = torch.stack([torch.cat([node, node + 1]), torch.cat([node + 1, node])])
    return Data(edge_index=edges, num_nodes=n, kind=torch.zeros(2 * n - 2, dtype=torch.long))


def hub(n: int) -> Data:
    """Two stars that share their leaves, and a path through these: two steps reach everything."""
    leaf = torch.arange(2, n)
    edges = torch.cat([torch.stack([torch.full_like(leaf, i), leaf]) for i in (0, 1)] + [path(n).edge_index], dim=1)
    return Data(edge_index=torch.cat([edges, edges.flip(0)], dim=1), num_nodes=n)


@pytest.mark.parametrize("transform", PAIRS, ids=lambda each: type(each).__name__)
def test_pairs_of_a_large_graph_are_refused_before_memory_is_asked_for(transform) -> None:
    with pytest.raises(GraphPEValueError, match=r"more than pair_limit=.* \(4\.3 GB\).*graphpe\.limits\(pair_limit"):
        transform(path(50_000))
    with pytest.raises(GraphPEValueError, match=r"2,500,000,000 pairs \(sum of n\^2\)"):
        T.Compose([T.DegreePE(), transform])(path(50_000))


def test_what_is_held_while_pairs_are_computed_counts() -> None:
    data, transform = path(100), T.ResistancePE()
    at_once = 100**2 * (4 + transform.working_bytes)
    with graphpe.limits(pair_limit=at_once):
        assert transform(data).resistance.shape == (100**2, 1)
    with graphpe.limits(pair_limit=at_once - 1), pytest.raises(GraphPEValueError, match=r"40\.0 kB, 10,000 pairs"):
        transform(PackedGraphs.from_data(data))


@pytest.mark.parametrize(
    ("transform", "instead"),
    [
        (T.RandomWalkPE(8), "estimate=64"),
        (T.HeatKernelPE((1.0,)), "estimate=64"),
        (T.HeatKernelPE((1.0,), normalization="comb"), "estimate=64"),
        (T.CyclePE(8, kind="walks"), "estimate=64"),
        (T.ElectrostaticPE(), "take parts of the graph"),
    ],
    ids=lambda each: str(each),
)
def test_encodings_of_nodes_that_would_take_long_are_refused_at_once(transform, instead: str) -> None:
    transform(hub(40))
    begin = time.process_time()
    with pytest.raises(GraphPEValueError, match=f"50,000 nodes would take about .* limits of 1 s.*{instead}"):
        with graphpe.limits(seconds=1):
            transform(hub(50_000))
    assert time.process_time() - begin < 30  # hours, if it were computed


def test_limits_hold_inside_the_block_alone() -> None:
    before = current()
    with graphpe.limits(seconds=3600), graphpe.limits(pair_limit=10):
        assert (current().seconds, current().pair_limit) == (3600, 10)
        with pytest.raises(RuntimeError), graphpe.limits(seconds=1):
            raise RuntimeError
        assert current().seconds == 3600
    assert current() == before
    for wrong in ({"seconds": -1}, {"pair_limit": "4 GB"}, {"seconds": np.nan}):
        with pytest.raises(GraphPEValueError, match="must be a number that is not negative"), graphpe.limits(**wrong):
            pass


def test_message_has_the_numbers() -> None:
    with pytest.raises(GraphPEValueError) as error:
        check_seconds("this", 1000, 7200, 2e9, "do that")
    assert str(error.value) == (
        "this on a graph of 1,000 nodes would take about 2.0 h and 2.0 GB, more than the limits of 60 s and 4.3 GB: "
        "do that, or allow more, `with graphpe.limits(seconds=..., pair_limit=...):`"
    )


@pytest.mark.parametrize(
    ("size", "text"), [(0, "0 bytes"), (999, "999 bytes"), (1000, "1.0 kB"), (4 * 2**30, "4.3 GB"), (2e13, "20.0 TB")]
)
def test_bytes_for_people(size: float, text: str) -> None:
    assert format_bytes(size) == text


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.2, "less than 1 s"),
        (59.6, "about 60 s"),
        (600, "about 10 min"),
        (9000, "about 2.5 h"),
        (1e8, "about 1,157 days"),
    ],
)
def test_seconds_for_people(seconds: float, text: str) -> None:
    assert format_seconds(seconds) == text
