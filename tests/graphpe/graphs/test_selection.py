from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from graphpe.errors import GraphPEValueError
from graphpe.graphs.packed import PackedGraphs

SIZES = st.lists(st.integers(0, 12), max_size=40)


def of_sizes(sizes: list[int]) -> PackedGraphs:
    ptr = torch.tensor(np.cumsum([0, *sizes]))
    return PackedGraphs(torch.zeros(2, 0, dtype=torch.long), ptr, torch.zeros_like(ptr))


@settings(deadline=None, max_examples=40)
@given(sizes=SIZES)
def test_size_groups_are_all_graphs_of_one_size(sizes):
    groups = [group.tolist() for group in of_sizes(sizes).size_groups()]
    assert groups == [[i for i, n in enumerate(sizes) if n == size] for size in sorted(set(sizes))]


@settings(deadline=None, max_examples=60)
@given(
    sizes=SIZES,
    ratio=st.floats(1, 3),
    max_graphs=st.none() | st.integers(1, 5),
    max_pairs=st.none() | st.integers(1, 300),
)
def test_buckets_partition_within_their_limits(sizes, ratio, max_graphs, max_pairs):
    buckets = of_sizes(sizes).buckets(ratio=ratio, max_graphs=max_graphs, max_pairs=max_pairs)
    assert sorted(i for bucket in buckets for i in bucket.tolist()) == list(range(len(sizes)))
    ordered = [[sizes[i] for i in bucket.tolist()] for bucket in buckets]
    assert [n for bucket in ordered for n in bucket] == sorted(sizes)

    def fits(bucket: list[int]) -> bool:
        in_ratio = bucket[-1] <= bucket[0] * ratio
        in_count = max_graphs is None or len(bucket) <= max_graphs
        in_pairs = max_pairs is None or len(bucket) == 1 or len(bucket) * bucket[-1] ** 2 <= max_pairs
        return in_ratio and in_count and in_pairs

    assert all(fits(bucket) for bucket in ordered)
    # None is smaller than it has to be: the next graph would not have fitted.
    assert not any(fits([*bucket, following[0]]) for bucket, following in itertools.pairwise(ordered))


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        ({"ratio": 0.9}, "ratio must be from 1 on, got 0.9"),
        ({"ratio": float("nan")}, "ratio"),
        ({"max_graphs": 0}, "max_graphs must be from 1 on, got 0"),
        ({"max_pairs": -1}, "max_pairs"),
    ],
)
def test_wrong_limits(limits, message):
    with pytest.raises(GraphPEValueError, match=message):
        of_sizes([1, 2]).buckets(**limits)
