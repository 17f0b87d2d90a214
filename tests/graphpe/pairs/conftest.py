from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from graphpe.graphs.packed import PackedGraphs


@pytest.fixture(scope="session")
def two_graphs() -> Callable[..., tuple[PackedGraphs, Tensor, int]]:
    """Two graphs of n nodes (loops, parallel edges, components, isolated nodes), pairs of the second one, and n."""

    def build(seed: int, *, weighted: bool = False, spread: float = 0.5) -> tuple[PackedGraphs, Tensor, int]:
        rng = np.random.default_rng(seed)
        n, count = int(rng.integers(2, 40)), int(rng.integers(0, 80))
        edges = torch.from_numpy(rng.integers(0, n, (2, count)))
        weight = torch.from_numpy(10 ** rng.uniform(-spread, spread, 2 * count)) if weighted else None
        graphs = PackedGraphs(
            edge_index=torch.cat([edges, edges + n], dim=1),
            ptr=torch.tensor([0, n, 2 * n]),
            edge_ptr=torch.tensor([0, count, 2 * count]),
            edge_weight=weight,
        )
        pairs = torch.from_numpy(rng.integers(0, n, (2, 60)))  # with repeats, and nodes with themselves
        pairs[0, :20] = pairs[0, 0]
        return graphs, pairs + n, n

    return build


@pytest.fixture(scope="session")
def at_pairs() -> Callable[[Tensor, Tensor, int], Tensor]:
    """Values of all pairs of two graphs of n nodes, at pairs of the second one."""

    def pick(values: Tensor, pairs: Tensor, n: int) -> Tensor:
        return values[n * n + (pairs[0] - n) * n + (pairs[1] - n)]

    return pick
