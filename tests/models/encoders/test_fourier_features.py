from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Batch, Data

from graphpe.errors import GraphPETypeError, GraphPEValueError
from graphpe.models.encoders import FourierFeatures


def batch_of(*sizes: int) -> Batch:
    return Batch.from_data_list([Data(pos=torch.randn(n, 3), num_nodes=n) for n in sizes])


def encoder(**options: float) -> FourierFeatures:
    module = FourierFeatures("pos", 3, 5, **options)
    for parameter in module.network[-1].parameters():
        nn.init.normal_(parameter)
    return module


def test_it_is_the_formula() -> None:
    module, batch = encoder(features=8, hidden=6), batch_of(4, 0, 1, 3)
    module.double()
    own, first, last = module.frequencies.detach().numpy(), module.network[0], module.network[2]
    coordinates = batch.pos.double().numpy()
    phase = coordinates @ own.T
    r = np.concatenate([np.cos(phase), np.sin(phase)], axis=1) / math.sqrt(8)
    hidden = r @ first.weight.detach().numpy().T + first.bias.detach().numpy()
    hidden = hidden * 0.5 * (1 + np.vectorize(math.erf)(hidden / math.sqrt(2)))
    expected = hidden @ last.weight.detach().numpy().T + last.bias.detach().numpy()
    torch.testing.assert_close(module(batch), torch.from_numpy(expected), rtol=1e-9, atol=1e-9)
    assert module(batch_of(0)).shape == (0, 5)
    alone = torch.cat([module(data) for data in batch.to_data_list()])
    torch.testing.assert_close(alone, module(batch), rtol=1e-9, atol=1e-9)
    order = torch.randperm(8)
    torch.testing.assert_close(module(Data(pos=batch.pos[order])), module(batch)[order], rtol=1e-9, atol=1e-9)


def test_products_depend_on_differences_and_start_as_a_gaussian_kernel() -> None:
    module = FourierFeatures("pos", 2, 4, features=40_000, gamma=0.7)
    points = torch.tensor([[0.0, 0.0], [0.3, 0.4], [1.0, -0.5], [2.0, 2.0]], dtype=torch.float64)
    module.double()
    r = module.of_coordinates(points)
    moved = module.of_coordinates(points + torch.tensor([5.0, -2.0]))
    torch.testing.assert_close(r @ r.T, moved @ moved.T, rtol=0, atol=1e-9)
    kernel = (-torch.cdist(points, points).square() / (2 * 0.7**2)).exp() / 2
    torch.testing.assert_close(r @ r.T, kernel, rtol=0, atol=0.03)  # 12 deviations of a mean of 20,000


def test_it_starts_at_zero_and_learns_its_frequencies() -> None:
    module, batch = FourierFeatures("pos", 3, 5), batch_of(3, 2)
    out = module(batch)
    assert torch.equal(out, torch.zeros(5, 5))
    (out + 1).square().sum().backward()
    assert module.network[-1].weight.grad.abs().sum() > 0
    module = encoder(features=4, hidden=3).double()

    def of(frequencies: Tensor, pos: Tensor) -> Tensor:
        return torch.func.functional_call(module, {"frequencies": frequencies}, (Data(pos=pos),))

    assert torch.autograd.gradcheck(of, (module.frequencies, batch.pos.double().requires_grad_()))


def test_whole_numbers_and_half_precision() -> None:
    module = encoder()
    counts = Data(pos=torch.tensor([[1, 20, 3]]))
    torch.testing.assert_close(module(counts), module(Data(pos=counts.pos.float())))
    far = Data(pos=torch.randn(4, 3) * 1000)
    with torch.autocast("cpu", torch.bfloat16):
        r = module.of_coordinates(far.pos)
        assert module(far).isfinite().all()
    assert torch.equal(r, module.of_coordinates(far.pos))  # phases are no numbers for bfloat16
    assert module.bfloat16()(far).isfinite().all()


def test_errors() -> None:
    with pytest.raises(GraphPEValueError, match=r"no `spectral_coordinates`: add T.SpectralCoordinates\(k=3\)"):
        FourierFeatures("spectral_coordinates", 3, 5)(Data(num_nodes=2))
    with pytest.raises(GraphPEValueError, match="the model was built for 3 columns"):
        encoder()(Data(pos=torch.zeros(2, 2)))
    with pytest.raises(GraphPEValueError, match="complex"):
        encoder()(Data(pos=torch.zeros(2, 3, dtype=torch.cfloat)))
    with pytest.raises(GraphPEValueError, match=r"features must be even, .* \(got 5\)"):
        FourierFeatures("pos", 3, 5, features=5)
    with pytest.raises(GraphPEValueError, match="gamma must be positive"):
        FourierFeatures("pos", 3, 5, gamma=0.0)
    with pytest.raises(GraphPETypeError, match="gamma must be a number"):
        FourierFeatures("pos", 3, 5, gamma="1")
    assert repr(FourierFeatures("pos", 3, 5, gamma=2)) == "FourierFeatures(features=64, gamma=2.0, hidden=64)"
