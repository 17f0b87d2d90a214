from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import nn
from torch_geometric.data import Batch

from graphpe.models.encoders import EigenvectorDeepSet


@pytest.mark.parametrize("layers", [1, 3])
def test_it_is_the_formula(layers: int, build: Callable[..., nn.Module], eigen_batch: Callable[..., Batch]) -> None:
    batch = eigen_batch([6, 3], complex=True)
    module = build(EigenvectorDeepSet, complex=True, layers=layers, hidden=4).eval()
    linear = [part for part in module.phi if isinstance(part, nn.Linear)]
    assert [part.out_features for part in linear] == [8] * (layers - 1) + [4]
    expected = []
    for data in batch.to_data_list():
        for node in range(data.num_nodes):
            total = torch.zeros(4, dtype=torch.double)
            for k in range(min(data.num_nodes, 4)):
                entry = data.vectors[node, k]
                x = torch.stack([entry.real, entry.imag, data.eigenvalues[0, k]])
                for part in linear:
                    x = part(x).relu()
                total = total + x
            expected.append(module.rho(total))
    torch.testing.assert_close(module(batch), torch.stack(expected))


def test_a_pair_says_of_which_potential_it_is(
    build: Callable[..., nn.Module], eigen_batch: Callable[..., Batch]
) -> None:
    batch = eigen_batch([6], complex=True, potentials=2)
    module = build(EigenvectorDeepSet, complex=True, potentials=2, hidden=32).eval()
    out = module(batch)
    for key in ("vectors", "eigenvalues", "eigenmask"):
        batch[key] = batch[key].flip(1)
    assert not torch.allclose(module(batch), out)
