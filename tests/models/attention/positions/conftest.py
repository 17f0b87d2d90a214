from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor
from torch_geometric.data import Data

from graphpe.models.attention.positions.node_positions import Attending, NodePositions
from graphpe.models.batches.nodes import node_to_graph

HEADS = 2


def path(size: int, coordinates: Tensor | None = None) -> Data:
    """The directed path 0 -> 1 -> ..., with coordinates, by default the position."""
    place = torch.arange(size)
    position = place.double().unsqueeze(1)
    edges = torch.stack([place[:-1], place[1:]])
    return Data(edge_index=edges, num_nodes=size, r=position if coordinates is None else coordinates)


def attend(positions: NodePositions, data: Data, query: Tensor, key: Tensor, value: Tensor, x: Tensor) -> Any:
    """Logits [H, n, n] (not divided by sqrt(C)) and what attention with a softmax over them gives, [n, D]."""
    size = query.shape[0]
    prepared = positions.prepare(data, Attending(node_to_graph(data), size))
    q, k, v = (
        part.view(size, HEADS, -1).transpose(0, 1) for part in positions.transform(query, key, value, prepared, x)
    )
    logits = q @ k.transpose(1, 2)
    out = torch.softmax(logits / v.shape[2] ** 0.5, 2) @ v
    return logits, positions.restore(out.transpose(0, 1).reshape(size, -1), prepared)


@pytest.fixture(name="path")
def path_fixture() -> Callable[..., Data]:
    return path


@pytest.fixture(name="attend")
def attend_fixture() -> Callable[..., Any]:
    """`attend(positions, data, query, key, value, x)`: logits and results of two heads."""
    return attend


@pytest.fixture
def inputs() -> Callable[..., list[Tensor]]:
    """`inputs(size, width)`: queries, keys, values and embeddings in float64."""
    return lambda size, width: list(torch.randn(4, size, width, dtype=torch.float64))


def mirror(x: Tensor) -> Tensor:
    """Conjugate complex channels: the sign of every second one."""
    sign = torch.ones(x.shape[1], dtype=x.dtype)
    sign[1::2] = -1
    return x * sign


@pytest.fixture(name="mirror")
def mirror_fixture() -> Callable[[Tensor], Tensor]:
    return mirror


def heads_of(x: Tensor) -> Tensor:
    """`[n, D]` as `[H, n, C]`."""
    return x.view(len(x), HEADS, -1).transpose(0, 1)


@pytest.fixture(name="heads_of")
def heads_fixture() -> Callable[[Tensor], Tensor]:
    return heads_of
