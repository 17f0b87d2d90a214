from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from graphpe.models.encoders import BasisNet
from graphpe.models.encoders.eigen.basis_net import eigenspaces
from graphpe.models.encoders.eigen.eigenpairs import Eigenpairs

Build = Callable[..., nn.Module]


def dense(module: BasisNet, data: Data) -> Tensor:
    """The formula for one graph, with an n x n projector of each eigenspace."""
    n, total = data.num_nodes, 0
    for j in range(module.potentials):
        vectors = data.vectors.view(n, -1, module.k)[:, j]
        values, mask = data.eigenvalues.view(-1, module.k)[j], data.eigenmask.view(-1, module.k)[j]
        spaces: list[list[int]] = []
        for k in range(int(mask.sum())):
            if spaces and values[k] - values[spaces[-1][-1]] < 1e-6:
                spaces[-1].append(k)
            else:
                spaces.append([k])
        for space in spaces:
            projector = n * vectors[:, space] @ vectors[:, space].mH
            rows = projector.mean(1)
            parts = [rows.real, rows.imag] if module.complex else [rows]
            graph = [projector.diagonal().real.mean(), projector.mean().real, values[space].mean()]
            if module.potentials > 1:
                graph += [torch.tensor(float(i == j)) for i in range(module.potentials)]
            x = torch.stack([projector.diagonal().real, *parts, *(value.expand(n) for value in graph)], dim=1)
            for own, mean in zip(module.own, module.mean, strict=True):
                x = (own(x) + mean(x.mean(0))).relu()
            total = total + x
    return module.rho(total)


@pytest.mark.parametrize(("complex", "potentials"), [(False, 1), (True, 1), (True, 2)])
def test_it_is_the_formula(complex: bool, potentials: int, build: Build, eigen_batch: Callable[..., Batch]) -> None:
    batch = eigen_batch([6, 2, 9, 1, 8], complex=complex, potentials=potentials)
    module = build(BasisNet, complex=complex, potentials=potentials, hidden=7)
    torch.testing.assert_close(module(batch), torch.cat([dense(module, data) for data in batch.to_data_list()]))


def test_eigenvalues_are_grouped_by_their_gaps() -> None:
    values = torch.tensor([[0.0, 1e-7, 0.5, 0.5, 1000.0, 1000.001], [0.3, 0.3, 0.4, 0, 0, 0]], dtype=torch.double)
    mask = torch.tensor([[True] * 6, [True, True, True, False, False, False]])
    pairs = Eigenpairs(torch.zeros(0, 6, 1), values, mask, torch.zeros(0).long(), 1)
    spaces = eigenspaces(pairs, 1e-5)
    assert spaces.space.tolist() == [[0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 1, 1]]
    assert spaces.dimension.tolist() == [[2, 2, 2, 0, 0, 0], [2, 1, 0, 0, 0, 0]]
    torch.testing.assert_close(spaces.value[1, :2], torch.tensor([0.3, 0.4], dtype=torch.double))
    two = Eigenpairs(torch.zeros(0, 6, 1), values, mask, torch.zeros(0).long(), 2)
    assert eigenspaces(two, 1e-5).space.tolist() == [[0, 0, 1, 3, 4, 4], [0, 0, 1, 3, 3, 3]]


def test_a_wider_tolerance_joins_eigenspaces(build: Build, eigen_batch: Callable[..., Batch]) -> None:
    batch = eigen_batch([5])
    narrow, wide = build(BasisNet), build(BasisNet, tolerance=10.0)
    wide.load_state_dict(narrow.state_dict())
    out = wide(batch)
    assert not torch.allclose(out, narrow(batch))
    batch.vectors = batch.vectors @ torch.linalg.qr(torch.randn(4, 4, dtype=torch.double))[0]
    torch.testing.assert_close(wide(batch), out)
