from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from torch_geometric.data import Data


def _make_graphs(sizes: Sequence[int], seed: int, *, pairs: bool = False, weights: bool = False) -> list[Data]:
    """Random directed graphs (parallel edges and self-loops included) with a value in every level."""
    rng = np.random.default_rng(seed)
    graphs = []
    for i, n in enumerate(sizes):
        num_edges = int(rng.integers(0, 2 * n + 1))
        data = Data(
            x=torch.from_numpy(rng.standard_normal((n, 3))),
            edge_index=torch.from_numpy(rng.integers(0, max(n, 1), (2, num_edges))),
            edge_attr=torch.from_numpy(rng.integers(0, 5, (num_edges, 2))),
            y=torch.from_numpy(rng.standard_normal((1, 4))),
            mask=torch.from_numpy(rng.random(n) < 0.5),
            name=f"graph {i}",
            tokens=["a"] * (i % 3),
        )
        if weights:
            data.edge_weight = torch.from_numpy(rng.random(num_edges))
        if pairs:
            data.rrwp = torch.from_numpy(rng.random((n * n, 2)))
        graphs.append(data)
    return graphs


@pytest.fixture(scope="session")
def make_graphs() -> Callable[..., list[Data]]:
    return _make_graphs


def _assert_same_data(actual: Data, expected: Data) -> None:
    assert set(actual.keys()) == set(expected.keys())
    assert actual.num_nodes == expected.num_nodes
    for key in expected.keys():
        if isinstance(expected[key], torch.Tensor):
            assert actual[key].dtype == expected[key].dtype, key
            assert torch.equal(actual[key], expected[key]), key
        else:
            assert actual[key] == expected[key], key


@pytest.fixture(scope="session")
def assert_same_data() -> Callable[[Data, Data], None]:
    return _assert_same_data
