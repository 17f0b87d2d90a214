from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch_geometric.data import Batch

from graphpe.models.encoders import SignNet

Build = Callable[..., nn.Module]


@pytest.mark.parametrize("rho", ["mlp", "deepset"])
@pytest.mark.parametrize("phi", ["gin", "mlp"])
def test_it_is_the_formula(phi: str, rho: str, build: Build, eigen_batch: Callable[..., Batch]) -> None:
    batch = eigen_batch([6, 3, 9])
    module = build(SignNet, phi=phi, rho=rho)
    results = []
    for data in batch.to_data_list():
        of_pairs = []
        for k in range(4):
            value = data.eigenvalues[0, k].expand(data.num_nodes)
            vector = data.vectors[:, k] * data.num_nodes**0.5
            both = [torch.stack([sign * vector, value], dim=1).unsqueeze(1) for sign in (1, -1)]
            of_pairs.append(sum(module.element(x, data.edge_index) for x in both).squeeze(1) * data.eigenmask[0, k])
        joined = sum(of_pairs) if rho == "deepset" else torch.cat(of_pairs, dim=1)
        results.append(module.join(joined))
    torch.testing.assert_close(module(batch), torch.cat(results))


def test_messages_see_more_than_absolute_values(build: Build, eigen_batch: Callable[..., Batch]) -> None:
    batch = eigen_batch([6])
    batch.vectors = torch.full((6, 4), 0.4).double()
    flipped = batch.clone()
    flipped.vectors[::2] *= -1  # at every other node of the cycle: not one sign for the vector
    alone, with_messages = build(SignNet, phi="mlp"), build(SignNet, phi="gin")
    torch.testing.assert_close(alone(flipped), alone(batch))
    assert not torch.allclose(with_messages(flipped), with_messages(batch))


def test_phases_are_drawn_in_training_for_complex_vectors_only(build: Build, eigen_batch: Callable[..., Batch]) -> None:
    real, complex = build(SignNet), build(SignNet, complex=True)
    batch, complex_batch = eigen_batch(), eigen_batch(complex=True)
    assert torch.equal(real(batch), real(batch))
    assert not torch.allclose(complex(complex_batch), complex(complex_batch))
    fixed = build(SignNet, complex=True, random_signs=False)
    assert torch.equal(fixed(complex_batch), fixed(complex_batch))
