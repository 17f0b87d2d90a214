from __future__ import annotations

import pytest
import torch
from torch_geometric.data import Batch

from graphpe.errors import GraphPEValueError
from graphpe.models.attention.positions.node_positions import Attending
from graphpe.models.attention.positions.rotations.decaying import HoPE, XPos
from graphpe.models.batches.nodes import node_to_graph


def test_xpos_on_a_path(path, attend, inputs, heads_of) -> None:
    """Sun et al., equation 13: Re sum_c conj(q) k zeta_c^((n - m) / span) exp(i (m - n) theta_c)."""
    size, width, span = 7, 16, 4.0
    q, k, v, x = inputs(size, width)
    positions = XPos("r", 1, width, 2, span=span).double()
    logits, _ = attend(positions, path(size), q, k, v, x)
    c = torch.arange(4, dtype=torch.float64)
    theta, zeta = 10000.0 ** (-2 * c / 8), (c / 4 + 0.4) / 1.4
    place = torch.arange(size, dtype=torch.float64)
    behind = place[:, None] - place[None, :]  # i - j
    factor = zeta ** (behind[..., None] / span) * torch.exp(-1j * behind[..., None] * theta)
    zq, zk = (torch.view_as_complex(heads_of(p).reshape(2, size, 4, 2)) for p in (q, k))
    expected = torch.einsum("hic,hjc,ijc->hij", zq.conj(), zk, factor).real
    torch.testing.assert_close(logits, expected, rtol=1e-6, atol=1e-6)
    torch.testing.assert_close(attend(positions, path(size, path(size).r + 100), q, k, v, x)[0], logits)


def test_hope_on_a_path(path, attend, inputs, heads_of) -> None:
    """Dai et al.: exp(-(m - n) theta') q B((m - n) theta) k, B the Lorentz boost."""
    size, width = 6, 16
    q, k, v, x = inputs(size, width)
    positions = HoPE("r", 1, width, 2, span=3.0).double()
    logits, _ = attend(positions, path(size), q, k, v, x)
    theta = positions.log_theta.exp()  # [H, planes]
    outweighs = theta + torch.nn.functional.softplus(positions.excess)
    place = torch.arange(size, dtype=torch.float64)
    behind = (place[:, None] - place[None, :]).view(1, size, size, 1)
    t = behind * theta[:, None, None, :]
    boost = torch.stack([t.cosh(), t.sinh(), t.sinh(), t.cosh()], -1).unflatten(-1, (2, 2))
    kernel = torch.exp(-behind * outweighs[:, None, None, :])[..., None, None] * boost
    pq, pk = (heads_of(p).unflatten(2, (4, 2)) for p in (q, k))
    expected = torch.einsum("hica,hijcab,hjcb->hij", pq, kernel, pk)
    torch.testing.assert_close(logits, expected)
    torch.testing.assert_close(attend(positions, path(size, path(size).r - 50), q, k, v, x)[0], logits)
    one = torch.ones(size, width, dtype=torch.float64)
    falling = attend(positions, path(size), one, one, v, x)[0][:, -1]  # the last node, which sees all behind it
    assert bool((falling.diff(dim=1) > 0).all()), "logits grow towards the node itself"


@pytest.mark.parametrize("kind", [XPos, HoPE])
def test_long_graphs_overflow_nowhere_and_graphs_have_middles_of_their_own(kind, path, inputs) -> None:
    graphs = [path(3, torch.tensor([[0.0], [2.0], [1e6]])), path(2, torch.tensor([[7.0], [8.0]]))]
    graphs += [path(2, torch.tensor([[7.0], [8.0]]) + 90)]
    batch = Batch.from_data_list(graphs)
    positions = kind("r", 1, 8, 2)
    q, k, v, x = (part.float() for part in inputs(7, 8))
    q[5:], k[5:] = q[3:5], k[3:5]
    prepared = positions.prepare(batch, Attending(node_to_graph(batch), 7))
    tq, tk, _ = positions.transform(q, k, v, prepared, x)
    assert bool((tq @ tk.T).isfinite().all())
    torch.testing.assert_close(tq[3:5] @ tk[3:5].T, tq[5:] @ tk[5:].T, rtol=1e-4, atol=1e-4)


def test_errors() -> None:
    for kind in (XPos, HoPE):
        with pytest.raises(GraphPEValueError, match="span must be positive"):
            kind("r", 1, 8, 2, span=0.0)
        with pytest.raises(GraphPEValueError, match=r"multiple of 2 \* heads"):
            kind("r", 1, 6, 2)
