from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch_geometric.data import Batch, Data

from graphpe.errors import GraphPEError
from graphpe.models import ASTNodeEncoder, SubtokenHead
from graphpe.models.layers.structure_extractor import Neighbourhood
from graphpe.models.sat import SAT

WIDTH, HEADS = 8, 2


def count(module: nn.Module) -> int:
    return sum(p.numel() for p in module.parameters())


class Fixed(nn.Module):
    def __init__(self, x: Tensor) -> None:
        super().__init__()
        self.x = x

    def forward(self, batch: Data) -> Tensor:
        return self.x


def by_hand(model: SAT, data: Data, x: Tensor) -> Tensor:
    """The equations for one graph with matrices; the class token is the last row."""
    j, i = data.edge_index
    n = data.num_nodes
    x = torch.cat([x, model.token.unsqueeze(0)])
    scale = torch.ones(n + 1, dtype=x.dtype)
    for v in range(n):
        scale[v] = (int((j == v).sum()) + 1) ** -0.5
    for layer in model.layers:
        extractor = layer.extractor
        h = extractor.narrow(x)
        seen = [x]
        for hop in extractor.hops:
            entering, leaving = torch.zeros_like(h), torch.zeros_like(h)
            for v in range(n):
                if (i == v).any():
                    entering[v] = h[j[i == v]].mean(0)
                if (j == v).any():
                    leaving[v] = h[i[j == v]].mean(0)
            h = hop(torch.cat([h, entering, leaving], 1)).clamp(min=0)
            seen.append(h)
        structure = extractor.out(torch.cat(seen, 1))
        q, k = layer.attention.query_key(structure).chunk(2, 1)
        v, out = layer.attention.value(x), []
        for part in torch.arange(WIDTH).chunk(HEADS):
            logit = q[:, part] @ k[:, part].t() / (WIDTH / HEADS) ** 0.5
            out.append(torch.softmax(logit, 1) @ v[:, part])
        x = layer.attention_norm(x + scale.unsqueeze(1) * layer.attention.out(torch.cat(out, 1)))
        x = layer.norm(x + layer.feed_forward.contract(functional.gelu(layer.feed_forward.expand(x))))
    return x[-1]


def test_is_its_equations() -> None:
    sizes, x = [6, 3], torch.randn(9, WIDTH, dtype=torch.float64)
    graphs = [Data(edge_index=torch.randint(0, n, (2, 2 * n)), num_nodes=n) for n in sizes]
    model = SAT(
        width=WIDTH, layers=2, heads=HEADS, hops=2, activation="gelu", norm="layer", readout="cls",
        node_encoder=Fixed(x),
    ).double().eval()  # fmt: skip
    expected = torch.stack([by_hand(model, g, part) for g, part in zip(graphs, x.split(sizes), strict=True)])
    torch.testing.assert_close(model(Batch.from_data_list(graphs)), expected)


def test_direction_matters_only_to_queries_and_keys_and_degrees() -> None:
    data = Data(edge_index=torch.tensor([[0, 1, 2, 2], [1, 2, 3, 4]]), num_nodes=5)
    reverse = Data(edge_index=data.edge_index.flip(0), num_nodes=5)
    x = torch.randn(5, WIDTH)
    for options, same in (({}, False), ({"hops": 0, "degree_residual": False}, True)):
        model = SAT(width=WIDTH, layers=1, heads=HEADS, node_encoder=Fixed(x), **options).eval()
        assert torch.allclose(model(data), model(reverse), atol=1e-5) == same


def test_what_is_seen_in_hops() -> None:
    """The extractor on a directed path: from k hops away, against edges only if it is bidirectional."""
    place = torch.arange(6)
    path = Data(edge_index=torch.stack([place[:-1], place[1:]]), num_nodes=6)
    for hops in (1, 2):
        for both in (True, False):
            model = SAT(width=WIDTH, layers=1, heads=HEADS, hops=hops, bidirectional=both, node_encoder=nn.Identity())
            extractor = model.layers[0].extractor
            for parameter in extractor.parameters():  # no ReLU closes
                nn.init.uniform_(parameter, 0.1, 1.0)

            around = Neighbourhood(path.edge_index, torch.ones(6, 1), torch.ones(6, 1))
            jacobian = torch.autograd.functional.jacobian(
                lambda x, e=extractor, a=around: e(x, None, a), torch.rand(6, WIDTH)
            )
            seen = jacobian.abs().sum((1, 3)) > 0
            distance = place[:, None] - place  # of i after j
            assert torch.equal(seen, (distance <= hops) & (distance >= (-hops if both else 0)))


def test_the_form_for_code() -> None:
    """Geisler et al. report 14,378,069, with MagLapNet and MLPs in the extractor; tables and head are theirs."""
    model = SAT(
        width=256, layers=4, heads=4, hops=3, expansion=4, activation="gelu", norm="layer", dropout=0.18,
        readout="cls", node_encoder=ASTNodeEncoder(256, 98, 10_030), head=SubtokenHead(256),
    )  # fmt: skip
    narrow, hops, out = 256 * 128 + 128, 3 * (384 * 128 + 128), 640 * 256 + 256
    attention, feed_forward = 4 * (256**2 + 256), 2 * 256 * 1024 + 1024 + 256
    assert [count(layer) for layer in model.layers] == [narrow + hops + out + attention + feed_forward + 4 * 256] * 4
    assert count(model.node_encoder) == (98 + 10_030 + 21) * 256
    assert count(model.head) == 5 * 5002 * 257
    assert count(model) == 13_564_338


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"hops": -1}, "hops must be from 0"),
        ({"width": 9, "heads": 3}, "width must be even"),
        ({"activation": "tanh"}, "activation must be one of"),
        ({"bidirectional": None}, "bidirectional must be True or False"),
        ({"degree_residual": "yes"}, "degree_residual must be True or False"),
    ],
)
def test_bad_arguments(options, message: str) -> None:
    with pytest.raises(GraphPEError, match=message):
        SAT(**options, node_encoder=nn.Identity())
