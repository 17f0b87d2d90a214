from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.sparse import coo_array
from scipy.sparse.csgraph import dijkstra
from torch import Tensor


def _make_tree(kind: str, size: int, seed: int) -> Tensor:
    """Edges `[2, n - 1]` of a tree whose nodes are numbered at random."""
    generator = np.random.default_rng(seed)
    child = np.arange(1, size)
    parent = {
        "random": lambda: (generator.random(len(child)) * child).astype(np.int64),
        "path": lambda: child - 1,
        "star": lambda: np.zeros_like(child),
        "caterpillar": lambda: np.where(child < (size + 1) // 2, child - 1, child - (size + 1) // 2),
        "binary": lambda: (child - 1) // 2,
        "broom": lambda: np.where(child <= size // 2, child - 1, size // 2),
    }[kind]()
    number = generator.permutation(size)
    return torch.from_numpy(np.stack([number[parent], number[child]]).reshape(2, -1))


def _distances(edge_index: Tensor, edge_weight: Tensor | None, num_nodes: int) -> Tensor:
    """All distances `[n, n]` by SciPy, inf between trees. Lengths of 0, no edges to SciPy, become tiny ones."""
    length = torch.ones(edge_index.size(1)) if edge_weight is None else edge_weight
    length = length.double().clamp(min=1e-290)
    matrix = coo_array((length.numpy(), edge_index.numpy()), shape=(num_nodes, num_nodes))
    return torch.from_numpy(dijkstra(matrix.tocsr(), directed=False)).reshape(num_nodes, num_nodes)


def _dense(f: Callable[[Tensor], Tensor], distance: Tensor) -> Tensor:
    """f of all distances; 0 between trees."""
    joined = distance.isfinite()
    return torch.where(joined, f(torch.where(joined, distance, 0.0)), 0.0)


@pytest.fixture(scope="session")
def make_tree() -> Callable[[str, int, int], Tensor]:
    return _make_tree


@pytest.fixture(scope="session")
def distances() -> Callable[..., Tensor]:
    return _distances


@pytest.fixture(scope="session")
def dense() -> Callable[..., Tensor]:
    return _dense
