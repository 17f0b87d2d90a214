from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Batch, Data

from graphpe.errors import GraphPEValueError
from graphpe.models import EigenvectorEncoding

K = 3


def batch_of(*sizes: int, dtype: torch.dtype = torch.float) -> Batch:
    return Batch.from_data_list(
        [Data(pe=torch.randn(n, K, dtype=dtype), pe_mask=torch.rand(1, K) < 0.6, num_nodes=n) for n in sizes]
    )


def with_identity(encoder: EigenvectorEncoding) -> EigenvectorEncoding:
    """The encoder with a linear map that shows its input."""
    with torch.no_grad():
        encoder.linear.weight.copy_(torch.eye(*encoder.linear.weight.shape))
        encoder.linear.bias.zero_()
    return encoder


def with_weights(encoder: EigenvectorEncoding) -> EigenvectorEncoding:
    """The encoder as after some training: its weights start at zero."""
    torch.nn.init.normal_(encoder.linear.weight)
    torch.nn.init.normal_(encoder.linear.bias)
    return encoder


def test_at_first_the_encoding_adds_nothing_but_learns() -> None:
    encoder = EigenvectorEncoding("pe", K, 4)
    out = encoder(batch_of(3, 2))
    assert torch.equal(out, torch.zeros(5, 4))
    out.sum().backward()
    assert encoder.linear.weight.grad.abs().sum() > 0


def test_signs_are_drawn_for_each_graph_and_vector_in_training_only() -> None:
    batch = batch_of(*[5] * 200)
    encoder = with_identity(EigenvectorEncoding("pe", K, K))
    signs = (encoder(batch) / batch.pe).view(200, 5, K)
    torch.testing.assert_close(signs.abs(), torch.ones_like(signs))
    torch.testing.assert_close(signs, signs[:, :1].expand_as(signs))  # one sign a graph and vector
    assert len({tuple(row) for row in signs[:, 0].round().tolist()}) == 2**K  # all combinations: independent
    assert not torch.equal(encoder(batch), encoder(batch))
    encoder.eval()
    assert torch.equal(encoder(batch), batch.pe)


def test_phases_are_drawn_for_each_graph_and_vector_in_training_only() -> None:
    batch = batch_of(*[5] * 200, dtype=torch.cfloat)
    encoder = with_identity(EigenvectorEncoding("pe", K, 2 * K, complex=True))
    out = encoder(batch)
    phases = (torch.complex(out[:, :K], out[:, K:]) / batch.pe).view(200, 5, K)
    torch.testing.assert_close(phases.abs(), torch.ones(200, 5, K), rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(phases, phases[:, :1].expand_as(phases), rtol=1e-3, atol=1e-3)
    angles = phases[:, 0].angle().flatten()
    quarters = torch.histc(angles, 4, min=-torch.pi, max=torch.pi) / angles.numel()
    assert bool((quarters > 0.15).all()), "uniform on the circle"
    encoder.eval()
    torch.testing.assert_close(encoder(batch), torch.cat([batch.pe.real, batch.pe.imag], dim=1))


@pytest.mark.parametrize("dtype", [torch.float, torch.cfloat])
@pytest.mark.parametrize("training", [False, True])
def test_masked_columns_contribute_nothing(dtype: torch.dtype, training: bool) -> None:
    batch = batch_of(4, 1, 6, dtype=dtype)
    encoder = with_weights(EigenvectorEncoding("pe", K, 7, mask_key="pe_mask", complex=dtype.is_complex)).train(
        training
    )
    mask = batch.pe_mask[batch.batch]
    outputs = []
    for padding in (0.0, 17.0, float("nan")):
        batch.pe = torch.where(mask, batch.pe, padding)
        torch.manual_seed(99)
        outputs.append(encoder(batch))
    for out in outputs[1:]:
        assert torch.equal(out, outputs[0])
    if not training:
        batch.pe = torch.zeros_like(batch.pe)
        torch.testing.assert_close(encoder(batch), encoder.linear.bias.expand(11, 7))


def test_one_graph_is_a_batch_of_one() -> None:
    data = batch_of(5)[0]
    encoder = with_weights(EigenvectorEncoding("pe", K, 4, mask_key="pe_mask"))
    torch.manual_seed(7)
    single = encoder(data)
    torch.manual_seed(7)
    torch.testing.assert_close(encoder(Batch.from_data_list([data])), single)


def test_errors() -> None:
    with pytest.raises(
        GraphPEValueError, match=r"batch has no `laplacian_eigenvector_pe`: add T.LaplacianPE\(k=8\) to the transforms"
    ):
        EigenvectorEncoding("laplacian_eigenvector_pe", 8, 4)(Data(num_nodes=2))
    with pytest.raises(GraphPEValueError, match=r"no `magnetic_mask`: add T.MagneticLaplacianPE\(k=3\)"):
        EigenvectorEncoding("pe", 3, 4, mask_key="magnetic_mask")(batch_of(2))
    with pytest.raises(GraphPEValueError, match="4 columns"):
        EigenvectorEncoding("pe", 4, 4)(batch_of(2))
    with pytest.raises(GraphPEValueError, match="complex=True"):
        EigenvectorEncoding("pe", 3, 4)(batch_of(2, dtype=torch.cfloat))
    with pytest.raises(GraphPEValueError, match="complex=False"):
        EigenvectorEncoding("pe", 3, 4, complex=True)(batch_of(2))
    with pytest.raises(GraphPEValueError, match="must be from 1 on"):
        EigenvectorEncoding("pe", 0, 4)
