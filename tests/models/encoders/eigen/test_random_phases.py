from __future__ import annotations

import torch
from torch_geometric.data import Batch, Data

from graphpe.models.encoders.eigen.random_phases import random_phases


def test_real_vectors_get_signs_and_complex_ones_phases_of_each_graph() -> None:
    batch = Batch.from_data_list([Data(num_nodes=n) for n in [4] * 300])
    real, complex = torch.rand(1200, 3, 1) + 1, torch.randn(1200, 3, 2)
    signs = (random_phases(real, batch) / real).view(300, 4, 3)
    torch.testing.assert_close(signs.abs(), torch.ones(300, 4, 3))
    torch.testing.assert_close(signs, signs[:, :1].expand_as(signs))
    assert bool(((signs.mean((0, 1)) < 0.3) & (signs.mean((0, 1)) > -0.3)).all())
    out = torch.view_as_complex(random_phases(complex, batch))
    phases = (out / torch.view_as_complex(complex)).view(300, 4, 3)
    torch.testing.assert_close(phases.abs(), torch.ones(300, 4, 3), rtol=1e-3, atol=1e-3)
    torch.testing.assert_close(phases, phases[:, :1].expand_as(phases), rtol=1e-2, atol=1e-2)
    assert bool((phases[:, 0].mean(0).abs() < 0.3).all())
    assert phases[:, 0].angle().std() > 1


def test_one_graph_without_a_batch() -> None:
    real = torch.rand(5, 3, 1) + 1
    signs = random_phases(real, Data(num_nodes=5)) / real
    torch.testing.assert_close(signs, signs[:1].expand_as(signs))
