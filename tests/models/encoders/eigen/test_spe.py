from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from graphpe.models.encoders import SPE

Build = Callable[..., nn.Module]


def dense(module: SPE, data: Data) -> Tensor:
    """The formula for one graph, with matrices of all pairs."""
    n, complex, q = data.num_nodes, module.complex, module.potentials
    vectors, values, mask = data.vectors.view(n, -1), data.eigenvalues.view(-1), data.eigenmask.view(-1)
    z = torch.zeros(module.hidden, n, n, dtype=torch.double)
    for k in range(q * module.k):
        if not mask[k]:
            continue
        potential = [float(k // module.k == j) for j in range(q)] if q > 1 else []
        weight = module.psi(torch.tensor([values[k], *potential], dtype=torch.double))
        kernel = n * torch.outer(vectors[:, k], vectors[:, k].conj())
        z = z + weight[: module.hidden].view(-1, 1, 1) * kernel.real
        if complex:
            z = z + weight[module.hidden :].view(-1, 1, 1) * kernel.imag
    if module.reduction == "rows":
        return module.rho(torch.cat([z.diagonal(dim1=1, dim2=2), z.mean(2)]).t())
    return module.rho((z + module.bias.view(-1, 1, 1)).relu().mean(2).t())


@pytest.mark.parametrize("reduction", ["pairs", "rows"])
@pytest.mark.parametrize(("complex", "potentials"), [(False, 1), (True, 1), (True, 2)])
def test_it_is_the_formula(
    reduction: str, complex: bool, potentials: int, build: Build, eigen_batch: Callable[..., Batch]
) -> None:
    batch = eigen_batch([6, 2, 9, 1], complex=complex, potentials=potentials)
    module = build(SPE, complex=complex, potentials=potentials, reduction=reduction, hidden=7)
    torch.testing.assert_close(module(batch), torch.cat([dense(module, data) for data in batch.to_data_list()]))


@pytest.mark.parametrize("reduction", ["pairs", "rows"])
def test_it_is_stable_where_eigenvalues_meet(reduction: str, build: Build, eigen_batch: Callable[..., Batch]) -> None:
    module = build(SPE, reduction=reduction)
    errors = []
    for gap in (1e-1, 1e-4, 1e-7):
        outputs = []
        for angle in (0.0, 1.0):  # whatever the basis, a small change of the matrix separates the two eigenvalues
            batch = eigen_batch([6])
            turn = torch.tensor(angle).double()
            mix = torch.stack([turn.cos(), -turn.sin(), turn.sin(), turn.cos()]).view(2, 2)
            pair = slice(1, 3)
            assert (batch.eigenvalues[0, 1] - batch.eigenvalues[0, 2]).abs() < 1e-9
            batch.vectors[:, pair] = batch.vectors[:, pair] @ mix
            batch.eigenvalues[0, 2] += gap
            outputs.append(module(batch))
        errors.append((outputs[0] - outputs[1]).abs().max())
    assert errors[2] < 1e-5 * errors[0].clamp(min=1e-3)
    assert errors[1] < 1e-2 * errors[0].clamp(min=1e-3)


def test_it_is_invariant_in_single_precision_too(build: Build, eigen_batch: Callable[..., Batch]) -> None:
    module, batch = build(SPE, complex=True).float(), eigen_batch(complex=True)
    out = module(batch)
    batch.vectors = batch.vectors.to(torch.cfloat) * torch.polar(torch.ones(4), torch.rand(4) * 7)
    torch.testing.assert_close(module(batch), out, rtol=1e-4, atol=1e-5)
