from __future__ import annotations

from collections.abc import Callable

import torch
from torch import nn
from torch_geometric.data import Batch

from graphpe.models.encoders import EigenvectorMLP

Build = Callable[..., nn.Module]


def test_it_is_the_formula(build: Build, eigen_batch: Callable[..., Batch]) -> None:
    batch = eigen_batch([6, 3], complex=True)
    module = build(EigenvectorMLP, complex=True).eval()
    x = torch.cat([torch.view_as_real(batch.vectors).flatten(1), batch.eigenvalues[batch.batch]], dim=1)
    torch.testing.assert_close(module(batch), module.network(x))


def test_a_sign_is_drawn_for_each_graph_and_vector(build: Build, eigen_batch: Callable[..., Batch]) -> None:
    batch = eigen_batch([3] * 60)
    module = build(EigenvectorMLP, layers=1)
    out = module(batch).view(60, 3, 5)
    signs = torch.cartesian_prod(*[torch.tensor([-1.0, 1.0]).double()] * 3)
    possible = []
    for sign in signs:
        one = eigen_batch([3])
        one.vectors[:, :3] *= sign
        possible.append(module.eval()(one))
    distance = (out.unsqueeze(1) - torch.stack(possible)).abs().amax((2, 3))  # [graphs, combinations]
    assert bool((distance.min(1).values < 1e-9).all())
    assert distance.argmin(1).unique().numel() > 3


def test_one_graph_is_a_batch_of_one(build: Build, eigen_batch: Callable[..., Batch]) -> None:
    batch, module = eigen_batch([6], complex=True), build(EigenvectorMLP, complex=True)
    torch.manual_seed(7)
    single = module(batch[0])
    torch.manual_seed(7)
    torch.testing.assert_close(module(batch), single)
