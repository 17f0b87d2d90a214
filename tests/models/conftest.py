from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor
from torch_geometric.data import Batch, Data

MakeBatch = Callable[..., Batch]


def random_graph(nodes: int, edges: int, generator: torch.Generator) -> Data:
    """A directed multigraph, self-loops and isolated nodes included, with features of every kind."""
    high = max(nodes, 1)
    edges = edges if nodes else 0
    data = Data(
        x=torch.randint(0, 7, (nodes, 2), generator=generator),
        edge_index=torch.randint(0, high, (2, edges), generator=generator),
        edge_attr=torch.randint(0, 2, (edges, 2), generator=generator).float(),
        node_depth=torch.randint(0, 30, (nodes, 1), generator=generator),
        laplacian_eigenvector_pe=torch.randn(nodes, 3, generator=generator),
        laplacian_mask=torch.rand(1, 3, generator=generator) < 0.7,
        num_nodes=nodes,
    )
    data.laplacian_eigenvalues = 2 * torch.rand(1, 3, generator=torch.Generator().manual_seed(nodes))
    return data


def make_batch(sizes: Sequence[int], seed: int | None = None, degree: int = 3) -> Batch:
    drawn = int(torch.randint(2**31, ())) if seed is None else seed  # from the test's own seed
    generator = torch.Generator().manual_seed(drawn)
    batch = Batch.from_data_list([random_graph(n, degree * n, generator) for n in sizes])
    batch.max_size = max(sizes, default=0)
    return batch


@pytest.fixture(name="make_batch")
def make_batch_fixture() -> MakeBatch:
    """`make_batch([5, 1, 0, 9])`: a batch of random graphs of these sizes."""
    return make_batch


def permute(data: Data, order: Tensor) -> Data:
    """The same graph with node `order[v]` at place v."""
    place = torch.empty_like(order)
    place[order] = torch.arange(order.numel())
    out = data.clone()
    for key in ("x", "node_depth", "laplacian_eigenvector_pe"):
        out[key] = data[key][order]
    out.edge_index = place[data.edge_index]
    return out


@pytest.fixture(name="permute")
def permute_fixture() -> Callable[[Data, Tensor], Data]:
    return permute
