"""Specformer against its equations written out with dense matrices, and what its filters are invariant to."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Batch, Data

import graphpe
import graphpe.transforms as T
from graphpe.errors import GraphPEValueError
from graphpe.models import LinearNodes, Specformer, SpectralBasis
from graphpe.models.batches.nodes import node_to_graph
from graphpe.models.spectral.specformer import waves_of

WIDTH, HEADS = 6, 2
MAGNETIC = {"eigenvalues_key": "magnetic_eigenvalues", "mask_key": "magnetic_mask"}
LAPLACIAN = {"eigenvalues_key": "laplacian_eigenvalues", "mask_key": "laplacian_mask"}


def random_graph(n: int, seed: int) -> Data:
    generator = torch.Generator().manual_seed(seed)
    edges = torch.randint(max(n, 1), (2, 2 * n), generator=generator)
    return Data(x=torch.randn(n, 3, generator=generator, dtype=torch.double), edge_index=edges, num_nodes=n)


def build(basis: SpectralBasis | None = None, **options: Any) -> Specformer:
    encodings = [] if basis is None else [basis]
    options = {"width": WIDTH, "layers": 2, "heads": HEADS, "norm": "layer", "readout": "none", **options}
    model = Specformer(node_encoder=LinearNodes(3, options["width"]), encodings=encodings, **options).double().eval()
    for name, parameter in model.named_parameters():  # as after some training
        if "combine" in name or "own" in name:
            nn.init.normal_(parameter)
    return model


def dense(model: Specformer, data: Data, vectors: list[Tensor], values: list[Tensor]) -> Tensor:
    """The equations of the docstring for one graph and, for each potential, its eigenvectors and eigenvalues."""
    x, number = model.node_encoder(data), (WIDTH + 1) // 2
    tokens = []
    for j, value in enumerate(values):
        turns = [100 * value / 10000 ** (i / number) for i in range(number)]
        row = [value, *[functional.one_hot(torch.tensor(j), len(values)).double()[i].expand_as(value)
                        for i in range(len(values) if len(values) > 1 else 0)]]  # fmt: skip
        tokens.append(torch.stack([*row, *map(torch.sin, turns), *map(torch.cos, turns)], dim=1))
    part = model.filters
    z = part.embed(torch.cat(tokens))
    query, key, value = part.attention.query_key_value(part.attention_norm(z)).chunk(3, dim=1)
    heads, c = [], WIDTH // HEADS
    for m in range(HEADS):
        q, k, v = (y[:, m * c : (m + 1) * c] for y in (query, key, value))
        heads.append((q @ k.T / math.sqrt(c)).softmax(1) @ v)
    z = z + part.attention.out(torch.cat(heads, dim=1))
    z = z + part.feed_forward.contract(functional.gelu(part.feed_forward.expand(part.norm(z))))
    new = part.decode(z)  # [K, filters]
    u = torch.cat(vectors, dim=1)
    filters = [u @ torch.diag(new[:, m]).to(u.dtype) @ u.mH for m in range(new.shape[1])]
    if u.is_complex():
        filters = [f.real for f in filters[:HEADS]] + [f.imag for f in filters[HEADS:]]
    for layer in model.layers:
        y = layer.own * x + sum(w * (f @ x) for w, f in zip(layer.combine, filters, strict=True))
        x = x + functional.gelu(layer.norm(layer.linear(y)))
    return x


def double(data: Data) -> Data:
    """Eigenpairs in double precision, as the equations are compared in it."""
    for key in data.keys():
        if isinstance(data[key], Tensor) and data[key].dtype in (torch.float32, torch.complex64):
            data[key] = data[key].to(torch.complex128 if data[key].is_complex() else torch.double)
    return data


def test_real_filters_against_dense_equations() -> None:
    graphs = [double(T.LaplacianPE(6, drop_zero_modes=False)(random_graph(n, n))) for n in (5, 1, 9, 3)]
    model = build()
    out = model(Batch.from_data_list(graphs)).split([5, 1, 9, 3])
    for data, found in zip(graphs, out, strict=True):
        mask = data.laplacian_mask[0]
        expected = dense(model, data, [data.laplacian_eigenvector_pe[:, mask]], [data.laplacian_eigenvalues[0, mask]])
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)  # frequencies are of single precision


@pytest.mark.parametrize("potentials", [1, 2])
def test_hermitian_filters_against_dense_equations(potentials: int) -> None:
    transform = T.MagneticLaplacianPE(5, q=0.2, potentials=potentials)
    graphs = [double(transform(random_graph(n, n))) for n in (4, 8)]
    basis = SpectralBasis("magnetic_eigenvector_pe", 5, **MAGNETIC, complex=True, potentials=potentials)
    model = build(basis)
    out = model(Batch.from_data_list(graphs)).split([4, 8])
    for data, found in zip(graphs, out, strict=True):
        vectors, values, mask = data.magnetic_eigenvector_pe, data.magnetic_eigenvalues, data.magnetic_mask
        shape = (-1, potentials, 5)
        vectors, values, mask = vectors.view(shape), values.view(shape)[0], mask.view(shape)[0]
        here = [vectors[:, j, mask[j]] for j in range(potentials)]
        expected = dense(model, data, here, [values[j, mask[j]] for j in range(potentials)])
        torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)  # frequencies are of single precision


def test_a_filter_of_ones_is_the_identity_and_of_eigenvalues_the_laplacian() -> None:
    data = double(T.LaplacianPE(9, drop_zero_modes=False, normalization="comb")(random_graph(9, 4)))
    eigen = SpectralBasis("laplacian_eigenvector_pe", **LAPLACIAN)(data, torch.double)
    waves, x = waves_of(eigen, node_to_graph(data)), torch.randn(9, 2).double()
    torch.testing.assert_close(waves.filter(x, torch.ones(1, 9, 2).double()), x, atol=1e-5, rtol=0)
    matrix = graphpe.laplacian(data.edge_index, 9, normalization="comb").to_dense()
    response = eigen.values.unsqueeze(2).expand(1, 9, 2)
    torch.testing.assert_close(waves.filter(x, response), matrix @ x, atol=1e-4, rtol=0)


@pytest.mark.parametrize("complex", [False, True])
def test_signs_phases_and_bases_do_not_matter(complex: bool) -> None:
    ring = torch.stack([torch.arange(8), (torch.arange(8) + 1) % 8])
    data = Data(x=torch.randn(8, 3).double(), edge_index=ring, num_nodes=8)
    if complex:
        data, basis = (
            T.MagneticLaplacianPE(8, q=0.3)(data),
            SpectralBasis("magnetic_eigenvector_pe", **MAGNETIC, complex=True),
        )
    else:
        data, basis = (
            T.LaplacianPE(8, drop_zero_modes=False)(data),
            SpectralBasis("laplacian_eigenvector_pe", **LAPLACIAN),
        )
    data, model = double(data), build(basis)
    out, key = model(data), basis.key
    vectors, values = data[key], data[basis.eigenvalues_key][0].round(decimals=5)
    turned = vectors.clone()
    for value in values.unique():
        here = values == value
        turn = torch.linalg.qr(torch.randn(int(here.sum()), int(here.sum()), dtype=vectors.dtype)).Q
        turned[:, here] = vectors[:, here] @ turn
    data[key] = turned
    assert not torch.allclose(turned, vectors, atol=0.1)
    torch.testing.assert_close(model(data), out, atol=1e-5, rtol=1e-5)


def test_complex_filters_see_direction_and_real_ones_do_not() -> None:
    path = Data(x=torch.ones(5, 3).double(), edge_index=torch.tensor([[0, 1, 2, 3], [1, 2, 3, 4]]), num_nodes=5)
    other = Data(x=path.x, edge_index=path.edge_index.flip(0), num_nodes=5)
    for complex in (False, True):
        transform = T.MagneticLaplacianPE(5) if complex else T.LaplacianPE(5, drop_zero_modes=False)
        basis = SpectralBasis("magnetic_eigenvector_pe", **MAGNETIC, complex=True) if complex else None
        model = build(basis)
        one, two = model(double(transform(path))), model(double(transform(other)))
        assert torch.allclose(one, two, atol=1e-5) != complex


def test_nodes_that_are_not_in_the_order_of_their_graphs() -> None:
    batch = T.LaplacianPE(4, drop_zero_modes=False)(Batch.from_data_list([random_graph(n, n) for n in (4, 6)]))
    model, order = build(readout="mean"), torch.randperm(10)
    place = torch.empty_like(order)
    place[order] = torch.arange(10)
    mixed = Data(
        x=batch.x[order], edge_index=place[batch.edge_index], batch=batch.batch[order], num_nodes=10,
        laplacian_eigenvector_pe=batch.laplacian_eigenvector_pe[order],
        laplacian_eigenvalues=batch.laplacian_eigenvalues, laplacian_mask=batch.laplacian_mask,
    )  # fmt: skip
    torch.testing.assert_close(model(mixed), model(batch))


def test_parameters_and_text() -> None:
    model = Specformer(width=160, layers=4, heads=8, node_encoder=nn.Identity())
    d, m = 160, 8
    filters = (d + 1) * d + d + 4 * (d * d + d) + 2 * (d * d + d) + 4 * d + (d + 1) * m
    layer = d + m * d + d * d + d + 2 * d
    assert sum(p.numel() for p in model.parameters()) == filters + 4 * layer
    assert repr(model) == (
        "Specformer(width=160, layers=4, heads=8, norm='batch', dropout=0.0, filter_dropout=0.0, readout='mean')"
    )


def test_half_precision_keeps_the_frequencies() -> None:
    model = build().bfloat16()
    assert model.filters.frequencies.dtype != torch.bfloat16
    data = T.LaplacianPE(6, drop_zero_modes=False)(random_graph(6, 1))
    data.x = data.x.float()
    assert model(data).dtype == torch.bfloat16


def test_errors() -> None:
    basis = SpectralBasis("laplacian_eigenvector_pe", **LAPLACIAN)
    with pytest.raises(GraphPEValueError, match="filters along one basis"):
        Specformer(node_encoder=nn.Identity(), encodings=[basis, basis])
    with pytest.raises(GraphPEValueError, match="width must be a multiple of heads"):
        Specformer(width=6, heads=4, node_encoder=nn.Identity())
    with pytest.raises(GraphPEValueError, match=r"no `laplacian_eigenvector_pe`: add T.LaplacianPE"):
        build()(random_graph(4, 1))
