from __future__ import annotations

import tracemalloc

import numpy as np
import pytest
import torch

from graphpe.graphs.ragged import Segments, spread, take


def test_segments_of_a_flat_tensor():
    flat = torch.tensor([10, 11, 20, 30, 31, 32])
    picked = Segments.pick(np.array([0, 2, 3, 3, 6]), np.array([3, 2, 0, 3]))
    assert picked.ptr.tolist() == [0, 3, 3, 5, 8]
    assert picked.sizes.tolist() == [3, 0, 2, 3]
    assert take(flat, picked.rows(flat.device)).tolist() == [30, 31, 32, 10, 11, 30, 31, 32]


def test_spread():
    values = spread(np.array([5, 6, 7]), np.array([2, 0, 1]), torch.device("cpu"))
    assert values.tolist() == [5, 5, 7]


@pytest.mark.parametrize("dim", [0, 1])
@pytest.mark.parametrize("layout", ["contiguous", "transposed", "strided"])
def test_take_is_index_select(dim, layout):
    value = torch.arange(60).reshape(6, 10)
    value = {"contiguous": value, "transposed": value.t(), "strided": value[:, ::2]}[layout]
    rows = np.array([4, 0, 4, 1])
    out = take(value, rows, dim)
    assert torch.equal(out, value.index_select(dim, torch.from_numpy(rows)))
    out.zero_()
    assert value.sum() > 0


@pytest.mark.parametrize("dim", [0, 1])
def test_take_never_copies_what_it_does_not_take(dim):
    transposed = torch.zeros(1000, 1000).t()
    unaligned = torch.from_numpy(np.frombuffer(bytearray(8_000_001), dtype=np.float64, offset=1).reshape(1000, 1000))
    for value in (torch.zeros(1000, 1000), transposed, unaligned):
        tracemalloc.start()
        take(value, np.array([3, 1]), dim)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert peak < 100_000
