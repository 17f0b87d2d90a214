"""Weights by gaps: what the graph hardly decides fades out, the same for every encoder that is not invariant to it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn
from torch_geometric.data import Batch, Data

import graphpe.transforms as T
from graphpe.errors import GraphPEValueError
from graphpe.models.encoders import (
    EigenvectorDeepSet,
    EigenvectorEncoding,
    EigenvectorMLP,
    EigenvectorTransformer,
    MagLapNet,
    SignNet,
)
from graphpe.models.encoders.eigen.eigenpairs import gap_weights

ENCODERS: list[type[nn.Module]] = [
    EigenvectorEncoding,
    EigenvectorMLP,
    EigenvectorDeepSet,
    EigenvectorTransformer,
    SignNet,
    MagLapNet,
]
EACH = pytest.mark.parametrize("encoder", ENCODERS, ids=lambda encoder: encoder.__name__)


def build(encoder: type[nn.Module], k: int, stem: str = "laplacian", **options: Any) -> nn.Module:
    keys = {"mask_key": f"{stem}_mask"}
    if encoder is not EigenvectorEncoding:
        keys["eigenvalues_key"] = f"{stem}_eigenvalues"
    module = encoder(f"{stem}_eigenvector_pe", k, 6, **keys, **options).double().eval()
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.5)
    return module


def ring(noise: float, seed: int, n: int = 12) -> Data:
    """A ring whose edges weigh 1 and a little: all eigenvalues but two come in pairs that are nearly one."""
    generator = torch.Generator().manual_seed(seed)
    nodes = torch.arange(n)
    weight = 1 + noise * torch.randn(n, generator=generator, dtype=torch.double)
    return Data(edge_index=torch.stack([nodes, (nodes + 1) % n]), edge_weight=weight, num_nodes=n)


def twice(encoder: type[nn.Module], gap_width: float, noise: float) -> float:
    """How far the encodings of two rings are apart that differ by `noise`."""
    transform = T.LaplacianPE(4, sign="canonical", certificate=True)
    module = build(encoder, 4, gap_width=gap_width)
    one, two = (module(transform(ring(noise, seed))) for seed in (1, 2))
    return float(((one - two).abs().max() / one.std()).detach())


@EACH
def test_a_pair_that_is_nearly_one_jumps_without_and_stays_with_weights(encoder: type[nn.Module]) -> None:
    assert max(twice(encoder, 0.0, 1e-5) for _ in range(3)) > 0.01  # a drawn module may hardly read what jumps
    assert twice(encoder, 0.1, 1e-5) < 0.001


@EACH
def test_what_the_graph_decides_is_left(encoder: type[nn.Module]) -> None:
    path = Data(edge_index=torch.stack([torch.arange(7), torch.arange(7) + 1]), num_nodes=8)
    data = T.LaplacianPE(3, sign="canonical", certificate=True)(path)
    torch.manual_seed(0)
    plain, tapered = build(encoder, 3), build(encoder, 3, gap_width=1e-4)
    tapered.load_state_dict(plain.state_dict())
    torch.testing.assert_close(tapered(data), plain(data), atol=1e-3, rtol=1e-3)
    tapered.gap_width = 0.3
    assert not torch.allclose(tapered(data), plain(data), atol=1e-3)


@EACH
def test_a_batch_gives_what_its_graphs_give_and_padding_nothing(encoder: type[nn.Module]) -> None:
    sizes = [5, 2, 9, 1]
    graphs = T.LaplacianPE(4, sign="canonical", certificate=True)([ring(0.3, n, n) for n in sizes])
    module, batch = build(encoder, 4, gap_width=0.05), Batch.from_data_list(graphs)
    torch.testing.assert_close(module(batch), torch.cat([module(data) for data in graphs]))
    assert bool(module(batch).isfinite().all())


def test_weights_in_closed_form() -> None:
    nan = float("nan")
    batch = Data(
        laplacian_gap=torch.tensor([[0.3, 0.0, 1e-20, 4.0, 0.1]]),
        laplacian_residual=torch.tensor([[0.0, 0.0, 0.0, 3.0, 0.0]]),
        num_nodes=1,
    )
    reader = build(EigenvectorMLP, 5)
    weights = gap_weights(reader, batch, 0.1, 1)
    torch.testing.assert_close(weights, torch.tensor([[0.9, 0.0, 0.0, 0.64, 0.5]]))
    assert bool(gap_weights(reader, batch, 1e-300, 1).isfinite().all())
    batch.laplacian_gap[0, 0] = nan
    assert bool(gap_weights(reader, batch, 0.1, 1)[0, 0].isnan())  # never hidden


@pytest.mark.parametrize("potentials", [1, 3])
def test_complex_vectors_at_several_potentials(potentials: int) -> None:
    edges = torch.randint(9, (2, 20), generator=torch.Generator().manual_seed(3))
    transform = T.MagneticLaplacianPE(4, q=0.2, potentials=potentials, sign="canonical", certificate=True)
    data = transform(Data(edge_index=edges, num_nodes=9))
    module = build(EigenvectorMLP, 4, "magnetic", complex=True, potentials=potentials, gap_width=0.1)
    data.magnetic_eigenvector_pe = data.magnetic_eigenvector_pe.to(torch.complex128)
    out = module(data)
    share = data.magnetic_gap.double() ** 2 / (data.magnetic_gap.double() ** 2 + 0.1**2)
    data.magnetic_eigenvector_pe = data.magnetic_eigenvector_pe * share[0]
    module.gap_width = 0.0
    torch.testing.assert_close(out, module(data), atol=1e-5, rtol=1e-5)


def test_errors() -> None:
    path = Data(edge_index=torch.tensor([[0, 1], [1, 2]]), num_nodes=3)
    with pytest.raises(GraphPEValueError, match=r"no `laplacian_gap`: add T.LaplacianPE\(k=2, certificate=True\)"):
        build(EigenvectorMLP, 2, gap_width=0.1)(T.LaplacianPE(2)(path))
    with pytest.raises(GraphPEValueError, match="gap_width must be from 0 on, got -1"):
        build(SignNet, 2, gap_width=-1.0)
    with pytest.raises(GraphPEValueError, match="reads X_gap beside X_mask: give mask_key"):
        EigenvectorEncoding("laplacian_eigenvector_pe", 2, 4, gap_width=0.1)(T.LaplacianPE(2)(path))
