from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

K = 4
WIDTH = 5
SIZES = (6, 3, 8, 1, 0, 5)


def eigen_graph(nodes: int, *, complex: bool, potentials: int) -> Data:
    """A directed cycle with a chord, or (from 5 nodes on, at even sizes) without one: then eigenvalues are repeated.

    Its K lowest eigenpairs of Hermitian matrices that such a graph has, in float64; padding is zero.
    """
    source = torch.arange(nodes)
    edge_index = torch.stack([source, (source + 1) % max(nodes, 1)])
    if nodes % 2 == 1 and nodes > 3:
        edge_index = torch.cat([edge_index, torch.tensor([[0], [2]])], dim=1)
    weight = torch.zeros(nodes, nodes, dtype=torch.double)
    weight[edge_index[0], edge_index[1]] = 1
    vectors = torch.zeros(nodes, potentials, K, dtype=torch.cdouble if complex else torch.double)
    values = torch.zeros(1, potentials, K, dtype=torch.double)
    mask = (torch.arange(K) < nodes).view(1, 1, K).repeat(1, potentials, 1)
    for j in range(potentials):
        # In a cycle of n nodes the potential j / n repeats eigenvalues.
        phase = torch.polar(torch.ones(()).double(), torch.tensor(2 * torch.pi * j / max(nodes, 1)).double())
        hop = weight * (phase if complex else 1 + j / 3)
        value, vector = torch.linalg.eigh(torch.eye(nodes) * 3 - hop - hop.mH)
        k = min(nodes, K)
        vectors[:, j, :k], values[:, j, :k] = vector[:, :k], value[:k]
    if potentials == 1:
        vectors, values, mask = vectors[:, 0], values[:, 0], mask[:, 0]
    return Data(edge_index=edge_index, num_nodes=nodes, vectors=vectors, eigenvalues=values, eigenmask=mask)


def eigen_batch(sizes: Sequence[int] = SIZES, *, complex: bool = False, potentials: int = 1) -> Batch:
    batch = Batch.from_data_list([eigen_graph(n, complex=complex, potentials=potentials) for n in sizes])
    batch.max_size = max(sizes)
    return batch


@pytest.fixture(name="eigen_batch")
def eigen_batch_fixture() -> Callable[..., Batch]:
    """`eigen_batch([6, 3, 0], complex=True, potentials=2)`: eigenpairs of cycles of these sizes, in float64."""
    return eigen_batch


def _by_graph(batch: Batch, change: Callable[[Tensor, Tensor], Tensor]) -> Batch:
    """The batch with `change(vectors, values)` as the eigenvectors of each graph and potential."""
    graphs = []
    for data in batch.to_data_list():
        data = data.clone()
        values = data.eigenvalues.view(-1, K)
        vectors = data.vectors.view(data.num_nodes, values.shape[0], K)
        out = torch.zeros_like(vectors)
        k = min(data.num_nodes, K)
        for j in range(vectors.shape[1]):
            out[:, j, :k] = change(vectors[:, j, :k], values[j, :k])
        data.vectors = out.view(data.vectors.shape)
        graphs.append(data)
    return Batch.from_data_list(graphs)


def change_signs(batch: Batch) -> Batch:
    """The batch with a random sign of each eigenvector."""
    return _by_graph(batch, lambda v, _: v * (torch.randint(0, 2, v.shape[1:]) * 2 - 1))


def change_phases(batch: Batch) -> Batch:
    """The batch with a random phase of each complex eigenvector."""
    return _by_graph(batch, lambda v, _: v * torch.polar(torch.ones(v.shape[1]), torch.rand(v.shape[1]) * 7).to(v))


def change_bases(batch: Batch) -> Batch:
    """The batch with a random basis of each eigenspace; the last one, which may be cut, is left as it is."""

    def change(vectors: Tensor, values: Tensor) -> Tensor:
        out, k = vectors.clone(), values.numel()
        start = 0
        while start < k:
            end = start + int((values[start:] - values[start] < 1e-9).sum())
            if end < k or vectors.shape[0] == k:
                mix = torch.linalg.qr(torch.randn(end - start, end - start, dtype=vectors.dtype))[0]
                out[:, start:end] = vectors[:, start:end] @ mix
            start = end
        return out

    return _by_graph(batch, change)


@pytest.fixture(name="changes")
def changes_fixture() -> dict[str, Callable[[Batch], Batch]]:
    return {"signs": change_signs, "phases": change_phases, "bases": change_bases}


def with_weights(encoder: nn.Module) -> nn.Module:
    """The encoder as after some training: what starts at zero no longer is."""
    for parameter in encoder.parameters():
        if not bool(parameter.any()):
            nn.init.normal_(parameter, std=0.3)
    return encoder


@pytest.fixture(name="with_weights")
def with_weights_fixture() -> Callable[[nn.Module], nn.Module]:
    return with_weights


@pytest.fixture(name="build")
def build_fixture() -> Callable[..., nn.Module]:
    """`build(SPE, complex=True, hidden=8)`: an encoder of what `eigen_batch` holds, in float64, with weights."""

    def build(constructor: type[nn.Module], **arguments: object) -> nn.Module:
        keys = {"eigenvalues_key": "eigenvalues", "mask_key": "eigenmask"}
        return with_weights(constructor("vectors", K, WIDTH, **keys | arguments)).double()

    return build
