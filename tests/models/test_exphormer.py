from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn
from torch_geometric.data import Data

from graphpe.errors import GraphPEError
from graphpe.models.batches.nodes import node_to_graph
from graphpe.models.exphormer import Exphormer
from graphpe.models.layers.expander import expander_edges
from graphpe.models.layers.inputs import LinearEdges

WIDTH, HEADS = 8, 2


class Fixed(nn.Module):
    def __init__(self, x: Tensor) -> None:
        super().__init__()
        self.x = x

    def forward(self, batch: Data) -> Tensor:
        return self.x


def test_is_its_equations() -> None:
    """Pair by pair, for one graph and no local layer."""
    n, virtual = 5, 2
    data = Data(edge_index=torch.randint(0, n, (2, 8)), edge_attr=torch.randn(8, 3).double(), num_nodes=n)
    start = torch.randn(n, WIDTH, dtype=torch.float64)
    model = Exphormer(
        width=WIDTH, layers=2, heads=HEADS, local="none", degree=1, virtual_nodes=virtual, norm="layer",
        readout="none", node_encoder=Fixed(start), edge_encoder=LinearEdges(3, WIDTH),
    ).double()  # fmt: skip
    edge = model.edge_encoder(data)
    pairs = [(int(j), int(i), edge[e]) for e, (j, i) in enumerate(data.edge_index.t())]
    pairs += [(int(j), int(i), model.kinds[virtual]) for j, i in expander_edges(node_to_graph(data), 1, 0).t()]
    for v in range(virtual):
        pairs += [(j, n + v, model.kinds[v]) for j in range(n)] + [(n + v, i, model.kinds[v]) for i in range(n)]
    x = torch.cat([start, model.virtual])
    c = WIDTH // HEADS
    for layer in model.layers:
        q, k, v = (x @ w.t() for w in layer.query_key_value.weight.split(WIDTH))
        rows = []
        for i in range(n + virtual):
            row = []
            for h in range(HEADS):
                part = slice(h * c, h * c + c)
                mine = [(j, f @ layer.edge_projection.weight.t()) for j, target, f in pairs if target == i]
                score = torch.stack([(q[i] * k[j] * f)[part].sum() / c**0.5 for j, f in mine]).clamp(-5, 5).exp()
                row.append(sum(s * v[j, part] for s, (j, _) in zip(score, mine, strict=True)) / score.sum())
            rows.append(torch.cat(row))
        x = layer.attention_norm(x + layer.out(torch.stack(rows)))
        x = layer.norm(x + layer.feed_forward.contract(layer.feed_forward.expand(x).clamp(min=0)))
    torch.testing.assert_close(model(data), x[:n])


def test_virtual_nodes_join_all_nodes_in_two_layers() -> None:
    path = Data(edge_index=torch.tensor([[0, 1, 2, 3, 4], [1, 2, 3, 4, 5]]), num_nodes=6)
    for virtual, complete in ((1, True), (0, False)):
        model = Exphormer(
            width=WIDTH, layers=2, heads=HEADS, degree=0, virtual_nodes=virtual, norm="layer", readout="none",
            node_encoder=nn.Identity(),
        )  # fmt: skip

        def function(x: Tensor, model: Exphormer = model) -> Tensor:
            model.node_encoder = Fixed(x)
            return model(path)

        jacobian = torch.autograd.functional.jacobian(function, torch.randn(6, WIDTH)).abs().sum((1, 3)) > 0
        assert bool(jacobian.all()) == complete


def test_only_the_expander_depends_on_the_numbering() -> None:
    """For one seed the result changes under renumbering; the mean over seeds does so much less."""
    torch.manual_seed(2)
    n = 8
    data = Data(edge_index=torch.randint(0, n, (2, 12)), num_nodes=n)
    order = torch.randperm(n)
    place = torch.empty_like(order)
    place[order] = torch.arange(n)
    other = Data(edge_index=place[data.edge_index], num_nodes=n)
    x = torch.randn(n, WIDTH)
    model = Exphormer(width=WIDTH, layers=1, heads=HEADS, degree=1, node_encoder=Fixed(x)).eval()

    def over_seeds(graph: Data, rows: Tensor) -> Tensor:
        model.node_encoder = Fixed(rows)
        out = []
        with torch.no_grad():
            for seed in range(400):
                model.seed = seed
                out.append(model(graph))
        return torch.cat(out)

    a, b = over_seeds(data, x), over_seeds(other, x[order])
    assert not torch.allclose(a[0], b[0], atol=1e-4)
    error = (a.mean(0) - b.mean(0)) / ((a.var(0) + b.var(0)) / 400).sqrt()
    assert float(error.abs().max()) < 5


def test_a_large_graph() -> None:
    size = 30_000  # 900 million pairs
    data = Data(edge_index=torch.randint(0, size, (2, size)), num_nodes=size)
    model = Exphormer(width=WIDTH, layers=1, heads=HEADS, local="none", node_encoder=Fixed(torch.randn(size, WIDTH)))
    model(data).sum().backward()
    assert bool(model.kinds.grad.isfinite().all())


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"degree": -1}, "degree must be from 0"),
        ({"virtual_nodes": 0.5}, "virtual_nodes must be an integer"),
        ({"seed": -3}, "seed must be from 0"),
        ({"local": "SAGE"}, "local must be one of"),
    ],
)
def test_bad_arguments(options, message: str) -> None:
    with pytest.raises(GraphPEError, match=message):
        Exphormer(**options, node_encoder=nn.Identity())
