from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Batch

from graphpe.models.encoders import MagLapNet

Build = Callable[..., nn.Module]


def of_node(module: MagLapNet, vectors: Tensor, values: Tensor) -> Tensor:
    """The formula for one node; `vectors` `[K, 2]` without padding."""
    phi = module.element.network
    x = functional.gelu(phi(vectors)) + functional.gelu(phi(-vectors))
    x = torch.cat([values.unsqueeze(1), x], dim=1)
    x = module.norm(x)
    width, heads, head = x.shape[1], module.heads, x.shape[1] // module.heads
    projections = module.mix.query_key_value.weight.view(3, heads, head, width)
    messages = []
    for h in range(heads):
        query, key, value = (x @ projections[i, h].t() for i in range(3))
        messages.append(torch.softmax(query @ key.t() / head**0.5, dim=1) @ value)
    return (x + torch.cat(messages, dim=1) @ module.mix.out.weight.t()).flatten()


def test_it_is_the_formula(build: Build, eigen_batch: Callable[..., Batch]) -> None:
    batch = eigen_batch([6, 3], complex=True)
    module = build(MagLapNet, complex=True).eval()
    assert module.mix.out.weight.shape == (17, 16)  # 17 = 1 + 2 * 8 numbers, 4 heads of 4
    assert module.mix.out.bias is None
    expected = []
    for data in batch.to_data_list():
        k = min(data.num_nodes, 4)
        vectors = torch.view_as_real(data.vectors[:, :k]) * data.num_nodes**0.5
        for node in range(data.num_nodes):
            x = of_node(module, vectors[node], data.eigenvalues[0, :k])
            expected.append(functional.gelu(module.aggregate(functional.pad(x, (0, (4 - k) * 17)))))
    torch.testing.assert_close(module(batch), torch.stack(expected))


def test_parts_can_be_left_out(build: Build, eigen_batch: Callable[..., Batch]) -> None:
    batch = eigen_batch()
    module = build(MagLapNet, signnet=False, attention=False, hidden=3).eval()
    x = functional.gelu(
        module.element.network(batch.vectors.unsqueeze(2) * batch.ptr.diff()[batch.batch].sqrt().view(-1, 1, 1))
    )
    x = torch.cat([batch.eigenvalues[batch.batch].unsqueeze(2), x], dim=2) * batch.eigenmask[batch.batch].unsqueeze(2)
    torch.testing.assert_close(module(batch), functional.gelu(module.aggregate(x.flatten(1))))


def test_dropout_is_for_training(build: Build, eigen_batch: Callable[..., Batch]) -> None:
    batch, module = eigen_batch(complex=True), build(MagLapNet, complex=True, dropout=0.5, random_signs=False)
    assert not torch.allclose(module(batch), module(batch))
    assert torch.equal(module.eval()(batch), module(batch))


@pytest.mark.parametrize(("hidden", "heads"), [(1, 8), (5, 3)])
def test_heads_need_not_divide(hidden: int, heads: int, build: Build, eigen_batch: Callable[..., Batch]) -> None:
    assert build(MagLapNet, hidden=hidden, heads=heads)(eigen_batch([4])).shape == (4, 5)


def test_the_released_bias_and_gelu(build: Build, eigen_batch: Callable[..., Batch]) -> None:
    batch = eigen_batch([6, 3], complex=True)
    module = build(MagLapNet, complex=True, output_bias=True, approximate="tanh").eval()
    plain = build(MagLapNet, complex=True).eval()
    plain.load_state_dict({name: value for name, value in module.state_dict().items() if name != "mix.out.bias"})
    assert not MagLapNet("v", 4, 5, eigenvalues_key="e", mask_key=None, output_bias=True).mix.out.bias.any()
    nn.init.normal_(module.mix.out.bias)
    eigen = module.read(batch, randomise=False).scaled()

    def gelu(x: Tensor) -> Tensor:
        return 0.5 * x * (1 + torch.tanh((2 / torch.pi) ** 0.5 * (x + 0.044715 * x**3)))

    x = gelu(module.element(eigen.vectors, None)) + gelu(module.element(-eigen.vectors, None))
    x = module.norm(torch.cat([eigen.values[eigen.graph].unsqueeze(2), x], dim=2))
    x = x + plain.mix(x, eigen.node_mask) + module.mix.out.bias
    expected = gelu(module.aggregate((x * eigen.node_mask.unsqueeze(2)).flatten(1)))
    torch.testing.assert_close(module(batch), expected)
    x = torch.linspace(-9, 9, 100_001)
    assert 4e-4 < (gelu(x) - functional.gelu(x)).abs().max() < 5e-4  # what the docstring says
